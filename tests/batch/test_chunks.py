"""Zarr images of which chunks are not there: nothing is measured on them without a word."""

import json

import numpy as np
import pytest
import zarr
from typer.testing import CliRunner

from napari_fractoseg import batch
from napari_fractoseg.cli.app import app
from napari_fractoseg.jobs import drain


@pytest.fixture
def image(tmp_path):
    """An image of 4 x 4 chunks."""
    levels = np.random.default_rng(0).integers(1, 255, (128, 128), dtype=np.uint8)
    zarr.create_array(tmp_path / "a.zarr", data=levels, chunks=(32, 32))
    return tmp_path / "a.zarr"


def segmented(image, model, out):
    result = CliRunner().invoke(
        app, ["segment", str(image), "-o", str(out), "--model", str(model), "--device", "cpu"]
    )
    (entry,) = json.loads((out / "run.json").read_bytes())["files"]
    return result, entry


def test_a_whole_image_needs_no_word(image, model, tmp_path):
    result, entry = segmented(image, model, tmp_path / "out")
    assert (result.exit_code, entry["status"], entry["notes"]) == (0, "done", [])


def test_chunks_that_are_missing_are_said_and_the_exit_code_is_one(image, model, tmp_path):
    for name in ("0", "1"):
        (image / "c" / "2" / name).unlink()
    result, entry = segmented(image, model, tmp_path / "out")
    assert result.exit_code == 1
    assert entry["status"] == "done in part"
    said = "2 of 16 chunks of a.zarr are not there; they are taken as grey level 0."
    assert entry["notes"][0].startswith(said)
    assert f"note: {said}" in result.stderr


def test_chunks_that_disappear_while_it_is_read_are_said(image, model, tmp_path):
    tasks = batch.plan([image], tmp_path / "out", batch.SegmentSettings(model, "cpu"))
    job = batch.run(tasks)
    next(job)
    for path in (image / "c" / "3").iterdir():
        path.unlink()
    (result,) = drain(job).results
    assert result.status == "done in part"
    assert result.notes[0].startswith("4 of 16 chunks of a.zarr were removed while it was read")


def test_python_gets_the_same_note(image, model):
    from napari_fractoseg.images import read_image
    from napari_fractoseg.inference.predictor import Predictor
    from napari_fractoseg.models.devices import choose_device
    from napari_fractoseg.models.model import SegmentationModel

    (image / "c" / "0" / "0").unlink()
    predictor = Predictor(SegmentationModel.load(model), choose_device("cpu"))
    prediction = drain(predictor.run(read_image(image)))
    assert prediction.is_partial
    assert prediction.notes[0].startswith("1 of 16 chunks of a.zarr are not there")
