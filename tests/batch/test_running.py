from __future__ import annotations

import concurrent.futures
import hashlib
import json
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pandas as pd
import pytest
import tifffile
import zarr

import napari_fractoseg as nf
from napari_fractoseg import batch
from napari_fractoseg.errors import ImageError, ModelError, OptionError, OutputExistsError
from napari_fractoseg.images import tiff_description
from napari_fractoseg.images.calibration.written import own_entries
from napari_fractoseg.jobs import drain
from napari_fractoseg.measurement import overlay
from napari_fractoseg.results.record import labels_digest, read_record


@pytest.fixture
def settings(model):
    return batch.SegmentSettings(model, "cpu")


def image(seed: int, shape: tuple[int, ...] = (40, 50)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, shape).astype(np.uint8)


def segment(inputs, out, model, overwrite=False, **options):
    """Plan and run."""
    settings = batch.SegmentSettings(model, "cpu", **options)
    return drain(batch.run(batch.plan(inputs, out, settings, overwrite=overwrite)))


@pytest.fixture
def folder(tmp_path):
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    iio.imwrite(inputs / "a.png", image(1))
    tifffile.imwrite(inputs / "b.tif", image(2))
    (inputs / "notes.txt").write_text("no image")
    return inputs


class TestPlan:
    def test_folders_are_expanded_and_files_named_twice_are_done_once(self, folder, settings):
        tasks = batch.plan([folder, folder / "a.png"], folder.parent / "out", settings)
        assert [t.path.name for t in tasks] == ["a.png", "b.tif"]
        assert not (folder.parent / "out").exists()

    def test_results_beside_their_image_are_not_segmented(self, folder, settings):
        tifffile.imwrite(folder / "a_labels.tif", image(2))
        iio.imwrite(folder / "a_overlay.png", image(2))
        iio.imwrite(folder / "crack_labels.png", image(2))  # not ours: there is no image "crack"
        tasks = batch.plan([folder], folder.parent / "out", settings)
        assert [t.path.name for t in tasks] == ["a.png", "b.tif", "crack_labels.png"]

    def test_a_zarr_is_an_image_not_a_folder(self, tmp_path, settings):
        zarr.save(str(tmp_path / "s.zarr"), image(0))
        (task,) = batch.plan([tmp_path / "s.zarr"], tmp_path / "out", settings)
        assert task.labels_path == tmp_path / "out" / "s_labels.zarr"

    def test_tasks_can_be_pickled_and_hold_absolute_paths(self, folder, settings, monkeypatch):
        monkeypatch.chdir(folder)
        tasks = batch.plan(["a.png"], "out", settings)
        assert pickle.loads(pickle.dumps(tasks)) == tasks  # noqa: S301
        assert tasks[0].path == folder / "a.png"
        assert tasks[0].out == folder / "out"

    def test_names_of_overlays_sort_like_the_planes(self, tmp_path, settings):
        task = batch.SegmentTask(tmp_path / "s.tif", tmp_path, settings)
        assert task.overlay_path().name == "s_overlay.png"
        assert task.overlay_path((1, 7), (3, 120)).name == "s_overlay_1_007.png"

    def test_images_of_the_same_name_are_refused(self, folder, settings):
        iio.imwrite(folder / "A.jpg", image(3))
        with pytest.raises(ImageError, match=r"A\.jpg and .*a\.png have the same name.*Rename one"):
            batch.plan([folder], folder.parent / "out", settings)

    @pytest.mark.parametrize("name", ["a_labels.tif", "fractions.csv", "run.json"])
    def test_existing_results_are_refused_by_name(self, folder, settings, tmp_path, name):
        (tmp_path / name).write_text("mine")
        with pytest.raises(OutputExistsError, match=rf"{name}\. Choose another folder"):
            batch.plan([folder], tmp_path, settings)
        assert len(batch.plan([folder], tmp_path, settings, overwrite=True)) == 2

    @pytest.mark.parametrize("name", ["a_overlay.png", "a_overlay_3.png", "a_confidence.tif"])
    def test_optional_results_count_when_they_are_asked_for(self, folder, model, tmp_path, name):
        (tmp_path / name).write_text("mine")
        batch.plan([folder], tmp_path, batch.SegmentSettings(model))
        wanted = batch.SegmentSettings(model, overlay=True, confidence=True)
        with pytest.raises(OutputExistsError, match=name):
            batch.plan([folder], tmp_path, wanted)

    def test_inputs_are_never_replaced(self, folder, settings):
        tifffile.imwrite(folder / "a_labels.tif", image(0))
        with pytest.raises(OutputExistsError, match=r"replace the images a_labels\.tif"):
            batch.plan([folder, folder / "a_labels.tif"], folder, settings, overwrite=True)

    def test_inputs_that_do_not_exist_are_refused_before_anything_is_written(
        self, folder, settings, tmp_path
    ):
        with pytest.raises(ImageError, match=r"There is no a\.pgn, b\. Check the path"):
            batch.plan([folder / "a.pgn", tmp_path / "b"], tmp_path / "out", settings)
        inputs = [folder / "c.png", folder / "a.png"]
        assert len(batch.plan(inputs, tmp_path / "out", settings)) == 2

    def test_an_unknown_palette_is_refused(self, folder, model, tmp_path):
        with pytest.raises(OptionError, match="palette is 'pink'.*'colour-blind-safe'"):
            batch.plan([folder], tmp_path, batch.SegmentSettings(model, palette="pink"))

    def test_no_input_no_image_no_model(self, tmp_path, settings):
        with pytest.raises(ImageError, match="No image was given"):
            batch.plan([], tmp_path / "out", settings)
        with pytest.raises(ImageError, match="No image in"):
            batch.plan([tmp_path], tmp_path / "out", settings)
        with pytest.raises(ModelError, match="'nowhere' is neither a folder nor the name"):
            batch.plan([tmp_path], tmp_path / "out", batch.SegmentSettings("nowhere"))


