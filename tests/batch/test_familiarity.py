"""What reports and labels say of images that look unlike what the model learnt."""

import concurrent.futures
import json

import imageio.v3 as iio
import numpy as np
import pandas as pd
import pytest
import tifffile
import zarr

from napari_fractoseg import batch
from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.datasets.dataset import TrainingPair, TrainingSet
from napari_fractoseg.images import Micrograph
from napari_fractoseg.jobs import drain
from napari_fractoseg.measurement.files.job import measure_files_job
from napari_fractoseg.models.devices import choose_device
from napari_fractoseg.reporting.report import Report
from napari_fractoseg.results.record import read_record
from napari_fractoseg.training.familiarity import familiarity_job


def noise(seed, *shape):
    return np.random.default_rng(seed).integers(0, 255, shape).astype(np.uint8)


def stripes(*shape):
    grey = 120 + 100 * np.sin(np.arange(shape[-1]) * 2 * np.pi / 9)
    return np.broadcast_to(grey, shape).astype(np.uint8)


@pytest.fixture(scope="module")
def knowing(tiny_model, tmp_path_factory):
    """A model folder whose training images were noise."""
    images = [Micrograph(noise(n, 320, 320), name=f"noise {n}") for n in range(5)]
    labels = np.ones((320, 320), np.uint8)
    taught = TrainingSet(tuple(TrainingPair(i, labels) for i in images), DEFAULT_SCHEME)
    model = tiny_model.with_familiarity(
        drain(familiarity_job(tiny_model, taught, choose_device("cpu")))
    )
    return model.save(tmp_path_factory.mktemp("models") / "knowing")


def segment(inputs, out, model, **options):
    settings = batch.SegmentSettings(model, "cpu", **options)
    return drain(batch.run(batch.plan([inputs], out, settings)))


def test_report_and_labels_say_it(knowing, tmp_path):
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    iio.imwrite(inputs / "alike.png", noise(9, 320, 320))
    iio.imwrite(inputs / "other.png", stripes(320, 320))
    iio.imwrite(inputs / "blank.png", np.full((320, 320), 7, np.uint8))
    out = tmp_path / "out"
    segment(inputs, out, knowing)
    files = {f["file"]: f for f in json.loads((out / "run.json").read_text())["files"]}
    (entry,) = files["other.png"]["familiarity"]
    assert entry["plane"] == "0"
    assert entry["unlike"] == 1
    assert entry["score"] > entry["limit"]
    (sentence,) = files["other.png"]["notes"]
    assert sentence.startswith("other.png: This surface looks unlike what the model learnt (")
    assert files["alike.png"]["notes"] == []
    assert files["alike.png"]["familiarity"][0]["unlike"] == 0
    assert files["blank.png"]["familiarity"] == []
    assert "all grey levels are 7" in files["blank.png"]["notes"][0]
    table = pd.read_csv(out / "fractions.csv", keep_default_na=False).drop_duplicates("file")
    table = table.set_index("file")
    assert float(table.familiarity["other.png"]) == entry["score"]
    assert table.note["other.png"] in sentence
    assert (table.familiarity["blank.png"], table.note["alike.png"]) == ("", "")
    record = read_record(out / "other_labels.tif")
    assert record.familiarity == entry["score"]
    assert record.familiarity_limit == entry["limit"]
    assert sentence.endswith(record.unlike)
    assert read_record(out / "alike_labels.tif").unlike == ""


def test_what_is_measured_from_such_labels_says_it(knowing, tmp_path):
    iio.imwrite(tmp_path / "other.png", stripes(320, 320))
    segment(tmp_path / "other.png", tmp_path / "out", knowing)
    measured = drain(measure_files_job([tmp_path / "out" / "other_labels.tif"]))
    (caveat,) = [c for c in measured.measurement.caveats if "unlike what the model" in c]
    assert caveat.startswith("This surface looks unlike what the model learnt (")
    assert caveat in Report.of_files(measured).caveats


def test_planes_of_a_stack_are_named(knowing, tmp_path):
    planes = np.stack([noise(9, 320, 320), stripes(320, 320), noise(9, 320, 320)])
    tifffile.imwrite(tmp_path / "stack.tif", planes, photometric="minisblack")
    report = segment(tmp_path / "stack.tif", tmp_path / "out", knowing)
    (result,) = report.results
    assert [entry["unlike"] for entry in result.familiarity] == [0, 1, 0]
    assert result.notes[0].startswith("stack.tif: Plane 2 looks unlike what the model learnt (")


@pytest.mark.parametrize("workers", [False, True])
def test_images_on_disk_are_looked_at_too(knowing, tmp_path, workers):
    planes = np.stack([noise(9, 320, 320), stripes(320, 320)])
    zarr.create_array(tmp_path / "stack.zarr", data=planes, dimension_names=("z", "y", "x"))
    settings = batch.SegmentSettings(knowing, "cpu")
    tasks = batch.plan([tmp_path / "stack.zarr"], tmp_path / "out", settings)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        (result,) = drain(batch.run(tasks, pool if workers else None)).results
    assert [entry["unlike"] for entry in result.familiarity] == [0, 1]
    record = read_record(tmp_path / "out" / "stack_labels.zarr")
    assert record.unlike.startswith("Plane 2 looks unlike what the model learnt (")


def test_it_can_be_switched_off(knowing, tmp_path):
    iio.imwrite(tmp_path / "other.png", stripes(320, 320))
    (result,) = segment(
        tmp_path / "other.png", tmp_path / "out", knowing, familiarity=False
    ).results
    assert (result.familiarity, result.untold, result.notes) == ((), "", ())


@pytest.mark.parametrize("kind", ["tiff", "zarr"])
def test_that_a_model_does_not_know_is_said_with_the_numbers(model, tmp_path, kind):
    name = f"other_labels.{'tif' if kind == 'tiff' else 'zarr'}"
    iio.imwrite(tmp_path / "other.png", stripes(320, 320))
    out = tmp_path / "out"
    (result,) = segment(tmp_path / "other.png", out, model, zarr=kind == "zarr").results
    assert (result.status, result.familiarity, result.notes) == ("done", (), ())
    sentence = (
        "Whether it looks like what the model learnt is not known: the model has no statistics of "
        "its training images. Check some points."
    )
    (file,) = json.loads((out / "run.json").read_text())["files"]
    assert file["untold"] == result.untold == sentence
    assert set(pd.read_csv(out / "fractions.csv").note) == {sentence}
    assert read_record(out / name).untold == sentence
    measured = drain(measure_files_job([out / name]))
    assert sentence in measured.measurement.caveats


def test_an_image_that_is_too_small_is_said(knowing, tmp_path):
    iio.imwrite(tmp_path / "small.png", noise(9, 80, 320))
    (result,) = segment(tmp_path / "small.png", tmp_path / "out", knowing).results
    assert "is not known: the image is too small, or too much is excluded." in result.untold
