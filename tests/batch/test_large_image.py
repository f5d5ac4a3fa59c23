"""Zarr in, zarr out: the result, its metadata, and what a killed run leaves."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from itertools import pairwise

import imageio.v3 as iio
import numpy as np
import pandas as pd
import pytest
import tifffile
import zarr
from filelock import BaseFileLock

import napari_fractoseg as nf
from napari_fractoseg import batch
from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.errors import OutputExistsError
from napari_fractoseg.images import read_image, tiff_description
from napari_fractoseg.images.calibration.written import own_entries
from napari_fractoseg.inference.predictor import Predictor
from napari_fractoseg.jobs import drain
from napari_fractoseg.models.card import Inference
from napari_fractoseg.models.devices import choose_device
from napari_fractoseg.results.record import labels_digest, read_record
from napari_fractoseg.results.tiff import tiff_job

SHAPE = (2, 150, 260)


@pytest.fixture(scope="module")
def model(tiny_model, tmp_path_factory):
    inference = Inference(reductions=(1, 2), halo_px=64, flips=False)
    folder = tmp_path_factory.mktemp("models") / "model"
    return tiny_model.with_card(inference=inference).save(folder)


@pytest.fixture
def image(tmp_path):
    """A stack of two planes as OME-Zarr would have it, without its metadata."""
    data = np.random.default_rng(0).integers(0, 255, SHAPE, dtype=np.uint8)
    path = tmp_path / "stack.zarr"
    zarr.create_array(path, data=data, chunks=(1, 128, 128), dimension_names=("z", "y", "x"))
    return path


@pytest.fixture
def settings(model):
    return batch.SegmentSettings(model, device="cpu", tile_px=64)


def segment(image, out, settings, **options):
    (task,) = batch.plan([image], out, settings, **options)
    return task, drain(batch.run([task]))


def stop_after(steps, image, out, settings):
    """Begin to segment, and stop."""
    job = batch.run(batch.plan([image], out, settings))
    for _ in range(steps):
        next(job)
    job.close()


def labels_of(path):
    return zarr.open_group(path, mode="r")["0"][...]


@pytest.mark.slow
def test_the_labels_are_those_of_the_array(image, settings, tmp_path):
    task, report = segment(image, tmp_path / "out", replace(settings, confidence=True))
    labels = labels_of(task.labels_path)
    model = nf.load_model(settings.model)
    predictor = Predictor(model, choose_device("cpu"), tile_px=64)
    expected = drain(predictor.run(read_image(image))).labels
    np.testing.assert_array_equal(labels, expected)
    record = read_record(task.labels_path)
    assert record.labels_sha256 == labels_digest(expected)
    assert (record.model_name, record.model_digest) == (model.card.name, model.digest)
    assert read_record(task.path_of("confidence")) is None
    confidence = labels_of(task.path_of("confidence"))
    assert confidence.dtype == np.float32
    assert (confidence > 0.3).all()
    table = pd.read_csv(tmp_path / "out" / "fractions.csv")
    counts = [int((labels[plane] == value).sum()) for plane in (0, 1) for value in (1, 2, 3)]
    assert table.area_px.tolist() == counts
    assert report.results[0].outputs == ("stack_labels.zarr", "stack_confidence.zarr")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "fractions.csv", "run.json", "stack_confidence.zarr", "stack_labels.zarr",
    ]  # fmt: skip


def test_the_result_is_an_ome_zarr_label_image(image, settings, tmp_path):
    task, _ = segment(image, tmp_path / "out", replace(settings, palette="colour-blind-safe"))
    metadata = zarr.open_group(task.labels_path, mode="r").attrs["ome"]
    assert metadata["version"] == "0.5"
    (scales,) = metadata["multiscales"]
    assert [axis["name"] for axis in scales["axes"]] == ["z", "y", "x"]
    assert scales["datasets"][0]["path"] == "0"
    label = metadata["image-label"]
    scheme = nf.load_model(settings.model).card.scheme.with_palette("colour-blind-safe")
    assert [c["label-value"] for c in label["colors"]] == [1, 2, 3]
    assert label["colors"][0]["rgba"] == [*bytes.fromhex(scheme.classes[0].color[1:7]), 255]
    assert label["colors"][2]["rgba"][3] == 0  # background is transparent
    assert [p["class"] for p in label["properties"]] == list(scheme.names)
    assert (task.labels_path / label["source"]["image"]).resolve() == image


def test_two_leading_axes_are_time_and_depth(settings, tmp_path):
    data = np.random.default_rng(0).integers(0, 255, (2, 2, 40, 50), dtype=np.uint8)
    zarr.create_array(tmp_path / "stacks.zarr", data=data, dimension_names=("t", "z", "y", "x"))
    task, _ = segment(tmp_path / "stacks.zarr", tmp_path / "out", settings)
    (scales,) = zarr.open_group(task.labels_path, mode="r").attrs["ome"]["multiscales"]
    kinds = [(axis["name"], axis["type"]) for axis in scales["axes"]]
    assert kinds == [("t", "time"), ("z", "space"), ("y", "space"), ("x", "space")]


def test_the_axes_of_the_labels_are_those_of_the_image(settings, tmp_path):
    data = np.random.default_rng(0).integers(0, 255, (2, 3, 40, 50), dtype=np.uint8)
    group = zarr.create_group(tmp_path / "series.zarr")
    group.create_array("full", data=data[:, :, None], chunks=(1, 1, 1, 40, 50))
    space = {"type": "space", "unit": "nanometer"}
    axes = [
        {"name": "time", "type": "time", "unit": "second"},
        {"name": "depth", "type": "space", "unit": "micrometer"},
        {"name": "c", "type": "channel"},
        {"name": "y", **space},
        {"name": "x", **space},
    ]
    scale = [{"type": "scale", "scale": [60, 0.5, 1, 20, 20]}]
    datasets = [{"path": "full", "coordinateTransformations": scale}]
    group.attrs["ome"] = {
        "version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}],
    }  # fmt: skip
    task, _ = segment(tmp_path / "series.zarr", tmp_path / "out", settings)
    result = zarr.open_group(task.labels_path, mode="r")
    (scales,) = result.attrs["ome"]["multiscales"]
    assert scales["axes"] == [*axes[:2], *axes[3:]]
    (transformation,) = scales["datasets"][0]["coordinateTransformations"]
    assert transformation == {"type": "scale", "scale": [60, 0.5, 20, 20]}
    assert result["0"].metadata.dimension_names == ("time", "depth", "y", "x")
    labels = read_image(task.labels_path)
    assert labels.pixel_size_um == 0.02
    assert labels.axes == read_image(tmp_path / "series.zarr").axes


def test_axes_that_the_image_does_not_name_are_the_usual_ones(settings, tmp_path):
    data = np.random.default_rng(0).integers(0, 255, (2, 40, 50), dtype=np.uint8)
    zarr.create_array(tmp_path / "plain.zarr", data=data)
    task, _ = segment(tmp_path / "plain.zarr", tmp_path / "out", settings)
    result = zarr.open_group(task.labels_path, mode="r")
    (scales,) = result.attrs["ome"]["multiscales"]
    assert scales["axes"] == [{"name": name, "type": "space"} for name in "zyx"]
    assert scales["datasets"][0]["coordinateTransformations"][0]["scale"] == [1, 1, 1]
    assert result["0"].metadata.dimension_names == ("z", "y", "x")


@pytest.mark.slow
def test_results_are_replaced_only_if_allowed(image, settings, tmp_path):
    out = tmp_path / "out"
    task, _ = segment(image, out, settings)
    with pytest.raises(nf.FractosegError, match=r"stack_labels\.zarr"):
        batch.plan([image], out, settings)
    zarr.open_array(image)[...] = 255 - zarr.open_array(image)[...]
    before = labels_of(task.labels_path)
    segment(image, out, replace(settings, confidence=True), overwrite=True)
    assert not np.array_equal(labels_of(task.labels_path), before)
    segment(image, out, settings, overwrite=True)
    assert not task.path_of("confidence").exists()


@pytest.mark.slow
def test_overlays_of_planes_are_drawn_and_left_out_where_they_would_be_huge(
    image, settings, tmp_path, monkeypatch
):
    _, report = segment(image, tmp_path / "out", replace(settings, overlay=True))
    assert report.results[0].outputs[1:] == ("stack_overlay_0.png", "stack_overlay_1.png")
    assert iio.imread(tmp_path / "out" / "stack_overlay_0.png").shape == (*SHAPE[1:], 3)
    monkeypatch.setattr("napari_fractoseg.images.micrograph._LAZY_PX", 1000)
    _, report = segment(image, tmp_path / "huge", replace(settings, overlay=True))
    assert report.results[0].notes == (
        "stack.zarr: no overlay is drawn of planes of more than 64 megapixels; open image and "
        "labels in napari.",
    )


@pytest.mark.slow
def test_smaller_copies_show_the_labels_of_a_large_plane(settings, tmp_path):
    data = np.random.default_rng(0).integers(0, 255, (1300, 2051), dtype=np.uint8)
    zarr.create_array(tmp_path / "large.zarr", data=data, dimension_names=("y", "x"))
    task, _ = segment(tmp_path / "large.zarr", tmp_path / "out", replace(settings, tile_px=1024))
    group = zarr.open_group(task.labels_path, mode="r")
    (scales,) = group.attrs["ome"]["multiscales"]
    levels = [group[dataset["path"]][...] for dataset in scales["datasets"]]
    assert [level.shape for level in levels] == [(1300, 2051), (650, 1026), (325, 513)]
    for finer, coarser in pairwise(levels):
        np.testing.assert_array_equal(finer[::2, ::2], coarser)
    steps = [d["coordinateTransformations"][0]["scale"] for d in scales["datasets"]]
    assert steps == [[1, 1], [2, 2], [4, 4]]


class TestOtherImagesThatAreStreamed:
    """Folders of planes and large TIFFs: read in parts, and TIFF in the end."""

    @pytest.fixture
    def planes(self, tmp_path):
        folder = tmp_path / "series"
        folder.mkdir()
        data = np.random.default_rng(1).integers(0, 255, (3, 90, 70), dtype=np.uint8)
        for number, plane in enumerate(data, start=9):
            iio.imwrite(folder / f"s{number}.png", plane)
        return folder, data

    def test_a_folder_is_a_stack(self, planes, settings, tmp_path):
        folder, data = planes
        task, report = segment(folder, tmp_path / "out", settings, stack=True)
        assert report.results[0].shape == data.shape
        labels = tifffile.imread(tmp_path / "out" / "series_labels.tif")
        expected = nf.segment(data, nf.load_model(settings.model), device="cpu", rgb=False)
        np.testing.assert_array_equal(labels, expected)
        classes = own_entries(tiff_description(task.labels_path))["classes"]
        assert classes["2"] == "transgranular"
        assert read_record(task.labels_path).labels_sha256 == labels_digest(expected)
        assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
            "fractions.csv", "run.json", "series_labels.tif",
        ]  # fmt: skip

    def test_the_same_as_zarr(self, planes, settings, tmp_path):
        folder, data = planes
        task, _ = segment(folder, tmp_path / "out", replace(settings, zarr=True), stack=True)
        assert task.labels_path.name == "series_labels.zarr"
        assert labels_of(task.labels_path).shape == data.shape

    @pytest.mark.slow
    def test_a_large_tiff_is_not_loaded(self, settings, tmp_path, monkeypatch):
        data = np.random.default_rng(1).integers(0, 255, (200, 1100), dtype=np.uint8)
        tifffile.imwrite(tmp_path / "large.tif", data, tile=(64, 64), compression="zlib")
        zarr.create_array(tmp_path / "same.zarr", data=data, dimension_names=("y", "x"))
        same, _ = segment(tmp_path / "same.zarr", tmp_path / "same", settings)
        monkeypatch.setattr("napari_fractoseg.batch.tasks.LOADED_VALUES", 1000)
        monkeypatch.setattr("napari_fractoseg.results.tiff._CLASSIC_BYTES", 1000)
        task, _ = segment(tmp_path / "large.tif", tmp_path / "out", settings)
        with tifffile.TiffFile(task.labels_path) as tif:
            assert tif.is_bigtiff
            np.testing.assert_array_equal(tif.asarray(), labels_of(same.labels_path))

    def test_all_results_are_written_before_one_is_in_its_place(
        self, planes, settings, tmp_path, monkeypatch
    ):
        monkeypatch.setattr("napari_fractoseg.results.tiff._REPORTED_EVERY_S", 0)
        settings, out = replace(settings, confidence=True), tmp_path / "out"
        job = batch.run(batch.plan([planes[0]], out, settings, stack=True))
        texts = []
        for progress in job:
            if not texts or progress.message != texts[-1]:
                texts.append(progress.message)
            if (out / ".series_confidence.tif.part" / "result.tif").exists():
                break
        job.close()
        assert texts[-1].endswith("writing TIFF")
        assert [p.name for p in out.glob("*.tif")] == []
        task, _ = segment(planes[0], out, settings, stack=True, resume=True)
        expected = nf.segment(planes[1], nf.load_model(settings.model), device="cpu", rgb=False)
        np.testing.assert_array_equal(tifffile.imread(task.labels_path), expected)
        assert (tifffile.imread(task.path_of("confidence")) > 0.3).all()
        assert [*out.glob(".*")] == []

    def test_the_channel_that_is_chosen_is_segmented(self, settings, tmp_path):
        data = np.random.default_rng(1).integers(0, 255, (2, 90, 70), dtype=np.uint8)
        path = tmp_path / "two.zarr"
        zarr.create_array(path, data=data, dimension_names=("c", "y", "x"))
        _, report = segment(path, tmp_path / "out", settings)
        assert "channel" in report.failed[0].error
        task, _ = segment(path, tmp_path / "second", replace(settings, channel="1"))
        expected = nf.segment(data[1], nf.load_model(settings.model), device="cpu")
        np.testing.assert_array_equal(labels_of(task.labels_path), expected)


class Rows:
    """An array whose tiles can be held back."""

    def __init__(self, data, *, is_held=False):
        self.data, self.shape, self.dtype = data, data.shape, data.dtype
        self.n_read, self.goes_on = 0, threading.Event()
        if not is_held:
            self.goes_on.set()

    def __getitem__(self, key):
        assert self.goes_on.wait(30)
        self.n_read += 1
        return self.data[key]


def test_a_tiff_is_written_tile_by_tile(tmp_path):
    data = np.random.default_rng(0).integers(0, 4, (2, 1100, 2050), dtype=np.uint8)
    drain(tiff_job(tmp_path / "labels.tif", Rows(data), DEFAULT_SCHEME))
    with tifffile.TiffFile(tmp_path / "labels.tif") as tif:
        np.testing.assert_array_equal(tif.asarray(), data)
        assert (tif.is_ome, tif.series[0].axes) == (True, "ZYX")
        classes = own_entries(tif.pages.first.description)["classes"]
        assert classes["1"] == "intergranular"
        assert tif.pages[0].tile == (1024, 1024)


def test_the_writing_of_a_tiff_can_be_stopped(tmp_path):
    held = Rows(np.zeros((40, 1100, 1100), np.uint8), is_held=True)
    job = tiff_job(tmp_path / "labels.tif", held)
    first = next(job)
    assert (first.done, first.total, first.message) == (0, 160, "writing TIFF")
    threading.Timer(0.2, held.goes_on.set).start()
    job.close()
    assert held.n_read < 100
    assert not any(t.name.startswith("fractoseg-tiff") for t in threading.enumerate())


@pytest.mark.slow
def test_the_labels_get_the_name_that_is_wanted(image, settings, tmp_path):
    wanted = replace(settings, name="mine", zarr=True, confidence=True)
    _task, report = segment(image, tmp_path / "out", wanted)
    assert report.results[0].outputs == ("mine.zarr", "mine_confidence.zarr")
    assert labels_of(tmp_path / "out" / "mine.zarr").shape == SHAPE
    assert set(pd.read_csv(tmp_path / "out" / "mine_fractions.csv").file) == {"stack.zarr"}
    # Another name has reports of its own, also for the same image.
    other = shutil.copytree(image, tmp_path / "other.zarr")
    for path, name in ((other, "two"), (image, "again")):
        segment(path, tmp_path / "out", replace(settings, name=name, zarr=True, tile_px=128))
    assert labels_of(tmp_path / "out" / "mine.zarr").all()
    run = json.loads((tmp_path / "out" / "again_run.json").read_text())
    assert run["files"][0]["outputs"] == ["again.zarr"]
    assert batch.plan([image], tmp_path / "out", wanted, resume=True) == []
    with pytest.raises(nf.FractosegError, match=r"mine\.zarr.*replaced") as caught:
        batch.plan([image], tmp_path / "out", wanted)
    assert caught.value.options == ("resume", "overwrite")
    with pytest.raises(nf.FractosegError, match=r"labels of one image, 2 are given"):
        batch.plan([image, other], tmp_path / "out", wanted)


PROGRAM = """
import json, sys, time
from napari_fractoseg import batch

