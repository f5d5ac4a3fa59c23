"""Results of earlier runs in a folder of results: what is there, finished or replaced.

``fractions.csv`` and ``run.json`` describe the result files that lie in their
folder, whichever run wrote them. An image that is segmented again loses all
that earlier runs wrote for it, also files that the new run does not write.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

__all__ = ["FRACTIONS", "RUN", "EarlierRuns", "report_paths", "stem_of"]

FRACTIONS, RUN = "fractions.csv", "run.json"
_NOT_DECIDING = ("model", "device", "max_memory_gb", "precision")


def report_paths(out: Path, name: str | None = None) -> tuple[Path, Path]:
    """Return the paths of ``fractions.csv`` and ``run.json`` in a folder, with `name` in front."""
    start = f"{name}_" if name else ""
    return out / f"{start}{FRACTIONS}", out / f"{start}{RUN}"


def stem_of(name: str | Path) -> str:
    """Return the stem of a file name in lower case, by which results belong to an image."""
    return Path(name).stem.casefold()


@dataclass(frozen=True, eq=False)
class EarlierRuns:
    """Results of earlier runs that are still there.

    Parameters
    ----------
    out : Path
        Folder of the results.
    runs : tuple of mapping
        Content of ``run.json`` for each run, the latest first, reduced to the images whose
        results are still there.
    fractions : DataFrame
        Rows of ``fractions.csv`` for the same images.
    name : str or None
        Name of the results of a single image, if they have another one than the image.
    is_ours : bool
        Whether the folder has a ``run.json`` of this program, even one without results.
    """

    out: Path
    runs: tuple[Mapping[str, Any], ...] = ()
    fractions: pd.DataFrame = field(default_factory=pd.DataFrame)
    name: str | None = None
    is_ours: bool = False

    @classmethod
    def read(cls, out: Path, name: str | None = None) -> EarlierRuns:
        """Read the reports in a folder; files that this program did not write count as none."""
        fractions, report = report_paths(out, name)
        try:
            latest = dict(json.loads(report.read_text(encoding="utf-8")))
            runs = [latest, *latest.pop("earlier_runs", ())]
            kept = [
                {**run, "files": [f for f in run["files"] if _is_there(out, f, run)]}
                for run in runs
            ]
        except (OSError, ValueError, KeyError, TypeError):
            return cls(out, name=name)
        names = {f["file"] for run in kept for f in run["files"]}
        with_files = tuple(r for r in kept if r["files"])
        return cls(out, with_files, _read_fractions(fractions, names), name, is_ours=True)

    def results_of(self, stems: Collection[str]) -> list[Path]:
        """Return the result files that exist of the images with these stems (`stem_of`)."""
        found = [
            self.out / name
            for run in self.runs
            for file in run["files"]
            if stem_of(file["file"]) in stems
            for name in _names(file, run)
        ]
        return [path for path in dict.fromkeys(found) if path.exists()]

    def finished(self, settings: Mapping[str, Any], model_sha256: str) -> dict[str, str]:
        """Return the images that are segmented: stem -> SHA-256 of the image at that time.

        Parameters
        ----------
        settings : mapping
            Settings as in ``run.json``; those that influence results must be the same.
        model_sha256 : str
            SHA-256 of the model's weights, which must be the same.
        """
        wanted = _deciding(settings)
        return {
            stem_of(file["file"]): str(file.get("sha256"))
            for run in reversed(self.runs)
            if run.get("model", {}).get("sha256") == model_sha256
            and _deciding(run.get("settings", {})) == wanted
            for file in run["files"]
            if str(file.get("status")).startswith("done")  # damage of the image stays
            and all((self.out / name).exists() for name in _names(file, run))
        }

    def without(self, stems: Collection[str]) -> EarlierRuns:
        """Return the runs without the images of these stems, such as those segmented again."""
        kept = [_with_files(run, lambda f: stem_of(f["file"]) not in stems) for run in self.runs]
        table = self.fractions
        if len(table):
            table = table[[stem_of(name) not in stems for name in table["file"]]]
        with_files = tuple(r for r in kept if r["files"])
        return EarlierRuns(self.out, with_files, table, self.name, self.is_ours)

    def remove_replaced(self, outputs: Mapping[str, Collection[str]]) -> None:
        """Delete the files that earlier runs wrote for images that were segmented again.

        Parameters
        ----------
        outputs : mapping of str to collection of str
            Stem of an image -> names of the files that were written now; they stay.
        """
        files = ((earlier, file) for earlier in self.runs for file in earlier["files"])
        for run, file in files:
            stem = stem_of(file["file"])
            names = _names(file, run)
            written = {name.casefold() for name in outputs.get(stem, names)}
            for name in (name for name in names if name.casefold() not in written):
                path = self.out / name
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)


def _deciding(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that influence results; the model is compared by its hash."""
    return {name: value for name, value in settings.items() if name not in _NOT_DECIDING}


def _with_files(run: Mapping[str, Any], wanted: Callable[[Any], bool]) -> Mapping[str, Any]:
    return {**run, "files": [file for file in run["files"] if wanted(file)]}


def _names(file: Mapping[str, Any], run: Mapping[str, Any]) -> list[str]:
    """Return the names of the result files of an image, without any that lead to other folders."""
    given = dict(run.get("settings") or {}).get("name")
    start = f"{str(given).casefold() if given else stem_of(file['file'])}_"
    return [
        name
        for name in map(str, file.get("outputs", ()))
        if Path(name).name == name
        and (name.casefold().startswith(start) or name == f"{given}.zarr")
    ]


def _is_there(out: Path, file: Mapping[str, Any], run: Mapping[str, Any]) -> bool:
    return any((out / name).exists() for name in _names(file, run))


def _read_fractions(path: Path, names: Collection[str]) -> pd.DataFrame:
    try:
        # As text: it is written again as it is.
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        return table[table["file"].isin(names)]
    except (OSError, ValueError, KeyError):
        return pd.DataFrame()
