"""Labels that are written with their parts are the same when they are read again."""

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_fractoseg.classes import DEFAULT_SCHEME, ClassScheme, FractureClass
from napari_fractoseg.images import ExcludedArea, read_image
from napari_fractoseg.images.calibration import PixelSize
from napari_fractoseg.jobs import drain
from napari_fractoseg.results.excluded import excluded_of
from napari_fractoseg.results.parts import CHECKED, FIRST_ANSWER, part_of
from napari_fractoseg.results.record import (
    LabelRecord,
    labels_digest,
    read_entries,
    read_record,
    recorded_scheme,
)
from napari_fractoseg.results.saved import SavedLabels, write_labels_job

SHAPES = st.sampled_from([(5, 7), (3, 5, 7), (1, 5, 7), (2, 3, 5, 7), (5, 1)])
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=12)


def labels_of(shape):
    return hnp.arrays(np.uint8, shape, elements=st.integers(0, 3))


@st.composite
def saved_labels(draw):
    shape = draw(SHAPES)
    labels, predicted, first = (draw(labels_of(shape)) for _ in range(3))
    checked = draw(hnp.arrays(np.uint8, shape, elements=st.integers(0, 1)))
    record = LabelRecord("m", "0123", draw(NAMES), DEFAULT_SCHEME, labels_digest(predicted))
    mask = draw(hnp.arrays(np.bool_, shape[-2:]))
    return SavedLabels(
        labels,
        DEFAULT_SCHEME,
        record.image,
        draw(st.sampled_from([record, None])),
        {"is_truth": draw(st.booleans()), "note": draw(NAMES)},
        {"predicted": predicted, FIRST_ANSWER: first, CHECKED: checked},
        draw(st.sampled_from([None, ExcludedArea(shape, mask=mask, source="drawn")])),
        PixelSize(0.25, 0.5, "Zeiss"),
    )


@pytest.mark.parametrize("suffix", [".tif", ".zarr"])
@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(saved=saved_labels())
def test_all_of_it_comes_back(tmp_path_factory, suffix, saved):
    path = tmp_path_factory.mktemp("saved") / f"a_labels{suffix}"
    drain(write_labels_job(path, saved, path.parent / "a.png"))
    read = np.asarray(read_image(path, rgb=False).data)
    np.testing.assert_array_equal(read.reshape(saved.labels.shape), saved.labels)
    for name, values in saved.parts.items():
        np.testing.assert_array_equal(part_of(path, name)[...].reshape(values.shape), values)
    assert recorded_scheme(path) == DEFAULT_SCHEME
    entries = read_entries(path)
    assert {k: entries[k] for k in saved.entries} == dict(saved.entries)
    expected = None if saved.record is None else saved.record.labels_sha256
    assert getattr(read_record(path), "labels_sha256", None) == expected
    area = excluded_of(path, saved.labels.shape)
    if saved.excluded is None:
        assert area is None
    else:
        now = np.zeros(saved.labels.shape[-2:], bool)
        if area is not None:
            now = area.same_on_all_planes().of_plane()[...]
        np.testing.assert_array_equal(now, saved.excluded.of_plane()[...])


def write(tmp_path, **parts):
    path = tmp_path / "a_labels.tif"
    labels = np.array([[1, 2, 3, 0]] * 6, np.uint8)
    saved = SavedLabels(labels, DEFAULT_SCHEME, "a", parts=parts, pixel_size=PixelSize(0.5, 0.5))
    drain(write_labels_job(path, saved, tmp_path / "a.png"))
    return path


def test_other_programs_find_labels_axes_and_pixel_size(tmp_path):
    path = write(tmp_path)
    with tifffile.TiffFile(path) as tif:
        assert (tif.is_ome, tif.series[0].axes, tif.series[0].dtype) == (True, "YX", np.uint32)
        assert 'PhysicalSizeX="0.5" PhysicalSizeXUnit="µm"' in tif.ome_metadata


@pytest.mark.parametrize("what", ["changed", "gone", "elsewhere", "damaged"])
def test_a_part_that_is_another_one_now_is_none(tmp_path, what):
    path = write(tmp_path, predicted=np.ones((6, 4), np.uint8))
    part = tmp_path / "a_predicted.tif"
    assert part_of(path, "predicted") is not None
    if what == "changed":
        tifffile.imwrite(part, np.full((6, 4), 2, np.uint8))
    elif what == "damaged":
        part.write_bytes(part.read_bytes()[:40])
    elif what == "gone":
        part.unlink()
    else:
        (tmp_path / "other").mkdir()
        path = path.rename(tmp_path / "other" / path.name)
    assert part_of(path, "predicted") is None
    assert recorded_scheme(path) == DEFAULT_SCHEME


def test_classes_of_labels_without_a_model(tmp_path):
    own = ClassScheme("mine", (FractureClass(7, "Grübchen <b> & Co", "#ff9f1c"),))
    path = tmp_path / "a_labels.tif"
    saved = SavedLabels(np.full((3, 4), 7, np.uint8), own, "a")
    drain(write_labels_job(path, saved, tmp_path / "a.png"))
    assert recorded_scheme(path) == own
    assert read_record(path) is None
