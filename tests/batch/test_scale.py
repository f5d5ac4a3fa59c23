"""The scale at which a model sees images: command line, run.json, records and blocks."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import tifffile
import zarr
from typer.testing import CliRunner

import napari_fractoseg as nf
from napari_fractoseg import batch
from napari_fractoseg.cli.app import app
from napari_fractoseg.errors import OptionError
from napari_fractoseg.jobs import drain
from napari_fractoseg.measurement.files.inputs import find_label_files
from napari_fractoseg.measurement.files.job import measure_files_job
from napari_fractoseg.models.model import SegmentationModel
from napari_fractoseg.reporting.report import Report
from napari_fractoseg.reporting.wording import methods_text
from napari_fractoseg.results.record import read_record

IMAGE = np.random.default_rng(0).integers(0, 255, (90, 130), dtype=np.uint8)


@pytest.fixture(scope="module")
def model(tiny_model, tmp_path_factory):
    """A model folder that tells the pixel size of its images."""
    folder = tmp_path_factory.mktemp("models") / "known"
    return tiny_model.with_card(pixel_size_um=0.2).save(folder)


@pytest.fixture
def images(tmp_path):
    """One image at half the pixel size of the model, one at its own, one of unknown size."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name, size_um in (("fine", 0.1), ("same", 0.2), ("unknown", None)):
        told = {} if size_um is None else {"imagej": True, "resolution": (1 / size_um,) * 2}
        about = {} if size_um is None else {"metadata": {"unit": "um"}}
        tifffile.imwrite(folder / f"{name}.tif", IMAGE, **told, **about)
    return folder


def labels_at(model, scale):
    return nf.segment(IMAGE, SegmentationModel.load(model), device="cpu", scale=scale)


def entries(report):
    return {e["file"]: e for e in json.loads(report.paths[1].read_text())["files"]}


def run(images, out, settings, **options):
    return drain(batch.run(batch.plan([images], out, settings, **options)))


def test_each_image_is_seen_by_its_pixel_size_and_the_report_says_it(images, model, tmp_path):
    report = run(images, tmp_path / "out", batch.SegmentSettings(model, "cpu"))
    found = entries(report)
    assert {name: e["scale_factor"] for name, e in found.items()} == {
        "fine.tif": 2.0,
        "same.tif": 1.0,
        "unknown.tif": 1.0,
    }
    assert found["fine.tif"]["notes"] == [
        "fine.tif: Seen at half its size, as the model learnt at 0.2 µm and this image has 0.1 µm "
        "a pixel."
    ]
    assert not found["same.tif"]["notes"]
    for name, scale in (("fine", 2), ("same", 1), ("unknown", 1)):
        path = tmp_path / "out" / f"{name}_labels.tif"
        np.testing.assert_array_equal(tifffile.imread(path), labels_at(model, scale))
        assert read_record(path).scale_factor == scale
    measured = Report.of_files(drain(measure_files_job(find_label_files([tmp_path / "out"]))))
    assert "The model saw 1 of 3 images at another scale (scale factor 2:" in methods_text(measured)


def test_blocks_of_a_zarr_are_seen_as_the_whole_image(model, tmp_path):
    path = tmp_path / "large.zarr"
    zarr.create_array(path, data=IMAGE, chunks=(64, 64))
    settings = batch.SegmentSettings(model, "cpu", scale="0.5", tile_px=32)
    (task,) = batch.plan([path], tmp_path / "out", settings)
    report = drain(batch.run([task]))
    labels = zarr.open_group(task.labels_path, mode="r")["0"][...]
    assert (labels == labels_at(model, 0.5)).mean() > 0.99  # tiles have a narrow halo
    assert entries(report)["large.zarr"]["scale_factor"] == 0.5
    assert read_record(task.labels_path).scale_factor == 0.5


def test_a_run_goes_on_only_at_its_own_scale(model, tmp_path):
    path = tmp_path / "large.zarr"
    zarr.create_array(path, data=IMAGE, chunks=(64, 64))
    settings = batch.SegmentSettings(model, "cpu", scale="0.5", tile_px=32)
    out = tmp_path / "out"
    job = batch.run(batch.plan([path], out, settings))
    for _ in range(12):
        next(job)
    job.close()
    other = replace(settings, scale="none")
    (task,) = batch.plan([path], out, other, overwrite=True)
    drain(batch.run([task]))
    labels = zarr.open_group(task.labels_path, mode="r")["0"][...]
    assert (labels == labels_at(model, 1)).mean() > 0.99
    (task,) = batch.plan([path], out, settings, overwrite=True)
    drain(batch.run([task]))
    labels = zarr.open_group(task.labels_path, mode="r")["0"][...]
    assert (labels == labels_at(model, 0.5)).mean() > 0.99


def test_the_command_line_takes_a_factor_none_and_nothing_else(images, model, tmp_path):
    words = ["segment", str(images / "fine.tif"), "--model", str(model), "--device", "cpu"]
    done = CliRunner().invoke(app, [*words, "-o", str(tmp_path / "a"), "--scale", "0.5"])
    assert done.exit_code == 0, done.output
    assert "Seen at twice its size (scale factor 0.5). Finer details" in done.output
    found = tifffile.imread(tmp_path / "a" / "fine_labels.tif")
    np.testing.assert_array_equal(found, labels_at(model, 0.5))
    done = CliRunner().invoke(app, [*words, "-o", str(tmp_path / "b"), "--scale", "none"])
    assert "Seen as it is, although the model learnt at 0.2" in done.output
    done = CliRunner().invoke(app, [*words, "-o", str(tmp_path / "c"), "--scale", "40"])
    assert done.exit_code == 2
    assert "scale is '40'" in done.output
    assert "a factor from 0.125 to 16" in done.output


def test_sizes_that_cannot_be_right_fail_with_the_option_that_helps(tiny_model, images, tmp_path):
    model = tiny_model.with_card(pixel_size_um=50.0).save(tmp_path / "model")
    report = run(images / "fine.tif", tmp_path / "out", batch.SegmentSettings(model, "cpu"))
    (failed,) = report.failed
    assert "they differ 500 times" in failed.error
    assert failed.options == ("scale=none",)


def test_a_number_is_a_choice_of_the_scale():
    assert batch.SegmentSettings(scale=2).scale == "2"
    with pytest.raises(OptionError, match="scale is 100"):
        batch.SegmentSettings(scale=100)