class TestRun:
    def test_labels_on_disk_are_those_of_segment(self, folder, settings, model, tmp_path):
        report = drain(batch.run(batch.plan([folder], tmp_path / "out", settings)))
        assert [r.status for r in report.results] == ["done", "done"]
        for name, seed in (("a", 1), ("b", 2)):
            labels = tifffile.imread(tmp_path / "out" / f"{name}_labels.tif")
            expected = nf.segment(image(seed), nf.load_model(model), device="cpu")
            assert labels.dtype == np.uint8
            np.testing.assert_array_equal(labels, expected)

    def test_fractions_agree_with_the_labels(self, folder, settings, tmp_path):
        report = drain(batch.run(batch.plan([folder], tmp_path / "out", settings)))
        table = pd.read_csv(tmp_path / "out" / "fractions.csv")
        assert table.columns[:2].tolist() == ["file", "plane"]
        assert table.file.tolist() == ["a.png"] * 3 + ["b.tif"] * 3
        labels = tifffile.imread(tmp_path / "out" / "b_labels.tif")
        counts = [int((labels == v).sum()) for v in (1, 2, 3)]
        assert table.area_px.tolist()[3:] == counts
        assert report.mode_fractions.columns.tolist() == ["intergranular", "transgranular"]
        assert report.mode_fractions.index.tolist() == [("a.png", "0"), ("b.tif", "0")]

    def test_the_run_is_described(self, folder, settings, model, tmp_path):
        settings = replace(settings, tile_px=1024)
        drain(batch.run(batch.plan([folder], tmp_path / "out", settings)))
        run = json.loads((tmp_path / "out" / "run.json").read_text())
        assert run["fractoseg_version"] == nf.__version__
        weights = (model / "model.safetensors").read_bytes()
        assert run["model"]["sha256"] == hashlib.sha256(weights).hexdigest()
        assert run["model"]["card"] == json.loads((model / "card.json").read_text())
        assert run["device"].startswith("CPU")
        assert run["settings"]["model"] == str(model)
        first = run["files"][0]
        assert first["sha256"] == hashlib.sha256((folder / "a.png").read_bytes()).hexdigest()
        assert first["path"] == str(folder / "a.png")
        assert (first["status"], first["outputs"]) == ("done", ["a_labels.tif"])
        assert (first["tile_px"], first["halo_px"]) == (1024, 64)
        assert first["seconds"] > 0

    def test_a_failed_file_is_a_row_of_the_report(self, folder, settings, tmp_path):
        (folder / "a.png").write_bytes(b"no image")
        iio.imwrite(folder / "c.png", image(3))
        inputs = [folder, tmp_path / "missing.png"]
        report = drain(batch.run(batch.plan(inputs, tmp_path / "out", settings)))
        assert [r.status for r in report.results] == ["failed", "done", "done", "failed"]
        assert [r.path.name for r in report.failed] == ["a.png", "missing.png"]
        files = json.loads((tmp_path / "out" / "run.json").read_text())["files"]
        assert "cannot be read as an image" in files[0]["error"]
        assert files[0]["sha256"] == hashlib.sha256(b"no image").hexdigest()
        assert "missing.png does not exist" in files[3]["error"]
        assert not (tmp_path / "out" / "a_labels.tif").exists()

    def test_an_error_of_another_library_is_a_row_with_its_traceback(
        self, folder, settings, tmp_path, monkeypatch
    ):
        def broken(*_, **__):
            raise RuntimeError("disk on fire")

        monkeypatch.setattr("napari_fractoseg.batch.planes.class_fractions", broken)
        report = drain(batch.run(batch.plan([folder], tmp_path / "out", settings)))
        assert len(report.failed) == 2
        assert report.failed[0].error == "RuntimeError: disk on fire"
        assert "in broken" in report.failed[0].details
        assert pd.read_csv(tmp_path / "out" / "fractions.csv").empty

    def test_nothing_is_left_of_a_file_that_could_not_be_written(
        self, folder, settings, tmp_path, monkeypatch
    ):
        def half_written(path, *_, **__):
            Path(path).write_bytes(b"II*")
            raise OSError("no space left on device")

        monkeypatch.setattr("napari_fractoseg.results.tiff.tifffile.imwrite", half_written)
        report = drain(batch.run(batch.plan([folder / "a.png"], tmp_path / "out", settings)))
        assert "no space left" in report.failed[0].error
        left = sorted(p.name for p in (tmp_path / "out").iterdir())
        assert left == ["fractions.csv", "run.json"]

    @pytest.mark.parametrize("shape", [(1, 33, 20), (3, 34, 40), (2, 2, 33, 3), (4, 3)])
    def test_shapes_are_kept(self, tmp_path, settings, shape):
        tifffile.imwrite(tmp_path / "s.tif", image(4, shape), photometric="minisblack")
        report = drain(batch.run(batch.plan([tmp_path / "s.tif"], tmp_path / "out", settings)))
        assert report.results[0].shape == shape
        path = tmp_path / "out" / "s_labels.tif"
        assert tifffile.imread(path).shape == shape
        assert nf.read_image(path).shape == shape

    def test_a_stack_has_a_row_and_an_overlay_for_each_plane(self, tmp_path, model):
        tifffile.imwrite(tmp_path / "s.tif", image(4, (1, 2, 32, 32)), photometric="minisblack")
        settings = batch.SegmentSettings(model, "cpu", overlay=True, confidence=True)
        drain(batch.run(batch.plan([tmp_path / "s.tif"], tmp_path / "out", settings)))
        overlays = sorted(p.name for p in (tmp_path / "out").glob("*.png"))
        assert overlays == ["s_overlay_0_0.png", "s_overlay_0_1.png"]
        assert iio.imread(tmp_path / "out" / overlays[0]).shape == (32, 32, 3)
        planes = pd.read_csv(tmp_path / "out" / "fractions.csv").plane.drop_duplicates()
        assert planes.tolist() == ["0 0", "0 1"]
        confidence = tifffile.imread(tmp_path / "out" / "s_confidence.tif")
        assert confidence.dtype == np.float32
        assert confidence.shape == (1, 2, 32, 32)
        assert 1 / 3 <= confidence.min() <= confidence.max() <= 1

    def test_the_labels_file_names_its_classes(self, folder, settings, tmp_path):
        drain(batch.run(batch.plan([folder / "a.png"], tmp_path / "out", settings)))
        classes = own_entries(tiff_description(tmp_path / "out" / "a_labels.tif"))["classes"]
        assert classes == {"1": "intergranular", "2": "transgranular", "3": "background"}

    def test_the_labels_file_says_where_it_comes_from(self, folder, model, tmp_path):
        segment([folder / "a.png"], tmp_path / "out", model, palette="colour-blind-safe")
        path = tmp_path / "out" / "a_labels.tif"
        record, loaded = read_record(path), nf.load_model(model)
        assert (record.model_name, record.model_digest) == ("tiny", loaded.digest)
        assert (record.image, record.planes, record.device[:3]) == ("a", "all", "CPU")
        assert record.scheme == loaded.card.scheme.with_palette("colour-blind-safe")
        assert record.labels_sha256 == labels_digest(tifffile.imread(path))

    def test_an_executor_does_the_same(self, folder, settings, tmp_path):
        (folder / "broken.png").write_bytes(b"")
        here = drain(batch.run(batch.plan([folder], tmp_path / "here", settings)))
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            there = drain(batch.run(batch.plan([folder], tmp_path / "there", settings), pool))
        assert [r.status for r in there.results] == [r.status for r in here.results]
        pd.testing.assert_frame_equal(there.fractions, here.fractions)

    def test_a_dead_worker_is_a_row_of_the_report(self, folder, settings, tmp_path):
        class DeadExecutor(concurrent.futures.Executor):
            def submit(self, *_, **__):
                future = concurrent.futures.Future()
                future.set_exception(concurrent.futures.BrokenExecutor("killed"))
                return future

        report = drain(batch.run(batch.plan([folder], tmp_path / "out", settings), DeadExecutor()))
        assert [r.error for r in report.failed] == ["BrokenExecutor: killed"] * 2

    def test_why_a_run_failed_is_said_also_if_the_report_cannot_be_written(
        self, folder, settings, tmp_path
    ):
        tasks = batch.plan([folder], tmp_path / "out", settings)
        (tmp_path / "out" / "fractions.csv").mkdir(parents=True)
        pool = concurrent.futures.ThreadPoolExecutor(1)
        pool.shutdown()
        with pytest.raises(RuntimeError, match="after shutdown") as caught:
            drain(batch.run(tasks, pool))
        assert "fractions.csv" in caught.value.__notes__[0]

    def test_tasks_of_two_plans_are_refused_with_what_differs(self, folder, settings, tmp_path):
        first, second = batch.plan([folder], tmp_path / "out", settings)
        for other, difference in (
            (replace(second, settings=replace(settings, tile_px=64)), "tile_px None and 64"),
            (replace(second, out=tmp_path / "two"), r"folder .*out and .*two"),
        ):
            with pytest.raises(
                nf.FractosegError, match=rf"a\.png and b\.tif .*: {difference}\. .*by itself"
            ):
                drain(batch.run([first, other]))
        assert not (tmp_path / "out").exists()

    def test_a_stopped_run_keeps_what_is_finished_and_says_what_is_not(
        self, folder, settings, tmp_path
    ):
        job = batch.run(batch.plan([folder], tmp_path / "out", settings))
        while not (tmp_path / "out" / "a_labels.tif").exists():
            progress = next(job)
        next(job)
        job.close()
        assert progress.total == 200
        files = json.loads((tmp_path / "out" / "run.json").read_text())["files"]
        assert [f["status"] for f in files] == ["done", "not done"]
        assert set(pd.read_csv(tmp_path / "out" / "fractions.csv").file) == {"a.png"}

    def test_progress_counts_to_the_end(self, folder, settings, tmp_path):
        seen = []
        drain(batch.run(batch.plan([folder], tmp_path / "out", settings)), seen.append)
        assert [p.done for p in seen] == sorted(p.done for p in seen)
        assert seen[-1].done == seen[-1].total == 200
        assert "a.png" in [p.message for p in seen]

    def test_a_damaged_model_ends_the_run_before_it_starts(self, folder, model, tmp_path):
        damaged = tmp_path / "damaged"
        damaged.mkdir()
        for name in ("card.json", "config.json"):
            (damaged / name).write_bytes((model / name).read_bytes())
        (damaged / "model.safetensors").write_bytes(b"")
        tasks = batch.plan([folder], tmp_path / "out", batch.SegmentSettings(damaged))
        with pytest.raises(ModelError, match="damaged"):
            drain(batch.run(tasks))
        assert not (tmp_path / "out").exists()

    def test_a_model_that_was_trained_again_is_loaded_again(self, folder, model, tmp_path):
        again = tmp_path / "again"
        loaded = nf.load_model(model)
        loaded.save(again)
        settings = batch.SegmentSettings(again, "cpu")
        drain(batch.run(batch.plan([folder / "a.png"], tmp_path / "one", settings)))
        bias = loaded.network.segmentation_head[0].bias
        bias.data[:] = bias.new_tensor([0, 99, 0])
        shutil.rmtree(again)
        loaded.save(again)
        drain(batch.run(batch.plan([folder / "a.png"], tmp_path / "two", settings)))
        assert np.unique(tifffile.imread(tmp_path / "two" / "a_labels.tif")).tolist() == [2]

    def test_a_zarr_is_hashed_by_its_files(self, tmp_path, settings):
        zarr.save(str(tmp_path / "s.zarr"), image(0))
        out = tmp_path / "out"
        first = drain(batch.run(batch.plan([tmp_path / "s.zarr"], out, settings)))
        zarr.open(str(tmp_path / "s.zarr"))[0, 0] ^= 1
        second = drain(batch.run(batch.plan([tmp_path / "s.zarr"], out, settings, overwrite=True)))
        assert len(first.results[0].sha256) == 64
        assert first.results[0].sha256 != second.results[0].sha256


