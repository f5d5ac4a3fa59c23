"""Results of earlier runs in a folder of results: what is there, finished, begun or replaced.

``fractions.csv`` and ``run.json`` describe the result files that lie in their
folder, whichever run wrote them; the journal beside them those of runs that were
killed. An image that is segmented again loses all that earlier runs wrote for it,
also files that the new run does not write.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd
from pydantic import ValidationError

from napari_fractoseg.batch.journal import JournalledRun, journal_path, read_journal
from napari_fractoseg.batch.outputs import remove_result
from napari_fractoseg.files import read_json_object
from napari_fractoseg.models.card import Inference
from napari_fractoseg.results.intact import is_intact, size_of
from napari_fractoseg.text import from_spreadsheet, printable

__all__ = ["FRACTIONS", "RUN", "EarlierRuns", "report_paths", "stem_of"]

FRACTIONS, RUN = "fractions.csv", "run.json"
_NOT_DECIDING = ("model", "device", "max_memory_gb", "precision", "familiarity")
_TEXTS = ("file", "plane", "class_name", "note")
"""Columns of ``fractions.csv`` that hold text of others."""
_FIRST_COLUMNS = b"file,plane,"


def report_paths(out: Path, name: str | None = None) -> tuple[Path, Path]:
    """Return the paths of ``fractions.csv`` and ``run.json`` in a folder, with `name` in front."""
    start = f"{name}_" if name else ""
    return out / f"{start}{FRACTIONS}", out / f"{start}{RUN}"


def stem_of(name: str | Path) -> str:
    r"""Return the stem of a file name in lower case, by which results belong to an image.

    Bytes that are not UTF-8 are written as in ``fractions.csv``, such as ``5\xb5m``.
    """
    text = printable(name.name if isinstance(name, Path) else name)
    return PurePosixPath(text).stem.casefold()


@dataclass(frozen=True, eq=False)
class EarlierRuns:
    """Results of earlier runs that are still there.

    Parameters
    ----------
    out : Path
        Folder of the results.
    runs : tuple of mapping
        Content of ``run.json`` for each run, the latest first, reduced to the images whose
        results are still there. Each image is in the latest run that segmented it.
    fractions : DataFrame
        Rows of ``fractions.csv`` for the same images, as text.
    name : str or None
        Name of the results of a single image, if they have another one than the image.
    foreign : tuple of Path
        Files in the place of the reports that this program did not write.
    begun : mapping of str to mapping
        Stem of an image -> content of ``run.json`` for the run that was killed before it
        had finished that image.
    replaced : tuple of mapping
        As `runs`, with the images that a later run segmented again.
    """

    out: Path
    runs: tuple[Mapping[str, Any], ...] = ()
    fractions: pd.DataFrame = field(default_factory=pd.DataFrame)
    name: str | None = None
    foreign: tuple[Path, ...] = ()
    begun: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    replaced: tuple[Mapping[str, Any], ...] = ()

    @classmethod
    def read(cls, out: Path, name: str | None = None) -> EarlierRuns:
        """Read reports and journal in a folder; files that this program did not write are none."""
        fractions, report = report_paths(out, name)
        killed, reported = read_journal(journal_path(report)), _runs_in(report)
        begun = _begun(killed)
        sources = [
            *((run.content, "".join(_one_table(run.fractions))) for run in killed),
            *((run, "") for run in reported or ()),
        ]
        known, runs, replaced, tables = set[str](), [], [], []
        for run, text in sources:
            there = {stem_of(f["file"]): f for f in run["files"] if _is_there(out, f, run, begun)}
            replaced.append({**run, "files": [f for stem, f in there.items() if stem in known]})
            stems = set(there) - known
            if stems:
                runs.append({**run, "files": [f for stem, f in there.items() if stem in stems]})
                tables.append(_rows_of(_read_table(io.StringIO(text)), stems))
                known |= stems
        in_report = known - {stem_of(n) for t in tables for n in t.get("file", ())}
        tables.append(_rows_of(_read_table(fractions), in_report))
        foreign = [] if reported is not None or not report.exists() else [report]
        if fractions.exists() and not _is_table(fractions):
            foreign.append(fractions)
        table = _joined(tables)
        return cls(out, tuple(runs), table, name, tuple(foreign), begun, tuple(replaced))

    def results_of(self, stems: Collection[str]) -> list[Path]:
        """Return the result files that exist of the images with these stems (`stem_of`)."""
        found = [
            self.out / name
            for run, file in _files((*self.runs, *self.replaced))
            if stem_of(file["file"]) in stems
            for name in _names(file, run)
        ]
        return [path for path in dict.fromkeys(found) if os.path.lexists(path)]

    def done(self, settings: Mapping[str, Any], model: Mapping[str, Any]) -> dict[str, str]:
        """Return the images that were segmented: stem -> SHA-256 of the image at that time.

        Their results may have been damaged since; see `finished`.

        Parameters
        ----------
        settings : mapping
            Settings as in ``run.json``; those that influence results must be the same.
        model : mapping
            The model as in ``run.json``: the SHA-256 of its weights and the test-time choices
            on its card must be the same.
        """
        return {
            stem_of(file["file"]): str(file.get("sha256"))
            for run, file in _files(self.runs)
            if _is_alike(run, settings, model)
            and str(file.get("status")).startswith("done")  # damage of the image stays
        }

    def is_whole(self, stem: str) -> bool:
        """Whether all results of an image are there, and neither empty nor cut off."""
        for run, file in _files(self.runs):
            if stem_of(file["file"]) == stem:
                sizes = _sizes(file)
                wanted, names = file.get("outputs", ()), _names(file, run)
                return len(wanted) == len(names) and all(
                    is_intact(self.out / name, sizes.get(name)) for name in names
                )
        return False

    def was_begun(self, stem: str, settings: Mapping[str, Any], model: Mapping[str, Any]) -> bool:
        """Whether such a run, see `done`, was killed while it wrote the results of an image."""
        run = self.begun.get(stem)
        return run is not None and _is_alike(run, settings, model)

    def without(self, stems: Collection[str]) -> EarlierRuns:
        """Return the runs without the images of these stems, such as those segmented again."""
        kept = [_with_files(run, lambda f: stem_of(f["file"]) not in stems) for run in self.runs]
        table = self.fractions
        if len(table):
            table = table[[stem_of(name) not in stems for name in table["file"]]]
        return replace(self, runs=tuple(r for r in kept if r["files"]), fractions=table)

    def remove_replaced(self) -> None:
        """Delete files that runs wrote for images which later ones, without these, did again."""
        written = {
            (stem_of(file["file"]), name.casefold())
            for run, file in _files(self.runs)
            for name in _names(file, run)
        }
        for run, file in _files(self.replaced):
            for name in _names(file, run):
                if (stem_of(file["file"]), name.casefold()) not in written:
                    remove_result(self.out / name)


def _files(
    runs: Iterable[Mapping[str, Any]],
) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Yield each run with each of its images."""
    for run in runs:
        for file in run["files"]:
            yield run, file


