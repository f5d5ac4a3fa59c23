"""Folders of trainings of the dock: what damaged ones do, and two trainings of one name."""

from __future__ import annotations

import json
import os
import re
import time

import numpy as np
import pytest

from napari_fractoseg._napari.train.painted import PaintedLayer, read_painted, write_painted
from napari_fractoseg._napari.train.request import TrainingRequest, TrainingTask
from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.datasets.supervision import Corrections
from napari_fractoseg.errors import TrainingError
from napari_fractoseg.images import MicrographStack
from napari_fractoseg.training.plan import TrainingPlan

DEEP = "[" * 100_000


def layer(name="strokes"):
    labels = np.zeros((32, 32), np.uint8)
    labels[:8], labels[8:16] = 1, 2
    stack = MicrographStack(np.zeros((32, 32), np.uint8), name="5\udcb5m")
    place = {"scale": [1.0, 1.0], "translate": [0.0, 0.0], "units": ["pixel", "pixel"]}
    return PaintedLayer(name, stack, Corrections(labels), DEFAULT_SCHEME, place)


def request(name="mine"):
    return TrainingRequest(name, TrainingPlan(), None, DEFAULT_SCHEME, (layer(),), device="cpu")


@pytest.fixture
def folder():
    """The folder of a training that was stopped when its data were saved."""
    task = TrainingTask(request())
    job = task.job()
    while not (task.folder / "training.json").exists():
        next(job)
    job.close()
    return task.folder


def test_what_was_painted_is_restored_from_an_image_whose_name_is_not_utf_8(tmp_path):
    write_painted([layer()], tmp_path)
    ((restored, checked),) = read_painted(tmp_path)
    assert restored.name == "strokes (restored)"
    np.testing.assert_array_equal(restored.data, layer().corrections.labels)
    assert checked is None


@pytest.mark.parametrize(
    "text", [DEEP, "7", "null", '[{"file": 3}]', '[{"file": "1.npz"}]', '["1.npz"]', "\xff"]
)
def test_damaged_lists_of_painted_layers_are_named(tmp_path, text):
    write_painted([layer()], tmp_path)
    (tmp_path / "painted.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(TrainingError, match=re.escape(str(tmp_path))):
        read_painted(tmp_path)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00v\x00{'descr': '|O'"])
def test_damaged_layers_are_named(tmp_path, data):
    write_painted([layer()], tmp_path)
    (tmp_path / "1.npz").write_bytes(data)
    with pytest.raises(TrainingError, match=f"{tmp_path} cannot be restored"):
        read_painted(tmp_path)


def test_layers_elsewhere_are_not_read(tmp_path):
    write_painted([layer()], tmp_path / "other")
    write_painted([], tmp_path / "mine")
    index = json.loads((tmp_path / "other" / "painted.json").read_text())
    index[0]["file"] = "../other/1.npz"
    (tmp_path / "mine" / "painted.json").write_text(json.dumps(index))
    with pytest.raises(TrainingError, match="mine cannot be restored: No such file"):
        read_painted(tmp_path / "mine")


@pytest.mark.parametrize("file", ["training.json", "plan.json"])
@pytest.mark.parametrize("text", [DEEP, "7", "{}x", '{"name": 3}', "\xff"])
def test_damaged_records_are_named(folder, file, text):
    (folder / file).write_bytes(text.encode("latin-1"))
    with pytest.raises(TrainingError, match=re.escape(str(folder))):
        TrainingTask.resume(folder)


def test_a_second_training_of_the_name_is_refused_before_it_begins(folder):
    first, second = TrainingTask(request()), TrainingTask(request())
    job = first.job()
    next(job)
    with pytest.raises(TrainingError, match="that will write .*mine is going on"):
        next(second.job())
    assert not second.folder.exists()
    job.close()
    next(second.job())


def test_what_killed_trainings_left_is_swept_a_day_later(folder):
    old, young = (folder / f".checkpoint-{n}-draft" for n in ("0123abcd", "89abcdef"))
    for draft in (old, young):
        draft.mkdir()
    yesterday = time.time() - 25 * 3600
    os.utime(old, (yesterday, yesterday))
    job = TrainingTask(request()).job()
    next(job)
    job.close()
    assert not old.exists()
    assert young.exists()
