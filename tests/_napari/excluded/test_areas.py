"""Excluded areas of image layers: found, switched off, edited, deleted, and looked up."""

import dask.array
import numpy as np
import pytest
import tifffile

from napari_fractoseg._napari.corrections import is_teachable
from napari_fractoseg._napari.excluded import area_of, area_of_labels, areas_of
from napari_fractoseg._napari.excluded.search import bar_job
from napari_fractoseg._napari.layer_metadata import facts_of
from napari_fractoseg._napari.layers import is_segmentable, labels_layer
from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.images import MicrographStack
from napari_fractoseg.jobs import drain

pytestmark = pytest.mark.usefixtures("no_job_left")

BAND = ((176, 200),)
UM = {"scale": (0.5, 0.5), "units": ("µm", "µm")}


def rows_of(viewer, image):
    area = area_of(viewer, image)
    return None if area is None else area.bands


def labels(viewer, shape=(200, 240), name="s17 · fracture modes", **facts):
    layer = labels_layer(np.ones(shape, np.uint8), DEFAULT_SCHEME, name=name, metadata=facts)
    return viewer.add_layer(layer)


def test_a_bar_is_found_and_left_out_and_an_image_without_one_stays_whole(viewer, barred, surface):
    assert rows_of(viewer, viewer.add_image(barred)) == BAND
    assert rows_of(viewer, viewer.add_image(np.stack([barred] * 3, axis=-1), rgb=True)) == BAND
    assert rows_of(viewer, viewer.add_image([barred, barred[::2, ::2]], multiscale=True)) == BAND
    assert area_of(viewer, viewer.add_image(surface)) is None


def test_a_stack_has_the_bar_that_all_of_its_planes_have(viewer, barred, surface):
    area = area_of(viewer, viewer.add_image(np.stack([barred] * 3)))
    assert (area.shape, area.bands) == ((3, 200, 240), BAND)
    mixed = viewer.add_image(np.stack([barred, surface]))
    assert area_of(viewer, mixed) is None
    assert "1 of 2 planes have an info bar" in areas_of(viewer).bar(mixed).why
    lazy = viewer.add_image(dask.array.from_array(np.stack([barred] * 2), chunks=(1, 200, 240)))
    assert rows_of(viewer, lazy) == BAND


def test_a_large_image_is_looked_through_in_a_thread(viewer, barred, qtbot):
    large = barred.repeat(11, axis=0).repeat(9, axis=1)
    image, areas = viewer.add_image(large), areas_of(viewer)
    with qtbot.waitSignal(areas.changed, timeout=20_000):
        assert areas.bar(image) is None
        assert area_of(viewer, image) is None
    assert rows_of(viewer, image) == ((1936, 2200),)


def test_what_a_file_says_counts_only_for_the_whole_of_its_image(surface, tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, surface)
    (tmp_path / "a.txt").write_text("$CM_FORMAT JEOL-SEM\r\n$CM_FULL_SIZE 240 176\r\n")
    found = drain(bar_job(MicrographStack(surface), path))
    assert (found.rows, found.why.partition(" says")[0]) == ((176, 200), "JEOL $CM_FULL_SIZE")
    assert drain(bar_job(MicrographStack(surface[:190]), path)).rows is None
    assert drain(bar_job(MicrographStack(surface), tmp_path / "gone.tif")).rows is None


def test_unticked_nothing_is_left_out_until_it_is_ticked_again(viewer, barred, qtbot):
    image, areas = viewer.add_image(barred), areas_of(viewer)
    with qtbot.waitSignal(areas.changed, timeout=20_000):
        areas.leave_out(image, False)
    assert area_of(viewer, image) is None
    areas.leave_out(image, True)
    assert rows_of(viewer, image) == BAND


