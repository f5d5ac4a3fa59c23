"""Kills at any moment, results that were damaged since, and two runs at a time."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import imageio.v3 as iio
import numpy as np
import pandas as pd
import pytest
import tifffile
import zarr

from napari_fractoseg import batch
from napari_fractoseg.errors import OutputExistsError
from napari_fractoseg.jobs import drain
from napari_fractoseg.results.label_writer import ZarrLabels

NAMES = ("a", "b", "c")


@pytest.fixture
def settings(model):
    return batch.SegmentSettings(model, "cpu", overlay=True)


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for seed, name in enumerate(NAMES):
        data = np.random.default_rng(seed).integers(0, 255, (40, 50), dtype=np.uint8)
        iio.imwrite(folder / f"{name}.png", data)
    return folder


@pytest.fixture
def whole(images, settings, tmp_path):
    """Results of an undisturbed run: name -> content, and the rows of the table."""
    segment(images, tmp_path / "whole", settings)
    return contents(tmp_path / "whole")


def segment(images, out, settings, **options):
    return drain(batch.run(batch.plan([images], out, settings, **options)))


def contents(out):
    found = {p.name: tifffile.imread(p).tolist() for p in out.glob("*.tif")}
    found |= {p.name: iio.imread(p).tolist() for p in out.glob("*.png")}
    return found, sorted((out / "fractions.csv").read_text().splitlines())


def left_by_a_kill(images, out, settings, place):
    """Return a folder as it is left by a kill when the second file's results are there."""
    job = batch.run(batch.plan([images], place, settings))
    while not (place / "b_labels.tif").exists():
        next(job)
    shutil.copytree(place, out)
    (out / ".run.json.lock").unlink()  # by the operating system
    job.close()
    return out


