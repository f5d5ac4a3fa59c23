"""The excluded area of an image is not segmented, and what it shows changes no label."""

from dataclasses import replace

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.filters import gaussian

import napari_fractoseg as nf
from napari_fractoseg.errors import ImageError
from napari_fractoseg.images import ExcludedArea, MicrographStack
from napari_fractoseg.images import micrograph as micrographs
from napari_fractoseg.inference.device_io import Transfers
from napari_fractoseg.inference.predictor import Predictor
from napari_fractoseg.inference.result import RunRecord
from napari_fractoseg.jobs import drain
from napari_fractoseg.models.card import Inference
from napari_fractoseg.models.devices import choose_device
from napari_fractoseg.tiling import Box

CPU = choose_device("cpu")
ROWS, COLUMNS, BAR = 150, 120, 131


def textured(shape, seed=0):
    noise = gaussian(np.random.default_rng(seed).normal(size=shape), 2)
    return np.interp(noise, (noise.min(), noise.max()), (0, 255)).astype(np.uint8)


IMAGE = textured((ROWS, COLUMNS))
IMAGE[BAR:] = 255 * (np.arange(COLUMNS) % 7 < 2)
LOWER = ((BAR, ROWS),)


@pytest.fixture(scope="module")
def model(tiny_model):
    return tiny_model.with_card(inference=Inference(reductions=(1, 2), halo_px=32))


def predicted(model, image, area=None, tile_px=1024, **options):
    predictor = Predictor(
        model, CPU, tile_px=tile_px, with_confidence=True, with_margin=True, **options
    )
    return drain(predictor.run(MicrographStack(image, excluded=area)))


@pytest.mark.parametrize("tile_px", [1024, 64])
@pytest.mark.parametrize(
    "convert", [np.asarray, lambda a: a.astype(np.float32) / 7], ids=["uint8", "float32"]
)
def test_a_bar_at_the_lower_edge_gives_the_labels_of_the_image_cut_off_there(
    model, tile_px, convert
):
    image = convert(IMAGE)
    area = ExcludedArea(image.shape, LOWER)
    found = predicted(model, image, area, tile_px)
    cut = predicted(model, image[:BAR], None, tile_px)
    for one, other in ((found.labels, cut.labels), (found.confidence, cut.confidence),
                       (found.margin, cut.margin)):  # fmt: skip
        np.testing.assert_array_equal(one[:BAR], other)
        assert not one[BAR:].any()


@pytest.mark.parametrize("tile_px", [1024, 64])
@pytest.mark.parametrize("height", [1, 13, 64])
@pytest.mark.parametrize("lower", [(), LOWER], ids=["", "both"])
def test_a_bar_at_the_upper_edge_does_so_too(model, height, lower, tile_px):
    area = ExcludedArea(IMAGE.shape, ((0, height), *lower))
    end = BAR if lower else ROWS
    found = predicted(model, IMAGE, area, tile_px)
    cut = predicted(model, IMAGE[height:end], None, tile_px)
    for one, other in ((found.labels, cut.labels), (found.confidence, cut.confidence),
                       (found.margin, cut.margin)):  # fmt: skip
        np.testing.assert_array_equal(one[height:end], other)
        assert not one[:height].any()
        assert not one[end:].any()


def test_parts_below_a_bar_at_the_upper_edge_get_the_labels_of_the_whole(model):
    stack = MicrographStack(IMAGE, excluded=ExcludedArea(IMAGE.shape, ((0, 13), *LOWER)))
    predictor = Predictor(model, CPU, tile_px=64)
    expected = drain(predictor.run(stack)).labels
    predictor.expect(stack)
    for box in (Box(0, 64, 0, COLUMNS), Box(64, ROWS, 0, 64), Box(64, ROWS, 64, COLUMNS)):
        labels = np.full(IMAGE.shape, 9, np.uint8)
        drain(predictor.run_into(stack, labels, within=box))
        inside = np.zeros(IMAGE.shape, bool)
        inside[box.slices] = True
        assert (labels[~inside] == 9).all()  # another worker writes there
        used = inside.copy()
        used[:13] = used[BAR:] = False
        np.testing.assert_array_equal(labels[used], expected[used])


