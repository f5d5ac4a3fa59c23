"""Widget of the dock "Measure fracture modes"."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from magicgui.widgets import ComboBox, RadioButtons
from napari.layers import Image, Labels, Layer, Shapes
from qtpy.QtCore import Qt, Slot
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import (
    QFileDialog,
    QFormLayout,
    QMenu,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_fractoseg._napari.audit.dock import AuditWidget
from napari_fractoseg._napari.calibrate.row import PixelSizeRow
from napari_fractoseg._napari.excluded import area_of_labels, areas_of, key_of
from napari_fractoseg._napari.excluded.drawn import excluded_area
from napari_fractoseg._napari.layers import images_of, shown_plane, unwrapped
from napari_fractoseg._napari.measure.choices import (
    ExcludedChoice,
    FacetOptions,
    FieldsChoice,
    PixelSizeChoice,
    SpecimenChoice,
)
from napari_fractoseg._napari.measure.labels_list import LabelsList
from napari_fractoseg._napari.measure.layers import add_facets, add_map, open_table
from napari_fractoseg._napari.measure.plots import MAP, SIZES, ResultPlots
from napari_fractoseg._napari.measure.request import (
    FacetRegions,
    LabelledImage,
    LocalMap,
    MeasuredFacets,
    MeasuredLabels,
    Request,
    all_facets_job,
    facet_regions_job,
    measured_job,
    plane_map_job,
    whole_map_job,
)
from napari_fractoseg._napari.measure.result_line import ResultLines
from napari_fractoseg._napari.measure.run import MeasureRun
from napari_fractoseg._napari.measure.save import refuse_folder, save_job
from napari_fractoseg._napari.measure.sources import (
    classes_of,
    image_of,
    labelled_images,
    labels_of,
    refuse_unfit,
)
from napari_fractoseg._napari.measure.watch import LabelsWatch, Watched
from napari_fractoseg._napari.widgets.controls import narrow, side_by_side, small_button
from napari_fractoseg._napari.widgets.dock import Dock, open_dock
from napari_fractoseg._napari.widgets.run_controls import RunControls
from napari_fractoseg._napari.widgets.run_queue import main_window
from napari_fractoseg.audit.points import PointCount
from napari_fractoseg.errors import FractosegError, ImageError
from napari_fractoseg.jobs import Job
from napari_fractoseg.measurement.fields import FieldLayout
from napari_fractoseg.measurement.tables import tsv_text
from napari_fractoseg.text import counted, listed, printable

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["TITLE", "MeasureWidget", "measure_in_dock"]

TITLE = "Measure fracture modes"
"""Title of the dock in the menu."""
_OF_FACETS = ("sizes", "facets")
_SAVED = ("report.html", "measurement.json", "tables (CSV)")

_NO_LABELS = "Segment an image first, or open its labels: there is no labels layer to measure."
_NO_TICK = "Tick the labels that are to be measured."
_GOES_ON = "It is being measured."
_CHANGED = "The labels have changed since: measure again."
_REMOVED = "A layer that was measured is gone: measure again."
_AREA = "The excluded area has changed since: measure again."
_OTHER = "Choices have changed since: measure again."


@dataclass(frozen=True)
class _Choices:
    """All that a result belongs to but for the labels themselves; compared with what it is now."""

    layers: tuple[int, ...]
    classes: tuple[Any, ...]
    sizes: tuple[float | None, ...]
    names: tuple[str, ...]
    fields: FieldLayout
    specimens: str
    excluded: tuple[Any, ...]


class MeasureWidget(Dock):
    """Dock widget that measures the fractions of labels layers, with their uncertainty.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        Viewer whose layers are offered.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(napari_viewer)
        self.result: MeasuredLabels | None = None
        self._of: tuple[_Choices, tuple[Labels, ...], tuple[Any, ...]] | None = None
        self._followed: list[tuple[Any, Any]] = []
        self._is_image_by_hand = False
        self._tried: Any = None
        self._map_of: Any = None
        self._facet_layers: list[tuple[Labels, int]] = []
        """Layers of facets that were added, each with the number of the measurement."""
        self._state_number = 0
        self._make_controls()
        self._lay_out()
        self._connect()
        self._on_labels()

    # ---- construction -------------------------------------------------------------------

    def _make_controls(self) -> None:
        viewer = self.viewer
        self.labels = LabelsList(viewer)
        self.image = ComboBox(choices=self._images, name="image")
        narrow(self.image).setToolTip("Image of the labels: its grey levels are in the facet table")
        self.planes = RadioButtons(choices=["current", "all"], orientation="horizontal")
        self.planes.value = "all"
        self.planes.native.setToolTip("All planes are measured, or the one that is shown")
        self.pixel_size = PixelSizeChoice(viewer)
        self.size_row = PixelSizeRow(viewer, says_known=False)
        self.excluded = ExcludedChoice(viewer)
        self.fields = FieldsChoice()
        self.specimens = SpecimenChoice()
        self.facet_options = FacetOptions()
        self.watch = LabelsWatch(viewer, self)
        self.controls = RunControls(self, viewer, "Measure", blocked=self._blocked)
        self.lines = ResultLines()
        self.divide_button = QPushButton("Divide it into 4 x 4 fields, for an interval")
        self.divide_button.setToolTip(
            "The interval is about this image only, and fields must be larger than the facets"
        )
        self.plots = ResultPlots(viewer)
        self.facets_button = small_button(
            "Facets as a layer", "Numbered facets with napari's table: a click on a row goes there"
        )
        self.map_button = small_button(
            "Map as a layer", "Fraction of the mode in a window around each pixel, from 0 to 1"
        )
        self.save_button = small_button(
            "Save report …", "Tables (CSV), all figures (JSON), figures and a report, in a folder"
        )
        self.audit_button = small_button(
            "Audit by point count …", "Look at points by eye: how right are the labels?"
        )
        self.copy_button = QToolButton()
        self.copy_button.setText("Copy table ▾")
        # Qt would draw a second arrow over the first.
        self.copy_button.setStyleSheet("QToolButton::menu-indicator { image: none; }")
        self.copy_button.setToolTip("With headers, to paste into a spreadsheet")
        self.copy_button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.copy_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.copy_menu = QMenu(self.copy_button)
        self.copy_button.setMenu(self.copy_menu)
        for text, table in (
            ("Fractions", "fractions"),
            ("Fields", "fields"),
            ("Specimens or images", "groups"),
            ("Sizes", "sizes"),
            ("Facets", "facets"),
        ):
            self.copy_menu.addAction(text, partial(self.copy, table))
        self.buttons = (self.facets_button, self.map_button, self.save_button, self.copy_button)
        self.below = QWidget()

    def _lay_out(self) -> None:
        form = self._form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.setContentsMargins(0, 0, 0, 0)
        form.setVerticalSpacing(3)
        form.addRow("Labels", self.labels)
        form.addRow("Image", self.image.native)
        form.addRow("Planes", self.planes.native)
        form.addRow("Pixel size", self.pixel_size)
        form.addRow(self.size_row)
        form.addRow("Excluded", self.excluded)
        form.addRow("Fields", self.fields)
        form.addRow("Specimen", self.specimens)
        buttons = QVBoxLayout(self.below)
        buttons.setContentsMargins(0, 0, 0, 0)
        buttons.addLayout(side_by_side(self.facets_button, self.map_button))
        buttons.addLayout(side_by_side(self.save_button, self.copy_button))
        buttons.addWidget(self.audit_button)
        layout = self.column
        layout.addLayout(form)
        for widget in (self.facet_options, self.controls, self.lines):
            layout.addWidget(widget)
        for widget in (self.divide_button, self.plots, self.below, self.lines.caveats):
            layout.addWidget(widget)
        layout.addStretch(1)

    def _connect(self) -> None:
        viewer, controls = self.viewer, self.controls
        self.labels.changed.connect(self._on_labels)
        self.image.changed.connect(self._on_image)
        for choice in (self.planes, self.pixel_size, self.excluded, self.fields, self.specimens):
            choice.changed.connect(self._on_choice)
        self.facet_options.changed.connect(self._on_facet_options)
        self.size_row.changed.connect(self._on_layer)
        self.watch.changed.connect(self._on_choice)
        viewer.dims.events.current_step.connect(self._on_plane)
        viewer.layers.selection.events.active.connect(self._on_plane)
        viewer.layers.events.inserted.connect(self._on_layers)
        viewer.layers.events.removed.connect(self._on_layers)
        areas_of(viewer).changed.connect(self._show_areas)
        controls.button.clicked.connect(self.measure)
        controls.changed.connect(self._show_state)
        self.plots.wanted.connect(self._on_wanted)
        self.divide_button.clicked.connect(self.divide)
        self.facets_button.clicked.connect(self.add_facets)
        self.map_button.clicked.connect(self.add_map)
        self.save_button.clicked.connect(self.ask_for_folder)
        self.audit_button.clicked.connect(self.audit)
        self.closed.connect(self._on_close)

    # ---- what is chosen -----------------------------------------------------------------

    def choose(self, labels: Labels) -> None:
        """Choose a labels layer, and no other one."""
        self.labels.choose(labels)

    def _images(self, _widget: Any = None) -> list[tuple[str, Image | None]]:
        layers = self.labels.ticked()
        found = images_of(self.viewer, layers[0]) if self._has_one_resolution(layers) else []
        return [*((printable(layer.name), layer) for layer in found), ("none", None)]

    def _has_one_resolution(self, layers: tuple[Labels, ...]) -> bool:
        return len(layers) == 1 and not layers[0].multiscale

    def _on_labels(self) -> None:
        """Show what belongs to the layers that are ticked now, and follow them."""
        layers = self.labels.ticked()
        self._is_image_by_hand = False
        self._offer_images()
        self._form.setRowVisible(self.image.native, len(layers) < 2)
        n_planes = max((_n_planes(layer) for layer in layers), default=1)
        self._form.setRowVisible(self.planes.native, n_planes > 1)
        self._show_areas()
        for event, slot in self._followed:
            event.disconnect(slot)
        self._followed = [
            (event, self._on_layer)
            for layer in layers
            for event in (layer.events.scale, layer.events.units, layer.events.metadata)
        ]
        self._followed += [(layer.events.editable, self._on_layer) for layer in layers]
        for event, slot in self._followed:
            event.connect(slot)
        self._on_layer()

    @Slot()
    def _show_areas(self) -> None:
        """Show what is left out of the images of the labels."""
        image = self.image.value if self._is_image_by_hand else None
        layers = self.labels.ticked()
        areas = tuple(area_of_labels(self.viewer, layer, image) for layer in layers)
        self.excluded.show_measured(layers, areas)

    def _on_layer(self, _event: Any = None) -> None:
        self.pixel_size.show_layers(self.labels.ticked())
        self._show_sizes()
        self._on_choice()

    def _show_sizes(self) -> None:
        """Show the pixel size of the images of the labels, and what their files say."""
        layers = self.labels.ticked()
        of_one = [self.image.value] if self._has_one_resolution(layers) else []
        images = of_one if len(layers) == 1 else [image_of(self.viewer, x) for x in layers]
        self.size_row.show_images(dict.fromkeys(x for x in images if x is not None), layers)
        self._form.setRowVisible(self.size_row, any(image is not None for image in images))

    def _on_layers(self, _event: Any = None) -> None:
        self._offer_images()
        self._show_areas()
        self._show_sizes()
        self._on_choice()

    def _offer_images(self) -> None:
        """Offer the images that fit; the first one is chosen, unless the user chose."""
        with self.image.changed.blocked():
            self.image.reset_choices()
            if not self._is_image_by_hand:
                self.image.value = self._images()[0][1]

    def _on_image(self, _value: Any = None) -> None:
        """Forget what the grey levels are in; the fractions are the same."""
        self._is_image_by_hand = True
        self.plots.show_facets(None)
        self._show_areas()
        self._show_sizes()
        self._on_choice()

    def _on_plane(self, _event: Any = None) -> None:
        if self.result is not None:
            self._on_choice()
            if self.plots.map is not None and not self._is_map_right():
                self.plots.show_map(None)
                self._show_state()

    def _on_facet_options(self) -> None:
        self.plots.show_facets(None)
        self.plots.show_map(None)
        self._show_state()

    def _on_choice(self, _value: Any = None) -> None:
        """Show the state: whether it can be measured, and whether the result is that of now."""
        self.controls.refresh()

    def _choices(self, layers: tuple[Labels, ...]) -> _Choices:
        return _Choices(
            layers=tuple(map(_identity, layers)),
            classes=tuple(
                tuple((c.value, c.name, c.is_fracture_mode) for c in classes_of(layer))
                for layer in layers
            ),
            sizes=tuple(self.pixel_size.size_of(layer)[0] for layer in layers),
            names=tuple(str(layer.name) for layer in layers) if self.specimens.text() else (),
            fields=self.fields.layout_of_fields(),
            specimens=self.specimens.text(),
            excluded=self._excluded_key(),
        )

    def _excluded_key(self) -> tuple[Any, ...]:
        """Return what is equal for the same choice of the excluded area."""
        if self.excluded.takes_image:
            return tuple(map(key_of, self.excluded.areas))
        layer = self.excluded.layer
        return None if layer is None else _identity(layer), self.excluded.on_all.isChecked()

    def _exclude_of(self, labels: Labels) -> Any:
        """Return the excluded area of a labels layer that is ticked."""
        if self.excluded.takes_image:
            area = dict(zip(self.labels.ticked(), self.excluded.areas, strict=True))[labels]
            return None if area is None else area.of_plane()
        layer, on_all = self.excluded.layer, self.excluded.on_all.isChecked()
        return None if layer is None else excluded_area(layer, labels, on_all_planes=on_all)

    def _shown_planes(self, layers: tuple[Labels, ...]) -> tuple[Any, ...]:
        """Return the plane of each layer that is measured; None for all of them."""
        if self.planes.value == "all":
            return (None,) * len(layers)
        return tuple(
            shown_plane(self.viewer, layer) if _n_planes(layer) > 1 else None for layer in layers
        )

    def request(self) -> Request:
        """Return a snapshot of what is chosen.

        Raises
        ------
        FractosegError
            If nothing is chosen, or the layers cannot be measured together.
        """
        layers = self.labels.ticked()
        refuse_unfit(layers)
        excluded = self.excluded.layer
        images = labelled_images(
            self.viewer,
            layers,
            size_of=self.pixel_size.size_of,
            image=self.image.value,
            exclude_of=self._exclude_of,
            only_shown_plane=self.planes.value == "current",
        )
        arrays = () if not isinstance(excluded, Labels) else (labels_of(excluded),)
        layout = self.fields.layout_of_fields()
        return Request(images, layout, self.specimens.text(), arrays, self.excluded.text())

    def _blocked(self) -> str:
        """Return why nothing can be measured now."""
        if not self.controls.is_idle:
            return _GOES_ON
        if not self.labels.count():
            return _NO_LABELS
        layers = self.labels.ticked()
        if not layers:
            return _NO_TICK
        try:
            refuse_unfit(layers)
        except FractosegError as error:
            return str(error)
        return ""

    # ---- the fractions ------------------------------------------------------------------

    @Slot()
    def measure(self) -> None:
        """Measure the fractions of the layers that are ticked."""
        if self._blocked():
            return
        try:
            request = self.request()
        except FractosegError as error:
            self.controls.refuse(error)
            return
        layers = self.labels.ticked()
        self._of = self._choices(layers), layers, self._shown_planes(layers)
        self.watch.begin(self._watched(request, layers))
        self._show_result(None)
        self._start(measured_job(request), "measuring", self._take_result)

    @Slot()
    def divide(self) -> None:
        """Divide the image into fields, and measure it again."""
        self.fields.divide()
        self.measure()

    def _watched(self, request: Request, layers: tuple[Labels, ...]) -> list[Watched]:
        watched = [
            Watched(layer, image.whole, image.labels)
            for layer, image in zip(layers, request.images, strict=True)
        ]
        excluded = self.excluded.layer
        if isinstance(excluded, Labels):
            watched.append(Watched(excluded, labels_of(excluded), labels_of(excluded)))
        elif isinstance(excluded, Shapes):
            watched.append(Watched(excluded))
        return watched

    def _start(self, job: Job[Any], title: str, take: Callable[[Any], str]) -> None:
        self.controls.start(MeasureRun(job, title, take))

    def _take_result(self, result: MeasuredLabels) -> str:
        self.watch.measured(result.digests)
        self._state_number += 1
        self._show_result(result)
        self.bring_into_view(self.below)
        return ""

    def _show_result(self, result: MeasuredLabels | None) -> None:
        self.result = result
        self.lines.show_measurement(None if result is None else result.measurement)
        self.plots.show_result(result)

    # ---- whether it is that of now ------------------------------------------------------

    def outdated(self) -> str:
        """Return why the numbers are not those of what is chosen and shown; empty if they are."""
        if self.result is None or self._of is None:
            return ""
        choices, layers, planes = self._of
        if any(layer not in self.viewer.layers for layer in layers):
            return _REMOVED
        if self.watch.has_changed:
            return _CHANGED
        now = self.labels.ticked()
        chosen = self._choices(now)
        if chosen != choices:
            return _AREA if replace(chosen, excluded=choices.excluded) == choices else _OTHER
        shown = self._shown_planes(now)
        if shown != planes:
            is_plane = None not in (*shown, *planes)
            what = "Another plane is shown" if is_plane else "Choices have changed since"
            return f"{what}: measure again."
        return ""

    @Slot()
    def _show_state(self) -> None:
        """Show what fits the state of the run and of the labels."""
        outdated, has_result = self.outdated(), self.result is not None
        self.lines.mark(" ".join(filter(None, (outdated, self._old_facets(outdated)))))
        self.plots.setVisible(has_result)
        self.below.setVisible(has_result)
        self.plots.setEnabled(not outdated)
        self.divide_button.setVisible(self._is_one_field() and not outdated)
        can_go_on = has_result and not outdated and self.controls.is_idle
        for button in self.buttons:
            button.setEnabled(can_go_on)
        self.controls.call_button("Measure again" if outdated else "Measure", bool(outdated))
        if has_result and not self.plots.is_drawn:
            self.plots.say_missing(outdated or (_GOES_ON if not self.controls.is_idle else ""))
        if can_go_on:
            self.fill_tab()

    def _is_one_field(self) -> bool:
        return self.result is not None and len(self.result.measurement.fields) == 1

    def _old_facets(self, outdated: str) -> str:
        """Return a sentence on layers of facets that are of labels as they were before."""
        self._facet_layers = [pair for pair in self._facet_layers if pair[0] in self.viewer.layers]
        old = [
            layer.name
            for layer, number in self._facet_layers
            if number != self._state_number or outdated
        ]
        return f"Of an earlier state: {listed(old)}." if old else ""

    # ---- facets and map -----------------------------------------------------------------

    @Slot()
    def _on_wanted(self) -> None:
        self._tried = None
        self._show_state()

    def fill_tab(self) -> None:
        """Measure what the tab shows, if that was not done yet and the labels are as they were."""
        if self.result is None or self.outdated() or not self.controls.is_idle:
            return
        if self.plots.tab == SIZES and self.plots.facets is None:
            self._try(
                (SIZES, self.facet_options.settings()),
                self._facets_job,
                "finding the facets",
                self._take_facets,
            )
        elif self.plots.tab == MAP and not self._is_map_right():
            image, plane = self._shown_image()
            mode, window = self.plots.mode.value, self._window_px()
            wanted = mode, window, image, plane
            self._try(
                (MAP, wanted),
                partial(plane_map_job, image, str(mode), window, plane),
                "mapping",
                partial(self._take_map, image, wanted),
            )

    def _try(
        self, key: Any, make: Callable[[], Job[Any]], title: str, take: Callable[[Any], str]
    ) -> None:
        """Start a run, unless the same was started last: then it failed, or was cancelled."""
        if key != self._tried:
            self._tried = key
            self._start(make(), title, take)

    def _facets_job(self) -> Job[MeasuredFacets]:
        assert self.result is not None  # noqa: S101 - who asks has measured
        return all_facets_job(self.result, self.facet_options.settings())

    def _shown_image(self) -> tuple[LabelledImage, tuple[int, ...]]:
        """Return the image of the map, that whose labels are selected or the first; its plane."""
        image, layer = self._image_and_layer()
        return image, () if image.plane is not None else shown_plane(self.viewer, layer)

    def _image_and_layer(self) -> tuple[LabelledImage, Labels]:
        assert self.result is not None  # noqa: S101 - who asks has measured
        assert self._of is not None  # noqa: S101
        pairs = list(zip(self.result.request.images, self._of[1], strict=True))
        active = self.viewer.layers.selection.active
        return next((pair for pair in pairs if pair[1] == active), pairs[0])

    def _window_px(self) -> int | None:
        return self.facet_options.window_px.value() or None

    def _is_map_right(self) -> bool:
        found = self.plots.map
        wanted = self.plots.mode.value, self._window_px(), *self._shown_image()
        return found is not None and self._map_of == wanted

    def _take_facets(self, found: MeasuredFacets) -> str:
        self.plots.show_facets(found)
        return found.no_sizes

    def _take_map(self, image: LabelledImage, wanted: Any, found: LocalMap) -> str:
        self._map_of = wanted
        self.plots.show_map(found, image.pixel_size_um)
        return ""

    @Slot()
    def add_facets(self) -> None:
        """Add the facets of the shown labels as a layer, with napari's own features table."""
        if self._is_current():
            image, layer = self._image_and_layer()
            job = facet_regions_job(image, self.facet_options.settings())
            self._start(job, "finding the facets", partial(self._take_regions, layer))

    def _take_regions(self, labels: Labels, found: FacetRegions) -> str:
        _refuse_gone(self.viewer, labels)
        layer = add_facets(self.viewer, labels, found)
        self._facet_layers.append((layer, self._state_number))
        open_table(self.viewer, self)
        return f"{counted(len(found.table), 'facet')}: click a row of the table to go to one."

    @Slot()
    def add_map(self) -> None:
        """Add the map of local fractions of all planes as a layer."""
        if self._is_current():
            image, layer = self._image_and_layer()
            mode = str(self.plots.mode.value)
            job = whole_map_job(image, mode, self._window_px())
            self._start(job, "mapping", partial(self._take_map_layer, layer))

    def _take_map_layer(self, labels: Labels, found: LocalMap) -> str:
        _refuse_gone(self.viewer, labels)
        add_map(self.viewer, labels, found)
        return ""

    # ---- tables -------------------------------------------------------------------------

    def _is_current(self) -> bool:
        """Look once more whether the numbers are those of now, before they are given away."""
        self.watch.look()
        return self.result is not None and not self.outdated() and self.controls.is_idle

    def copy(self, table: str) -> None:
        """Copy a table with its headers; facets are measured first where they were not yet.

        Parameters
        ----------
        table : {"fractions", "fields", "groups", "sizes", "facets"}
            Which table.
        """
        if not self._is_current():
            return
        if table in _OF_FACETS and self.plots.facets is None:
            job = self._facets_job()
            self._start(job, "finding the facets", partial(self._take_and_copy, table))
        else:
            self.controls.say(self._copy(table))

    def _take_and_copy(self, table: str, found: MeasuredFacets) -> str:
        self._take_facets(found)
        return self._copy(table)

    def _copy(self, table: str) -> str:
        """Copy a table, and return what is to be said of it."""
        found = self._table(table)
        if found is None:
            return "" if self.plots.facets is None else self.plots.facets.no_sizes
        clipboard = QGuiApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(tsv_text(found))
        return f"Copied {counted(len(found), 'row')} of {table}, with headers."

    def _table(self, table: str) -> pd.DataFrame | None:
        assert self.result is not None  # noqa: S101 - who copies has measured
        measurement, facets = self.result.measurement, self.plots.facets
        if facets is not None and table in _OF_FACETS:
            return facets.tables.table() if table == "facets" else facets.sizes
        if table == "fields":
            return measurement.fields
        return measurement.groups() if table == "groups" else measurement.table()

    # ---- files --------------------------------------------------------------------------

    @Slot()
    def ask_for_folder(self) -> QFileDialog:
        """Open a dialog that asks for the folder of the report."""
        dialog = QFileDialog(self, "Folder for the report and the tables")
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.setOption(QFileDialog.Option.ShowDirsOnly)
        dialog.fileSelected.connect(self.save)
        dialog.open()
        return dialog

    @Slot(str)
    def save(self, folder: str) -> None:
        """Save tables, figures and report in a folder; an earlier measurement stays as it is."""
        if not self._is_current() or self.result is None:
            return
        try:
            refuse_folder(Path(folder))
        except FractosegError as error:
            self.controls.refuse(error)
            return
        job = save_job(
            self.result,
            self.plots.facets,
            self.facet_options.settings(),
            Path(folder),
            self._open_count(),
        )
        self._start(job, "saving", self._take_saved)

    def _take_saved(self, paths: list[Path]) -> str:
        return f"Saved in {paths[0].parent}: {listed(_SAVED)} and figures."

    def _open_count(self) -> PointCount | None:
        """Return the points that are open in the audit dock, if there are any."""
        found: list[AuditWidget] = main_window(self).findChildren(AuditWidget)
        return found[0].count if found else None

    @Slot()
    def audit(self) -> AuditWidget:
        """Open the dock in which a person looks at points, to tell how right the labels are."""
        return open_dock(self.viewer, AuditWidget, "Audit by point count", self)

    # ---- the end ------------------------------------------------------------------------

    @Slot()
    def _on_close(self) -> None:
        """Stop what is being measured: its numbers would be nowhere."""
        self.controls.cancel()
        self.watch.end()


def _n_planes(layer: Labels) -> int:
    return math.prod(labels_of(layer).shape[:-2])


def _identity(layer: Layer) -> int:
    return id(unwrapped(layer))


def _refuse_gone(viewer: napari.viewer.Viewer, labels: Labels) -> None:
    if labels not in viewer.layers:
        raise ImageError(f"The layer {labels.name} was removed meanwhile. Measure another one.")


def measure_in_dock(viewer: napari.viewer.Viewer, labels: Labels, beside: QWidget) -> MeasureWidget:
    """Open the Measure dock, or the one that is open, with a labels layer chosen.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer in which the dock is opened.
    labels : Labels
        Layer of the viewer to measure.
    beside : QWidget
        Widget of ours in the same window.
    """
    dock = open_dock(viewer, MeasureWidget, TITLE, beside)
    dock.choose(labels)
    return dock
