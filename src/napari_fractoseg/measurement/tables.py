"""Tables as CSV text that any program can open without harm."""

from __future__ import annotations

import io
import re
import warnings
from pathlib import Path
from typing import Any

import pandas as pd

from napari_fractoseg.errors import OptionError, translated
from napari_fractoseg.files import read_file
from napari_fractoseg.text import from_spreadsheet, printable, spreadsheet_safe

__all__ = ["csv_text", "read_texts", "tsv_text"]

_SEPARATOR = re.compile("[,;\t]")


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


def read_texts(path: Path, what: str) -> pd.DataFrame:
    """Read a CSV file of ours or of others, each cell as the text that `csv_text` was given.

    Parameters
    ----------
    path : Path
        File in UTF-8 with a line of titles. The separator is the first of comma, semicolon and
        tab in it: some spreadsheet programs write semicolons.
    what : str
        What the file should be, such as "a table of specimens".

    Returns
    -------
    DataFrame
        Texts; those of empty cells are empty.

    Raises
    ------
    OptionError
        If it cannot be read as a table.
    """
    with (
        translated(OptionError, f"{path} cannot be read as {what}"),
        warnings.catch_warnings(action="error", category=pd.errors.ParserWarning),
    ):  # pandas warns of cells beyond the last title, and leaves them out
        text = read_file(path).decode("utf-8-sig")
        separator = _SEPARATOR.search(text.partition("\n")[0])
        table = pd.read_csv(
            io.StringIO(text),
            sep=separator[0] if separator else ",",
            dtype=str,
            keep_default_na=False,
            index_col=False,
        )
    return table.astype(object).map(from_spreadsheet)
