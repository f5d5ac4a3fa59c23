"""An info bar is left out by whole runs, and what reads their results knows it."""

import json
from dataclasses import replace

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
import zarr

import sem_files as made
from napari_fractoseg import batch
from napari_fractoseg.audit.files import plan_files_job
from napari_fractoseg.batch.journal import journal_path
from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.errors import ImageError, OptionError
from napari_fractoseg.images import ExcludedArea, read_image
from napari_fractoseg.jobs import drain
from napari_fractoseg.measurement.facets.planes import FacetSettings
from napari_fractoseg.measurement.files.job import measure_files_job
from napari_fractoseg.results.excluded import excluded_of
from napari_fractoseg.results.label_images import read_ngff
from napari_fractoseg.results.label_writer import ZarrLabels
from napari_fractoseg.results.record import LabelRecord, read_record

SHAPE, ROWS = (90, 70), 76
FACTS = made.FEI_TEXT.replace("ResolutionX=40", "ResolutionX=70").replace(
    "ResolutionY=30", f"ResolutionY={ROWS}"
)
REASON = f"FEI ResolutionY says that the image has {ROWS} rows"


def write_image(folder, name="a.tif", facts=FACTS, shape=SHAPE):
    folder.mkdir(exist_ok=True)
    return made.write_tiff(folder / name, {made.FEI: facts}, shape=shape)


def segment(paths, out, model, *, stack=False, **options):
    settings = batch.SegmentSettings(model, "cpu", **{"tile_px": 64, **options})
    tasks = batch.plan(paths, out, settings, stack=stack)
    return tasks, drain(batch.run(tasks))


def entry_of(report):
    (entry,) = json.loads(report.paths[1].read_text())["files"]
    return entry


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("bar")


@pytest.fixture(scope="module")
def done(folder, model):
    """A TIFF that is segmented in memory."""
    path = write_image(folder / "images")
    return segment([path], folder / "out", model, confidence=True, overlay=True)


@pytest.fixture(scope="module")
def cut(folder, model, done):
    """The same image without the rows of its bar."""
    (folder / "cut").mkdir()
    whole = tifffile.imread(done[0][0].path)
    tifffile.imwrite(folder / "cut" / "c.tif", whole[:ROWS], photometric="minisblack")
    (task,), _ = segment([folder / "cut" / "c.tif"], folder / "cut_out", model, confidence=True)
    return task


def test_labels_are_those_of_the_image_that_is_cut_off_there(cut, done):
    (task,), _ = done
    for kind in ("labels", "confidence"):
        found, expected = (tifffile.imread(t.path_of(kind)) for t in (task, cut))
        np.testing.assert_array_equal(found[:ROWS], expected)
        assert not found[ROWS:].any()


def test_run_and_record_say_rows_and_why(done):
    (task,), report = done
    entry = entry_of(report)["excluded"]
    assert entry["rows"] == [[ROWS, SHAPE[0]]]
    assert REASON.split(" says")[1] in entry["source"]
    assert read_record(task.labels_path).excluded == entry
    area = excluded_of(task.labels_path, SHAPE)
    assert area.bands == ((ROWS, SHAPE[0]),)


def test_fractions_are_of_the_rest(done):
    assert done[1].fractions["fraction_of_image"].sum() == pytest.approx(1)


def test_an_overlay_shows_the_bar_as_it_is(done):
    (task,), _ = done
    picture = iio.imread(task.overlay_path())
    image = tifffile.imread(task.path)
    assert np.ptp(picture[ROWS:], axis=2).max() == 0  # grey
    assert np.corrcoef(picture[ROWS:, :, 0].ravel(), image[ROWS:].ravel())[0, 1] > 0.99


