"""What the worker leaves: nothing is copied or moved in the window's thread afterwards."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
import zarr

from napari_fractoseg._napari.segment.request import Request, Segmentation
from napari_fractoseg.errors import OutOfMemoryError
from napari_fractoseg.images import MicrographStack
from napari_fractoseg.jobs import drain
from napari_fractoseg.models.card import ModelCard
from napari_fractoseg.models.registry import ModelEntry


@pytest.fixture
def request_for(tiny_folder, noise):
    entry = ModelEntry("tiny", tiny_folder, ModelCard.read(tiny_folder), is_bundled=False)

    def make(n_planes, folder=None):
        image = MicrographStack(noise(n_planes, 64, 64), name="z")
        return Request(image, entry, tuple(image.indices()), "cpu", tile_px=64, folder=folder)

    return make


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    return folder


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def until_a_plane_is_done(task):
    job = task.job()
    while not task.record.finished:
        next(job)
    return job


def run_out(module, inputs):
    if isinstance(inputs[0], torch.Tensor) and not inputs[0].is_meta:  # loading looks at shapes
        raise torch.OutOfMemoryError("CUDA out of memory")


def test_the_job_puts_labels_in_their_place(request_for, folder):
    task = Segmentation(request_for(2, folder))
    drain(task.job())
    assert names(folder) == ["z_labels.zarr"]
    saved = zarr.open_group(folder / "z_labels.zarr", mode="r")
    np.testing.assert_array_equal(saved["0"][...], task.labels[...])
    assert saved["0"][...].all()
    assert saved.attrs["fractoseg"]["planes"] == "all"


def test_a_job_that_is_stopped_puts_what_is_finished_in_its_place(request_for, folder):
    task = Segmentation(request_for(4, folder))
    until_a_plane_is_done(task).close()
    assert names(folder) == ["z_labels.zarr"]
    assert task.labels[0].all()
    assert not task.labels[3].any()
    task.labels[0, :2, :2] = 3  # it can be painted on
    assert (zarr.open_group(folder / "z_labels.zarr", mode="r")["0"][0, :2, :2] == 3).all()


def test_the_job_keeps_what_the_model_said(request_for):
    task = Segmentation(request_for(2))
    drain(task.job())
    assert task.labels.all()
    said = task.labels.copy()
    task.labels[...] = 0
    np.testing.assert_array_equal(task.arrays.predicted, said)


def test_a_job_that_wrote_nothing_leaves_nothing(request_for, folder):
    hook = torch.nn.modules.module.register_module_forward_pre_hook(run_out)
    try:
        with pytest.raises(OutOfMemoryError):
            drain(Segmentation(request_for(2, folder)).job())
    finally:
        hook.remove()
    assert names(folder) == []


def test_where_memory_ran_out_that_is_said_also_if_nothing_can_be_saved(request_for, folder):
    task = Segmentation(request_for(4, folder))
    job = until_a_plane_is_done(task)
    shutil.rmtree(folder / ".z_labels.zarr.part")  # such as a drive that was unplugged
    hook = torch.nn.modules.module.register_module_forward_pre_hook(run_out)
    try:
        with pytest.raises(OutOfMemoryError, match="ran out of memory") as caught:
            drain(job)
    finally:
        hook.remove()
    (note,) = caught.value.__notes__
    assert f"{folder}: the result cannot be written there" in note