model, image, out = sys.argv[1:]
settings = batch.SegmentSettings(model, device="cpu", tile_px=64)
for progress in batch.run(batch.plan([image], out, settings)):
    print(progress.done, flush=True)
    time.sleep(0.02)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
def test_after_a_kill_the_run_goes_on_and_the_result_is_the_same(image, settings, tmp_path):
    whole, _ = segment(image, tmp_path / "whole", settings)
    out = tmp_path / "out"
    child = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-c", PROGRAM, str(settings.model), str(image), str(out)],
        stdout=subprocess.PIPE,
    )
    journal = out / ".stack_labels.zarr.part" / "journals" / "0_0_0.txt"
    while not journal.exists() or len(journal.read_text().splitlines()) < 6:
        assert child.poll() is None
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    with journal.open("a") as file:
        file.write("0 0 6")  # the line that was being written
    n_written = len(journal.read_text().splitlines()) - 1
    assert not (out / "stack_labels.zarr").exists()

    # What is done is not done again: a tile that was written keeps what is in it now.
    draft = zarr.open_group(out / ".stack_labels.zarr.part", mode="r+")["0"]
    draft[0, :64, :64] = 3
    task, report = segment(image, out, settings)
    labels, expected = labels_of(task.labels_path), labels_of(whole.labels_path)
    assert (labels[0, :64, :64] == 3).all()
    expected[0, :64, :64] = 3
    np.testing.assert_array_equal(labels, expected)
    assert 6 <= n_written < 15
    assert report.results[0].status == "done"
    assert not journal.parent.exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "change", [{"flips": True}, {"tile_px": 128}, {"confidence": True}, {"margin": True}]
)
def test_a_draft_of_another_run_is_not_gone_on_with(image, settings, tmp_path, change):
    out = tmp_path / "out"
    stop_after(20, image, out, settings)
    draft = zarr.open_group(out / ".stack_labels.zarr.part", mode="r+")["0"]
    assert draft[0, :64, :64].all()
    draft[0, :64, :64] = 0
    task, _ = segment(image, out, replace(settings, **change), overwrite=True)
    assert labels_of(task.labels_path).all()