@pytest.mark.parametrize("height", [1, 3, 40])
def test_so_does_one_near_a_multiple_of_the_stride(model, height):
    # A window then ends in the bar, or beyond the image.
    image = IMAGE[: 96 + height]
    found = predicted(model, image, ExcludedArea(image.shape, ((96 - 5, len(image)),)))
    np.testing.assert_array_equal(found.labels[:91], predicted(model, image[:91]).labels)


def test_a_plane_that_is_read_in_parts_gives_the_same(model, monkeypatch):
    area = ExcludedArea(IMAGE.shape, ((0, 5), *LOWER))
    expected = predicted(model, IMAGE, area, 64)
    monkeypatch.setattr(micrographs, "_LAZY_PX", 100)
    found = predicted(model, da.from_array(IMAGE, chunks=50), area, 64)
    np.testing.assert_array_equal(found.labels, expected.labels)
    np.testing.assert_array_equal(found.confidence, expected.confidence)


def test_grey_levels_that_are_looked_up_on_the_device_give_the_same(model):
    area = ExcludedArea(IMAGE.shape, LOWER)
    predictor = Predictor(model, CPU, tile_px=64)
    predictor.engine.transfers = Transfers()
    predictor.engine.transfers.by_table = True
    found = drain(predictor.run(MicrographStack(IMAGE, excluded=area)))
    np.testing.assert_array_equal(found.labels, predicted(model, IMAGE, area, 64).labels)