class TestKilled:
    @pytest.fixture
    def out(self, images, settings, tmp_path):
        """What a kill leaves when two files are done."""
        return left_by_a_kill(images, tmp_path / "out", settings, tmp_path / "going on")

    def test_what_is_finished_is_not_done_again(self, images, settings, whole, out):
        assert not (out / "run.json").exists()
        (task,) = batch.plan([images], out, settings, resume=True)
        assert task.path.name == "c.png"
        drain(batch.run([task]))
        assert contents(out) == whole
        run = json.loads((out / "run.json").read_text())
        assert [[f["file"] for f in r["files"]] for r in (run, *run["earlier_runs"])] == [
            ["c.png"], ["a.png", "b.png"],
        ]  # fmt: skip
        assert not list(out.glob(".*"))

    @pytest.mark.parametrize("kept", [0, 1, 2, 3, 4, 5])
    def test_wherever_the_journal_ends_the_results_are_those_of_one_run(
        self, images, settings, whole, out, kept
    ):
        """Written results that it does not tell of are made again; half a line does not count."""
        journal = out / ".run.jsonl"
        lines = journal.read_bytes().splitlines(keepends=True)
        assert len(lines) == 5
        after = lines[kept][: len(lines[kept]) // 2] if kept < 5 else b""
        journal.write_bytes(b"".join(lines[:kept]) + after)
        if kept < 3:  # nothing is known of the overlay: it is removed here, as nobody's
            (out / "b_overlay.png").unlink()
        if kept < 1:
            (out / "a_overlay.png").unlink()
        segment(images, out, settings, resume=True)
        assert contents(out) == whole
        assert not list(out.glob(".*"))

    def test_a_report_that_could_not_be_written_any_more_is_written(
        self, images, settings, whole, tmp_path
    ):
        """All files are done, but the process was killed before the report was."""
        place, out = tmp_path / "place", tmp_path / "complete"
        job = batch.run(batch.plan([images], place, settings))
        journal = place / ".run.jsonl"
        while not journal.exists() or journal.read_bytes().count(b'{"done": ') < 3:
            next(job)
        shutil.copytree(place, out)
        (out / ".run.json.lock").unlink()  # by the operating system
        job.close()
        assert not (out / "run.json").exists()
        assert batch.plan([images], out, settings, resume=True) == []
        assert contents(out) == whole
        report = json.loads((out / "run.json").read_bytes())
        assert [f["status"] for f in report["files"]] == ["done"] * 3
        assert not list(out.glob(".*"))
        assert batch.plan([images], out, settings, resume=True) == []

    def test_a_second_kill_keeps_what_the_first_one_left(
        self, images, settings, whole, out, tmp_path
    ):
        (out / "b_labels.tif").unlink()
        second = left_by_a_kill(images, tmp_path / "second", settings, tmp_path / "other")
        lines = (second / ".run.jsonl").read_text().splitlines(keepends=True)
        with (out / ".run.jsonl").open("a") as file:  # that of a run which began b again
            file.write(lines[0] + lines[3])
        assert [t.path.name for t in batch.plan([images], out, settings, resume=True)] == [
            "b.png", "c.png",
        ]  # fmt: skip
        segment(images, out, settings, resume=True)
        assert contents(out) == whole

    def test_labels_that_a_person_put_there_since_are_not_replaced(self, images, settings, out):
        tifffile.imwrite(out / "c_labels.tif", np.full((40, 50), 2, np.uint8))
        with pytest.raises(OutputExistsError, match=r"already: c_labels\.tif\. .*nobody's"):
            batch.plan([images], out, settings, resume=True)

    def test_overlays_without_labels_are_made_again(self, images, settings, whole, out):
        with (out / ".run.jsonl").open("a") as file:
            file.write('{"begun": ["c.png"]}\n')
        iio.imwrite(out / "c_overlay.png", np.zeros((4, 4), np.uint8))
        segment(images, out, settings, resume=True)
        assert contents(out) == whole

    def test_another_setting_is_refused(self, images, settings, out):
        with pytest.raises(OutputExistsError, match=r"a_labels\.tif.*another image, model or set"):
            batch.plan([images], out, replace(settings, flips=True), resume=True)
        assert batch.plan([images], out, replace(settings, flips=True), resume=True, overwrite=True)

    def test_a_run_that_replaced_results_does_not_pass_them_off_as_the_earlier_ones(
        self, images, settings, model, tmp_path
    ):
        """Killed after the labels of a were replaced, and before that was written down."""
        out, other = tmp_path / "replaced", replace(settings, flips=True, confidence=True)
        segment(images, out, settings)
        segment(images, tmp_path / "new", other)
        job = batch.run(batch.plan([images], tmp_path / "again", other))
        next(job)
        journal = (tmp_path / "again" / ".run.jsonl").read_text().splitlines(keepends=True)
        job.close()
        (out / ".run.jsonl").write_text("".join(journal[:2]))
        shutil.copy(tmp_path / "new" / "a_labels.tif", out)
        assert [t.path.name for t in batch.plan([images], out, settings, resume=True,
                                                overwrite=True)] == ["a.png"]  # fmt: skip
        segment(images, out, other, resume=True, overwrite=True)
        assert contents(out) == contents(tmp_path / "new")


class TestUnlisted:
    def test_results_that_no_report_lists_are_made_again(self, images, settings, whole, tmp_path):
        out = tmp_path / "out"
        segment(images, out, settings)
        (out / "run.json").unlink()
        (out / "a_labels.tif").unlink()
        (out / "a_overlay.png").unlink()
        segment(images, out, settings, resume=True)
        assert contents(out) == whole

    def test_but_not_those_that_were_changed_since(self, images, settings, tmp_path):
        out = tmp_path / "out"
        segment(images, out, settings)
        (out / "run.json").unlink()
        with tifffile.TiffFile(out / "a_labels.tif") as tif:
            labels, description = tif.asarray(), tif.pages.first.description.encode()
        labels[3, 4] = 1 + labels[3, 4] % 3
        tifffile.imwrite(out / "a_labels.tif", labels, description=description, metadata=None)
        with pytest.raises(OutputExistsError, match=r"already: a_labels\.tif, a_overlay\.png\. "):
            batch.plan([images], out, settings, resume=True)


@pytest.mark.parametrize("name", ["a_labels.tif", "a_overlay.png"])
@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b[:-20], lambda b: b"\0" * len(b)])
def test_a_damaged_result_is_made_again(images, settings, whole, tmp_path, name, damage):
    out = tmp_path / "out"
    segment(images, out, settings)
    path = out / name
    path.write_bytes(damage(path.read_bytes()))
    (task,) = batch.plan([images], out, settings, resume=True)
    assert task.path.name == "a.png"
    drain(batch.run([task]))
    assert contents(out) == whole
    assert batch.plan([images], out, settings, resume=True) == []