def test_a_run_that_goes_on_has_the_tiles_it_began_with(image, settings, tmp_path):
    out = tmp_path / "out"
    stop_after(20, image, out, settings)
    segment(image, out, replace(settings, tile_px=None), overwrite=True)
    run = json.loads((out / "run.json").read_text())
    assert run["files"][0]["tile_px"] == 64


@pytest.mark.slow
def test_a_draft_of_another_channel_is_not_gone_on_with(settings, tmp_path):
    data = np.random.default_rng(0).integers(0, 255, (2, 200, 300), dtype=np.uint8)
    path, out = tmp_path / "two.zarr", tmp_path / "out"
    zarr.create_array(path, data=data, dimension_names=("c", "y", "x"))
    stop_after(15, path, out, replace(settings, channel="0"))
    task, _ = segment(path, out, replace(settings, channel="1"), resume=True)
    expected, _ = segment(path, tmp_path / "whole", replace(settings, channel="1"))
    np.testing.assert_array_equal(labels_of(task.labels_path), labels_of(expected.labels_path))


def test_after_a_stop_resume_goes_on_with_the_one_image(image, settings, tmp_path):
    out = tmp_path / "out"
    stop_after(20, image, out, settings)
    draft = zarr.open_group(out / ".stack_labels.zarr.part", mode="r+")["0"]
    draft[0, :64, :64] = 3
    task, report = segment(image, out, settings, resume=True)
    assert (labels_of(task.labels_path)[0, :64, :64] == 3).all()
    assert report.results[0].status == "done"
    assert batch.plan([image], out, settings, resume=True) == []