def test_blocks_into_zarr_are_the_same_with_a_mask_beside_them(folder, model, done):
    (task,), _ = done
    (other,), report = segment([task.path], folder / "zarr_out", model, zarr=True)
    expected = tifffile.imread(task.labels_path)
    group = zarr.open_group(other.labels_path, mode="r")
    np.testing.assert_array_equal(group["0"][...], expected)
    assert entry_of(report)["excluded"]["rows"] == [[ROWS, SHAPE[0]]]
    mask = read_ngff(other.labels_path / "labels" / "excluded")
    assert mask.scheme.names == ("excluded",)
    np.testing.assert_array_equal(group["labels/excluded/0"][...], np.arange(90)[:, None] >= ROWS
                                  * np.ones((1, 70)))  # fmt: skip
    assert group["labels"].attrs["ome"]["labels"] == ["excluded"]
    assert excluded_of(other.labels_path, SHAPE).bands == ((ROWS, SHAPE[0]),)
    assert read_image(other.labels_path).shape == SHAPE


def test_rows_may_be_given_or_none(folder, model):
    path = write_image(folder / "given")
    for choice, rows in (("none", []), ("20", [[70, 90]]), ("0:9", [[0, 9]])):
        (task,), report = segment(
            [path], folder / f"out_{len(choice)}{choice[0]}", model, exclude_bar=choice
        )
        labels = tifffile.imread(task.labels_path)
        expected = np.ones(90, bool)
        for first, end in rows:
            expected[first:end] = False
        np.testing.assert_array_equal(labels.any(axis=1), expected)
        assert entry_of(report)["excluded"]["rows"] == rows
        assert (read_record(task.labels_path).excluded == {}) == (not rows)


def test_wrong_rows_are_a_wrong_option(model):
    with pytest.raises(OptionError, match="exclude_bar is 'bar'. Give auto, none, a number"):
        batch.SegmentSettings(model, exclude_bar="bar")


def test_rows_that_are_all_of_the_image_fail_with_the_reason(folder, model):
    path = write_image(folder / "all")
    _, report = segment([path], folder / "out_all", model, exclude_bar="90")
    (result,) = report.failed
    assert result.error == "All 90 rows of the image are excluded. Exclude fewer rows."


def test_a_stack_of_files_leaves_out_the_same_rows_of_all(folder, model):
    images = folder / "stack"
    write_image(images, "1.tif")
    write_image(images, "2.tif", FACTS.replace(f"ResolutionY={ROWS}", "ResolutionY=80"))
    (task,), report = segment([images], folder / "stack_out", model, stack=True)
    labels = read_image(task.labels_path).data[...]
    assert labels[:, :80].all()
    assert not labels[:, 80:].any()
    assert entry_of(report)["excluded"]["rows"] == [[80, 90]]


def test_a_run_goes_on_with_the_same_rows_only(folder, model):
    path, out = write_image(folder / "resumed"), folder / "resumed_out"
    settings = batch.SegmentSettings(model, "cpu", zarr=True, tile_px=32)
    job = batch.run(batch.plan([path], out, settings))
    for _ in range(6):
        next(job)
    job.close()
    (task,) = batch.plan([path], out, settings, resume=True)
    drain(batch.run([task]))
    (whole,), _ = segment([path], folder / "whole_out", model, zarr=True, tile_px=32)
    found, expected = (zarr.open_group(t.labels_path)["0"][...] for t in (task, whole))
    np.testing.assert_array_equal(found, expected)
    assert not batch.plan([path], out, settings, resume=True)
    again = batch.plan(
        [path], out, replace(settings, exclude_bar="none"), resume=True, overwrite=True
    )
    assert len(again) == 1
    assert not journal_path(out / "run.json").exists()


