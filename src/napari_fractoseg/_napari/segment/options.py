"""Fold "Advanced" of the segmentation dock, with choices that are rarely changed."""

from __future__ import annotations

from pathlib import Path

from magicgui.widgets import Container, FileEdit
from qtpy.QtCore import Signal, Slot
from qtpy.QtWidgets import QWidget
from superqt import QCollapsible

from napari_fractoseg._napari.preferences import AS_THE_MODEL_SAYS, Preferences
from napari_fractoseg._napari.segment.trial_row import TrialRow
from napari_fractoseg._napari.widgets.controls import small_button
from napari_fractoseg._napari.widgets.options import choice_of, tick_of
from napari_fractoseg._napari.widgets.plain_text import plain_text
from napari_fractoseg.batch.settings import SegmentSettings
from napari_fractoseg.classes import PALETTES
from napari_fractoseg.inference.magnification import AUTO, NONE
from napari_fractoseg.inference.result import CONFIDENCE, MARGIN
from napari_fractoseg.models.image_scale import SCALES
from napari_fractoseg.options import option_field

__all__ = ["AdvancedOptions"]

_TILES = (("automatic", 0), *((f"{px} px", px) for px in (1536, 2048, 4096, 8192)))
_SCALES = (
    ("automatic", AUTO),
    ("as it is", NONE),
    *((f"{float(scale):g}", f"{float(scale):g}") for scale in SCALES if scale != 1),
)
_PALETTES = ((AS_THE_MODEL_SAYS, ""), *((name, name) for name in PALETTES))


class AdvancedOptions(QCollapsible):
    """Closed fold with uncertainties, flips, tiles, scale, colours and folder of a segmentation."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Advanced", parent, expandedIcon="▾", collapsedIcon="▸")
        self.confidence = tick_of(SegmentSettings, "confidence", "Confidence layer", False)
        self.margin = tick_of(SegmentSettings, "margin", "Margin layer", False)
        self.flips = tick_of(
            SegmentSettings, "flips", "Average mirror images (4 times slower)", False
        )
        self.tile = choice_of(SegmentSettings, "tile_px", "Tile", _TILES)
        self.scale = choice_of(SegmentSettings, "scale", "Scale factor", _SCALES)
        self.palette = choice_of(SegmentSettings, "palette", "Colours", _PALETTES)
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
        options = [self.confidence, self.margin, self.flips, self.tile, self.scale, self.palette]
        options.append(self.save)
        self._form = Container(widgets=options, labels=True)
        self._form.margins = (0, 0, 0, 0)
        self._form.changed.connect(lambda: self.changed.emit())
        self.addWidget(self._form.native)
        self.trial = TrialRow()
        self.trial.chosen.connect(self._take_scale)
        self.addWidget(self.trial)
        self.keep_button = small_button(
            "Keep as my defaults",
            "Model, device, colours and folder are chosen so whenever the dock opens. napari 0.9 "
            "has them under File > Preferences > Fractoseg, too",
        )
        self.addWidget(self.keep_button)
        self.layout().setContentsMargins(0, 0, 0, 0)

    def prefer(self, wanted: Preferences) -> None:
        """Choose colours and folder that the user prefers."""
        self.palette.value = "" if wanted.palette == AS_THE_MODEL_SAYS else wanted.palette
        if wanted.folder:
            self.save.value = Path(wanted.folder)

    @Slot(float)
    def _take_scale(self, factor: float) -> None:
        self.scale.value = NONE if factor == 1 else f"{factor:g}"

    def tell_confidence(self, text: str) -> None:
        """Say in the tooltip of the confidence layer what a model's confidence is worth."""
        described = option_field(SegmentSettings, "confidence").description
        self.confidence.tooltip = plain_text(f"{described} {text}")

    @property
    def uncertainties(self) -> tuple[str, ...]:
        """Kinds of uncertainty that are wanted, of `CONFIDENCE` and `MARGIN`."""
        wanted = {CONFIDENCE: self.confidence, MARGIN: self.margin}
        return tuple(kind for kind, choice in wanted.items() if choice.value)

    @property
    def folder(self) -> Path | None:
        """Folder that the result is saved in; None to keep it in memory."""
        return self.save.value