def _runs_in(report: Path) -> list[Mapping[str, Any]] | None:
    """Return the runs in a ``run.json``, the latest first; None if it is not ours."""
    latest = read_json_object(report)
    if latest is None:
        return None
    earlier = latest.pop("earlier_runs", [])
    runs = [latest, *(earlier if isinstance(earlier, list) else [None])]
    return runs if all(map(_is_run, runs)) else None


def _is_run(run: Any) -> bool:
    if not isinstance(run, dict) or not isinstance(run.get("files"), list):
        return False
    objects = (run.get("settings", {}), run.get("model", {}), *run["files"])
    return all(isinstance(part, dict) for part in objects) and all(
        isinstance(file.get("file"), str) and isinstance(file.get("outputs", []), list)
        for file in run["files"]
    )


def _is_alike(
    run: Mapping[str, Any], settings: Mapping[str, Any], model: Mapping[str, Any]
) -> bool:
    is_same_model = _identity(run.get("model", {})) == _identity(model)
    return is_same_model and _deciding(run.get("settings", {})) == _deciding(settings)


def _identity(model: Mapping[str, Any]) -> tuple[Any, Inference | None]:
    """Return what of a model influences results: the hash of its weights, and how it looks.

    Cards of earlier versions do not have all test-time choices; those have their defaults then.
    """
    try:
        card = model.get("card")
        return model.get("sha256"), Inference(**card["inference"])  # type: ignore[index]
    except (TypeError, KeyError, ValidationError):  # a report that someone changed
        return model.get("sha256"), None