def test_less_memory_begins_anew_with_smaller_tiles(image, settings, tmp_path):
    out, automatic = tmp_path / "out", replace(settings, tile_px=None)
    stop_after(3, image, out, automatic)
    header = json.loads((out / ".stack_labels.zarr.part" / "run.json").read_text())
    _, report = segment(image, out, replace(automatic, max_memory_gb=0.1), resume=True)
    assert report.results[0].tile_px < header["tile_px"]


def test_two_runs_do_not_write_the_same_results(image, settings, tmp_path):
    tasks = batch.plan([image], tmp_path / "out", settings)
    job = batch.run(tasks)
    for _ in range(5):
        next(job)
    with pytest.raises(OutputExistsError, match="Another run is writing"):
        drain(batch.run(tasks))
    assert drain(job).results[0].status == "done"
    assert not list((tmp_path / "out").glob(".*"))


@pytest.mark.slow
def test_a_third_run_does_not_write_what_the_second_one_does(
    image, settings, tmp_path, monkeypatch
):
    """The second one begins at the moment when the first one lets go."""
    tasks = batch.plan([image], tmp_path / "out", settings)
    release, second = BaseFileLock.release, batch.run(tasks)

    def release_and_begin_the_second(lock, *arguments, **options):
        release(lock, *arguments, **options)
        if not lock.lock_file.endswith("run.json.lock"):  # that of a result
            return
        monkeypatch.undo()
        for _ in range(5):
            next(second)

    first = batch.run(tasks)
    for _ in range(5):
        next(first)
    monkeypatch.setattr(BaseFileLock, "release", release_and_begin_the_second)
    drain(first)
    with pytest.raises(OutputExistsError, match="Another run is writing"):
        drain(batch.run(tasks))
    assert drain(second).results[0].status == "done"
    assert not list((tmp_path / "out").glob(".*"))


def test_what_is_to_be_segmented_is_no_place_for_results(image, settings, tmp_path):
    with pytest.raises(nf.FractosegError, match="which is to be segmented"):
        batch.plan([image], image / "results", settings)
    folder = tmp_path / "planes"
    folder.mkdir()
    iio.imwrite(folder / "a.png", np.zeros((5, 5), np.uint8))
    with pytest.raises(nf.FractosegError, match="which is to be segmented"):
        batch.plan([folder], folder, settings, stack=True)
    with pytest.raises(nf.FractosegError, match=r"a\.png is not a folder"):
        batch.plan([folder / "a.png"], tmp_path / "out", settings, stack=True)
    assert len(batch.plan([folder], folder / "results", settings, stack=True)) == 1


def test_labels_in_a_folder_are_no_images(image, settings, tmp_path):
    segment(image, tmp_path, replace(settings, name="mine", zarr=True))
    assert [t.path for t in batch.plan([tmp_path], tmp_path / "out", settings)] == [image]