class TestPlanesLeftOut:
    @pytest.fixture
    def stack(self, tmp_path):
        """A plane of noise, a blank one, and one with NaN."""
        planes = np.stack([image(s).astype(np.float32) for s in range(3)])
        planes[1], planes[2, 3, 4] = 7, np.nan
        tifffile.imwrite(tmp_path / "s.tif", planes, photometric="minisblack")
        return tmp_path / "s.tif"

    def test_a_damaged_plane_costs_no_other(self, stack, model, tmp_path):
        report = segment([stack], tmp_path / "out", model, overlay=True, confidence=True)
        (result,) = report.results
        assert result.status == "done in part"
        assert [n.split(".")[0] for n in result.notes] == [
            "s, plane 2 of 3 (index 1): all grey levels are 7; left unlabelled",
            "s, plane 3 of 3 (index 2): 1 of 2000 pixels are NaN or infinite",
        ]
        labels = tifffile.imread(tmp_path / "out" / "s_labels.tif")
        assert [bool(plane.any()) for plane in labels] == [True, False, False]
        overlays = sorted(p.name for p in (tmp_path / "out").glob("*.png"))
        assert overlays == ["s_overlay_0.png", "s_overlay_1.png"]

    def test_what_was_not_measured_has_no_fraction(self, stack, model, tmp_path):
        segment([stack], tmp_path / "out", model)
        table = pd.read_csv(tmp_path / "out" / "fractions.csv")
        measured = table.groupby("plane").fraction_of_image.sum(min_count=1)
        assert measured[0] == pytest.approx(1)
        assert measured[1:].isna().all()
        assert table.note.str.contains("is not known").tolist() == [True] * 3 + [False] * 6

    def test_a_blank_image_is_done_and_noted(self, tmp_path, model):
        iio.imwrite(tmp_path / "blank.png", np.full((40, 50), 9, np.uint8))
        report = segment([tmp_path / "blank.png"], tmp_path / "out", model)
        assert report.results[0].status == "done"
        assert report.results[0].notes == ("blank: all grey levels are 9; left unlabelled.",)
        assert not tifffile.imread(tmp_path / "out" / "blank_labels.tif").any()


