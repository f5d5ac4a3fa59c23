"""Rows and table of what a training learns from: labels layers with images, annotation files."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicgui.widgets import ComboBox
from napari.layers import Image, Labels
from qtpy.QtCore import QObject, Qt, QTimer, Signal
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_fractoseg._napari.corrections import (
    checked_layer,
    corrections_of,
    is_teachable,
    prediction_of,
)
from napari_fractoseg._napari.excluded import areas_of, stack_with_area
from napari_fractoseg._napari.layers import images_of, scheme_of
from napari_fractoseg._napari.origin import (
    accept_as_truth,
    changed_since,
    count_taught,
    is_foreign,
    is_in_doubt,
    may_teach_unasked,
    note_new_labels,
    note_stroke,
    note_tick,
)
from napari_fractoseg._napari.train.painted import PaintedLayer, place_of
from napari_fractoseg._napari.widgets.controls import narrow
from napari_fractoseg._napari.widgets.plain_text import button_text, plain_label, plain_text
from napari_fractoseg.annotations.options import LENIENT, AnnotationOptions
from napari_fractoseg.classes import ClassScheme
from napari_fractoseg.datasets.supervision import TaughtPixels
from napari_fractoseg.text import printable

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["PairRow", "PairsTable"]

_RECOUNT_AFTER_MS = 400
_MAX_LIVE_PX = 30_000_000
"""Most pixels that are counted after each stroke; of larger layers they are counted on request."""
_LEAST_SHOWN = 0.001


class PairRow(QWidget):
    """Row of a labels layer, with the image it belongs to, and how much of it teaches.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer whose images are offered.
    labels : Labels
        Layer that the row is about.
    """

    changed = Signal()

    def __init__(self, viewer: napari.viewer.Viewer, labels: Labels) -> None:
        super().__init__()
        self._viewer, self.labels = viewer, labels
        self.taught: TaughtPixels | None = None
        self._was_touched = False
        self._fallback: ClassScheme | None = None
        self.use = QCheckBox()
        self.use.setToolTip("Learn from this layer")
        self.use.clicked.connect(self._on_click)
        self.title = QPushButton()
        self.title.setFlat(True)
        self.title.setStyleSheet("text-align: left; padding: 1px 2px;")
        self.title.clicked.connect(self._select)
        self.image = ComboBox(choices=self._images, nullable=False)
        narrow(self.image).setToolTip("The image that was painted on")
        self.counts = QLabel()
        self.counts.setTextFormat(Qt.TextFormat.RichText)
        self.counts.setWordWrap(True)
        self.truth_button = QPushButton("Yes, learn from all of it")
        self.truth_button.setToolTip(
            "These labels are right everywhere: somebody painted or checked all of them"
        )
        self.truth_button.clicked.connect(self._on_truth)
        top = QHBoxLayout()
        top.addWidget(self.use)
        top.addWidget(self.title, 1)
        top.addWidget(self.image.native, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 4)
        layout.setSpacing(1)
        layout.addLayout(top)
        below = QHBoxLayout()
        below.addWidget(self.counts, 1)
        below.addWidget(self.truth_button)
        layout.addLayout(below)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_RECOUNT_AFTER_MS)
        self._timer.timeout.connect(self.recount)
        events = labels.events
        self._connections = (
            (events.paint, self._on_stroke),
            (events.data, self._on_new_labels),
            (events.labels_update, self.recount_soon),
        )
        for event, slot in self._connections:
            event.connect(slot)
        areas_of(viewer).changed.connect(self.recount_soon)
        labels.events.name.connect(self._on_name)
        self._on_name()

    def forget(self) -> None:
        """Stop following the layer, as it was removed."""
        for event, slot in self._connections:
            event.disconnect(slot)
        areas_of(self._viewer).changed.disconnect(self.recount_soon)
        self.labels.events.name.disconnect(self._on_name)
        self._timer.stop()

    def _on_click(self) -> None:
        self._was_touched = True
        note_tick(self.labels, self.use.isChecked())
        if self.use.isChecked() and is_in_doubt(self.labels) and not self._teaches:
            self._on_truth()  # there is nothing else that the tick can mean
        else:
            self._describe()
            self.changed.emit()

    @property
    def question(self) -> str:
        """Question to the user before all of the labels teach; empty if there is none."""
        if self.image.value is None:
            return ""
        if self._is_left_out:
            return (
                f"The labels of {self.labels.name} were not painted here. Tick the layer in the "
                "list above if they are right, or paint on a labels layer of your own."
            )
        if not is_in_doubt(self.labels):
            return ""
        return (
            f"Are the labels of {self.labels.name} truth? They cover most of the image, and a "
            "program may have made them. Say yes in the list above, or correct and check some."
        )

    @property
    def _is_left_out(self) -> bool:
        """Whether the labels could teach, but are of others, and the user has not ticked them."""
        return is_foreign(self.labels) and self._teaches and not self.use.isChecked()

    @property
    def _teaches(self) -> bool:
        return self.taught is not None and self.taught.n_taught > 0

    def _on_truth(self) -> None:
        self._was_touched = True
        accept_as_truth(self.labels)
        self.use.setChecked(True)
        self.recount(force=True)

    def _on_name(self, _event: Any = None) -> None:
        name = str(self.labels.name)
        self.title.setText(button_text(name if len(name) <= 34 else f"{name[:32]}…"))
        self.title.setToolTip(plain_text(f"Select the layer {name}"))

    def _select(self) -> None:
        self._viewer.layers.selection.active = self.labels

    def _images(self, _widget: Any = None) -> list[tuple[str, Image]]:
        found = images_of(self._viewer, self.labels)
        return [(printable(layer.name), layer) for layer in found]

    def refresh_images(self) -> None:
        """Offer the images that the viewer has now."""
        self.image.reset_choices()
        self.image.native.setVisible(len(self.image.choices) > 1)
        self._describe()

    @property
    def scheme(self) -> ClassScheme | None:
        """Classes of the layer; None if it is not one of ours."""
        return scheme_of(self.labels)

    def _on_stroke(self, _event: Any = None) -> None:
        note_stroke(self.labels)
        self.recount_soon()

    def _on_new_labels(self, _event: Any = None) -> None:
        note_new_labels(self.labels)
        self.recount_soon()

    def recount_soon(self, _event: Any = None) -> None:
        """Count the pixels that teach when the user pauses painting."""
        self._timer.start()

    def recount(self, fallback: ClassScheme | None = None, force: bool = False) -> None:
        """Count the pixels that teach, and show their numbers.

        Parameters
        ----------
        fallback : ClassScheme, optional
            Classes from now on of a layer that has none.
        force : bool
            Whether to count in a layer that is too large to be counted after each stroke.
        """
        self._fallback = fallback or self._fallback
        if self.labels.data.size > _MAX_LIVE_PX and not force and self.taught is not None:
            return
        self.taught = count_taught(self._viewer, self.labels)
        if not self._was_touched:
            may_teach = self._teaches and may_teach_unasked(self.labels)
            self.use.setChecked(may_teach and self.image.value is not None)
        self._describe()
        self.changed.emit()

    def _describe(self) -> None:
        self.use.setEnabled(self.image.value is not None)
        self.truth_button.setVisible(self.image.value is not None and is_in_doubt(self.labels))
        if self.image.value is None:
            self.counts.setText("no image of its size is open")
        elif self.taught is not None:
            is_prediction = prediction_of(self.labels) is not None
            scheme, is_painted = self.scheme or self._fallback, not is_foreign(self.labels)
            text = taught_html(self.taught, scheme, is_prediction, is_painted)
            if is_in_doubt(self.labels):
                question = doubt_html(self.taught, changed_since(self.labels))
                text = f"{question}<br>{text}" if self._teaches else question
            elif self._is_left_out:
                text = f"<small><b>not painted here: tick it to learn from it</b></small><br>{text}"
            self.counts.setText(text)

    def painted(self, fallback: ClassScheme) -> PaintedLayer:
        """Return a copy of what was painted; `fallback` are the classes of a layer without any."""
        return PaintedLayer(
            name=str(self.labels.name),
            image=stack_with_area(self._viewer, self.image.value),
            corrections=corrections_of(self._viewer, self.labels, copy=True),
            scheme=self.scheme or fallback,
            place=place_of(self.labels),
        )


def doubt_html(taught: TaughtPixels, model: str) -> str:
    """Return a question whether labels that cover most of an image are right.

    Parameters
    ----------
    taught : TaughtPixels
        Numbers of pixels of the labels.
    model : str
        Name of the model that gave the labels before somebody changed them; empty if unknown.
    """
    changed = f"{html.escape(model)} gave them, changed since · " if model else ""
    covered = f"covers&nbsp;{_percent(taught.labelled, taught.in_labelled_planes)}"
    return f"<small>{changed}{covered} · <b>is this truth?</b></small>"


def taught_html(
    taught: TaughtPixels, scheme: ClassScheme | None, is_prediction: bool, is_painted: bool
) -> str:
    """Return two lines of HTML on how much of a layer teaches, with a swatch for each class."""
    if is_prediction:
        shares = (
            ("corrected", taught.corrected),
            ("checked", taught.confirmed),
            ("untouched", taught.untouched),
        )
        first = " · ".join(f"{word}&nbsp;{_percent(px, taught.total)}" for word, px in shares)
    else:
        word = "painted" if is_painted else "labelled"
        first = f"{word}&nbsp;{_percent(taught.corrected, taught.total)}"
    known = () if scheme is None else scheme
    parts = [
        f"<span style='color:{'#888' if c.is_transparent else c.color[:7]}'>"
        f"{'□' if c.is_transparent else '■'}</span>&nbsp;{html.escape(c.name)}&nbsp;"
        f"{_count(taught.by_value.get(c.value, 0))}"
        for c in known
        if taught.by_value.get(c.value, 0)
    ]
    names = {c.value for c in known}
    parts += [
        f"?&nbsp;{v}:&nbsp;{_count(px)}" for v, px in taught.by_value.items() if v not in names
    ]
    return f"<small>{first}<br>{' '.join(parts) or 'nothing to learn from yet'}</small>"


def _percent(part: int, whole: int) -> str:
    share = part / max(whole, 1)
    if part == 0:
        return "0&nbsp;%"
    return (
        "&lt;&nbsp;0.1&nbsp;%" if share < _LEAST_SHOWN else f"{share:.1%}".replace("%", "&nbsp;%")
    )


def _count(n_px: int) -> str:
    """Return a number of pixels in few characters."""
    return f"{n_px}&nbsp;px" if n_px < 10_000 else f"{n_px / 1e6:.2f}&nbsp;Mpx"


class PairsTable(QWidget):
    """Table of all labels layers that can be learnt from, and of annotation files.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer whose layers are listed.
    fallback : callable
        Function that returns the classes of labels layers that have none.
    """

    changed = Signal()

    def __init__(
        self, viewer: napari.viewer.Viewer, fallback: Callable[[], ClassScheme | None]
    ) -> None:
        super().__init__()
        self._viewer, self._fallback = viewer, fallback
        self.rows: list[PairRow] = []
        self.sources: list[tuple[Path, Path]] = []
        # The classes of the new model are chosen already.
        self.annotations = replace(LENIENT, new_classes=False)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(2)
        self._empty = plain_label(
            "No labels layer yet: segment an image and correct it, or add a labels layer and "
            "paint on it."
        )
        self._layout.addWidget(self._empty)
        layers = viewer.layers
        for event in (layers.events.inserted, layers.events.removed):
            event.connect(self.refresh)
        self.refresh()

    def refresh(self, _event: Any = None) -> None:
        """List the layers that the viewer has now."""
        wanted = [layer for layer in reversed(self._viewer.layers) if is_teachable(layer)]
        for row in [r for r in self.rows if r.labels not in wanted]:
            row.forget()
            self.rows.remove(row)
            self._layout.removeWidget(row)
            row.deleteLater()
        known = [row.labels for row in self.rows]
        for labels in wanted:
            if labels not in known:
                row = PairRow(self._viewer, labels)
                row.changed.connect(self.changed)
                self.rows.append(row)
                self._layout.addWidget(row)
        for row in self.rows:
            row.refresh_images()
            row.recount(self._fallback())
            self._follow_checked(row)
        self._empty.setVisible(not self.rows and not self.sources)
        self.changed.emit()

    def recount(self) -> None:
        """Count the pixels that teach in all rows now, also those of the last stroke."""
        for row in self.rows:
            row.recount(self._fallback(), force=True)

    def _follow_checked(self, row: PairRow) -> None:
        layer = checked_layer(self._viewer, row.labels)
        if layer is not None:
            layer.events.paint.connect(row.recount_soon)

    def add_source(self, images: Path, labels: Path, options: AnnotationOptions) -> None:
        """Add a folder of images with a folder of masks or a VIA file.

        The options are for all VIA files, also for those that were added before; adding a
        source again changes only them.
        """
        self.annotations = options
        if (images, labels) in self.sources:
            return
        self.sources.append((images, labels))
        line = plain_label(f"+ {labels.name} on {images.name}/")
        line.setToolTip(plain_text(f"{labels}\n{images}"))
        self._layout.addWidget(line)
        self._empty.hide()
        self.changed.emit()

    def chosen(self) -> Sequence[PairRow]:
        """Return the rows that are ticked and have an image."""
        return [r for r in self.rows if r.use.isChecked() and r.image.value is not None]

    def row_of(self, layer: QObject | None) -> PairRow | None:
        """Return the row of a labels layer, None if it has none."""
        # Equal, not the same: plugins get layers in a wrapper.
        return next((r for r in self.rows if r.labels == layer), None)
