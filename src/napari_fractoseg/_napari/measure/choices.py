"""Choices of the Measure dock: pixel size, excluded area, fields, specimens, facets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from magicgui.widgets import ComboBox
from napari.layers import Labels, Layer, Shapes
from qtpy.QtCore import Signal, Slot
from qtpy.QtGui import QDoubleValidator
from qtpy.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QFormLayout,
    QLineEdit,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from napari_fractoseg._napari.calibrate.sizes import size_of
from napari_fractoseg._napari.layer_list import follow_layers
from napari_fractoseg._napari.layer_metadata import facts_of
from napari_fractoseg._napari.layers import images_of
from napari_fractoseg._napari.widgets.controls import in_a_row, narrow
from napari_fractoseg._napari.widgets.plain_text import plain_label
from napari_fractoseg.images import ExcludedArea
from napari_fractoseg.images.calibration import PixelSize
from napari_fractoseg.images.calibration.by_hand import TYPED
from napari_fractoseg.images.calibration.claims import LAYER_SCALE
from napari_fractoseg.measurement.facets.planes import FacetSettings
from napari_fractoseg.measurement.fields import EACH, FieldLayout
from napari_fractoseg.text import listed, printable

if TYPE_CHECKING:
    import napari.viewer

__all__ = [
    "OF_IMAGE",
    "ExcludedChoice",
    "FacetOptions",
    "FieldsChoice",
    "PixelSizeChoice",
    "SpecimenChoice",
]

OF_IMAGE = "of the image"
"""Choice of the area that is left out of the image of the labels, such as its info bar."""

_EACH, _PARTS, _PX, _UM = "each", "parts", "px", "um"
_NONE, _FIRST_PART, _PATTERN = "none", "first part", "pattern"
_UP_TO_UNDERSCORE = r"^([^_]+)_"
_LARGEST = 10**6
_NUMBER_PX = 68


class PixelSizeChoice(QWidget):
    """Pixel size: what the layers say, or a number given by hand; the line tells which.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer that has the layers.
    """

    changed = Signal()

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._of_layers: tuple[PixelSize, ...] = ()
        self.edit = QLineEdit()
        self.edit.setToolTip(
            "Edge of a pixel in micrometres, for this measurement. Empty: what the layer says"
        )
        self.edit.setClearButtonEnabled(True)
        self.edit.setValidator(QDoubleValidator(0.0, 1e9, 9))
        self.line = plain_label()
        self.edit.textChanged.connect(self._on_text)
        self.edit.setFixedWidth(_NUMBER_PX)
        layout = in_a_row(self.edit, self.line)
        layout.setStretch(1, 1)
        self.setLayout(layout)

    @property
    def given_um(self) -> float | None:
        """Pixel size given by hand; None where there is none."""
        try:
            value = float(self.edit.text().replace(",", "."))
        except ValueError:
            return None
        return value if 0 < value < math.inf else None

    def show_layers(self, layers: Sequence[Layer]) -> None:
        """Show what the layers say that are measured."""
        self._of_layers = tuple(map(self._its_size, layers))
        self._describe()

    def size_of(self, layer: Layer) -> tuple[float | None, str]:
        """Return the pixel size of a layer and where it is from; None and no text if unknown."""
        if self.given_um is not None:
            return self.given_um, TYPED
        size = self._its_size(layer)
        return size.square_um, "" if size.square_um is None else size.source

    def _its_size(self, layer: Layer) -> PixelSize:
        is_plain = isinstance(layer, Labels) and not layer.multiscale
        return size_of(layer, images_of(self._viewer, layer) if is_plain else ())

    @Slot()
    def _on_text(self) -> None:
        self._describe()
        self.changed.emit()

    def _describe(self) -> None:
        edges = [size.square_um for size in self._of_layers]
        known = {edge for edge in edges if edge is not None}
        sources = {size.source for size in self._of_layers if size.square_um is not None}
        says = " and ".join(f"{edge:.4g}" for edge in sorted(known)) or "nothing"
        layers = "layers say" if len(edges) > 1 else "layer says"
        self.edit.setPlaceholderText(says if len(known) == 1 else "")
        if self.given_um is not None:
            text = f"µm, by hand ({layers} {says})"
        elif not known and any(size.x_um is not None for size in self._of_layers):
            text = "not square: sizes in pixels"
        elif not known:
            text = "not known: sizes in pixels"
        elif None in edges:
            text = f"µm, the {layers} {says}, or nothing"
        elif len(known) > 1:
            text = f"µm, as each layer says: {says}"
        elif sources == {LAYER_SCALE}:
            text = "µm, as the layer says"
        else:
            text = f"µm, {listed(sorted(sources))}"
        self.line.setText(text)


class ExcludedChoice(QWidget):
    """Choice of the area that is not measured: that of the image, or of shapes or labels.

    What is left out of the image, such as its info bar, is chosen by itself, until the user
    chooses something else.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer whose layers are offered.
    """

    changed = Signal()

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._measured: tuple[Labels, ...] = ()
        self.areas: tuple[ExcludedArea | None, ...] = ()
        """What is left out of the image of each layer that is measured."""
        self._is_by_hand = False
        self.choice = ComboBox(choices=self._choices, name="excluded")
        narrow(self.choice).setToolTip(
            "Shapes, or labels that are not 0, where nothing is measured, such as the info bar"
        )
        self.on_all = QCheckBox("on all planes")
        self.on_all.setToolTip(
            "Exclude on each plane what is drawn on any, such as the info bar; else each shape "
            "counts on the plane that it was drawn on"
        )
        self.choice.changed.connect(self._on_hand)
        self.on_all.toggled.connect(self._on_choice)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(1)
        layout.addWidget(self.choice.native)
        layout.addWidget(self.on_all)
        layers = viewer.layers
        follow_layers(layers, self.refresh)
        self.refresh()

    @property
    def layer(self) -> Layer | None:
        """Layer of the excluded area; None if nothing is excluded."""
        layer = self.choice.value
        is_there = isinstance(layer, Layer) and layer in self._viewer.layers
        return layer if is_there else None

    @property
    def takes_image(self) -> bool:
        """Whether nothing is measured in what is left out of the images of the labels."""
        return bool(self.choice.value == OF_IMAGE)

    def text(self) -> str:
        """Return words for what is not measured; empty if nothing is chosen."""
        if self.takes_image:
            areas = [area for area in self.areas if area is not None]
            return "; ".join(dict.fromkeys(f"{area.where} ({area.source})" for area in areas))
        return "" if self.layer is None else f"the layer {self.layer.name}"

    def show_measured(
        self, layers: tuple[Labels, ...], areas: tuple[ExcludedArea | None, ...]
    ) -> None:
        """Offer what is left out of the images of the layers that are measured, and no such layer.

        Parameters
        ----------
        layers : tuple of Labels
            Layers that are measured.
        areas : tuple of ExcludedArea or None
            What is left out of the image of each.
        """
        self._measured, self.areas = layers, areas
        self.refresh()

    @Slot()
    def refresh(self, _event: Any = None) -> None:
        """Offer the layers that the viewer has now; the choice is kept where it can be."""
        with self.choice.changed.blocked():
            self.choice.reset_choices()
            if not self._is_by_hand:
                self.choice.value = OF_IMAGE if any(self.areas) else None
        self._on_choice()

    def _choices(self, _widget: Any = None) -> list[tuple[str, Layer | str | None]]:
        found = [
            (printable(layer.name), layer)
            for layer in reversed(self._viewer.layers)
            if isinstance(layer, Labels | Shapes)
            and "helper" not in facts_of(layer)
            and layer not in self._measured
        ]
        where = dict.fromkeys(area.where for area in self.areas if area is not None)
        text = f"of the image: {next(iter(where))}" if len(where) == 1 else "of each image"
        return [*([(text, OF_IMAGE)] if where else []), ("none", None), *found]

    def _on_hand(self, _value: Any = None) -> None:
        self._is_by_hand = True
        self._on_choice()

    def _on_choice(self, _value: Any = None) -> None:
        layer = self.layer
        self.on_all.setVisible(isinstance(layer, Shapes) and layer.ndim > 2)
        self.changed.emit()


class FieldsChoice(QWidget):
    """Choice of the fields: each plane, a number of parts of it, or squares of a size."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.kind = ComboBox(
            choices=[
                ("each plane", _EACH),
                ("grid n x n", _PARTS),
                ("squares of … px", _PX),
                ("squares of … µm", _UM),
            ],
            name="fields",
        )
        narrow(self.kind).setToolTip(
            "A field is one observation. For one image divide it into fields that are clearly "
            "larger than the facets: the interval is then about this image only"
        )
        self.parts = QSpinBox()
        self.parts.setRange(2, 1000)
        self.parts.setValue(4)
        self.size_px = QSpinBox()
        self.size_px.setRange(2, _LARGEST)
        self.size_px.setValue(320)
        self.size_um = QDoubleSpinBox()
        self.size_um.setRange(0.001, _LARGEST)
        self.size_um.setDecimals(3)
        self.size_um.setValue(50)
        self._numbers = {_PARTS: self.parts, _PX: self.size_px, _UM: self.size_um}
        self.setLayout(in_a_row(self.kind.native, *self._numbers.values()))
        self.kind.changed.connect(self._on_change)
        for number in self._numbers.values():
            number.valueChanged.connect(self._on_change)
        self._show()

    def divide(self) -> None:
        """Choose as many fields along each side as the box says."""
        self.kind.value = _PARTS

    def layout_of_fields(self) -> FieldLayout:
        """Return how planes are divided into fields."""
        kind = self.kind.value
        if kind == _PARTS:
            return FieldLayout(parts=self.parts.value())
        if kind == _PX:
            return FieldLayout(float(self.size_px.value()))
        return FieldLayout(self.size_um.value(), "um") if kind == _UM else EACH

    def _on_change(self, _value: Any = None) -> None:
        self._show()
        self.changed.emit()

    def _show(self) -> None:
        for kind, number in self._numbers.items():
            number.setVisible(kind == self.kind.value)