class TestResume:
    def test_what_is_done_is_skipped_and_stays_in_the_reports(self, folder, model, tmp_path):
        out, settings = tmp_path / "out", batch.SegmentSettings(model, "cpu")
        job = batch.run(batch.plan([folder], out, settings))
        while not (out / "a_labels.tif").exists():
            next(job)
        next(job)
        job.close()
        labels = out / "a_labels.tif"
        tifffile.imwrite(labels, np.full((40, 50), 2, np.uint8))  # corrected by hand
        (task,) = batch.plan([folder], out, settings, resume=True)
        assert task.path.name == "b.tif"
        drain(batch.run([task]))
        assert set(pd.read_csv(out / "fractions.csv").file) == {"a.png", "b.tif"}
        assert batch.plan([folder], out, settings, resume=True) == []
        assert (tifffile.imread(labels) == 2).all()

    def test_what_was_done_otherwise_is_not_taken_for_done(self, folder, model, tmp_path):
        out, settings = tmp_path / "out", batch.SegmentSettings(model, "cpu")
        drain(batch.run(batch.plan([folder], out, settings)))
        for other in (replace(settings, flips=True), replace(settings, confidence=True)):
            with pytest.raises(OutputExistsError, match=r"a_labels\.tif.*replaced") as caught:
                batch.plan([folder], out, other, resume=True)
            assert caught.value.options == ("overwrite",)
        assert batch.plan([folder], out, replace(settings, device="auto"), resume=True) == []
        iio.imwrite(folder / "a.png", image(7))
        with pytest.raises(OutputExistsError, match=r"already: a_labels\.tif\. They are of"):
            batch.plan([folder], out, settings, resume=True)
        (task,) = batch.plan([folder], out, settings, resume=True, overwrite=True)
        assert task.path.name == "a.png"

    def test_what_the_same_weights_saw_otherwise_is_not_taken_for_done(
        self, folder, model, tmp_path
    ):
        own = Path(shutil.copytree(model, tmp_path / "own"))
        out, settings = tmp_path / "out", batch.SegmentSettings(own, "cpu")
        drain(batch.run(batch.plan([folder], out, settings)))
        assert batch.plan([folder], out, settings, resume=True) == []
        card = json.loads((own / "card.json").read_text())
        card["inference"]["smoothing_px"] = 1.5
        (own / "card.json").write_text(json.dumps(card))
        with pytest.raises(OutputExistsError, match=r"a_labels\.tif.*another image, model"):
            batch.plan([folder], out, settings, resume=True)

    def test_reports_of_earlier_versions_do_not_name_all_of_the_look(self, folder, model, tmp_path):
        out, settings = tmp_path / "out", batch.SegmentSettings(model, "cpu")
        drain(batch.run(batch.plan([folder], out, settings)))
        report = json.loads((out / "run.json").read_text())
        assert report["model"]["card"]["inference"].pop("smoothing_px") == 0
        (out / "run.json").write_text(json.dumps(report))
        assert batch.plan([folder], out, settings, resume=True) == []
        report["model"]["card"] = "torn"
        (out / "run.json").write_text(json.dumps(report))
        with pytest.raises(OutputExistsError, match=r"a_labels\.tif"):
            batch.plan([folder], out, settings, resume=True)

    def test_a_file_done_in_part_is_done(self, folder, model, tmp_path):
        stack = np.stack([image(1, (40, 50)).astype(np.float32)] * 2)
        stack[1, 0, 0] = np.nan
        zarr.save(str(folder / "s.zarr"), stack)
        out, settings = tmp_path / "out", batch.SegmentSettings(model, "cpu")
        report = drain(batch.run(batch.plan([folder], out, settings)))
        assert [r.status for r in report.results] == ["done", "done", "done in part"]
        assert batch.plan([folder], out, settings, resume=True) == []

    def test_other_results_of_an_image_are_not_removed_unasked(self, folder, model, tmp_path):
        out, settings = tmp_path / "out", batch.SegmentSettings(model, "cpu")
        drain(batch.run(batch.plan([folder], out, settings)))
        with pytest.raises(
            OutputExistsError, match=r"a_labels\.tif.*another image, model or setting"
        ):
            batch.plan([folder], out, replace(settings, zarr=True), resume=True)

    def test_reports_of_others_are_not_written_into(self, folder, settings, tmp_path):
        (tmp_path / "run.json").write_text("mine")
        with pytest.raises(OutputExistsError, match=r"run\.json"):
            batch.plan([folder], tmp_path, settings, resume=True)

    def test_nothing_to_do_is_said(self):
        with pytest.raises(ImageError, match="nothing to do"):
            drain(batch.run([]))


