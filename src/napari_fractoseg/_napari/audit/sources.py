"""Choice of the labels that are audited, each with the image it is of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from magicgui.widgets import ComboBox
from napari.layers import Image, Labels
from qtpy.QtCore import Qt, QTimer, Signal, Slot
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from napari_fractoseg._napari.corrections import is_teachable
from napari_fractoseg._napari.excluded import labels_mask
from napari_fractoseg._napari.layer_list import follow_layers
from napari_fractoseg._napari.layers import apply_scheme, images_of, scheme_of
from napari_fractoseg._napari.origin import recognise
from napari_fractoseg._napari.widgets.controls import narrow, small_button
from napari_fractoseg._napari.widgets.plain_text import button_text, plain_label, plain_text
from napari_fractoseg.classes import DEFAULT_SCHEME, ClassScheme
from napari_fractoseg.text import listed, printable

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["AuditSources", "ChosenLabels"]

_MOST_HEIGHT_PX = 130
_PAINTED_AFTER_MS = 400
_OPEN_FIRST = "Open an image with its labels first, or segment one."
_TICK = "Tick the labels to be checked."


@dataclass(frozen=True)
class ChosenLabels:
    """Labels that are audited.

    Parameters
    ----------
    images : dict of str to Image
        Name of an image -> its layer.
    labels : dict of str to Labels
        Name of an image -> the layer of its labels.
    scheme : ClassScheme
        Classes of all of them.
    excluded : dict of str to array
        Name of an image -> mask of what is left out of it; images of which nothing is are not in.
    """

    images: dict[str, Image]
    labels: dict[str, Labels]
    scheme: ClassScheme
    excluded: dict[str, Any] = field(default_factory=dict)

    def arrays(self) -> dict[str, Any]:
        """Return the labels of each image as they are now; nothing is copied or loaded."""
        return {
            name: layer.data[0] if layer.multiscale else layer.data
            for name, layer in self.labels.items()
        }


class _Row(QWidget):
    """Row of a labels layer: whether it is audited, and its image."""

    changed = Signal()
    painted = Signal()

    def __init__(self, viewer: napari.viewer.Viewer, labels: Labels) -> None:
        super().__init__()
        self._viewer, self.labels = viewer, labels
        self.use = QCheckBox()
        self.use.clicked.connect(self.changed)
        self.image = ComboBox(choices=self._images, nullable=False)
        narrow(self.image).setToolTip("The image that the labels are of")
        self.image.changed.connect(self._on_image)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.use, 1)
        layout.addWidget(self.image.native, 1)
        labels.events.name.connect(self.refresh)
        for event in (labels.events.paint, labels.events.data):
            event.connect(self._on_paint)
        self.refresh()

    def _on_image(self, _value: object = None) -> None:
        self.changed.emit()

    def _images(self, _widget: Any = None) -> list[tuple[str, Image]]:
        return [(printable(x.name), x) for x in images_of(self._viewer, self.labels)]

    def refresh(self, _event: Any = None) -> None:
        """Offer the images that the viewer has now, and show the name."""
        name = str(self.labels.name)
        self.use.setText(button_text(name if len(name) <= 34 else f"{name[:32]}…"))
        self.image.reset_choices()
        has_image = self.image.value is not None
        self.use.setEnabled(has_image)
        self.use.setToolTip(plain_text(name if has_image else f"No image of the size of {name}"))
        if not has_image:
            self.use.setChecked(False)
        self.image.native.setVisible(len(self.image.choices) > 1)

    def forget(self) -> None:
        """Stop following the layer, as it was removed."""
        self.labels.events.name.disconnect(self.refresh)
        for event in (self.labels.events.paint, self.labels.events.data):
            event.disconnect(self._on_paint)

    def _on_paint(self, _event: Any = None) -> None:
        if self.use.isChecked():
            self.painted.emit()


class AuditSources(QWidget):
    """List of the labels layers of a viewer, of which some are ticked.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer whose layers are offered.
    """

    changed = Signal()
    """Signal that other labels, or another image, are chosen."""
    painted = Signal()
    """Signal that ticked labels were changed a moment ago."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self.rows: list[_Row] = []
        self._was_touched = False
        self._painted_soon = QTimer(self, singleShot=True, interval=_PAINTED_AFTER_MS)
        self._painted_soon.timeout.connect(self.painted)
        inner = QWidget()
        self._column = QVBoxLayout(inner)
        self._column.setContentsMargins(2, 2, 2, 2)
        self._column.setSpacing(1)
        self._column.addStretch(1)
        self._area = QScrollArea()
        self._area.setWidgetResizable(True)
        self._area.setWidget(inner)
        self._area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.classes_button = small_button(
            "", "Give the ticked layers that have no classes these; the labels stay as they are"
        )
        self.classes_button.clicked.connect(self.use_classes)
        self.line = plain_label()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        for widget in (self._area, self.line, self.classes_button):
            layout.addWidget(widget)
        layers = viewer.layers
        follow_layers(layers, self.refresh)
        layers.selection.events.active.connect(self._on_active)
        self.refresh()

    # ---- rows ---------------------------------------------------------------------------

    def refresh(self, _event: Any = None) -> None:
        """List the labels layers that the viewer has now, the uppermost first."""
        wanted = [x for x in reversed(self._viewer.layers) if is_teachable(x)]
        kept = {id(row.labels): row for row in self.rows}
        rows = [kept.pop(id(x)) if id(x) in kept else self._row(x) for x in wanted]
        for gone in kept.values():
            gone.forget()
            self._column.removeWidget(gone)
            gone.deleteLater()
        self.rows = rows
        for place, row in enumerate(rows):
            self._column.insertWidget(place, row)
            row.refresh()
        height = sum(row.sizeHint().height() + 1 for row in rows) + 8
        self._area.setFixedHeight(min(height, _MOST_HEIGHT_PX))
        self._area.setVisible(bool(rows))
        if not self._was_touched:
            self.tick_default()
        self._show()

    def _row(self, labels: Labels) -> _Row:
        recognise(labels)
        row = _Row(self._viewer, labels)
        row.changed.connect(self._on_row)
        row.painted.connect(self._on_painted)
        return row

    def _on_row(self) -> None:
        self._was_touched = True
        self._show()

    def _on_painted(self) -> None:
        self._painted_soon.start()

    def _on_active(self, _event: Any = None) -> None:
        """Tick labels that are selected in the layer list, until the user has ticked some."""
        if not self._was_touched and is_teachable(self._viewer.layers.selection.active):
            self.tick_default()
            self._show()

    def tick_default(self) -> None:
        """Tick the uppermost labels of each image that have classes; selected ones go first."""
        active = self._viewer.layers.selection.active
        taken: list[Any] = []
        for row in sorted(self.rows, key=lambda row: row.labels != active):
            image = row.image.value
            is_good = image is not None and scheme_of(row.labels) is not None
            row.use.setChecked(is_good and image not in taken)
            taken.append(image)

    def _ticked(self) -> list[_Row]:
        return [row for row in self.rows if row.use.isChecked() and row.image.value is not None]

    def tick_images(self, names: tuple[str, ...]) -> None:
        """Tick the labels of some images and no others, as those of points that were opened."""
        self._was_touched = True
        self.tick_default()
        for row in self._ticked():
            row.use.setChecked(printable(row.image.value.name) in names)
        self._show()

    # ---- what is chosen -----------------------------------------------------------------

    def problem(self) -> str:
        """Return what is missing before points can be planned; empty if nothing is."""
        ticked = self._ticked()
        if not ticked:
            return _TICK if self.rows else _OPEN_FIRST
        if bare := [row.labels.name for row in ticked if scheme_of(row.labels) is None]:
            return (
                f"{listed(bare)} has no classes. Give it some with the button above, or in the "
                "Segment dock."
            )
        names = [printable(row.image.value.name) for row in ticked]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            return f"Two layers of {listed(twice)} are ticked. Tick one for each image."
        schemes = {_names_of(scheme_of(row.labels)) for row in ticked}
        if len(schemes) > 1:
            return (
                "The ticked layers have different classes. Tick those that have the same, and "
                "audit the others by themselves."
            )
        return ""

    def chosen(self) -> ChosenLabels | None:
        """Return the labels that are ticked, None if they cannot be audited (`problem`)."""
        rows = self._ticked()
        if self.problem():
            return None
        scheme = scheme_of(rows[0].labels)
        assert scheme is not None  # noqa: S101 - told by `problem`
        return ChosenLabels(
            {printable(row.image.value.name): row.image.value for row in rows},
            {printable(row.image.value.name): row.labels for row in rows},
            scheme,
            self._excluded(rows),
        )

    def _excluded(self, rows: list[_Row]) -> dict[str, Any]:
        found = {
            printable(row.image.value.name): labels_mask(self._viewer, row.labels, row.image.value)
            for row in rows
        }
        return {name: mask for name, mask in found.items() if mask is not None}

    @Slot()
    def use_classes(self) -> None:
        """Give the ticked layers that have no classes the three of fracture modes."""
        for row in self._ticked():
            if scheme_of(row.labels) is None:
                apply_scheme(row.labels, DEFAULT_SCHEME)
        self._show()

    def _show(self) -> None:
        bare = [row for row in self._ticked() if scheme_of(row.labels) is None]
        self.classes_button.setVisible(bool(bare))
        named = ", ".join(f"{c.value} {c.name}" for c in DEFAULT_SCHEME)
        self.classes_button.setText(button_text(f"Use {named}"))
        self.line.setText("" if self.rows else "No labels are open.")
        self.line.setVisible(not self.rows)
        self.changed.emit()


def _names_of(scheme: ClassScheme | None) -> tuple[tuple[int, str], ...]:
    return tuple((c.value, c.name) for c in scheme or ())
