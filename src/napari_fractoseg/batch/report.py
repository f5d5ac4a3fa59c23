"""Report of a run: the result of each file, written as ``fractions.csv`` and ``run.json``."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from napari_fractoseg.batch.history import EarlierRuns, report_paths, stem_of
from napari_fractoseg.batch.journal import RunJournal, journal_path
from napari_fractoseg.batch.settings import SegmentSettings
from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.files import file_sha256, resolved, write_bytes
from napari_fractoseg.measurement import class_fractions
from napari_fractoseg.measurement.tables import csv_text
from napari_fractoseg.models.card import WEIGHTS, ModelCard
from napari_fractoseg.models.registry import find_model

__all__ = [
    "BatchReport",
    "FileResult",
    "complete_report",
    "model_entry",
]


@dataclass(frozen=True, eq=False)
class FileResult:
    """Result of the segmentation of one file: status, outputs and fractions.

    Parameters
    ----------
    path : Path
        Image file.
    status : str
        ``done``, ``done in part`` when damaged planes were left out, ``failed``,
        or ``not done`` when the run was stopped before.
    error : str
        Message of the error by which it failed; empty if it did not.
    options : tuple of str
        Names of parameters that would help against the error, see `FractosegError`.
    details : str
        Traceback of an unexpected error, one that is no `FractosegError`.
    seconds : float
        Time that the segmentation took, in seconds.
    sha256 : str
        SHA-256 of the image file.
    device : str
        Name of the device that computed it.
    shape : tuple of int
        Shape of the labels, (..., Y, X).
    pixel_size_um : float or None
        Edge of a pixel in micrometres; None if it is not known.
    pixel_size_from : str
        Origin of the pixel size in words.
    outputs : tuple of str
        Names of the files that were written.
    sizes : dict of str to tuple of int
        Name of an output -> its bytes, and of how many files (1, or those of a zarr).
    notes : tuple of str
        Sentences for the user, such as why planes were left unlabelled.
    tile_px, halo_px : int
        Edge of the tiles' cores and width of their halo, in pixels.
    fractions : DataFrame or None
        Area fractions: ``file``, ``plane``, the columns of `measure.class_fractions`, and a
        ``note`` for planes that were left unlabelled, whose fractions are NaN, or that look
        unlike what the model learnt (``familiarity``).
    excluded : dict of str to object
        What was left out of the image as its info bar: ``rows``, and ``source`` in words; or why
        nothing was.
    scale_factor : float
        How many image pixels stood for one pixel of the images that the model learnt from.
    familiarity : tuple of dict
        Of each plane that was looked at, its ``plane`` and `Familiar.to_dict`.
    untold : str
        Sentence on why no plane was (`untold_text`); empty if that was not asked for.
    """

    path: Path
    status: Literal["done", "done in part", "failed", "not done"]
    error: str = ""
    options: tuple[str, ...] = ()
    details: str = ""
    seconds: float = 0.0
    sha256: str = ""
    device: str = ""
    shape: tuple[int, ...] = ()
    pixel_size_um: float | None = None
    pixel_size_from: str = ""
    outputs: tuple[str, ...] = ()
    sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    tile_px: int = 0
    halo_px: int = 0
    fractions: pd.DataFrame | None = None
    excluded: Mapping[str, Any] = field(default_factory=dict)
    scale_factor: float = 1.0
    familiarity: tuple[dict[str, Any], ...] = ()
    untold: str = ""

    def journalled(self) -> tuple[dict[str, Any], str]:
        """Return what a journal keeps: the entry in ``run.json``, and rows of ``fractions.csv``."""
        return self.to_dict(), "" if self.fractions is None else csv_text(self.fractions)

    def to_dict(self) -> dict[str, Any]:
        """Return the entry in ``run.json`` as plain JSON types, without fractions and options."""
        left_out = ("fractions", "options")
        entries = {name: value for name, value in vars(self).items() if name not in left_out}
        return {"file": self.path.name, **entries, "path": str(resolved(self.path))}


@dataclass(frozen=True, eq=False)
class BatchReport:
    """Report of a run: the results of all of its files.

    Parameters
    ----------
    results : tuple of FileResult
        Result of each task, in order.
    out : Path
        Folder of the results.
    settings : SegmentSettings
        Settings with which the files were segmented.
    started : datetime
        Time at which the run began, with time zone.
    seconds : float
        Time that the run took, in seconds.
    model : mapping, optional
        Entry on the model in ``run.json``; by default on that of the settings, which must be here.
    """

    results: tuple[FileResult, ...]
    out: Path
    settings: SegmentSettings
    started: datetime.datetime
    seconds: float
    model: Mapping[str, Any] | None = None

    @property
    def paths(self) -> tuple[Path, Path]:
        """Paths of ``fractions.csv`` and ``run.json``."""
        return report_paths(self.out, self.settings.name)

    @property
    def failed(self) -> tuple[FileResult, ...]:
        """Results of the files that could not be segmented."""
        return tuple(r for r in self.results if r.status == "failed")

    @property
    def segmented(self) -> tuple[FileResult, ...]:
        """Results of the files that were segmented, completely or in part."""
        return tuple(r for r in self.results if r.status.startswith("done"))

    @property
    def fractions(self) -> pd.DataFrame:
        """Area fractions of all files: one row for each plane and class."""
        tables = [r.fractions for r in self.results if r.fractions is not None]
        return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=_columns())

    @property
    def mode_fractions(self) -> pd.DataFrame:
        """``fraction_of_modes`` of all files: a row for each plane, a column for each mode."""
        table = self.fractions
        modes = table[table.is_fracture_mode.astype(bool)]
        indexed = modes.set_index(["file", "plane", "class_name"])
        return indexed["fraction_of_modes"].unstack(sort=False)

    def to_dict(self, earlier: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
        """Return the content of ``run.json`` as plain JSON types, without the fractions.

        Parameters
        ----------
        earlier : sequence of mapping
            Content of ``run.json`` of earlier runs whose results are in the same folder.
        """
        from napari_fractoseg import __version__

        return {
            "fractoseg_version": __version__,
            "started": self.started.isoformat(timespec="seconds"),
            "seconds": round(self.seconds, 3),
            "device": ", ".join(sorted({r.device for r in self.results if r.device})),
            "settings": {**asdict(self.settings), "model": str(self.settings.model)},
            "model": model_entry(self.settings.model) if self.model is None else self.model,
            "files": [r.to_dict() for r in self.results],
            **({"earlier_runs": list(earlier)} if earlier else {}),
        }

    def journal(self) -> RunJournal:
        """Begin the journal of this run, from which it is resumed should it be killed.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        return RunJournal(journal_path(self.paths[1]), self.to_dict())

    def write(self) -> None:
        """Write ``fractions.csv`` and ``run.json`` into the folder of the results.

        Both also list results of earlier runs in the folder, for images that this run did
        not segment. Files that earlier runs wrote for an image of this run are deleted. The
        journal is taken up, and removed at the end.
        """
        earlier = EarlierRuns.read(self.out, self.settings.name)
        earlier.remove_replaced()
        kept = earlier.without({stem_of(r.path) for r in self.segmented})
        tables = [t for t in (kept.fractions, self.fractions) if len(t)]
        table = pd.concat(tables, ignore_index=True) if tables else self.fractions
        _write(self.paths, table, self.to_dict(kept.runs))


