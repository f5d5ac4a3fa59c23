"""Tables as CSV text that any program can open without harm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_fractoseg.text import printable, spreadsheet_safe

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["csv_text", "tsv_text"]


def csv_text(table: pd.DataFrame) -> str:
    """Return a table as the text of a CSV file, without its index.

    What is unprintable in texts is escaped, and what a spreadsheet program would compute
    begins with an apostrophe: names of classes, files and specimens are given by others.

    Parameters
    ----------
    table : DataFrame
        Table with named columns.

    Examples
    --------
    >>> import pandas as pd
    >>> from napari_fractoseg.measurement.tables import csv_text
    >>> print(csv_text(pd.DataFrame({"image": ["=1+1", "s17"], "n": [1, 2]})), end="")
    image,n
    '=1+1,1
    s17,2
    """
    return str(_with_safe_cells(table).to_csv(index=False, lineterminator="\n"))


def tsv_text(table: pd.DataFrame) -> str:
    r"""Return a table with its headers as text to paste into a spreadsheet, as safe as `csv_text`.

    Examples
    --------
    >>> import pandas as pd
    >>> from napari_fractoseg.measurement.tables import tsv_text
    >>> tsv_text(pd.DataFrame({"image": ["=1+1", "a\tb"], "n": [1, 2]}))
    'image\tn\n\'=1+1\t1\n"a\tb"\t2\n'
    """
    return str(_with_safe_cells(table).to_csv(index=False, sep="\t", lineterminator="\n"))


def _with_safe_cells(table: pd.DataFrame) -> pd.DataFrame:
    safe = table.rename(columns=_safe)
    for name in [name for name in safe if safe[name].dtype.kind not in "biuf"]:
        safe[name] = safe[name].map(_safe)
    return safe


def _safe(value: Any) -> Any:
    return spreadsheet_safe(printable(value)) if isinstance(value, str) else value
