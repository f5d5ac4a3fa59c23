"""Odd names and files in a folder, and sizes beyond all measure: each costs only itself."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import sys
from collections import Counter

import imageio.v3 as iio
import numpy as np
import pandas as pd
import pytest
import tifffile
import zarr
from typer.testing import CliRunner

from napari_fractoseg import batch, cli
from napari_fractoseg.batch.blocks import boxes, n_boxes
from napari_fractoseg.batch.duration import Duration
from napari_fractoseg.batch.executors import Unit, Units
from napari_fractoseg.cli import options as common
from napari_fractoseg.cli.app import app
from napari_fractoseg.errors import FractosegError, OutputError
from napari_fractoseg.jobs import Progress, drain
from napari_fractoseg.results.journal import TileJournal
from napari_fractoseg.tiling import Box

NOT_UTF_8 = os.fsdecode(b"5\xb5m")
posix_only = pytest.mark.skipif(os.name == "nt", reason="such files are of POSIX")


@pytest.fixture
def settings(model):
    return batch.SegmentSettings(model, "cpu")


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    write(folder / "a.png")
    return folder


def write(path, seed=0):
    picture = np.random.default_rng(seed).integers(0, 255, (40, 50), dtype=np.uint8)
    path.write_bytes(iio.imwrite("<bytes>", picture, extension=".png"))


def segment(inputs, out, settings, **options):
    return drain(batch.run(batch.plan(inputs, out, settings, **options)))


@posix_only
class TestNames:
    @pytest.mark.parametrize("zarr_too", [False, True])
    def test_names_that_are_not_utf_8(self, images, model, tmp_path, zarr_too):
        write(images / f"{NOT_UTF_8}.png")
        out = tmp_path / "out"
        settings = batch.SegmentSettings(model, "cpu", overlay=True, zarr=zarr_too)
        assert len(segment([images], out, settings).segmented) == 2
        files = json.loads((out / "run.json").read_bytes())["files"]
        assert [f["file"] for f in files] == [f"{NOT_UTF_8}.png", "a.png"]
        assert (out / f"{NOT_UTF_8}_overlay.png").exists()
        table = pd.read_csv(out / "fractions.csv", encoding="utf-8")
        assert set(table.file) == {r"5\xb5m.png", "a.png"}
        assert batch.plan([images], out, settings, resume=True) == []
        segment([images / "a.png"], out, settings, overwrite=True)
        again = pd.read_csv(out / "fractions.csv", encoding="utf-8")
        assert Counter(again.file) == {r"5\xb5m.png": 3, "a.png": 3}
        assert batch.plan([images], out, settings, resume=True) == []

    def test_they_are_printed(self, images, model, tmp_path):
        (images / f"{NOT_UTF_8}.png").write_bytes(b"no image")
        text = run("segment", images, "-o", tmp_path / "out", "--model", model, code=1)
        assert r"failed: 5\xb5m.png: cannot be read" in text
        assert "1 of 2 files segmented" in text

    def test_names_that_a_spreadsheet_would_compute(self, images, settings, tmp_path):
        write(images / "=cmd|calc.png")
        out = tmp_path / "out"
        segment([images], out, settings)
        assert "\n'=cmd|calc.png,0," in (out / "fractions.csv").read_text()
        segment([images / "a.png"], out, settings, overwrite=True)
        text = (out / "fractions.csv").read_text()
        assert text.count("\n'=cmd|calc.png,0,") == 3
        assert batch.plan([images], out, settings, resume=True) == []

    def test_a_name_that_is_too_long_costs_one_file(self, images, settings, tmp_path):
        write(images / f"{'x' * 250}.png")
        write(images / f"{'y' * 244}.png")
        report = segment([images], tmp_path / "out", settings)
        assert [r.path.name[0] for r in report.segmented] == ["a", "y"]
        assert "is too long by 6 bytes, 255 are allowed. Rename the image" in (
            report.failed[0].error
        )

    def test_the_longest_names_are_streamed_and_resumed(self, settings, tmp_path):
        path = tmp_path / f"{'z' * 243}.zarr"
        zarr.create_array(path, data=np.eye(40, dtype=np.uint8), dimension_names=("y", "x"))
        report = segment([path], tmp_path / "out", settings)
        assert report.results[0].status == "done"
        assert batch.plan([path], tmp_path / "out", settings, resume=True) == []

    def test_a_name_of_the_results_that_is_too_long_is_refused(self, images, model, tmp_path):
        text = run("segment", images / "a.png", "-o", tmp_path / f"{'n' * 245}.zarr",
                   "--model", model, code=2)  # fmt: skip
        assert "the name is too long for a file" in text


@posix_only
class TestFiles:
    def test_pipes_sockets_and_loops_cost_only_themselves(
        self, images, settings, tmp_path, monkeypatch
    ):
        for name in ("pipe.png", "pipe2.tif", "pipe3.zarr"):
            os.mkfifo(images / name)
        monkeypatch.chdir(images)  # the path of a socket may not be long
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("s.jpg")
        (images / "loop.png").symlink_to("loop.png")
        report = segment([images], tmp_path / "out", settings)
        assert [r.path.name for r in report.segmented] == ["a.png"]
        errors = {r.path.name: r.error for r in report.failed}
        assert set(errors) == {"loop.png", "pipe.png", "pipe2.tif", "pipe3.zarr", "s.jpg"}
        assert all("pipe or device" in errors[name] for name in set(errors) - {"loop.png"})

    def test_a_link_loop_is_no_place_for_results(self, images, settings, tmp_path):
        (tmp_path / "loop").symlink_to("loop")
        with pytest.raises(OutputError, match="loop is no folder, or a link that leads nowhere"):
            batch.plan([images], tmp_path / "loop", settings)
        with pytest.raises(OutputError, match="is no folder"):
            batch.plan([images], images / "a.png", settings)

    @pytest.mark.parametrize(("mask", "mode"), [(0o077, 0o600), (0o002, 0o664)])
    def test_results_follow_the_umask(self, images, model, tmp_path, mask, mode):
        settings = batch.SegmentSettings(model, "cpu", overlay=True)
        before = os.umask(mask)
        try:
            segment([images], tmp_path / "out", settings)
        finally:
            os.umask(before)
        for path in (tmp_path / "out").iterdir():
            assert (path.name, stat.S_IMODE(path.stat().st_mode)) == (path.name, mode)


class TestSizes:
    @pytest.fixture
    def bomb(self, tmp_path):
        shape, chunks = (10**9, 10**9), (4096, 4096)
        zarr.create_array(tmp_path / "bomb.zarr", shape=shape, chunks=chunks, dtype="uint8",
                          dimension_names=("y", "x"))  # fmt: skip
        return tmp_path / "bomb.zarr"

    def test_a_run_of_many_years_asks_before_any_work(self, bomb, model, tmp_path):
        text = run("segment", bomb, "-o", tmp_path / "out", "--model", model, code=2)
        assert "at least 32 years: bomb.zarr alone has 1.0e+18 pixels" in text
        assert "--yes" in text
        assert not (tmp_path / "out").exists()

    def test_what_no_disk_can_hold_fails_before_it_is_read(self, bomb, settings, tmp_path):
        report = drain(batch.run(batch.plan([bomb], tmp_path / "out", settings), yes=True))
        assert "the results take 1000000.0 GB at least" in report.failed[0].error

    def test_blocks_of_huge_planes_are_not_listed(self):
        assert next(boxes((10**9, 10**9), 1024)) == Box(0, 1024, 0, 1024)
        assert n_boxes((10**9, 10**9), 1024) == 976562**2
        assert n_boxes((2600, 1000), 1024) == len(list(boxes((2600, 1000), 1024))) == 3

    def test_calls_are_made_up_when_they_are_wanted(self):
        units = Units(Unit(print, (n,)) for n in iter(int, 1))  # without end
        units.add_first(Unit(print, (n,)) for n in (1, 2))
        assert [units.take().arguments for _ in range(3)] == [(1,), (2,), (0,)]
        assert Units([]).take() is None


class TestDuration:
    """What the first minute tells; a clock of one minute a step."""

    def measured(self, size, steps):
        ticks = iter(range(0, 60 * steps, 60))
        duration = Duration([size, 0], clock=lambda: next(ticks))

        def job():
            for done in range(1, steps + 1):
                yield Progress(done, size)
            return "done"

        return drain(duration.watched(0, job()))

    def test_a_run_of_more_than_a_day_is_stopped(self):
        with pytest.raises(FractosegError, match=r"takes about 24 h 1 min more.*stays") as caught:
            self.measured(1443, 3)
        assert caught.value.options == ("resume", "yes")

    def test_one_of_less_is_not(self):
        assert self.measured(1442, 3) == "done"

    def test_it_is_asked_once(self):
        assert self.measured(1442, 100) == "done"


def test_tiles_that_a_restart_of_the_computer_may_have_lost_are_missing(tmp_path):
    path, tiles = tmp_path / "0.txt", [Box(0, 1, 0, n) for n in (1, 2, 3)]
    journal = TileJournal(path)
    journal.note((), tiles[0])
    assert ((), tiles[0]) in TileJournal(path)
    start = path.read_text().splitlines()[0].split()
    earlier = " ".join([*start[:2], "another-start"])
    elsewhere = "start another-computer x"
    path.write_text(f"{earlier}\n0 1 0 1\n{elsewhere}\n0 1 0 2\n{' '.join(start)}\n0 1 0 3\n0 1")
    assert [((), tile) in TileJournal(path) for tile in tiles] == [False, True, True]


class TestStopped:
    def test_sigterm_ends_a_run_as_ctrl_c_does(self, images, model, tmp_path, monkeypatch, capsys):
        write(images / "b.png")
        out = tmp_path / "out"

        class Throttle(common.Throttle):
            def ready(self):
                if (out / "a_labels.tif").exists():
                    signal.raise_signal(signal.SIGTERM)
                return False

        monkeypatch.setattr(common, "Throttle", Throttle)
        monkeypatch.setattr(sys, "argv", ["fractoseg", "segment", str(images), "-o", str(out),
                                          "--model", str(model), "--device", "cpu"])  # fmt: skip
        before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
        try:
            with pytest.raises(SystemExit) as ended:
                cli.main()
        finally:
            signal.signal(signal.SIGTERM, before)
        assert ended.value.code == 143
        assert "--resume goes on from there" in capsys.readouterr().err
        files = json.loads((out / "run.json").read_text())["files"]
        assert [f["status"] for f in files] == ["done", "not done"]

    def test_ctrl_c_during_the_start_is_exit_code_130(self, monkeypatch):
        def interrupted(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr("napari_fractoseg.cli.app.app", interrupted)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == 130


def run(*arguments, code=0):
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == code, result.output
    return result.output


def test_a_full_disk_ends_a_run_that_is_then_resumed(images, settings, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    write(images / "b.png")
    out = tmp_path / "out"
    job = batch.run(batch.plan([images], out, settings))
    while not (out / "a_labels.tif").exists():
        next(job)
    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        with pytest.raises(OutputError, match="No space left on device"):
            drain(job)
    (task,) = batch.plan([images], out, settings, resume=True)
    assert task.path.name == "b.png"
    drain(batch.run([task]))
    assert tifffile.imread(out / "b_labels.tif").shape == (40, 50)
    assert batch.plan([images], out, settings, resume=True) == []