def test_a_zarr_that_lacks_a_chunk_is_made_again(images, settings, tmp_path):
    out, wanted = tmp_path / "out", replace(settings, zarr=True)
    segment(images / "a.png", out, wanted)
    labels = zarr.open_group(out / "a_labels.zarr", mode="r")["0"][...]
    (out / "a_labels.zarr" / "0" / "c" / "0" / "0").unlink()
    segment(images / "a.png", out, wanted, resume=True)
    again = zarr.open_group(out / "a_labels.zarr", mode="r")["0"][...]
    np.testing.assert_array_equal(again, labels)
    assert batch.plan([images / "a.png"], out, wanted, resume=True) == []


def test_a_zarr_that_was_painted_on_is_done(images, settings, tmp_path):
    from napari_fractoseg.results.editable_labels import SavedArray

    out, wanted = tmp_path / "out", replace(settings, zarr=True)
    segment(images / "a.png", out, wanted)
    array = zarr.open_group(out / "a_labels.zarr", mode="r+")["0"]
    SavedArray(array, is_prediction=True)[:20] = 3
    assert batch.plan([images / "a.png"], out, wanted, resume=True) == []


class TestReplacedZarr:
    """A kill between the two renames by which a zarr is replaced."""

    @pytest.fixture
    def image(self, tmp_path):
        data = np.random.default_rng(0).integers(0, 255, (40, 50), dtype=np.uint8)
        zarr.create_array(tmp_path / "s.zarr", data=data, dimension_names=("y", "x"))
        return tmp_path / "s.zarr"

    def stopped(self, image, out, settings, monkeypatch, rename):
        """Replace the labels by a run that is killed at its first or second rename."""
        segment(image, out, settings)
        count = 0

        class Killed(BaseException):
            pass

        renamed = type(out).rename

        def killed(path, target):
            nonlocal count
            count += 1
            result = renamed(path, target)
            if count == rename:
                raise Killed
            return result

        with monkeypatch.context() as patched:
            patched.setattr(type(out), "rename", killed)
            patched.setattr(batch.BatchReport, "write", lambda _: None)
            with pytest.raises(Killed):
                segment(image, out, replace(settings, flips=True), overwrite=True)
        return out

    @pytest.mark.parametrize("rename", [1, 2])
    def test_the_next_run_goes_on(self, image, settings, tmp_path, monkeypatch, rename):
        settings = replace(settings, overlay=False)
        wanted = replace(settings, flips=True)
        out = self.stopped(image, tmp_path / "out", settings, monkeypatch, rename)
        segment(image, tmp_path / "whole", wanted)
        (task,) = batch.plan([image], out, wanted, resume=True)
        report = drain(batch.run([task]))
        assert report.results[0].status == "done"
        labels, expected = (
            zarr.open_group(folder / "s_labels.zarr", mode="r")["0"][...]
            for folder in (out, tmp_path / "whole")
        )
        np.testing.assert_array_equal(labels, expected)
        assert sorted(p.name for p in out.iterdir()) == [
            "fractions.csv", "run.json", "s_labels.zarr",
        ]  # fmt: skip
        assert not (out / "s_labels.zarr" / "journals").exists()

    def test_another_run_restores_what_is_old(self, tmp_path, images, settings, monkeypatch):
        out = tmp_path / "out"
        for value in (1, 2):
            header = {"shape": [4, 5], "dtype": "uint8", "axes": []}
            group = ZarrLabels(out / "x_labels.zarr", header, anew=True)
            group.array[...] = value
            if value == 1:
                group.finish()
        (out / "x_labels.zarr").rename(out / ".x_labels.zarr.old")
        segment(images, out, settings)
        assert (out / ".x_labels.zarr.old").exists()  # it may be in use
        monkeypatch.setattr("napari_fractoseg.results.label_writer.STALE_S", -1)
        segment(images, out, settings, overwrite=True)
        assert (zarr.open_group(out / "x_labels.zarr", mode="r")["0"][...] == 1).all()


