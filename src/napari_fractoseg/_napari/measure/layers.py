"""Layers of a measurement: facets with their table, and the map of local fractions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from napari.layers import Image, Labels, Layer
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

from napari_fractoseg._napari.camera import camera_of
from napari_fractoseg._napari.layer_metadata import facts_of, metadata_with
from napari_fractoseg._napari.layers import placement, unique_name
from napari_fractoseg._napari.measure.request import FacetRegions, LocalMap
from napari_fractoseg._napari.widgets.plain_text import plain_text
from napari_fractoseg._napari.widgets.run_queue import main_window

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["FACETS", "add_facets", "add_map", "facet_features", "open_table"]

FACETS = "facets"
"""Word for what a layer of facets shows (`LayerFacts`)."""
_COLUMNS = (
    "index",
    "plane",
    "class_name",
    "area",
    "equivalent_diameter",
    "feret_max",
    "perimeter",
    "orientation_deg",
    "solidity",
    "mean_grey",
    "mean_confidence",
    "touches_border",
)
"""Columns of the features table, without their units: the status bar of napari shows them all."""
_UNITS = ("", "_px", "_um", "_um2")
_ROUNDED = 4
_TABLE = "Features table widget"
_CANVAS_PX, _VIEW = 500, 5
"""Height of a canvas, about, and how many times that of a facet is seen on it."""


def facet_features(table: pd.DataFrame) -> pd.DataFrame:
    """Return the features table of a layer of facets.

    napari takes the number of the row for the label (0.9.2), so that background is row 0 and
    the facets, 1 to N, follow.

    Parameters
    ----------
    table : DataFrame
        Table of `facets`, in the order of the numbers.
    """
    wanted = [name + unit for name in _COLUMNS for unit in _UNITS if name + unit in table]
    shown = table[wanted].rename(columns={"class_name": "class"})
    for name in [name for name in shown if shown[name].dtype.kind == "f"]:
        shown[name] = shown[name].round(_ROUNDED)
    shown["class"] = shown["class"].map(plain_text)
    shown["touches_border"] = shown["touches_border"].map({True: "yes", False: "no"})
    first: dict[Any, Any] = {
        name: 0 if shown[name].dtype.kind in "iu" else np.nan for name in shown
    }
    first |= {"class": "no facet", "touches_border": ""}
    return pd.concat([pd.DataFrame([first])[shown.columns], shown], ignore_index=True)


def add_facets(viewer: napari.viewer.Viewer, labels: Labels, found: FacetRegions) -> Labels:
    """Add a layer of the facets of a labels layer, with their table; a click on a row goes there.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer that gets the layer.
    labels : Labels
        Labels layer whose facets these are.
    found : FacetRegions
        Facets, and the number of the facet of each pixel.
    """
    layer = Labels(
        found.regions,
        name=_name(viewer, labels, FACETS),
        features=facet_features(found.table),
        metadata=metadata_with({"helper": FACETS, "image": _image_of(labels)}),
        opacity=0.6,
        **placement(labels),
    )
    layer.editable = False
    viewer.add_layer(layer)
    _follow_table(viewer, layer, found.table)
    return layer


def open_table(viewer: napari.viewer.Viewer, beside: QWidget) -> None:
    """Open napari's features table as a tab of a dock, if it is not open yet.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer in whose window it is opened.
    beside : QWidget
        Widget of the dock.
    """
    is_open = any(_TABLE in name for name in viewer.window.dock_widgets)
    dock, _ = viewer.window.add_plugin_dock_widget("napari", _TABLE)
    window, ours = main_window(beside), beside.parent()
    if not is_open and isinstance(window, QMainWindow) and isinstance(ours, QDockWidget):
        window.tabifyDockWidget(ours, dock)
    dock.show()
    dock.raise_()


def _follow_table(viewer: napari.viewer.Viewer, layer: Labels, table: pd.DataFrame) -> None:
    """Move sliders and camera to the facet whose row is chosen in the features table."""
    place = table[["row", "column", "row0", "row1", "column0", "column1"]].to_numpy(float)
    planes = table["plane"].to_numpy() - 1 if "plane" in table else np.zeros(len(table), int)
    leading = layer.data.shape[:-2]

    def go(_event: Any = None) -> None:
        number = int(layer.selected_label)
        if not 1 <= number <= len(place) or layer not in viewer.layers or layer.mode == "pick":
            return
        row, column, *box = place[number - 1]
        index = np.unravel_index(int(planes[number - 1]), leading) if leading else ()
        _show_place(viewer, layer, (*map(int, index), row, column), box)

    layer.events.selected_label.connect(go)


def _show_place(
    viewer: napari.viewer.Viewer, layer: Layer, place: tuple[float, ...], box: list[float]
) -> None:
    world = layer.data_to_world(place)
    offset = viewer.dims.ndim - len(world)
    for axis, coordinate in enumerate(world[:-2]):
        viewer.dims.set_point(axis + offset, float(coordinate))
    camera = camera_of(viewer)
    camera.center = (0, *map(float, world[-2:]))
    edge_px = max(box[1] - box[0], box[3] - box[2])
    fits = _CANVAS_PX / (edge_px * abs(float(layer.scale[-1])))
    camera.zoom = min(max(camera.zoom, fits / (2 * _VIEW)), fits / 2)


def add_map(viewer: napari.viewer.Viewer, labels: Labels, found: LocalMap) -> Image:
    """Add a layer of a map of local fractions of all planes, over the labels layer.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer that gets the layer.
    labels : Labels
        Labels layer that was measured.
    found : LocalMap
        Map of all planes.
    """
    layer = Image(
        found.values,
        name=_name(viewer, labels, f"local {found.mode}"),
        colormap="viridis",
        contrast_limits=(0, 1),
        opacity=0.7,
        metadata=metadata_with({"helper": "local fraction", "image": _image_of(labels)}),
        **placement(labels),
    )
    viewer.add_layer(layer)
    return layer


def _name(viewer: napari.viewer.Viewer, labels: Labels, what: str) -> str:
    return unique_name(plain_text(f"{labels.name} · {what}"), [x.name for x in viewer.layers])


def _image_of(labels: Labels) -> str:
    return str(facts_of(labels).get("image", ""))