def _deciding(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that influence results; the model is compared by its `_identity`.

    Those that are not given are left out, as runs of earlier versions do not have all of them.
    """
    given = {name: value for name, value in settings.items() if value is not None}
    return {name: value for name, value in given.items() if name not in _NOT_DECIDING}


def _with_files(run: Mapping[str, Any], wanted: Callable[[Any], bool]) -> dict[str, Any]:
    return {**run, "files": [file for file in run["files"] if wanted(file)]}


def _names(file: Mapping[str, Any], run: Mapping[str, Any]) -> list[str]:
    """Return the names of the result files of an image, without any that lead to other folders."""
    given = run.get("settings", {}).get("name")
    start = f"{printable(given).casefold() if given else stem_of(file['file'])}_"
    return [
        name
        for name in map(str, file.get("outputs", ()))
        if Path(name).name == name
        and (printable(name).casefold().startswith(start) or name == f"{given}.zarr")
    ]


def _begun(runs: Sequence[JournalledRun]) -> dict[str, Mapping[str, Any]]:
    """Return the images that killed runs, the latest first, had begun and not finished."""
    begun: dict[str, Mapping[str, Any]] = {}
    for run in reversed(runs):
        begun |= {stem_of(file): run.content for file in run.begun}
        for file in run.content["files"]:
            begun.pop(stem_of(file["file"]), None)
    return begun


def _is_there(
    out: Path, file: Mapping[str, Any], run: Mapping[str, Any], begun: Collection[str]
) -> bool:
    """Whether results are there, and those that a run listed, where a later one was replacing them.

    If it was killed between results and journal, the results are its own.
    """
    names, sizes = _names(file, run), _sizes(file)
    if stem_of(file["file"]) in begun and sizes:
        return all(size_of(out / n) == sizes.get(n) for n in names)
    return any(os.path.lexists(out / name) for name in names)


def _sizes(file: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """Return the `size_of` the results of an image when they were written, by name."""
    given = file.get("sizes")
    pairs = given.items() if isinstance(given, dict) else ()
    return {name: (v[0], v[1]) for name, v in pairs if isinstance(v, list) and len(v) == 2}


def _is_table(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_FIRST_COLUMNS)) == _FIRST_COLUMNS


def _one_table(texts: Collection[str]) -> Iterator[str]:
    """Yield the lines of several tables as those of one."""
    for number, text in enumerate(texts):
        yield text if number == 0 else text.partition("\n")[2]


def _read_table(source: Path | io.StringIO) -> pd.DataFrame:
    try:
        # As text: it is written again as it is.
        table = pd.read_csv(source, dtype=str, keep_default_na=False)
    except (OSError, ValueError):
        return pd.DataFrame()
    if "file" not in table:
        return pd.DataFrame()
    return table.assign(**{n: table[n].map(from_spreadsheet) for n in _TEXTS if n in table})


def _rows_of(table: pd.DataFrame, stems: Collection[str]) -> pd.DataFrame:
    return table[[stem_of(name) in stems for name in table["file"]]] if len(table) else table


def _joined(tables: Collection[pd.DataFrame]) -> pd.DataFrame:
    filled = [table for table in tables if len(table)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame()
