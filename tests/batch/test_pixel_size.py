"""The pixel size of a SEM file goes through segmentation and measurement, with its origin."""

import json

import numpy as np
import pytest
import tifffile
import zarr

import sem_files as made
from napari_fractoseg import batch
from napari_fractoseg.images import PixelSize, read_image, sem_facts
from napari_fractoseg.jobs import drain
from napari_fractoseg.measurement.files.inputs import find_label_files
from napari_fractoseg.measurement.files.job import measure_files_job
from napari_fractoseg.results.record import read_record
from napari_fractoseg.results.tiff import tiff_job, write_tiff

ORIGIN = "FEI [EScan] PixelWidth"


def segment(folder, model, **options):
    images = folder / "images"
    images.mkdir(exist_ok=True)
    path = made.write_tiff(images / "a.tif", {made.FEI: made.FEI_TEXT})
    settings = batch.SegmentSettings(model, "cpu", **options)
    return drain(batch.run(batch.plan([path], folder / "out", settings)))


def test_labels_and_uncertainty_as_tiff_have_it_and_the_report_says_it(tmp_path, model):
    report = segment(tmp_path, model, confidence=True)
    for name in ("a_labels.tif", "a_confidence.tif"):
        stack = read_image(tmp_path / "out" / name)
        assert stack.pixel_size_um == pytest.approx(0.2, rel=1e-12)
        assert stack.pixel_size_from == ORIGIN
        with tifffile.TiffFile(tmp_path / "out" / name) as tif:
            page = tif.pages.first
            assert page.get_resolution("micrometer") == pytest.approx((5, 5), rel=1e-6)
    (entry,) = json.loads(report.paths[1].read_text())["files"]
    assert entry["pixel_size_um"] == pytest.approx(0.2)
    assert entry["pixel_size_from"] == ORIGIN
    assert read_record(tmp_path / "out" / "a_labels.tif") is not None


def test_labels_as_zarr_have_it_as_scale(tmp_path, model):
    segment(tmp_path, model, zarr=True)
    stack = read_image(tmp_path / "out" / "a_labels.zarr")
    assert stack.pixel_size_um == pytest.approx(0.2, rel=1e-12)
    assert stack.pixel_size_from == "OME-Zarr scale"


@pytest.mark.parametrize("options", [{}, {"zarr": True}])
def test_a_size_that_is_given_counts_instead_of_that_of_the_file(tmp_path, model, options):
    report = segment(tmp_path, model, pixel_size_um=0.5, **options)
    run = json.loads(report.paths[1].read_text())
    assert run["settings"]["pixel_size_um"] == 0.5
    (entry,) = run["files"]
    assert (entry["pixel_size_um"], entry["pixel_size_from"]) == (0.5, "given by hand")
    (path,) = find_label_files([tmp_path / "out"])
    assert read_image(path).pixel_size_um == 0.5
    assert read_record(path).pixel_size["from"] == "given by hand"
    found = drain(measure_files_job([path]))
    (row,) = found.files.to_dict("records")
    assert (row["pixel_size_um"], row["pixel_size_from"]) == (0.5, "given by hand")


def test_measuring_zarr_has_the_origin_of_its_scale_until_the_scale_is_changed(tmp_path, model):
    segment(tmp_path, model, zarr=True)
    path = tmp_path / "out" / "a_labels.zarr"
    (row,) = drain(measure_files_job([path])).files.to_dict("records")
    assert row["pixel_size_from"] == ORIGIN
    group = zarr.open_group(path, mode="r+")
    metadata = dict(group.attrs["ome"])
    for dataset in metadata["multiscales"][0]["datasets"]:
        dataset["coordinateTransformations"][0]["scale"] = [0.7, 0.7]
    group.attrs["ome"] = metadata
    (row,) = drain(measure_files_job([path])).files.to_dict("records")
    assert (row["pixel_size_um"], row["pixel_size_from"]) == (0.7, "OME-Zarr scale")


def test_a_run_of_an_earlier_version_without_the_option_can_be_gone_on_with(tmp_path, model):
    report = segment(tmp_path, model)
    path = report.paths[1]
    run = json.loads(path.read_text())
    del run["settings"]["pixel_size_um"]
    path.write_text(json.dumps(run))
    settings = batch.SegmentSettings(model, "cpu")
    image = tmp_path / "images" / "a.tif"
    assert batch.plan([image], tmp_path / "out", settings, resume=True) == []


def test_measuring_takes_it_from_the_labels(tmp_path, model):
    segment(tmp_path, model)
    found = drain(measure_files_job(find_label_files([tmp_path / "out"])))
    (row,) = found.files.to_dict("records")
    assert row["pixel_size_um"] == pytest.approx(0.2)
    assert row["pixel_size_from"] == ORIGIN
    assert found.measurement.fields["analysed_um2"].sum() == pytest.approx(30 * 40 * 0.04)


def test_masks_without_a_record_are_measured_with_the_size_that_they_say(tmp_path):
    mask = np.ones((30, 40), np.uint8)
    tifffile.imwrite(tmp_path / "a.ome.tif", mask, ome=True, metadata={
        "axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5})  # fmt: skip
    found = drain(measure_files_job([tmp_path / "a.ome.tif"]))
    (row,) = found.files.to_dict("records")
    assert (row["pixel_size_um"], row["pixel_size_from"]) == (0.5, "OME-TIFF PhysicalSize")


@pytest.mark.parametrize("write", [write_tiff, lambda *a, **k: drain(tiff_job(*a, **k))])
def test_pixels_that_are_not_square_keep_both_edges(tmp_path, write):
    labels = np.ones((30, 40), np.uint8)
    write(tmp_path / "a.tif", labels, pixel_size=PixelSize(0.2, 0.3, "a microscope"))
    size = sem_facts(tmp_path / "a.tif").pixel_size
    assert (size.x_um, size.y_um, size.source) == (0.2, 0.3, "a microscope")
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        assert tif.pages.first.get_resolution("micrometer") == pytest.approx((5, 10 / 3), rel=1e-6)


def test_labels_without_a_pixel_size_say_none(tmp_path):
    write_tiff(tmp_path / "a.tif", np.ones((30, 40), np.uint8))
    stack = read_image(tmp_path / "a.tif")
    assert (stack.pixel_size_um, stack.pixel_size_from) == (None, "")
