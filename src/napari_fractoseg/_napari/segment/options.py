"""Fold "Advanced" of the segmentation dock, with choices that are rarely changed."""

from __future__ import annotations

from pathlib import Path

from magicgui.widgets import CheckBox, ComboBox, Container, FileEdit
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QWidget
from superqt import QCollapsible

from napari_fractoseg._napari.widgets.controls import narrow
from napari_fractoseg.classes import PALETTES
from napari_fractoseg.inference.result import CONFIDENCE, MARGIN

__all__ = ["AdvancedOptions"]

_TILES = (("automatic", 0), *((f"{px} px", px) for px in (1536, 2048, 4096, 8192)))
_PALETTES = (("as the model says", ""), *((name, name) for name in PALETTES))


class AdvancedOptions(QCollapsible):
    """Closed fold with uncertainties, flips, tile size, colours and folder of a segmentation."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Advanced", parent, expandedIcon="▾", collapsedIcon="▸")
        self.confidence = CheckBox(
            text="Confidence layer",
            tooltip="Also keep the probability of the class that was chosen, 0 to 1. "
            "It is not calibrated.",
        )
        self.margin = CheckBox(
            text="Margin layer",
            tooltip="Also keep by how much the class that was chosen is more probable than the "
            "next one: near 0 where two classes are alike.",
        )
        self.flips = CheckBox(
            text="Average mirror images (4 times slower)",
            tooltip="Segment the image and its mirror images and average them. "
            "Preset as the model's card says.",
        )
        self.tile = ComboBox(
            label="Tile",
            choices=_TILES,
            tooltip="Edge of the pieces in which an image is computed. Automatic: as large as the "
            "memory allows, and smaller if it runs out. Small ones take longer, and one label in "
            "ten thousand may change.",
        )
        self.palette = ComboBox(
            label="Colours",
            choices=_PALETTES,
            tooltip="Colours of the classes. Those of the last choice are told apart by "
            "colour-blind readers.",
        )
        self.save = FileEdit(
            label="Save to zarr",
            mode="d",
            nullable=True,
            tooltip="Folder into which the result is written while it is made. For results that do "
            "not fit in the memory. Brush strokes are saved there, too. Empty: the result is in "
            "memory until you save it.",
        )
        self.save.choose_btn.text = "…"
        self.save.choose_btn.max_width = 32
        line = self.save.line_edit.native
        line.setPlaceholderText("no, keep it in memory")
        line.setClearButtonEnabled(True)
        for choice in (self.tile, self.palette):
            narrow(choice)
        options = [self.confidence, self.margin, self.flips, self.tile, self.palette, self.save]
        self._form = Container(widgets=options, labels=True)
        self._form.margins = (0, 0, 0, 0)
        self._form.changed.connect(lambda: self.changed.emit())
        self.addWidget(self._form.native)
        self.layout().setContentsMargins(0, 0, 0, 0)

    @property
    def uncertainties(self) -> tuple[str, ...]:
        """Kinds of uncertainty that are wanted, of `CONFIDENCE` and `MARGIN`."""
        wanted = {CONFIDENCE: self.confidence, MARGIN: self.margin}
        return tuple(kind for kind, choice in wanted.items() if choice.value)

    @property
    def folder(self) -> Path | None:
        """Folder that the result is saved in; None to keep it in memory."""
        return self.save.value