@settings(max_examples=6, deadline=None)
@given(data=st.data())
def test_what_is_excluded_changes_no_label(model, data):
    first = data.draw(st.integers(0, ROWS - 2), "first row")
    end = data.draw(st.integers(first + 1, ROWS), "row after the last")
    column = data.draw(st.integers(1, COLUMNS), "first column")
    mask = np.zeros(IMAGE.shape, bool)
    mask[first:end, column:] = True
    bands = () if (first, end) == (0, ROWS) else ((first, end),)
    area = data.draw(
        st.sampled_from([ExcludedArea(IMAGE.shape, mask=mask), ExcludedArea(IMAGE.shape, bands)])
    )
    hidden = np.asarray(area.of_plane())
    other = np.where(hidden, textured(IMAGE.shape, 9) // 2, IMAGE)
    one, two = (predicted(model, image, area, 64) for image in (IMAGE, other))
    np.testing.assert_array_equal(one.labels, two.labels)
    np.testing.assert_array_equal(one.confidence, two.confidence)
    assert one.labels[~hidden].all()
    for array in (one.labels, one.confidence, one.margin):
        assert not array[hidden].any()


def test_tiles_in_the_excluded_area_are_not_computed(model):
    one_level = model.with_card(inference=Inference(halo_px=0))
    predictor = Predictor(one_level, CPU, tile_px=32)
    image = textured((128, 64))
    for area, expected in (
        (None, 8),
        (ExcludedArea(image.shape, ((64, 128),)), 4),
        (ExcludedArea(image.shape, ((0, 32),)), 6),
    ):
        record = RunRecord()
        stack = MicrographStack(image, excluded=area)
        labels = np.zeros(image.shape, np.uint8)
        drain(predictor.run_into(stack, labels, record=record))
        assert record.n_tiles == expected


def test_a_part_that_is_asked_for_is_not_written_beyond_the_bar(model):
    stack = MicrographStack(IMAGE, excluded=ExcludedArea(IMAGE.shape, LOWER))
    labels = np.zeros(IMAGE.shape, np.uint8)
    drain(Predictor(model, CPU).run_into(stack, labels, within=Box(64, ROWS, 0, 64)))
    assert labels[64:BAR, :64].all()
    assert not labels[BAR:].any()
    again = np.zeros(IMAGE.shape, np.uint8)
    drain(Predictor(model, CPU).run_into(stack, again, within=Box(BAR, ROWS, 0, 64)))
    assert not again.any()


def test_a_plane_of_which_nothing_is_left_is_named_and_left_out(model):
    mask = np.zeros((2, ROWS, COLUMNS), bool)
    mask[1] = True
    stack = np.stack([IMAGE, IMAGE])
    found = predicted(model, stack, ExcludedArea(mask.shape, mask=mask))
    assert found.labels[0].all()
    assert not found.labels[1].any()
    (left_out,) = found.left_out.values()
    assert left_out.reason == (
        "image, plane 2 of 2 (index 1): all of it is excluded; left unlabelled."
    )
    assert not left_out.is_damaged


class TestSegment:
    """``nf.segment(..., exclude=...)``."""

    def test_a_whole_number_is_rows_at_the_lower_edge(self, tiny_model):
        expected = nf.segment(IMAGE, tiny_model, device="cpu", exclude="7")
        assert (expected[-7:] == 0).all()
        for exclude in (7, np.int64(7)):
            found = nf.segment(IMAGE, tiny_model, device="cpu", exclude=exclude)
            np.testing.assert_array_equal(found, expected)

    @pytest.mark.parametrize("exclude", [True, False, np.True_, 7.5])
    def test_other_scalars_are_refused_in_words(self, tiny_model, exclude):
        with pytest.raises(ImageError, match=r"^exclude is .*It can be a mask of the size"):
            nf.segment(IMAGE, tiny_model, device="cpu", exclude=exclude)

    def test_a_mask_with_nan_is_refused(self, tiny_model):
        mask = np.zeros(IMAGE.shape, np.float32)
        mask[3, 4:6] = np.nan
        with pytest.raises(ImageError, match=r"not a number \(NaN\) in 2 pixels"):
            nf.segment(IMAGE, tiny_model, device="cpu", exclude=mask)

    def test_rows_a_mask_and_an_area_are_the_same(self, tiny_model):
        mask = np.zeros(IMAGE.shape, np.uint8)
        mask[BAR:] = 1
        area = ExcludedArea(IMAGE.shape, LOWER)
        expected = nf.segment(IMAGE[:BAR], tiny_model, device="cpu")
        for exclude in (str(ROWS - BAR), f"{BAR}:{ROWS}", area):
            found = nf.segment(IMAGE, tiny_model, device="cpu", exclude=exclude)
            np.testing.assert_array_equal(found[:BAR], expected)
            assert not found[BAR:].any()
        found = nf.segment(IMAGE, tiny_model, device="cpu", exclude=mask)
        assert not found[BAR:].any()
        assert found[:BAR].all()

    def test_it_adds_to_what_the_image_excludes_already(self, tiny_model):
        stack = MicrographStack(IMAGE, excluded=ExcludedArea(IMAGE.shape, LOWER))
        found = nf.segment(stack, tiny_model, device="cpu", exclude="0:10")
        assert not found[:10].any()
        assert found[10:BAR].all()
        assert not found[BAR:].any()

    def test_all_rows_are_refused(self, tiny_model):
        with pytest.raises(ImageError, match="All 150 rows of the image are excluded"):
            nf.segment(IMAGE, tiny_model, device="cpu", exclude="150")

    def test_values_in_the_area_need_not_be_numbers(self, tiny_model):
        image = IMAGE.astype(np.float32)
        expected = nf.segment(image, tiny_model, device="cpu", exclude="19")
        image[BAR:] = np.nan
        found = nf.segment(image, tiny_model, device="cpu", exclude="19")
        np.testing.assert_array_equal(found, expected)


def test_no_area_is_the_image_as_it_is(model):
    area = ExcludedArea(IMAGE.shape)
    stack = MicrographStack(IMAGE)
    assert replace(stack, excluded=area).used_shape == stack.used_shape == IMAGE.shape