class TestMeasured:
    """Results are measured without what their record leaves out."""

    def test_the_rows_are_no_part_of_the_area_and_are_told(self, done):
        (task,), _ = done
        found = drain(measure_files_job([task.labels_path], facets=FacetSettings()))
        areas = found.measurement.areas
        assert areas.excluded_px == (SHAPE[0] - ROWS) * SHAPE[1]
        assert areas.unlabelled_px == 0
        assert areas.analysed_px == ROWS * SHAPE[1]
        (row,) = found.files.to_dict("records")
        assert row["left_out"].startswith(f"rows {ROWS} to {SHAPE[0] - 1} (")

    def test_facets_at_the_bar_touch_the_border(self, cut, done):
        found, expected = (
            drain(measure_files_job([task.labels_path], facets=FacetSettings(min_area_px=1)))
            for task in (done[0][0], cut)
        )
        assert expected.facets.n_border > 0
        assert found.facets.n_border == expected.facets.n_border
        assert found.facets.n_facets == expected.facets.n_facets
        lengths = [f.boundary.drop(columns=["image"]) for f in (found, expected)]
        np.testing.assert_array_equal(*(each.select_dtypes("number") for each in lengths))

    def test_a_mask_of_the_user_is_left_out_as_well(self, folder, done):
        (task,), _ = done
        mask = np.zeros(SHAPE, np.uint8)
        mask[:10] = 1
        tifffile.imwrite(folder / "mask.tif", mask)
        found = drain(measure_files_job([task.labels_path], exclude=folder / "mask.tif"))
        assert found.measurement.areas.analysed_px == (ROWS - 10) * SHAPE[1]

    def test_fields_of_a_grid_do_not_lie_in_it(self, done):
        (task,), _ = done
        found = drain(measure_files_job([task.labels_path], fields="grid:2x2"))
        table = found.measurement.fields
        assert (table["row"] + table["height_px"]).max() == ROWS
        assert found.measurement.areas.planes_px == SHAPE[0] * SHAPE[1]
        assert found.measurement.areas.excluded_px == (SHAPE[0] - ROWS) * SHAPE[1]
        assert found.measurement.areas.left_out_px == 0

    def test_points_of_an_audit_are_not_put_there(self, done):
        (task,), _ = done
        count = drain(plan_files_job([task.labels_path], n_points=40, seed=1))
        assert count.points["row_px"].max() < ROWS
        assert count.excluded_px == (SHAPE[0] - ROWS) * SHAPE[1]


def test_a_record_that_does_not_fit_is_refused_with_the_file(folder, done):
    (task,), _ = done
    with pytest.raises(ImageError, match="a_labels.tif: the excluded area that is recorded"):
        excluded_of(task.labels_path, (50, 70))


def test_a_mask_of_any_shape_is_read_back(tmp_path):
    mask = np.zeros((2, 30, 40), bool)
    mask[1, 5:9, 7:30] = True
    area = ExcludedArea(mask.shape, ((28, 30),), mask, "by hand")
    path = tmp_path / "a_labels.zarr"
    output = ZarrLabels(path, {"shape": list(mask.shape), "dtype": "uint8"}, anew=True)
    record = LabelRecord("m", "0", "a", DEFAULT_SCHEME, excluded=area.to_dict())
    output.describe("a_labels", tmp_path / "a.tif", DEFAULT_SCHEME, None, record)
    drain(output.add_mask(area))
    output.finish()
    found = excluded_of(path, mask.shape)
    for index in ((0,), (1,)):
        np.testing.assert_array_equal(found.of_plane(index), area.of_plane(index))
    assert (found.bands, found.source) == (area.bands, "by hand")


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("zeiss_rsciio_512.tif", 350),
        ("fei_helios_navcam_blank.tif", 512),
        ("jeol_8530f_databar.tif", 960),
        ("phenom_embedded_in_elid.tif", None),
    ],
)
def test_files_of_microscopes(shared_data, model, tmp_path, name, first):
    (task,), report = segment(
        [shared_data / "sem_files" / name], tmp_path, model, tile_px=None, flips=False
    )
    labels = tifffile.imread(task.labels_path)
    rows = [] if first is None else [[first, len(labels)]]
    assert entry_of(report)["excluded"]["rows"] == rows
    assert not labels[first or len(labels) :].any()
    if "blank" not in name and first:
        assert labels[:first].all()
