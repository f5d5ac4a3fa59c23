"""Sliders and camera go to a pixel of a layer, whatever its scale, units and axes."""

import numpy as np
import pytest
from napari.components import LayerList

from napari_fractoseg._napari.camera import camera_of, go_to_pixel, screen_px


def test_the_plane_is_shown_with_the_pixel_in_the_middle(viewer):
    layer = viewer.add_image(np.zeros((5, 60, 80)), scale=(1, 0.5, 0.25))
    go_to_pixel(viewer, layer, (3, 10, 40), 8)
    assert viewer.dims.current_step[0] == 3
    assert camera_of(viewer).center[-2:] == (5, 10)
    assert screen_px(viewer, layer) == pytest.approx(8)


def test_the_zoom_stays_unless_one_is_asked_for(viewer):
    layer = viewer.add_image(np.zeros((60, 80)))
    camera_of(viewer).zoom = 3
    go_to_pixel(viewer, layer, (10, 40))
    assert camera_of(viewer).zoom == 3


@pytest.mark.skipif(not hasattr(LayerList, "units"), reason="napari before 0.7 takes all as pixels")
def test_a_layer_in_other_units_than_the_window_and_of_fewer_axes_is_found(viewer):
    viewer.add_image(np.zeros((4, 60, 80)), scale=(1, 90, 90), units=("um", "nm", "nm"))
    layer = viewer.add_image(np.zeros((60, 80)), scale=(0.09, 0.09), units=("um", "um"))
    go_to_pixel(viewer, layer, (10, 40), 2)
    assert camera_of(viewer).center[-2:] == pytest.approx((900, 3600))
    assert screen_px(viewer, layer) == pytest.approx(2)
