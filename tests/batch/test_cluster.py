"""Processes of Dask: the same result as in one process, also when one of them is killed."""

from __future__ import annotations

import concurrent.futures
import os
import shutil
import signal
from contextlib import closing
from dataclasses import replace

import distributed
import numpy as np
import pytest
import torch
import zarr

from napari_fractoseg import batch
from napari_fractoseg.batch.cluster import dask_workers, local_workers
from napari_fractoseg.batch.executors import Unit, Units, result_of, work_through
from napari_fractoseg.errors import ClusterError
from napari_fractoseg.jobs import drain
from napari_fractoseg.models.card import Inference

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # sockets of killed processes
]

SHAPE = (2, 1200, 1100)
"""Four blocks a plane: they begin at multiples of 1024 px with the model here."""


@pytest.fixture(scope="module")
def settings(tiny_model, tmp_path_factory):
    inference = Inference(reductions=(1, 2), halo_px=64)
    folder = tiny_model.with_card(inference=inference).save(tmp_path_factory.mktemp("m") / "model")
    return batch.SegmentSettings(folder, device="cpu", tile_px=512, confidence=True, flips=False)


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    data = np.random.default_rng(0).integers(0, 255, SHAPE, dtype=np.uint8)
    data[1, 700:] //= 3  # each plane has levels of its own
    path = tmp_path_factory.mktemp("image") / "stack.zarr"
    zarr.create_array(path, data=data, chunks=(1, 512, 512), dimension_names=("z", "y", "x"))
    return path


@pytest.fixture(scope="module")
def workers():
    with local_workers(2) as two:
        yield two


@pytest.fixture(scope="module")
def expected(image, settings, workers, tmp_path_factory):
    """Labels and confidence of one process that has as many threads as one of the two.

    Sums depend on the number of threads in their last digit.
    """
    out, before = tmp_path_factory.mktemp("one"), torch.get_num_threads()
    (n_threads,) = set(distributed.get_client().nthreads().values())
    torch.set_num_threads(n_threads)
    drain(batch.run(batch.plan([image], out, settings)))
    torch.set_num_threads(before)
    return results(out)


def results(out):
    return [
        zarr.open_group(out / f"stack_{kind}.zarr", mode="r")["0"][...]
        for kind in ("labels", "confidence")
    ]


def assert_same(found, expected):
    for array, wanted in zip(found, expected, strict=True):
        np.testing.assert_array_equal(array, wanted)


def processes():
    """Return the process of each worker."""
    return distributed.get_client().run(os.getpid)


def test_two_processes_write_what_one_does(image, settings, expected, workers, tmp_path):
    tasks = batch.plan([image], tmp_path / "two", settings)
    seen = [(p.done, p.total) for p in batch.run(tasks, workers)]
    assert seen == sorted(seen)
    assert_same(results(tmp_path / "two"), expected)


def test_a_worker_that_is_killed_costs_nothing_but_time(
    image, settings, expected, workers, tmp_path
):
    out, killed = tmp_path / "two", 0
    journals = out / ".stack_labels.zarr.part" / "journals"
    for _ in batch.run(batch.plan([image], out, settings), workers):
        if not killed and journals.is_dir() and any(p.stat().st_size for p in journals.iterdir()):
            killed = next(iter(processes().values()))
            os.kill(killed, signal.SIGTERM if os.name == "nt" else signal.SIGKILL)
    assert killed
    assert_same(results(out), expected)


def test_a_scheduler_elsewhere_is_used_and_files_are_spread(settings, workers, tmp_path):
    """Two ordinary images and a zarr, one of whose planes shows nothing."""
    import imageio.v3 as iio

    images = tmp_path / "images"
    images.mkdir()
    noise = np.random.default_rng(1).integers(0, 255, (2, 90, 120), dtype=np.uint8)
    for name, plane in zip("ab", noise, strict=True):
        iio.imwrite(images / f"{name}.png", plane)
    noise[1] = 9
    zarr.create_array(images / "c.zarr", data=noise, dimension_names=("z", "y", "x"))
    here = drain(batch.run(batch.plan([images], tmp_path / "here", settings)))
    address = distributed.get_client().scheduler.address
    with dask_workers(address) as two:
        assert two.count() == 2
        there = drain(batch.run(batch.plan([images], tmp_path / "there", settings), two))
    assert [r.status for r in there.results] == ["done"] * 3
    assert there.fractions.equals(here.fractions)
    assert there.results[2].notes == here.results[2].notes
    assert "plane 2 of 2" in there.results[2].notes[0]


def test_tiles_are_chosen_for_the_workers(image, settings, workers, tmp_path):
    tasks = batch.plan([image], tmp_path / "two", replace(settings, tile_px=None, confidence=False))
    report = drain(batch.run(tasks, workers))
    assert report.results[0].status == "done"
    assert report.results[0].tile_px >= 1024


def test_a_block_that_fails_is_the_image_that_failed(image, settings, workers, tmp_path):
    image = shutil.copytree(image, tmp_path / "stack.zarr")
    tasks = batch.plan([image], tmp_path / "two", settings)
    job = batch.run(tasks, workers)
    next(job)
    chunk = image / "c" / "1" / "0" / "0"
    assert chunk.is_file()
    chunk.write_bytes(b"damaged")
    report = drain(job)
    assert report.results[0].status == "failed"
    assert not (tmp_path / "two" / "stack_labels.zarr").exists()


def test_without_a_scheduler_the_error_says_how_to_start_one(monkeypatch):
    from napari_fractoseg.batch import cluster

    monkeypatch.setattr(cluster, "_CONNECT_S", 1)
    with (
        pytest.raises(
            ClusterError, match=r"no Dask scheduler at tcp://127.0.0.1:9.*dask scheduler"
        ),
        dask_workers("tcp://127.0.0.1:9"),
    ):
        pass


def test_workers_that_die_again_and_again_are_a_memory_problem(settings, workers, tmp_path):
    units = Units([Unit(os._exit, (1,))])
    with closing(work_through(workers, units)) as finished:
        _, future = next(item for item in finished if item is not None)
    with pytest.raises(ClusterError, match="memory was full.*smaller tiles") as caught:
        result_of(future)
    assert caught.value.options == ("max_memory_gb", "tile_px")


def test_work_that_was_dropped_is_said():
    future = concurrent.futures.Future()
    future.cancel()
    with pytest.raises(ClusterError, match="scheduler was stopped or restarted"):
        result_of(future)
