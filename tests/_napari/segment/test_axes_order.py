"""Stacks whose planes lie on the last axis: the Segment dock asks, and changes nothing itself."""

import dask.array
import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_fractoseg._napari.jobs import State
from napari_fractoseg._napari.segment.dock import segment_in_dock

pytestmark = pytest.mark.usefixtures("no_job_left")


def click(qtbot, button):
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


@pytest.fixture
def stack(noise):
    """Six planes of 60 x 48 px, in the order (Y, X, Z)."""
    return np.moveaxis(noise(6, 48, 60), 0, -1)


def is_asked(dock):
    return dock.source.question.isVisibleTo(dock)


def test_nothing_starts_before_the_user_has_said_which_axis_has_planes(segment_dock, stack, qtbot):
    viewer = segment_dock.viewer
    layer = viewer.add_image(stack, name="odd")
    assert is_asked(segment_dock)
    assert segment_dock.source.question.text() == (
        "Is this a stack of 6 planes of 60 x 48 px? As it is, it has 48 planes of 6 x 60 px."
    )
    assert segment_dock.controls.state is State.NOT_READY
    assert "which axis" in segment_dock.controls.state_line.text()
    assert not segment_dock.controls.button.isEnabled()
    segment_in_dock(viewer, segment_dock.model.entry.folder, layer, segment_dock)
    assert not segment_dock.queue.is_busy


def test_a_layer_with_the_planes_first_is_added_and_shown(segment_dock, stack, qtbot):
    viewer = segment_dock.viewer
    odd = viewer.add_image(
        stack, name="odd", scale=(0.1, 0.2, 3), translate=(1, 2, 30), colormap="viridis"
    )
    click(qtbot, segment_dock.source.planes_button)
    new = viewer.layers["odd · 6 planes"]
    np.testing.assert_array_equal(new.data, np.moveaxis(stack, -1, 0))
    assert np.shares_memory(new.data, stack)
    np.testing.assert_allclose(new.scale, (3, 0.1, 0.2))
    np.testing.assert_allclose(new.translate, (30, 1, 2))
    assert new.colormap.name == "viridis"
    assert segment_dock.source.layer is new
    assert not is_asked(segment_dock)
    assert segment_dock.controls.state is State.READY
    assert segment_dock.source.planes() == ((3,),)  # the plane that is shown is one of its planes
    assert (odd.data is stack, odd.visible) == (True, True)
    np.testing.assert_allclose(odd.scale, (0.1, 0.2, 3))


def test_lazy_data_are_not_loaded(segment_dock, stack, qtbot):
    loaded = []

    def load(block, block_info=None):
        if block_info:
            loaded.append(block_info[0]["chunk-location"])
        return block

    lazy = dask.array.from_array(stack, chunks=(48, 60, 1)).map_blocks(load, dtype=stack.dtype)
    segment_dock.viewer.add_image(lazy, name="lazy", contrast_limits=(0, 255), visible=False)
    loaded.clear()
    click(qtbot, segment_dock.source.planes_button)
    assert {place[-1] for place in loaded} == {0, 3}  # the planes that napari showed
    np.testing.assert_array_equal(segment_dock.source.layer.data[2], stack[..., 2])


def test_the_user_may_say_that_the_axes_are_right(segment_dock, stack, qtbot):
    segment_dock.viewer.add_image(stack, name="odd")
    click(qtbot, segment_dock.source.right_button)
    assert not is_asked(segment_dock)
    assert segment_dock.controls.state is State.READY
    assert len(segment_dock.viewer.layers) == 1


@pytest.mark.parametrize(
    ("shape", "arguments"),
    [
        ((48, 60, 6), {"axis_labels": ("z", "y", "x")}),
        ((6, 48, 60), {}),
        ((48, 60, 3), {"rgb": True}),
        ((48, 60), {}),
    ],
)
def test_usual_images_are_not_asked_about(segment_dock, noise, shape, arguments):
    segment_dock.viewer.add_image(np.resize(noise(48, 60), shape), **arguments)
    assert not is_asked(segment_dock)
    assert segment_dock.controls.state is State.READY
