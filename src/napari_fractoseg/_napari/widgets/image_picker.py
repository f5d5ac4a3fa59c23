"""Choice of an image layer to segment, and of one plane of it or all."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from magicgui.widgets import ComboBox, RadioButtons
from napari.layers import Image, Layer
from qtpy.QtCore import QObject, Qt, Signal, Slot
from qtpy.QtWidgets import QFormLayout, QVBoxLayout, QWidget

from napari_fractoseg._napari.calibrate.row import PixelSizeRow
from napari_fractoseg._napari.layer_list import follow_layers
from napari_fractoseg._napari.layers import (
    image_text,
    is_segmentable,
    planes_first,
    shown_plane,
    stack_of,
    unwrapped,
)
from napari_fractoseg._napari.plane_names import shown_plane_name
from napari_fractoseg._napari.widgets.controls import narrow, side_by_side, small_button
from napari_fractoseg._napari.widgets.plain_text import plain_label
from napari_fractoseg.errors import ImageError
from napari_fractoseg.images.axes import may_end_in_planes
from napari_fractoseg.text import printable, size_text

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["ImagePicker"]

_left_as_they_are: WeakSet[Layer] = WeakSet()
"""Images whose axes the user said to be right."""

_LINE_LENGTH = 36


class ImagePicker(QObject):
    """Choice among the image layers of a viewer, which follows its layer list.

    An image that is selected in the layer list, as one just opened is, becomes
    the choice.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer whose image layers are offered.
    """

    changed = Signal()

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._described: Layer | None = None
        self._n_planes = 0
        self._text = ""
        self.choice = ComboBox(choices=self._choices, name="image")
        self.line = plain_label()
        self.line.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.pixel_size = PixelSizeRow(viewer)
        self.pixel_size.changed.connect(self._describe)
        self.question = plain_label()
        self.planes_button = small_button("", "A layer of the same data; this one stays as it is")
        self.right_button = small_button("No, it is right", "Segment it as napari shows it")
        self.planes_button.clicked.connect(self.add_planes)
        self.right_button.clicked.connect(self.leave_axes)
        self._ask = QWidget()
        ask = QVBoxLayout(self._ask)
        ask.setContentsMargins(0, 0, 0, 0)
        ask.addWidget(self.question)
        ask.addLayout(side_by_side(self.planes_button, self.right_button))
        self.extent = RadioButtons(choices=["current", "all"], orientation="horizontal")
        self.extent.native.setToolTip("The plane that is shown now, or the whole stack")
        self.choice.changed.connect(self._on_choice)
        layers = viewer.layers
        follow_layers(layers, self.refresh)
        layers.selection.events.active.connect(self._follow)
        viewer.dims.events.current_step.connect(self._show_line)

    def add_to(self, form: QFormLayout) -> None:
        """Add the rows for image and planes to a form."""
        form.addRow("Image", narrow(self.choice))
        form.addRow("", self.line)
        form.addRow(self.pixel_size)
        form.addRow(self._ask)
        form.addRow("Planes", self.extent.native)
        self._form = form
        self._follow()

    @property
    def layer(self) -> Image | None:
        """Chosen image layer, None if the viewer has none."""
        layer = self.choice.value
        return layer if layer is not None and layer in self._viewer.layers else None

    @property
    def must_be_asked(self) -> bool:
        """Whether the user has to say first which axis of the chosen image is that of planes."""
        layer = self.layer
        if layer is None or layer.rgb or unwrapped(layer) in _left_as_they_are:
            return False
        is_named = str(layer.axis_labels[-1]).casefold() == "x"
        return not is_named and may_end_in_planes(layer.data.shape)

    @Slot()
    def add_planes(self) -> None:
        """Add the chosen image with its planes on the first axis, and choose that layer."""
        if self.layer is None:
            return
        layer = planes_first(self.layer, [x.name for x in self._viewer.layers])
        self._viewer.add_layer(layer)
        middle = layer.data_to_world((layer.data.shape[0] // 2, 0, 0))
        self._viewer.dims.set_point(self._viewer.dims.ndim - 3, float(middle[0]))
        self._viewer.reset_view()

    @Slot()
    def leave_axes(self) -> None:
        """Take the axes of the chosen image as they are."""
        if self.layer is not None:
            _left_as_they_are.add(unwrapped(self.layer))
            self._on_choice()

    def planes(self) -> tuple[tuple[int, ...], ...]:
        """Return the planes to segment, as indices on the leading axes."""
        if self.layer is None:
            return ()
        indices = tuple(stack_of(self.layer).indices())
        if len(indices) > 1 and self.extent.value == "current":
            return (shown_plane(self._viewer, self.layer),)
        return indices

    def refresh(self, _event: Any = None) -> None:
        """Offer the layers that the viewer has now; the choice is kept where it can be."""
        self.choice.reset_choices()
        self._on_choice()

    def _follow(self, _event: Any = None) -> None:
        """Choose the image that was just selected in the layer list."""
        self.choice.reset_choices()
        active = self._viewer.layers.selection.active
        if active is not None and is_segmentable(active) and active in self._viewer.layers:
            self.choice.value = active
        self._on_choice()

    def _choices(self, _widget: Any = None) -> list[tuple[str, Layer]]:
        # The uppermost first, as in napari's layer list.
        return [(printable(x.name), x) for x in reversed(self._viewer.layers) if is_segmentable(x)]

    def _on_choice(self, _value: Any = None) -> None:
        self._watch(self.layer)
        self._describe()
        self.changed.emit()

    def _watch(self, layer: Layer | None) -> None:
        """Describe this layer instead of another one, again when its scale or data change."""
        if layer == self._described:
            return
        for old, change in ((self._described, "disconnect"), (layer, "connect")):
            if old is not None:
                for event in (
                    old.events.scale,
                    old.events.units,
                    old.events.data,
                    old.events.metadata,
                ):
                    getattr(event, change)(self._describe)
        self._described = layer

    def _describe(self, _event: Any = None) -> None:
        text, n_planes = "", 1
        if self.layer is not None:
            try:
                stack = stack_of(self.layer)
                text, n_planes = image_text(stack), stack.n_planes
            except ImageError as error:
                text = textwrap.fill(str(error), _LINE_LENGTH)
        self._text = text
        self._show_line()
        self.pixel_size.show_images([] if self.layer is None else [self.layer])
        self._form.setRowVisible(self.pixel_size, self.layer is not None)
        self._form.setRowVisible(self.line, bool(text))
        self._show_question()
        if n_planes != self._n_planes:
            self._n_planes = n_planes
            chosen = self.extent.value or "current"
            self.extent.choices = [("current", "current"), (f"all ({n_planes})", "all")]
            self.extent.value = chosen
        self._form.setRowVisible(self.extent.native, n_planes > 1)

    def _show_line(self, _event: Any = None) -> None:
        """Show what the image is, and the name of the plane that is shown."""
        name = shown_plane_name(self._viewer, self.layer)
        self.line.setText("\n".join(filter(None, (self._text, name and f"shown: {name}"))))

    def _show_question(self) -> None:
        """Ask for the order of the axes, where it cannot be known."""
        must_be_asked = self.must_be_asked
        if must_be_asked and self.layer is not None:
            *plane, n_planes = shape = self.layer.data.shape
            self.question.setText(
                f"Is this a stack of {size_text((n_planes, *plane))}? As it is, it has "
                f"{size_text(shape)}."
            )
            self.planes_button.setText(f"Add it as {n_planes} planes")
        self._form.setRowVisible(self._ask, must_be_asked)