def complete_report(out: Path, name: str | None = None) -> None:
    """Write the report of a run that was killed before it could, by its journal.

    Parameters
    ----------
    out : Path
        Folder of the results, which no other run may be writing into.
    name : str, optional
        Name of the results of a single image, if they have another one than the image.
    """
    paths = report_paths(out, name)
    earlier = EarlierRuns.read(out, name)
    earlier.remove_replaced()
    latest, *others = earlier.runs or ({"files": []},)
    _write(paths, earlier.fractions, {**latest, **({"earlier_runs": others} if others else {})})


def model_entry(model: str | Path) -> dict[str, Any]:
    """Return the entry on a model in ``run.json``: its name, the hash of its weights, its card.

    Raises
    ------
    ModelError
        If there is no such model.
    """
    folder = find_model(model)
    return {
        "name": folder.name,
        "sha256": file_sha256(folder / WEIGHTS),
        "card": json.loads(ModelCard.read(folder).to_json()),
    }


def _write(paths: tuple[Path, Path], table: pd.DataFrame, content: Mapping[str, Any]) -> None:
    """Write ``fractions.csv`` and ``run.json``, which take up the journal."""
    fractions, report = paths
    write_bytes(fractions, csv_text(table).encode(), overwrite=True)
    write_bytes(report, f"{json.dumps(content, indent=2)}\n".encode(), overwrite=True)
    journal_path(report).unlink(missing_ok=True)


def _columns() -> list[str]:
    measured = class_fractions(np.empty(0, dtype=np.uint8), DEFAULT_SCHEME)
    return ["file", "plane", *measured.columns, "familiarity", "note"]
