"""What became of a run: a row for each file, ``fractions.csv`` and ``run.json``."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from napari_fractoseg.batch.history import EarlierRuns, report_paths, stem_of
from napari_fractoseg.batch.settings import SegmentSettings
from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.files import draft_of, file_sha256
from napari_fractoseg.measure import class_fractions
from napari_fractoseg.models.card import WEIGHTS, ModelCard
from napari_fractoseg.models.registry import find_model

__all__ = [
    "BatchReport",
    "FileResult",
]


@dataclass(frozen=True, eq=False)
class FileResult:
    """What became of a file.

    Parameters
    ----------
    path : Path
        The image.
    status : str
        ``done``, ``done in part`` when damaged planes were left out, ``failed``,
        or ``not done`` when the run was stopped before.
    error : str
        Why it failed.
    options : tuple of str
        Parameters that would help, see `FractosegError`.
    details : str
        Traceback of an error that is not one of ours.
    seconds : float
        Time it took.
    sha256 : str
        Of the image file.
    device : str
        What computed it.
    shape : tuple of int
        Of the labels.
    outputs : tuple of str
        Names of the files written.
    notes : tuple of str
        Why planes were left unlabelled.
    tile_px, halo_px : int
        Edge of the tiles' cores, and what is computed around them.
    fractions : DataFrame or None
        ``file``, ``plane``, the columns of `measure.class_fractions`, and a
        ``note`` for planes that were left unlabelled; their fractions are NaN.
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
    outputs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    tile_px: int = 0
    halo_px: int = 0
    fractions: pd.DataFrame | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the row of the report as plain JSON types, without fractions and options."""
        left_out = ("fractions", "options")
        entries = {name: value for name, value in vars(self).items() if name not in left_out}
        return {"file": self.path.name, **entries, "path": str(self.path.resolve())}


@dataclass(frozen=True, eq=False)
class BatchReport:
    """What became of a run.

    Parameters
    ----------
    results : tuple of FileResult
        One for each task, in order.
    out : Path
        Folder of the results.
    settings : SegmentSettings
        How the files were segmented.
    started : datetime
        With time zone.
    seconds : float
        Time it took.
    """

    results: tuple[FileResult, ...]
    out: Path
    settings: SegmentSettings
    started: datetime.datetime
    seconds: float

    @property
    def paths(self) -> tuple[Path, Path]:
        """Where the fractions and the report are written."""
        return report_paths(self.out, self.settings.name)

    @property
    def failed(self) -> tuple[FileResult, ...]:
        """The files that could not be segmented."""
        return tuple(r for r in self.results if r.status == "failed")

    @property
    def segmented(self) -> tuple[FileResult, ...]:
        """The files that were segmented, completely or in part."""
        return tuple(r for r in self.results if r.status.startswith("done"))

    @property
    def fractions(self) -> pd.DataFrame:
        """One row for each plane and class."""
        tables = [r.fractions for r in self.results if r.fractions is not None]
        return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=_columns())

    @property
    def mode_fractions(self) -> pd.DataFrame:
        """``fraction_of_modes``: one row for each plane, one column for each fracture mode."""
        table = self.fractions
        modes = table[table.is_fracture_mode.astype(bool)]
        indexed = modes.set_index(["file", "plane", "class_name"])
        return indexed["fraction_of_modes"].unstack(sort=False)

    def to_dict(self, earlier: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
        """Return the report as plain JSON types, without the fractions.

        Parameters
        ----------
        earlier : sequence of mapping
            Runs whose results are in the folder, too.
        """
        from napari_fractoseg import __version__

        folder = find_model(self.settings.model)
        card = ModelCard.read(folder)
        return {
            "fractoseg_version": __version__,
            "started": self.started.isoformat(timespec="seconds"),
            "seconds": round(self.seconds, 3),
            "device": ", ".join(sorted({r.device for r in self.results if r.device})),
            "settings": {**asdict(self.settings), "model": str(self.settings.model)},
            "model": {
                "name": folder.name,
                "sha256": file_sha256(folder / WEIGHTS),
                "card": json.loads(card.to_json()),
            },
            "files": [r.to_dict() for r in self.results],
            **({"earlier_runs": list(earlier)} if earlier else {}),
        }

    def write(self) -> None:
        """Write ``fractions.csv`` and ``run.json`` into the folder of the results.

        They also tell of results of other runs that are there, for images that this
        one did not segment. What these wrote for an image that was segmented again is
        removed.
        """
        # Read now: another run may have written for other images meanwhile.
        earlier = EarlierRuns.read(self.out, self.settings.name)
        earlier.remove_replaced({stem_of(r.path): r.outputs for r in self.segmented})
        kept = earlier.without({stem_of(r.path) for r in self.segmented})
        tables = [t for t in (kept.fractions, self.fractions) if len(t)]
        table = pd.concat(tables, ignore_index=True) if tables else self.fractions
        fractions, report = self.paths
        with draft_of(fractions, overwrite=True) as draft:
            table.to_csv(draft, index=False)
        with draft_of(report, overwrite=True) as draft:
            text = json.dumps(self.to_dict(kept.runs), indent=2)
            draft.write_text(f"{text}\n", encoding="utf-8")


def _columns() -> list[str]:
    measured = class_fractions(np.empty(0, dtype=np.uint8), DEFAULT_SCHEME)
    return ["file", "plane", *measured.columns, "note"]