def test_the_area_is_a_layer_to_paint_on_that_is_no_labels(viewer, barred, qtbot):
    image, areas = viewer.add_image(barred, name="s17", **UM), areas_of(viewer)
    layer = areas.edit(image)
    assert (layer.name, str(layer.mode)) == ("s17 · excluded", "paint")
    assert layer.data.sum() == 24 * 240
    assert not is_teachable(layer)
    assert not is_segmentable(layer)
    layer.brush_size = 1
    with qtbot.waitSignal(areas.changed, timeout=20_000):
        layer.paint((10, 20), 1)
    area = area_of(viewer, image)
    assert (area.bands, area.of_plane()[10, 19:22].tolist()) == (BAND, [False, True, False])
    layer.undo()
    assert area_of(viewer, image).mask is None
    layer.data[180] = 0
    layer.refresh()
    assert rows_of(viewer, image) == ((176, 180), (181, 200))
    assert areas.edit(image) is layer


def test_an_area_is_a_copy_of_what_is_painted(viewer, barred):
    image = viewer.add_image(barred)
    layer = areas_of(viewer).edit(image)
    layer.brush_size = 1
    layer.paint((10, 20), 1)
    area = area_of(viewer, image)
    layer.data[...] = 0
    assert area.of_plane()[10, 20]


def test_its_deleted_layer_is_not_made_again_unasked(viewer, barred):
    image, areas = viewer.add_image(barred), areas_of(viewer)
    viewer.layers.remove(areas.edit(image))
    assert area_of(viewer, image) is None
    assert len(viewer.layers) == 1
    areas.leave_out(image, True)
    assert rows_of(viewer, image) == BAND


@pytest.mark.parametrize("shape", [(200, 240), (3, 200, 240)])
def test_the_layer_lies_on_its_image_wherever_that_is_moved(viewer, barred, shape):
    n = len(shape)
    image = viewer.add_image(
        np.broadcast_to(barred, shape), scale=[2.0, 0.5, 0.25][-n:], translate=[7.0, 3.0, 5.0][-n:]
    )
    rotation = np.eye(n)
    rotation[-2:, -2:] = [[0.8, -0.6], [0.6, 0.8]]
    image.rotate = rotation
    layer = areas_of(viewer).edit(image)
    for place in ((0, 0), (199, 17)):
        on_image = image.data_to_world((*(0,) * (n - 2), *place))[-2:]
        np.testing.assert_allclose(layer.data_to_world(place), on_image)
    image.scale = [2.0, 0.1, 0.1][-n:]
    image.units = ("pixel", "µm", "µm")[-n:]
    on_image = image.data_to_world((*(0,) * (n - 2), 199, 17))[-2:]
    np.testing.assert_allclose(layer.data_to_world((199, 17)), on_image)
    assert layer.units == image.units[-2:]


def test_another_image_in_the_layer_is_looked_through_again(viewer, barred, surface):
    image = viewer.add_image(barred)
    assert rows_of(viewer, image) == BAND
    image.data = surface
    assert area_of(viewer, image) is None


# ---- labels ----------------------------------------------------------------------------------


def test_labels_have_the_area_of_the_image_that_they_name(viewer, barred, surface):
    viewer.add_image(barred, name="s17")
    viewer.add_image(surface, name="s18")
    assert area_of_labels(viewer, labels(viewer, image="s17")).bands == BAND
    assert area_of_labels(viewer, labels(viewer, image="s18")) is None
    assert area_of_labels(viewer, labels(viewer, name="s17, painted")).bands == BAND
    assert area_of_labels(viewer, labels(viewer, image="s19")) is None


def test_labels_without_their_image_have_the_area_of_their_record(viewer, surface):
    viewer.add_image(surface, name="s18")
    record = {"rows": [[176, 200]], "has_mask": False, "source": "Zeiss"}
    layer = labels(viewer, image="s17", excluded=record)
    assert area_of_labels(viewer, layer).bands == BAND
    for damaged in ({"rows": [[1, 2, 3]]}, {"rows": [[190, 900]]}, {"rows": 3}, "rows", {}):
        assert area_of_labels(viewer, labels(viewer, image="s17", excluded=damaged)) is None


def test_an_edited_area_is_that_of_the_labels_after_the_image_was_closed(viewer, barred):
    image = viewer.add_image(barred, name="s17")
    layer = areas_of(viewer).edit(image)
    layer.data[:100] = 1
    viewer.layers.remove(image)
    assert facts_of(layer)["image"] == "s17"
    area = area_of_labels(viewer, labels(viewer, image="s17"))
    assert area.bands == ((0, 100), (176, 200))
