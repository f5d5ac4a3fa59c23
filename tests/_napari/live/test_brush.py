"""Where a brush goes over a labels layer."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from napari.layers import Labels

from napari_fractoseg._napari.live.brush import BrushWay, brushed_pixels

SHAPE = (40, 60)
PLACES = st.tuples(st.floats(-8, 50), st.floats(-8, 70))


@settings(max_examples=60, deadline=None)
@given(st.lists(PLACES, min_size=1, max_size=4), st.integers(1, 25), st.sampled_from([1.0, 0.5]))
def test_it_is_what_napari_paints(drag, way, size, scale):
    layer = Labels(np.zeros(SHAPE, np.uint8), scale=(1.0, scale))
    layer.mode, layer.brush_size, layer.selected_label = "paint", size, 3
    drag(layer, [(row, column * scale) for row, column in way])
    expected = layer.data == 3
    found = np.zeros(SHAPE, bool)
    brushed = brushed_pixels(np.array(way), size, SHAPE, (1.0, scale))
    if brushed is not None:
        found[brushed[0]] = brushed[1]
    np.testing.assert_array_equal(found, expected)


@pytest.fixture
def layer(viewer):
    layer = viewer.add_labels(np.ones((2, *SHAPE), np.uint8), name="labels")
    layer.mode, layer.brush_size, layer.selected_label = "paint", 5, 1
    return layer


@pytest.fixture
def way_of(viewer, layer, press):
    return lambda: BrushWay(viewer, layer, (1,), press((1, 20, 30))).brushed()


def test_it_lies_in_the_plane_that_is_shown(way_of):
    brushed = way_of()
    assert brushed.box == (slice(1, 2), slice(18, 23), slice(28, 33))
    assert (brushed.value, brushed.mask.sum()) == (1, 21)


@pytest.mark.parametrize(
    ("name", "value"),
    [("mode", "fill"), ("mode", "erase"), ("preserve_labels", True), ("n_edit_dimensions", 3)],
)
def test_other_tools_are_no_brush(layer, way_of, name, value):
    setattr(layer, name, value)
    assert way_of() is None