class TestOverwrite:
    def test_all_results_of_an_image_are_replaced(self, folder, model, tmp_path):
        out = tmp_path / "out"
        segment([folder], out, model, overlay=True, confidence=True)
        (out / "a_notes.txt").write_text("mine")
        segment([folder / "a.png"], out, model, overwrite=True)
        assert sorted(p.name for p in out.glob("a_*")) == ["a_labels.tif", "a_notes.txt"]
        assert sorted(p.name for p in out.glob("b_*")) == [
            "b_confidence.tif",
            "b_labels.tif",
            "b_overlay.png",
        ]

    def test_the_reports_tell_of_all_labels_that_are_there(self, folder, model, tmp_path):
        out = tmp_path / "out"
        segment([folder], out, model, tile_px=64)
        before = pd.read_csv(out / "fractions.csv")
        segment([folder / "a.png"], out, model, overwrite=True)
        table = pd.read_csv(out / "fractions.csv")
        assert sorted(table.file.unique()) == ["a.png", "b.tif"]
        pd.testing.assert_frame_equal(
            table[table.file == "b.tif"].reset_index(drop=True),
            before[before.file == "b.tif"].reset_index(drop=True),
        )
        run = json.loads((out / "run.json").read_text())
        assert [f["file"] for f in run["files"]] == ["a.png"]
        (earlier,) = run["earlier_runs"]
        assert [f["file"] for f in earlier["files"]] == ["b.tif"]
        assert earlier["settings"]["tile_px"] == 64
        segment([folder / "b.tif"], out, model, overwrite=True)
        run = json.loads((out / "run.json").read_text())
        assert [[f["file"] for f in r["files"]] for r in (run, *run["earlier_runs"])] == [
            ["b.tif"],
            ["a.png"],
        ]
        (out / "a_labels.tif").unlink()
        segment([folder / "b.tif"], out, model, overwrite=True)
        assert "earlier_runs" not in json.loads((out / "run.json").read_text())
        assert pd.read_csv(out / "fractions.csv").file.unique().tolist() == ["b.tif"]

    def test_labels_of_an_image_that_fails_now_stay_reported(self, folder, model, tmp_path):
        out = tmp_path / "out"
        segment([folder], out, model)
        (folder / "a.png").write_bytes(b"no image")
        segment([folder / "a.png"], out, model, overwrite=True)
        assert (out / "a_labels.tif").exists()
        assert sorted(pd.read_csv(out / "fractions.csv").file.unique()) == ["a.png", "b.tif"]
        run = json.loads((out / "run.json").read_text())
        assert run["files"][0]["status"] == "failed"
        assert len(run["earlier_runs"][0]["files"]) == 2

    def test_only_results_are_removed_whatever_a_report_says(self, folder, model, tmp_path):
        out = tmp_path / "out"
        segment([folder], out, model)
        run = json.loads((out / "run.json").read_text())
        run["files"][0]["outputs"] += ["../inputs/b.tif", "/etc/a_labels.tif", "b_labels.tif"]
        (out / "run.json").write_text(json.dumps(run))
        segment([folder / "a.png"], out, model, overwrite=True)
        assert (folder / "b.tif").exists()
        assert (out / "b_labels.tif").exists()

    @pytest.mark.parametrize("text", ["mine", "[]", '{"files": 3}', '{"files": [{}]}'])
    def test_reports_that_are_not_ours_count_as_none(self, folder, model, tmp_path, text):
        out = tmp_path / "out"
        out.mkdir()
        for name in ("run.json", "fractions.csv"):
            (out / name).write_text(text)
        segment([folder], out, model, overwrite=True)
        assert "earlier_runs" not in json.loads((out / "run.json").read_text())


def test_a_palette_colours_the_overlay(folder, model, tmp_path):
    for palette in (None, "colour-blind-safe"):
        out = tmp_path / str(palette)
        segment([folder / "a.png"], out, model, overlay=True, palette=palette)
        labels = tifffile.imread(out / "a_labels.tif")
        scheme = nf.load_model(model).card.scheme
        expected = overlay(image(1), labels, scheme.with_palette(palette) if palette else scheme)
        np.testing.assert_array_equal(iio.imread(out / "a_overlay.png"), expected)