class SpecimenChoice(QWidget):
    """Choice of the specimens: none, or from the names of the images, by a pattern."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.kind = ComboBox(
            choices=[
                ("not grouped", _NONE),
                ("name up to the first _", _FIRST_PART),
                ("pattern on the name", _PATTERN),
            ],
            name="specimens",
        )
        narrow(self.kind).setToolTip(
            "Images of one specimen are no independent observations: group them by specimen"
        )
        self.pattern = QLineEdit(r"^(s\d+)_")
        self.pattern.setToolTip(
            "Regular expression with one group, which is the specimen in the name of the image"
        )
        self.setLayout(in_a_row(self.kind.native, self.pattern))
        self.kind.changed.connect(self._on_change)
        self.pattern.textChanged.connect(self._on_change)
        self.pattern.hide()

    def text(self) -> str:
        """Return the pattern of the specimens; empty if images are not grouped."""
        if self.kind.value == _PATTERN:
            return self.pattern.text().strip()
        return _UP_TO_UNDERSCORE if self.kind.value == _FIRST_PART else ""

    def _on_change(self, _value: Any = None) -> None:
        self.pattern.setVisible(self.kind.value == _PATTERN)
        self.changed.emit()


class FacetOptions(QCollapsible):
    """Closed fold with what a facet is, and the window of the map."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Facets and map", parent, expandedIcon="▾", collapsedIcon="▸")
        self.smallest = QSpinBox()
        self.smallest.setRange(1, _LARGEST)
        self.smallest.setSuffix(" px")
        self.smallest.setToolTip("Smaller regions are no facets; they stay in the fractions")
        self.connectivity = ComboBox(
            choices=[("that share an edge", 1), ("that share a corner", 2)], name="connectivity"
        )
        narrow(self.connectivity)
        self.weights = QCheckBox("correct for the border (Miles-Lantuéjoul)")
        self.weights.setToolTip(
            "Large facets are cut by the border more often and left out: weigh the others for it"
        )
        self.window_px = QSpinBox()
        self.window_px.setRange(0, _LARGEST)
        self.window_px.setSuffix(" px")
        self.window_px.setSpecialValueText("an eighth of the image")
        self.window_px.setToolTip("Edge of the window in which the map counts")
        content = QWidget()
        form = QFormLayout(content)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Smallest facet", self.smallest)
        form.addRow("Pixels", self.connectivity.native)
        form.addRow(self.weights)
        form.addRow("Map window", self.window_px)
        self.addWidget(content)
        self.layout().setContentsMargins(0, 0, 0, 0)
        self.smallest.valueChanged.connect(self._on_change)
        self.connectivity.changed.connect(self._on_change)
        self.weights.toggled.connect(self._on_change)
        self.window_px.valueChanged.connect(self._on_change)

    def settings(self) -> FacetSettings:
        """Return how facets are found."""
        return FacetSettings(
            connectivity=int(self.connectivity.value),
            min_area_px=self.smallest.value(),
            weights=self.weights.isChecked(),
        )

    def _on_change(self, _value: Any = None) -> None:
        self.changed.emit()
