"""Form for a new point count: how many points, drawn how, and the file that keeps them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from magicgui.widgets import ComboBox, FileEdit, SpinBox
from napari.layers import Image
from qtpy.QtCore import QStandardPaths, Signal
from qtpy.QtWidgets import QFormLayout, QWidget

from napari_fractoseg._napari.audit.sources import ChosenLabels
from napari_fractoseg._napari.layers import unique_name
from napari_fractoseg._napari.widgets.controls import narrow
from napari_fractoseg.audit.plan import plan_points
from napari_fractoseg.audit.points import PointCount
from napari_fractoseg.files import file_stem
from napari_fractoseg.jobs import Job, Progress
from napari_fractoseg.text import printable

__all__ = ["PlanForm", "plan_job"]

_N_POINTS, _MOST_POINTS = 100, 10_000
_DESIGNS = (
    ("systematic grid", "grid"),
    ("stratified by class", "stratified"),
)
_DESIGN_HINT = (
    "Systematic grid: points at equal distances with a random start, in the manner of ASTM E562. "
    "Stratified: random points in the area of each class of the labels, so that rare classes have "
    "enough of them; what is found is weighted by the areas."
)


def plan_job(
    labels: Mapping[str, Any], chosen: ChosenLabels, n_points: int, design: str
) -> Job[PointCount]:
    """Draw the points of an audit.

    Parameters
    ----------
    labels : mapping of str to array
        Name of an image -> its labels.
    chosen : ChosenLabels
        Layers that they are of, with their classes.
    n_points : int
        Number of points.
    design : str
        How they are drawn, such as ``grid``.

    Yields
    ------
    Progress
        Once, before the labels are counted.

    Returns
    -------
    PointCount
        Points without answers.
    """
    yield Progress(0, 0, "counting the labels")
    return plan_points(
        labels, chosen.scheme, n_points=n_points, design=design, exclude=chosen.excluded
    )


class PlanForm(QWidget):
    """Form for number and design of points, and the file that they are kept in."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._suggested: Path | None = None
        self.n_points = SpinBox(value=_N_POINTS, min=4, max=_MOST_POINTS, step=10, name="points")
        self.n_points.native.setToolTip("A grid has about as many: its lines meet the border")
        self.design = ComboBox(choices=_DESIGNS, value="grid", name="design")
        narrow(self.design).setToolTip(_DESIGN_HINT)
        self.file = FileEdit(mode="w", filter="Points (*.csv)", name="file")
        self.file.native.setToolTip("Every answer is saved here at once")
        self.file.changed.connect(self._on_file)
        form = QFormLayout(self)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("Points", self.n_points.native)
        form.addRow("Design", self.design.native)
        form.addRow("Saved in", self.file.native)

    def _on_file(self, _value: object = None) -> None:
        self.changed.emit()

    @property
    def path(self) -> Path | None:
        """File of the points, with the ending of a table; None if there is no name."""
        text = str(self.file.value).strip()
        if text in ("", "."):
            return None
        path = Path(text).expanduser()
        return path if path.suffix.lower() == ".csv" else path.with_name(f"{path.name}.csv")

    def suggest(self, chosen: ChosenLabels | None) -> None:
        """Suggest a file beside the first image, unless the user has chosen one."""
        if chosen is None or self.path not in (None, self._suggested):
            return
        name, image = next(iter(chosen.images.items()))
        more = f" and {len(chosen.images) - 1} more" if len(chosen.images) > 1 else ""
        folder = _folder_of(image)
        stem = f"{file_stem(name)}{more} points"
        taken = [path.stem for path in folder.glob("*.csv")]
        self._suggested = folder / f"{unique_name(stem, taken)}.csv"
        self.file.value = self._suggested

    def suggest_again(self) -> None:
        """Let the next suggestion take the place of the file that was used."""
        self._suggested = self.path


def _folder_of(image: Image) -> Path:
    """Return the folder of an image's file, or that of documents where it has none."""
    source = str(image.source.path or "")
    if source and "://" not in source:
        folder = Path(printable(source)).parent
        if folder.is_dir() and os.access(folder, os.W_OK):
            return folder
    documents = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.DocumentsLocation)
    folder = Path(documents) if documents else Path.home()
    return folder if folder.is_dir() else Path.home()
