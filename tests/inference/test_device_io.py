"""What a GPU has of its own, without one: write-behind, prefetched planes, tables, devices."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from napari_fractoseg.images import Micrograph, MicrographStack
from napari_fractoseg.inference.device_io import (
    CudaTransfers,
    Transfers,
    WriteBehind,
    prefetched,
    transfers_for,
)
from napari_fractoseg.inference.multiscale import PlaneWindows
from napari_fractoseg.inference.predictor import Predictor
from napari_fractoseg.inference.result import RunRecord
from napari_fractoseg.jobs import drain
from napari_fractoseg.models.devices import Device, choose_device
from napari_fractoseg.results.journal import TileJournal
from napari_fractoseg.tiling import Tiler

CPU = choose_device("cpu")
RANDOM = np.random.default_rng(0)
STACK = RANDOM.integers(0, 255, (5, 150, 210), dtype=np.uint8)


class LateTransfers(Transfers):
    """The way of a GPU, on the CPU: results are there when they are asked for."""

    n_in_flight = 3
    by_table = True

    def from_device(self, tensor):
        return lambda: tensor.cpu().numpy()


class MetaTransfers(LateTransfers):
    """To a device of PyTorch that computes shapes only, and refuses tensors of others."""

    def to_device(self, array):
        return torch.from_numpy(array).to("meta")

    def from_device(self, tensor):
        assert tensor.device.type == "meta"
        return lambda: torch.zeros(tensor.shape, dtype=tensor.dtype).numpy()


def predictors(model, transfers, **options):
    """One that is as usual, and one whose results come late."""
    options = {"tile_px": 64, "with_confidence": True, "with_margin": True, **options}
    usual, late = Predictor(model, CPU, **options), Predictor(model, CPU, **options)
    late.engine.transfers = transfers
    return usual, late


@pytest.mark.parametrize("dtype", ["u1", ">u2", "<i2", "f4"])
def test_late_results_are_the_same(tiny_model, dtype):
    stack = MicrographStack(STACK[:2].astype(dtype) - (100 if dtype == "<i2" else 0))
    usual, late = predictors(tiny_model, LateTransfers())
    expected, found = drain(usual.run(stack)), drain(late.run(stack))
    np.testing.assert_array_equal(found.labels, expected.labels)
    np.testing.assert_array_equal(found.confidence, expected.confidence)
    np.testing.assert_array_equal(found.margin, expected.margin)
    assert (found.labels > 0).all()


def test_a_plane_that_shows_nothing_is_left_out_of_late_results_too(tiny_model):
    planes = STACK.copy()
    planes[2] = 7
    _, late = predictors(tiny_model, LateTransfers())
    record, labels = RunRecord(), np.zeros(planes.shape, np.uint8)
    drain(late.run_into(MicrographStack(planes), labels, record=record))
    assert record.finished == [(0,), (1,), (3,), (4,)]
    assert [*record.left_out] == [(2,)]
    assert [bool(plane.any()) for plane in labels] == [True, True, False, True, True]


def test_what_was_computed_when_a_run_is_stopped_is_written(tiny_model, tmp_path):
    _, late = predictors(tiny_model, LateTransfers())
    record, labels = RunRecord(), np.zeros(STACK.shape, np.uint8)
    journal = TileJournal(tmp_path / "journal")
    job = late.run_into(MicrographStack(STACK), labels, record=record, journal=journal)
    while len(journal) < 2:  # the tiles that wait are not in it
        next(job)
    waiting = np.count_nonzero(labels)
    job.close()
    assert np.count_nonzero(labels) > waiting
    assert len(journal) == record.n_tiles == 5
    assert np.count_nonzero(labels) <= 5 * 64 * 64


def test_nothing_is_left_behind_on_the_cpu(tiny_model):
    """A run on a device of its own fails where a tensor of the CPU is used with one there."""
    meta = Device("meta", "a device without numbers")
    options = {"with_confidence": True, "with_margin": True, "flips": True}
    predictor = Predictor(tiny_model, meta, tile_px=128, **options)
    predictor.engine.transfers = MetaTransfers()
    for dtype in (np.uint8, np.float32):
        drain(predictor.run(MicrographStack(STACK.astype(dtype)[:2])))


@pytest.mark.parametrize("dtype", ["u1", "i1", "<u2", ">u2", "<i2", ">i2", "<u4", "f4"])
def test_windows_by_table_are_the_same(dtype):
    image = RANDOM.integers(0, 255, (70, 90)).astype(dtype)
    plane = Micrograph(image)
    tiles = list(Tiler(64, 32, 16).tiles(plane.shape))
    for reduction in (1, 2):
        for tile in tiles:
            usual = PlaneWindows(plane, Transfers()).of([tile], reduction)
            by_table = PlaneWindows(plane, LateTransfers()).of([tile], reduction)
            assert torch.equal(usual, by_table)


def test_where_the_fast_way_does_not_work_the_usual_one_is_taken_and_that_is_said(caplog):
    nowhere = torch.device("cuda", 99)
    assert type(transfers_for(nowhere)) is Transfers
    assert "No pinned memory for cuda:99" in caplog.text


@pytest.mark.gpu
def test_arrays_go_to_the_gpu_and_come_back():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    transfers = transfers_for(torch.device("cuda", torch.cuda.device_count() - 1))
    assert type(transfers) is CudaTransfers
    sent = [RANDOM.integers(0, 9, (700, 900), dtype=np.uint16) for _ in range(5)]
    coming = [transfers.from_device(transfers.to_device(array)) for array in sent]
    for array, fetched in zip(sent, coming, strict=True):
        np.testing.assert_array_equal(fetched(), array)


def test_results_wait_for_later_ones():
    delivered = []
    write_behind = WriteBehind(2)
    for number in range(4):
        write_behind.send(lambda number=number: delivered.append(number))
        write_behind.note(lambda number=number: delivered.append(f"note {number}"))
    assert delivered == [0, "note 0", 1, "note 1"]  # notes take no place of a result
    write_behind.close()
    assert delivered[4:] == [2, "note 2", 3, "note 3"]
    write_behind.note(lambda: delivered.append("at once"))
    assert delivered[-1] == "at once"


@pytest.mark.parametrize("n_prefetched", [0, 1, 3, 10])
def test_what_is_prefetched_comes_in_order(n_prefetched):
    assert list(prefetched(lambda n: n * n, range(7), n_prefetched)) == [n * n for n in range(7)]


def test_the_next_ones_are_made_while_one_is_used():
    is_next_made = threading.Event()

    def make(number):
        if number == 1:
            is_next_made.set()
        return number

    made = prefetched(make, range(3), 1)
    assert next(made) == 0
    assert is_next_made.wait(10)
    made.close()


def test_an_error_is_raised_at_its_turn_and_no_more_is_made():
    made = []

    def make(number):
        if number == 2:
            raise ValueError("number 2")
        made.append(number)
        return number

    found = prefetched(make, range(1000), 2)
    assert [next(found), next(found)] == [0, 1]
    with pytest.raises(ValueError, match="number 2"):
        next(found)
    assert len(made) < 10