class TestTwoRuns:
    def test_the_second_one_into_a_folder_is_refused_before_it_works(
        self, images, settings, tmp_path
    ):
        out = tmp_path / "out"
        (other,) = batch.plan([images / "b.png"], out, settings)
        job = batch.run(batch.plan([images / "a.png"], out, settings))
        next(job)
        with pytest.raises(OutputExistsError, match=rf"Another run is writing .* into {out}"):
            drain(batch.run([other]))
        with pytest.raises(OutputExistsError, match="Another run is writing"):
            batch.plan([images / "b.png"], out, settings, overwrite=True)
        drain(job)
        drain(batch.run([other]))
        assert set(pd.read_csv(out / "fractions.csv").file) == {"a.png", "b.png"}

    def test_two_names_in_a_folder_may_run_at_once(self, images, settings, tmp_path):
        out, jobs = tmp_path / "out", []
        for name in ("one", "two"):
            wanted = replace(settings, name=name, zarr=True)
            jobs.append(batch.run(batch.plan([images / "a.png"], out, wanted)))
            next(jobs[-1])
        assert [drain(job).results[0].status for job in jobs] == ["done", "done"]
        assert sorted(p.name for p in out.glob("*run.json")) == ["one_run.json", "two_run.json"]


def test_nothing_stays_of_a_file_whose_overlay_fails(images, settings, tmp_path, monkeypatch):
    def broken(*_, **__):
        raise OSError(28, "No space left on device")

    out, wanted = tmp_path / "out", replace(settings, confidence=True)
    with monkeypatch.context() as patched:
        patched.setattr("napari_fractoseg.batch.planes.iio.imwrite", broken)
        report = segment(images, out, wanted)
    assert [r.status for r in report.results] == ["failed"] * 3
    assert "No space left" in report.results[0].error
    assert sorted(p.name for p in out.iterdir()) == ["fractions.csv", "run.json"]
    assert len(segment(images, out, wanted, resume=True).segmented) == 3


PROGRAM = """
import sys
from napari_fractoseg.cli import main
sys.argv = ["fractoseg", *sys.argv[1:]]
main()
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
def test_killed_at_any_moment_a_run_is_resumed(images, settings, model, tmp_path):
    for seed in range(3, 15):
        data = np.random.default_rng(seed).integers(0, 255, (200, 260), dtype=np.uint8)
        iio.imwrite(images / f"more{seed}.png", data)
    rng = random.Random(0)  # noqa: S311
    began = time.monotonic()
    arguments = [str(images), "--model", str(model), "--device", "cpu", "--overlay", "-o"]
    run_program([*arguments, str(tmp_path / "whole")])
    seconds = time.monotonic() - began
    expected = contents(tmp_path / "whole")
    numbers = {signal.SIGKILL: -signal.SIGKILL, signal.SIGTERM: 143, signal.SIGINT: 130}
    for count, (number, code) in enumerate([*numbers.items()] * 2):
        out = tmp_path / f"out{count}"
        child = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-c", PROGRAM, "segment", *arguments, str(out)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        time.sleep(rng.uniform(0.4, 1) * seconds)
        child.send_signal(number)
        child.communicate()
        # The interpreter itself handles no signals any more when it ends.
        assert child.returncode in (code, 0) or (out / "run.json").exists()
        run_program([*arguments, str(out), "--resume"])
        arrays, rows = contents(out)
        assert arrays.keys() == expected[0].keys()
        assert [name for name, found in arrays.items() if found != expected[0][name]] == []
        assert rows == expected[1]
        assert not list(out.glob(".*"))


def run_program(arguments):
    subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", PROGRAM, "segment", *arguments], check=True, capture_output=True
    )
