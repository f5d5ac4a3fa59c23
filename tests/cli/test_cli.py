from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import imageio.v3 as iio
import numpy as np
import pandas as pd
import pytest
import tifffile
import zarr
from typer.testing import CliRunner

import napari_fractoseg as nf
import napari_fractoseg.annotations
from napari_fractoseg.batch import SegmentSettings
from napari_fractoseg.classes import PALETTES
from napari_fractoseg.cli import options as common
from napari_fractoseg.cli.app import app
from napari_fractoseg.cli.train import stop_on_ctrl_c
from napari_fractoseg.models.card import ModelCard
from napari_fractoseg.models.model import SegmentationModel
from napari_fractoseg.options import option_fields
from napari_fractoseg.training.presets import FINE_TUNING, NEW_NETWORK
from napari_fractoseg.training.run_lock import hold_model

PLAN = {
    "encoder": "tu-test_resnet",
    "decoder_channels": [32, 16, 16, 8, 8],
    "patch_px": 64,
    "batch_size": 2,
    "max_steps": 5,
    "reduction": 1,
}
QF_VALUES = "0=background,1=transgranular,2=intergranular"


def run(*arguments, code: int = 0) -> str:
    """Run the command line and return what it printed."""
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module")
def model(tmp_path_factory, tiny_model):
    return tiny_model.save(tmp_path_factory.mktemp("models") / "tiny", half=True)


@pytest.fixture
def data(tmp_path):
    """Two images, smooth on the left and rough on the right, with masks as QF exports them."""
    rng = np.random.default_rng(0)
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for name in ("one", "two"):
        image = rng.integers(90, 110, (96, 96)).astype(np.uint8)
        image[:, 48:] = rng.integers(0, 255, (96, 48))
        mask = np.full((96, 96), 2, np.uint8)
        mask[:, 48:], mask[:4] = 1, 0
        iio.imwrite(tmp_path / "images" / f"{name}.png", image)
        iio.imwrite(tmp_path / "masks" / f"{name}.png", mask)
    (tmp_path / "plan.json").write_text(json.dumps(PLAN))
    return tmp_path


def train_arguments(data, out="model"):
    sources = ["--images", data / "images", "--labels", data / "masks"]
    return ["train", *sources, "--plan", data / "plan.json", "--device", "cpu", "-o", data / out]


@pytest.fixture
def interruptible():
    """Let Ctrl-C work: shells and services may have started the tests with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class TestStart:
    def test_help_does_not_wait_for_torch(self):
        code = (
            "import sys, napari_fractoseg.cli\n"
            "heavy = {'torch', 'pandas', 'skimage', 'numpy', 'napari', 'qtpy'}\n"
            "print(sorted(heavy & set(sys.modules)))"
        )
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)  # noqa: S603
        assert result.stdout.strip() == "[]", result.stderr

    def test_version(self):
        assert run("--version") == f"fractoseg {nf.__version__}\n"

    def test_commands_are_listed(self):
        text = run("--help")
        for command in ("segment", "train", "evaluate", "convert", "models", "doctor", "demo"):
            assert command in text

    def test_an_error_is_one_line_on_stderr_and_exit_code_2(self, data):
        code = "from napari_fractoseg.cli import main; main()"
        arguments = ["segment", str(data / "images"), "-o", str(data / "out"), "--model", "none"]
        result = subprocess.run(  # noqa: S603
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True
        )
        assert result.returncode == 2
        assert result.stdout == ""
        assert result.stderr.startswith("error: Model 'none' is neither a folder nor the name")
        assert result.stderr.count("\n") == 1


class TestSegment:
    def test_labels_are_those_of_the_library(self, data, model):
        out = data / "out"
        text = run("segment", data / "images", "-o", out, "--model", model, "--device", "cpu")
        assert "2 of 2 files segmented" in text
        assert sorted(p.name for p in out.iterdir()) == [
            "fractions.csv",
            "one_labels.tif",
            "run.json",
            "two_labels.tif",
        ]
        image = iio.imread(data / "images" / "one.png")
        expected = nf.segment(image, nf.load_model(model), device="cpu")
        np.testing.assert_array_equal(tifffile.imread(out / "one_labels.tif"), expected)

    def test_options_reach_the_run(self, data, model):
        out, image = data / "out", data / "images" / "one.png"
        run("segment", image, "-o", out, "--model", model, "--device", "cpu", "--overlay",
            "--confidence", "--tile-px", "64", "--flips",
            "--palette", "colour-blind-safe", "--max-memory-gb", "2.5", "--margin",
            "--zarr", "--precision", "single", "--pixel-size-um", "0.075",
            "--exclude-bar", "4", "--scale", "2", "--no-familiarity")  # fmt: skip
        settings = json.loads((out / "run.json").read_text())["settings"]
        assert settings == {
            "model": str(model),
            "device": "cpu",
            "tile_px": 64,
            "flips": True,
            "overlay": True,
            "confidence": True,
            "palette": "colour-blind-safe",
            "max_memory_gb": 2.5,
            "margin": True,
            "channel": None,
            "zarr": True,
            "name": None,
            "precision": "single",
            "pixel_size_um": 0.075,
            "exclude_bar": "4",
            "scale": "2",
            "familiarity": False,
        }
        assert (out / "one_overlay.png").exists()
        assert (out / "one_confidence.zarr").exists()
        assert (out / "one_margin.zarr").exists()

    @pytest.mark.slow
    def test_workers_write_where_they_are_told(self, data, model):
        (data / "big").mkdir()
        image = iio.imread(data / "images" / "one.png")
        zarr.create_array(data / "big.zarr", data=image, dimension_names=("y", "x"))
        text = run("segment", data / "big.zarr", "-o", data / "big" / "mine.zarr", "--model",
                   model, "--device", "cpu", "--workers", "2")  # fmt: skip
        assert "1 of 1 files segmented" in text
        labels = zarr.open_group(data / "big" / "mine.zarr", mode="r")["0"][...]
        expected = nf.segment(image, nf.load_model(model), device="cpu")
        np.testing.assert_array_equal(labels, expected)

    def test_two_kinds_of_workers_are_one_too_many(self, data, model):
        text = run("segment", data / "images", "-o", data / "out", "--model", model,
                   "--workers", "2", "--scheduler", "tcp://nowhere:1", code=2)  # fmt: skip
        assert "Choose one" in text
        assert not (data / "out").exists()

    def test_a_folder_is_a_stack_and_is_gone_on_with(self, data, model):
        arguments = ["segment", data / "images", "-o", data / "out", "--model", model, "--stack"]
        assert "1 of 1 files segmented" in run(*arguments)
        assert tifffile.imread(data / "out" / "images_labels.tif").shape == (2, 96, 96)
        assert "already there" not in run(*arguments, "--resume")
        assert "Nothing to do" in run(*arguments, "--resume")
        assert "--resume" in run(*arguments, code=2)

    def test_each_palette_can_be_chosen(self):
        assert option_fields(SegmentSettings)["palette"].choices == tuple(PALETTES)

    def test_a_mistyped_input_writes_nothing(self, data, model):
        text = run("segment", data / "imagse", "-o", data / "out", "--model", model, code=2)
        assert text == "error: There is no imagse. Check the path.\n"
        assert not (data / "out").exists()

    def test_planes_left_out_are_named(self, data, model):
        blank = np.full((40, 50), 9, np.uint8)
        iio.imwrite(data / "blank.png", blank)
        out = data / "out"
        text = run("segment", data / "blank.png", "-o", out, "--model", model)
        assert "note: blank: all grey levels are 9; left unlabelled." in text
        stack = np.stack([blank, blank]).astype(np.float32)
        stack[1, 0, 0] = np.nan
        tifffile.imwrite(data / "stack.tif", stack, photometric="minisblack")
        text = run("segment", data / "stack.tif", "-o", data / "2", "--model", model, code=1)
        assert "note: stack, plane 2 of 2 (index 1): 1 of 2000 pixels are NaN" in text
        assert "1 of 1 files segmented" in text

    def test_a_bad_file_is_reported_and_the_others_are_done(self, data, model):
        (data / "images" / "bad.png").write_bytes(b"no image")
        out = data / "out"
        text = run("segment", data / "images", "-o", out, "--model", model, code=1)
        assert "failed: bad.png: cannot be read as an image: it is damaged" in text
        assert "2 of 3 files segmented" in text
        assert set(pd.read_csv(out / "fractions.csv").file) == {"one.png", "two.png"}
        files = json.loads((out / "run.json").read_text())["files"]
        assert [f["status"] for f in files] == ["failed", "done", "done"]

    def test_results_are_replaced_only_when_asked(self, data, model):
        arguments = ["segment", data / "images" / "one.png", "-o", data / "out", "--model", model]
        run(*arguments)
        labels = data / "out" / "one_labels.tif"
        labels.write_bytes(b"corrected by hand")
        text = run(*arguments, code=2)
        assert "one_labels.tif, fractions.csv, run.json" in text
        assert "--overwrite" in text
        assert labels.read_bytes() == b"corrected by hand"
        run(*arguments, "--overwrite")
        assert tifffile.imread(labels).shape == (96, 96)

    def test_ctrl_c_leaves_what_is_finished(self, data, model, monkeypatch, interruptible):
        seen = []

        class Throttle(common.Throttle):
            def ready(self):
                seen.append(True)
                if (data / "out" / "one_labels.tif").exists():
                    signal.raise_signal(signal.SIGINT)
                return False

        monkeypatch.setattr(common, "Throttle", Throttle)
        arguments = ["segment", data / "images", "-o", data / "out", "--model", model]
        assert "What is finished stays in" in run(*arguments, code=130)
        files = json.loads((data / "out" / "run.json").read_text())["files"]
        assert [f["status"] for f in files] == ["done", "not done"]

    def test_a_device_that_is_not_there_is_exit_code_2(self, data, model):
        text = run("segment", data / "images", "-o", data / "out", "--model", model,
                   "--device", "cuda:99", code=2)  # fmt: skip
        assert "error: Device 'cuda:99' is not available; there is" in text
        assert not (data / "out").exists()


class TestTrainEvaluateSegment:
    @pytest.mark.slow
    def test_from_images_to_labels(self, data):
        text = run(*train_arguments(data), "--mask-values", QF_VALUES, "--max-steps", 15,
                   "--validation", "two", "--name", "Mine", "--description", "Made up.",
                   "--licence", "CC0-1.0", "--history", data / "history.csv")  # fmt: skip
        assert "intergranular 8832 px, transgranular 8832 px, background 768 px" in text
        assert len(pd.read_csv(data / "history.csv")) == 15
        card = nf.load_model(data / "model").card
        assert (card.name, card.description, card.licence) == ("Mine", "Made up.", "CC0-1.0")
        assert card.lineage.plan["max_steps"] == 15
        assert card.lineage.plan["patch_px"] == 64
        assert set(card.lineage.data) == {"one"}

        report = data / "report.json"
        text = run("evaluate", "--model", data / "model", "--images", data / "images", "--labels",
                   data / "masks", "--mask-values", QF_VALUES, "-o", report)  # fmt: skip
        figures = json.loads(report.read_text())
        assert list(figures["images"]) == ["one", "two"]
        assert figures["pooled"]["labelled_px"] == 2 * 96 * 96
        assert figures["model"]["sha256"] == nf.load_model(data / "model").digest
        assert f"{figures['pooled']['agreement']:.3f}" in text
        assert f"{figures['images']['one']['fraction_error']:.3f}" in text
        table = figures["pooled"]["reliability"]
        assert f"expected calibration error {table['ece']:.3f}, 15 bins" in text
        assert sum(row["n_px"] for row in table["bins"]) == 2 * 96 * 96

        out = data / "out"
        run("segment", data / "images", "-o", out, "--model", data / "model")
        labels = tifffile.imread(out / "one_labels.tif")
        table = figures["images"]["one"]["confusion_matrix"]
        predicted = np.array(table).sum(axis=0).tolist()
        assert [int((labels == v).sum()) for v in (1, 2, 3)] == predicted


class TestTrain:
    def test_a_readout_is_learnt_of_the_model_that_is_named_and_used_like_any_other(
        self, data, model
    ):
        sources = ["--images", data / "images", "--labels", data / "masks"]
        how = ["--method", "readout", "--split", "none", "--device", "cpu"]
        text = run("train", *sources, *how, "--from", model, "-o", data / "quick")
        assert "Next: fractoseg segment" in text
        card = ModelCard.read(data / "quick")
        assert card.lineage.parent == SegmentationModel.load(model).digest
        run("segment", data / "images", "-o", data / "out", "--model", data / "quick",
            "--device", "cpu")  # fmt: skip
        assert len(list((data / "out").glob("*_labels.tif"))) == len(
            list((data / "images").iterdir())
        )

    def test_without_a_model_a_readout_is_learnt_of_the_bundled_one(self, data):
        sources = ["--images", data / "images", "--labels", data / "masks"]
        how = ["--method", "readout", "--split", "none", "--device", "cpu"]
        run("train", *sources, *how, "-o", data / "quick")
        card = ModelCard.read(data / "quick")
        assert card.lineage.parent == nf.load_model("default").digest

    def test_results_of_segment_are_no_truth_unless_that_is_said(self, data, model):
        run("segment", data / "images", "-o", data / "masks", "--overwrite", "--model", model)
        for mask in (data / "masks").glob("*.png"):
            mask.unlink()
        text = run(*train_arguments(data), "--max-steps", 1, code=2)
        assert "one_labels.tif, two_labels.tif: untouched predictions of tiny" in text
        assert "--predictions-as-truth" in text
        assert not (data / "model").exists()
        run(*train_arguments(data), "--max-steps", 1, "--predictions-as-truth")
        assert (data / "model").is_dir()

    def test_results_of_segment_may_be_compared_with_a_model(self, data, model):
        run("segment", data / "images", "-o", data / "results", "--model", model)
        run("evaluate", "--model", model, "--images", data / "images", "--labels",
            data / "results", "-o", data / "report.json")  # fmt: skip
        assert json.loads((data / "report.json").read_text())["pooled"]["agreement"] == 1

    def test_an_existing_folder_is_refused_before_anything_is_read(self, tmp_path):
        text = run("train", "--images", tmp_path / "none", "--labels", tmp_path / "none",
                   "-o", tmp_path, code=2)  # fmt: skip
        assert f"error: {tmp_path} exists already. Choose another name." in text

    def test_the_name_of_a_bundled_model_is_refused_before_training(self, data, monkeypatch):
        monkeypatch.setenv("FRACTOSEG_MODELS", str(data / "own"))
        text = run(*train_arguments(data, "own/fracture-modes"), code=2)
        assert "comes with the package" in text
        assert "Training on" not in text

    def test_options_go_before_the_plan(self, data):
        run(*train_arguments(data), "--seed", 7, "--max-steps", 1, "--encoder", "resnet10t",
            code=2)  # fmt: skip
        run(*train_arguments(data), "--seed", 7, "--max-steps", 1, "--half")
        plan = nf.load_model(data / "model").card.lineage.plan
        assert (plan["seed"], plan["max_steps"], plan["batch_size"]) == (7, 1, 2)
        weights = (data / "model" / "model.safetensors").stat().st_size
        assert weights < 25e6

    def test_sources_come_in_pairs(self, data):
        text = run(*train_arguments(data), "--images", data / "images", code=2)
        assert "2 image folders, 1 labels and 0 shares" in text
        assert not (data / "model").exists()

    def test_shares_are_given_for_each_source(self, data):
        text = run(*train_arguments(data), "--share", 1, "--share", 2, code=2)
        assert "1 image folders, 1 labels and 2 shares" in text

    def test_fine_tuning_names_its_parent(self, data, model):
        text = run(*train_arguments(data), "--from", model, "--max-steps", 1)
        card, parent = nf.load_model(data / "model").card, nf.load_model(model)
        assert card.lineage.parent == parent.digest
        # One step is not worth what was learnt in seconds before it.
        assert (card.metrics["candidates"]["kept"], card.inference.combine) == ("readout", "sum")
        assert "it was kept" in text
        assert "of the painted pixels" in text
        assert card.name == "model"

    def test_a_parent_has_its_encoder(self, data, model):
        text = run(*train_arguments(data), "--from", model, "--encoder", "resnet34", code=2)
        assert "--encoder resnet34 does not go with --from" in text

    def test_weights_that_cannot_be_fetched_stop_it_unless_random_ones_will_do(
        self, data, monkeypatch
    ):
        monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
        weights = ("--encoder", "resnet18", "--encoder-weights", "imagenet")
        arguments = (*train_arguments(data), *weights, "--max-steps", 1)
        text = run(*arguments, code=2)
        assert "could not be fetched from http://127.0.0.1:9/smp-hub/resnet18.imagenet/" in text
        assert "or start from random weights" in text
        assert not (data / "model").exists()
        text = run(*arguments, "--or-random")
        assert "The encoder began with random weights." in text
        assert nf.load_model(data / "model").card.lineage.plan["encoder_weights"] == "none"

    @pytest.mark.parametrize(
        ("option", "value", "message"),
        [
            ("--mask-values", "0:background", "'0:background' is not of the form VALUE=CLASS"),
            ("--mask-values", "7=transgranular", "none of the mask values 7 occurs"),
            ("--encoder", "resnet1", "with encoder 'resnet1'"),
            ("--validation", "three", "No image named three"),
        ],
    )
    def test_what_does_not_fit_is_one_line(self, data, option, value, message):
        text = run(*train_arguments(data), option, value, code=2)
        assert message in text
        assert not (data / "model").exists()

    def test_a_number_out_of_bounds_is_refused_with_the_bound(self, data):
        text = run(*train_arguments(data), "--max-steps", 0, code=2)
        words = " ".join(text.replace("│", "").split())
        assert "max-steps" in words
        assert "greater than or equal to 1" in words or "x>=1" in words  # as typer's version has it

    def test_unlabelled_pixels_can_be_background(self, data):
        text = run(*train_arguments(data), "--max-steps", 1, "--unlabelled", "background")
        assert "background 768 px" in text

    def test_ctrl_c_keeps_the_best_so_far(self, data, monkeypatch, interruptible):
        steps = []

        class Throttle(common.Throttle):
            def ready(self):
                steps.append(True)
                if len(steps) == 3:
                    signal.raise_signal(signal.SIGINT)
                return False

        monkeypatch.setattr(common, "Throttle", Throttle)
        text = run(*train_arguments(data), "--max-steps", 1000, "--split", "none", code=130)
        assert "Ctrl-C again gives up at once" in text
        assert "this is the best so far" in text
        assert nf.load_model(data / "model").card.lineage.plan["steps_done"] == 3

    def test_classes_are_added_renamed_and_removed(self, data, model):
        run(*train_arguments(data), "--from", model, "--max-steps", 1, "--rename", "along=i",
            "--mask-values", "1=transgranular,2=along", "--classes", "along, transgranular,dimples",
            code=2)  # fmt: skip
        run(*train_arguments(data), "--from", model, "--max-steps", 1, "--mask-values",
            "1=transgranular,2=along", "--rename", "along=intergranular", "--classes",
            "along, transgranular,dimples")  # fmt: skip
        card = nf.load_model(data / "model").card
        assert card.scheme.names == ("along", "transgranular", "dimples")
        text = run(*train_arguments(data, "other"), "--rename", "along", code=2)
        assert "--rename 'along' is not of the form NEW=OLD" in text

    def test_what_validates_is_told_class_by_class(self, data):
        text = run(*train_arguments(data), "--split", "blocks", "--patience", 1)
        figures = nf.load_model(data / "model").card.metrics["validation"]
        assert figures["images"] == ["one", "two"]
        for name, row in figures["classes"].items():
            assert str(row["labelled_px"]) in text, name
        assert f"mean IoU {figures['mean_iou']:.3f}" in text
        assert not (data / "model.checkpoint").exists()

    @pytest.mark.slow
    def test_minutes_alone_are_not_cut_short_by_steps(self, data):
        (data / "plan.json").unlink()
        arguments = [a for a in train_arguments(data) if a not in ("--plan", data / "plan.json")]
        run(*arguments, "--max-minutes", 0.01, "--split", "none")
        assert nf.load_model(data / "model").card.lineage.plan["max_steps"] > 600

    @pytest.mark.slow
    def test_it_is_said_which_weights_were_kept(self, data, model):
        text = run(*train_arguments(data), "--max-steps", 2, "--split", "none")
        assert f"Saved {data / 'model'}. Kept: the weights of step 2 of 2, the last one." in text
        text = run(*train_arguments(data, "other"), "--max-steps", 2)
        figures = nf.load_model(data / "other").card.metrics["validation"]
        assert f"Kept: the weights of step {figures['step']} of 2, the best on the" in text
        # Without a readout, which does better than this model and would be kept.
        plan = json.loads((data / "plan.json").read_text())
        (data / "plan.json").write_text(json.dumps({**plan, "readout_first": False}))
        text = run(*train_arguments(data, "same"), "--max-steps", 1, "--from", model,
                   "--learning-rate", 1e-12)  # fmt: skip
        assert "No step was better than the start on the held-out pixels" in text
        assert "No step was better than the start" in (data / "same" / "README.md").read_text()

    @pytest.mark.slow
    def test_the_card_of_a_model_repeats_its_training(self, data):
        run(*train_arguments(data), "--max-steps", 2, "--seed", 3)
        arguments = train_arguments(data, "again")
        arguments[arguments.index("--plan") + 1] = data / "model" / "card.json"
        run(*arguments)
        first, again = (nf.load_model(data / name) for name in ("model", "again"))
        assert again.digest == first.digest
        assert again.card.lineage.plan == first.card.lineage.plan

    def test_help_names_what_the_presets_have(self):
        text = " ".join(run("train", "--help").replace("│", " ").split())
        for preset, start in ((FINE_TUNING, "--from,"), (NEW_NETWORK, "else")):
            rate = f"{preset.learning_rate:f}".rstrip("0")
            assert rate in text, start
            assert f"{preset.patience}" in text
        assert "(default: 0.0001 with --from, else 0.002)." in text
        assert "default: 8 with --from, else 12" in text
        assert "600 steps" in text

    def test_logs_for_tensorboard(self, data):
        pytest.importorskip("tensorboard")
        run(*train_arguments(data), "--max-steps", 2, "--tensorboard", data / "logs")
        assert list((data / "logs").glob("events.out.tfevents.*"))

    def test_a_second_ctrl_c_interrupts(self, interruptible):
        with stop_on_ctrl_c() as stop:
            signal.raise_signal(signal.SIGINT)
            assert stop.is_set()
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


class TestEvaluate:
    def test_a_report_is_replaced_only_when_asked(self, data, model):
        report = data / "report.json"
        report.write_text("mine")
        arguments = ["evaluate", "--model", model, "--images", data / "images", "--labels",
                     data / "masks", "-o", report]  # fmt: skip
        assert "or have it replaced. Option: --overwrite." in run(*arguments, code=2)
        assert report.read_text() == "mine"
        run(*arguments, "--overwrite")
        assert json.loads(report.read_text())["classes"] == list(
            nf.load_model(model).card.scheme.names
        )

    def test_labels_of_a_class_that_the_model_does_not_know(self, data, model):
        text = run("evaluate", "--model", model, "--images", data / "images", "--labels",
                   data / "masks", "--mask-values", "1=transgranular,2=dimples",
                   "-o", data / "report.json", code=2)  # fmt: skip
        assert "labelled 'dimples', a class that the model 'tiny' does not know" in text
        assert "start a new model" not in text
        assert not (data / "report.json").exists()

    def test_it_is_said_at_which_scale_images_were_seen(self, data, tiny_model):
        at_02 = tiny_model.with_card(pixel_size_um=0.2).save(data / "model", half=True)
        for name, um in (("one", 0.1), ("two", 0.2), ("far", 1e-3)):
            image = iio.imread(data / "images" / f"{name.replace('far', 'one')}.png")
            folder = data / ("far" if name == "far" else "sized")
            folder.mkdir(exist_ok=True)
            tifffile.imwrite(folder / f"{name}.tif", image, imagej=True, metadata={"unit": "um"},
                             resolution=(1 / um, 1 / um))  # fmt: skip
        shutil.copy(data / "masks" / "one.png", data / "masks" / "far.png")
        report = data / "report.json"

        def evaluated(images, *options, code=0):
            return run("evaluate", "--model", at_02, "--images", data / images, "--labels",
                       data / "masks", "-o", report, "--overwrite", "--device", "cpu", *options,
                       code=code)  # fmt: skip

        said = "one: Seen at half its size, as the model learnt at 0.2 µm and this image has"
        assert said in evaluated("sized")
        found = json.loads(report.read_text())
        assert [found["images"][name]["scale"] for name in ("one", "two")] == [2, 1]
        assert found["images"]["one"]["seen"] == found["notes"][-1].removeprefix("one: ")
        assert found["images"]["two"]["seen"] == ""
        assert "one: Seen as it is, although" in evaluated("sized", "--scale", "none")
        assert json.loads(report.read_text())["images"]["one"]["scale"] == 1
        text = evaluated("sized", "--scale", "0.5")
        assert "one, two: Seen at twice its size (scale factor 0.5)." in text
        text = evaluated("far", code=2)
        assert "error: far: The model learnt at 0.2 µm and this image has 0.001 µm" in text
        assert "Option: --scale none." in text
        assert "error: scale is '99'. It can be auto" in evaluated("far", "--scale", "99", code=2)


class TestAnnotations:
    """VIA files, and what they leave open: the same answer and the same options everywhere."""

    @pytest.fixture
    def via(self, data):
        """A VIA file of an image, with a region without a class and one with two."""

        def rect(x, value):
            shape = {"name": "rect", "x": x, "y": 0, "width": 20, "height": 96}
            return {"shape_attributes": shape, "region_attributes": {"mode": value, "by": "me"}}

        values = ("i", {"t": True}, "", {"t": True, "i": True})
        regions = [rect(24 * number, value) for number, value in enumerate(values)]
        entries = {
            name: {"filename": name, "size": -1, "regions": its, "file_attributes": {}}
            for name, its in (("one.png", regions), ("gone.png", regions[:1]))
        }
        (data / "via.json").write_text(json.dumps(entries))
        return data / "via.json"

    @pytest.fixture(params=["train", "evaluate", "convert"])
    def arguments(self, request, data, via, model):
        images = ["--images", data / "images"]
        labels = [*images, "--labels", via, "--device", "cpu"]
        return {
            "train": ["train", *labels, "--plan", data / "plan.json", "--max-steps", 1,
                      "-o", data / "new"],
            "evaluate": ["evaluate", *labels, "--model", model, "-o", data / "report.json"],
            "convert": ["convert", via, *images, "--to", "masks", "-o", data / "out"],
        }[request.param]  # fmt: skip

    def test_each_remedy_is_an_option_and_what_is_left_out_is_said(self, arguments):
        assert run(*arguments, code=2).endswith(
            "or have regions without a class left out. Option: --skip-unclassified.\n"
        )
        arguments = [*arguments, "--skip-unclassified"]
        text = run(*arguments, code=2)
        assert text.endswith("or have the first of them taken. Option: --several first.\n")
        text = run(*arguments, "--attribute", "nothing", code=2)
        assert text.endswith("Name one of these. Option: --attribute.\n")
        text = run(*arguments, "--attribute", "by", code=2)
        assert text.endswith("or have new classes made of them. Option: --new-classes.\n")
        text = run(*arguments, "--several", "first")
        assert "1 region without a class is left out of the labels." in text
        assert "1 region has several ticks; the first class counts." in text
        assert "1 of 2 images not found" in text

    def test_damaged_regions_can_be_left_out(self, arguments, via):
        damaged = {"shape_attributes": {"name": "blob"}, "region_attributes": {"mode": "i"}}
        entries = json.loads(via.read_text())
        entries["one.png"]["regions"][2:] = [damaged]
        via.write_text(json.dumps(entries))
        assert run(*arguments, code=2).endswith("left out. Option: --skip-damaged.\n")
        assert "1 damaged regions are left out" in run(*arguments, "--skip-damaged")

    def test_only_options_of_the_command_are_named(self, data, model):
        two = np.zeros((2, 96, 96), np.uint8)
        path = data / "two.tif"
        tifffile.imwrite(path, two, metadata={"axes": "CYX"}, photometric="minisblack")
        text = run("segment", path, "--model", model, "-o", data / "out", code=1)
        assert "or save it as an image of its own. Option: --channel.\n" in text
        report = json.loads((data / "out" / "run.json").read_text())
        assert report["files"][0]["error"].endswith("or save it as an image of its own.")
        path.rename(data / "images" / "two.png").rename(data / "images" / "one.tif")
        (data / "images" / "one.png").unlink()
        text = run(*train_arguments(data), code=2)
        assert text.endswith("or save it as an image of its own.\n")
        out = run("models", "export", model, "-o", data / "plan.json", code=2)
        assert out.startswith("error: ")
        assert "Option" not in out

    def test_weights_that_cannot_be_fetched_name_the_option(self, data, monkeypatch):
        monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
        weights = ("--encoder", "resnet18", "--encoder-weights", "imagenet")
        arguments = (*train_arguments(data), *weights)
        assert run(*arguments, code=2).endswith("random weights. Option: --or-random.\n")


class TestConvert:
    @pytest.fixture
    def via(self, data):
        """A VIA 2 file beside the images: a rectangle each, and a damaged region."""

        def rect(value):
            shape = {"name": "rect", "x": 0, "y": 0, "width": 4, "height": 3}
            return {"shape_attributes": shape, "region_attributes": {"name": value}}

        damaged = {"shape_attributes": {"name": "square"}, "region_attributes": {}}
        regions = {"one.png": [rect("i")], "two.png": [rect("dimples"), damaged]}
        entries = {
            f"{name}-1": {"filename": name, "size": -1, "regions": r, "file_attributes": {}}
            for name, r in regions.items()
        }
        path = data / "images" / "via.json"
        path.write_text(json.dumps(entries))
        return path

    def test_masks_to_a_project_and_back(self, data):
        project, back = data / "project.json", data / "back"
        text = run("convert", data / "masks", "-o", project, "--images", data / "images",
                   "--mask-values", "research")  # fmt: skip
        assert f"Written: {project} (2 images, 6 regions)" in text
        assert "note: Values are read as the research code writes them" in text
        assert nf.annotations.read_via(project).flavour == "via2-project"
        run("convert", project, "-o", back, "--to", "masks", "--images", data / "images")
        labels = tifffile.imread(back / "one_labels.tif")
        mask = iio.imread(data / "masks" / "one.png")
        np.testing.assert_array_equal(labels, np.array([3, 2, 1])[mask])

    @pytest.mark.parametrize("to", ["via1", "via1-csv", "via2", "via2-csv", "via2-project", "coco"])
    def test_each_flavour_can_be_written(self, data, to):
        out = data / ("out.csv" if to.endswith("csv") else "out.json")
        run("convert", data / "masks", "-o", out, "--to", to, "--mask-values", "research")
        document = nf.annotations.read_via(out)
        assert document.flavour == to
        assert len(document) == 2

    def test_options_reach_the_conversion(self, via, data):
        out = data / "out"
        text = run("convert", via, "-o", out, "--to", "masks", "--new-classes", "--skip-damaged",
                   "--unlabelled", "background", "--attribute", "name")  # fmt: skip
        assert f"Written: {out} (2 images, 2 regions)" in text
        assert "note: 1 damaged regions are left out" in text
        labels = tifffile.imread(out / "two_labels.tif")
        assert np.bincount(labels.ravel()).tolist() == [0, 0, 0, 96 * 96 - 12, 12]

    def test_several_ticks_and_regions_without_a_class(self, data):
        shape = {"name": "rect", "x": 0, "y": 0, "width": 4, "height": 3}
        values = ({"mode": {"t": True, "i": True}}, {"mode": {}})
        regions = [{"shape_attributes": shape, "region_attributes": v} for v in values]
        entry = {"filename": "one.png", "size": -1, "regions": regions, "file_attributes": {}}
        via = data / "images" / "via.json"
        via.write_text(json.dumps({"one.png-1": entry}))
        arguments = ["convert", via, "-o", data / "out", "--to", "masks"]
        assert "Option: --several first." in run(*arguments, code=2)
        assert "Option: --skip-unclassified." in run(*arguments, "--several", "first", code=2)
        text = run(*arguments, "--several", "first", "--skip-unclassified")
        assert "note: 1 region has several ticks; the first class counts." in text
        assert "note: 1 region without a class is left out of the labels." in text
        assert f"Written: {data / 'out'} (1 image, 1 region)" in text
        labels = tifffile.imread(data / "out" / "one_labels.tif")
        assert np.bincount(labels.ravel()).tolist() == [96 * 96 - 12, 12]

    def test_the_attribute_of_coco_can_be_named(self, data):
        shape = {"name": "rect", "x": 0, "y": 0, "width": 4, "height": 3}
        regions = [{"shape_attributes": shape, "region_attributes": {"one": "i", "two": "x"}}]
        entry = {"filename": "one.png", "size": -1, "regions": regions, "file_attributes": {}}
        via = data / "images" / "via.json"
        via.write_text(json.dumps({"one.png-1": entry}))
        arguments = ["convert", via, "-o", data / "coco.json", "--to", "coco"]
        assert "Option: --attribute." in run(*arguments, code=2)
        run(*arguments, "--attribute", "two")
        categories = json.loads((data / "coco.json").read_text())["categories"]
        assert categories == [{"supercategory": "two", "id": 1, "name": "x"}]

    def test_polygons_can_be_simplified_and_small_regions_left_out(self, data):
        mask = np.full((96, 96), 2, np.uint8)
        mask[np.tril_indices(96)] = 1
        mask[0, 95] = 3
        iio.imwrite(data / "masks" / "one.png", mask)
        run("convert", data / "masks", "-o", data / "out.json", "--to", "via2", "--min-area-px",
            "2", "--tolerance-px", "2")  # fmt: skip
        regions = nf.annotations.read_via(data / "out.json").find("one.png").regions
        assert [r.attributes["name"] for r in regions] == ["intergranular", "transgranular"]
        assert all(len(r.shape["all_points_x"]) < 8 for r in regions)

    def test_damaged_regions_and_unknown_classes_are_one_line(self, via, data):
        arguments = ["convert", via, "-o", data / "out", "--to", "masks"]
        text = run(*arguments, code=2)
        assert text.startswith(f"error: {via}, image 'two.png', region 1: shape 'square'")
        assert text.count("\n") == 1
        text = run(*arguments, "--skip-damaged", code=2)
        assert text.startswith(f"error: {via}: values of attribute 'name' are not in the scheme")
        assert not (data / "out").exists()

    def test_an_existing_file_is_replaced_only_when_asked(self, via, data):
        arguments = ["convert", via, "-o", data / "plan.json", "--to", "via1", "--skip-damaged"]
        assert "or have it replaced. Option: --overwrite." in run(*arguments, code=2)
        assert json.loads((data / "plan.json").read_text()) == PLAN
        run(*arguments, "--overwrite")
        assert nf.annotations.read_via(data / "plan.json", strict=False).flavour == "via1"


class TestModels:
    @pytest.fixture(autouse=True)
    def _own_models(self, model, monkeypatch):
        monkeypatch.setenv("FRACTOSEG_MODELS", str(model.parent))

    def test_own_models_are_listed(self, model):
        text = run("models", "list")
        assert "tiny" in text
        assert "intergranular, transgranular, background" in text

    def test_the_card_is_shown(self, model):
        text = run("models", "info", "tiny")
        for part in (
            "A Unet network with encoder `tu-test_resnet`",
            "Licence: not stated",
            str(model),
        ):
            assert part in text

    def test_a_model_is_exported_imported_and_removed(self, tmp_path, model):
        packed = tmp_path / "mine.zip"
        assert str(packed) in run("models", "export", "tiny", "-o", packed)
        assert "--model second" in run("models", "import", packed, "--name", "second")
        assert nf.load_model("second").card == nf.load_model("tiny").card
        assert "already" in run("models", "import", packed, "--name", "second", code=2)
        run("models", "remove", "second", code=1)  # nobody said yes
        assert "Removed" in run("models", "remove", "second", "--yes")
        assert "second" not in run("models", "list")

    def test_cards_of_others_give_no_orders_to_the_terminal(self, tmp_path, model, monkeypatch):
        own = tmp_path / "own"
        monkeypatch.setenv("FRACTOSEG_MODELS", str(own))
        card = nf.load_model(model).card
        folder = own / "red\x1b[31m"
        shutil.copytree(model, folder)
        text = replace(card, name="blue\x1b[34m", description="green\x1b[32m").to_json()
        (folder / "card.json").write_text(text)
        for arguments in (("models", "list"), ("models", "info", folder), ("doctor",)):
            found = run(*arguments)
            assert "\x1b" not in found
            assert "red\\x1b" in found.replace("\n", "")

    def test_an_unknown_model_is_an_error_with_the_names_there_are(self):
        assert "Models there are: " in run("models", "info", "none", code=2)


def test_a_reader_that_has_seen_enough_is_no_error(model):
    code = "from napari_fractoseg.cli import main; main()"
    arguments = [sys.executable, "-c", code, "models", "info", str(model)]
    reading, writing = os.pipe()
    os.close(reading)
    result = subprocess.run(arguments, stdout=writing, stderr=subprocess.PIPE, text=True)  # noqa: S603
    os.close(writing)
    assert "error" not in result.stderr
    assert "Broken pipe" not in result.stderr


def test_doctor_tells_versions_devices_and_models(model, monkeypatch):
    monkeypatch.setenv("FRACTOSEG_MODELS", str(model.parent))
    text = run("doctor")
    for part in (nf.__version__, "torch", "Qt binding", "Device cpu: CPU", "tiny"):
        assert part in text


def test_doctor_survives_a_broken_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "napari_fractoseg.models.devices", None)
    assert "PyTorch cannot be used" in run("doctor")


class TestDemo:
    @pytest.fixture(autouse=True)
    def _bundled_model(self, model, tmp_path, monkeypatch):
        """Let a tiny model stand for the bundled one."""
        models = tmp_path / "models"
        models.mkdir()
        (models / "fracture-modes").symlink_to(model)
        monkeypatch.setattr("napari_fractoseg.models.registry.bundled_folder", lambda: models)
        monkeypatch.chdir(tmp_path)

    def test_a_second_demo_gets_a_folder_of_its_own(self, tmp_path):
        text = run("demo", "--device", "cpu")
        assert "synthetic" in text
        assert "Against the exact labels of the synthetic surface: 0." in text
        folder = tmp_path / "fractoseg-demo"
        assert sorted(p.name for p in folder.iterdir()) == [
            "fractions.csv",
            "run.json",
            "synthetic.png",
            "synthetic_exact.tif",
            "synthetic_labels.tif",
            "synthetic_overlay.png",
        ]
        before = {p.name: p.read_bytes() for p in folder.iterdir()}
        assert "fractoseg-demo-2" in run("demo", "--device", "cpu")
        assert (tmp_path / "fractoseg-demo-2" / "synthetic_labels.tif").exists()
        assert {p.name: p.read_bytes() for p in folder.iterdir()} == before

    def test_the_exact_labels_are_kept(self, tmp_path):
        run("demo", "-o", "mine", "--device", "cpu")
        exact = tifffile.imread(tmp_path / "mine" / "synthetic_exact.tif")
        np.testing.assert_array_equal(exact, nf.synthetic_fracture(seed=0, shape=(640, 640)).labels)


class TestPlacesOfResults:
    """What cannot be written is said before images, which are not there here, are looked for."""

    @pytest.mark.parametrize(
        "options", [("-o", "file/model"), ("--history", "file/h.csv"), ("--tensorboard", "file")]
    )
    def test_of_a_training(self, tmp_path, options):
        (tmp_path / "file").touch()
        option, name = options
        given = {"-o": tmp_path / "model"} | {option: tmp_path / name}
        text = run("train", "--images", tmp_path / "none", "--labels", tmp_path / "none",
                   *(word for pair in given.items() for word in pair), code=2)  # fmt: skip
        assert f"error: {tmp_path / 'file'} cannot be written" in " ".join(text.split())
        assert [p.name for p in tmp_path.iterdir()] == ["file"]

    def test_of_an_evaluation(self, tmp_path):
        (tmp_path / "file").touch()
        text = run("evaluate", "--images", tmp_path / "none", "--labels", tmp_path / "none",
                   "-o", tmp_path / "file" / "report.json", code=2)  # fmt: skip
        assert f"error: {tmp_path / 'file'} cannot be written" in " ".join(text.split())

    def test_of_two_trainings_of_one_model_the_second_is_refused(self, tmp_path):
        with hold_model(tmp_path / "model"):
            text = run("train", "--images", tmp_path / "none", "--labels", tmp_path / "none",
                       "-o", tmp_path / "model", code=2)  # fmt: skip
        assert f"A training that will write {tmp_path / 'model'} is going on" in text


@pytest.mark.skipif(os.name == "nt", reason="names are UTF-16 there")
def test_names_that_are_not_utf_8_are_evaluated_and_trained_on(data, model):
    for part in ("images", "masks"):
        (data / part / "one.png").rename(data / part / os.fsdecode(b"5\xb5m.png"))
    pairs = ["--images", data / "images", "--labels", data / "masks", "--device", "cpu"]
    out = data / os.fsdecode(b"\xb5")
    text = run("evaluate", *pairs, "--model", model, "-o", out / "report.json")
    assert r"5\xb5m" in text
    assert os.fsdecode(b"5\xb5m") in json.loads((out / "report.json").read_bytes())["images"]
    text = run("train", *pairs, "--plan", data / "plan.json", "--max-steps", 1,
               "--split", "images", "--validation", os.fsdecode(b"5\xb5m"),
               "-o", data / "model")  # fmt: skip
    assert r"Held-out pixels of 5\xb5m: mean IoU" in text
    assert nf.load_model(str(data / "model")).card.metrics["validation"]["images"] == [r"5\xb5m"]
    text = run("train", *pairs, "-o", out / "model", code=2)
    assert r"\xb5/model cannot hold a model: safetensors opens no file whose path is not" in text


@pytest.mark.skipif(os.name == "nt", reason="full disks are made by a limit of Unix")
def test_a_training_whose_model_finds_no_room_is_taken_up_again(data, monkeypatch):
    import resource

    from napari_fractoseg.models.model import SegmentationModel

    arguments = train_arguments(data)
    save = SegmentationModel.save
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def full(self, *given, **named):
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
        try:
            return save(self, *given, **named)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    with monkeypatch.context() as disk:
        disk.setattr(SegmentationModel, "save", full)
        text = " ".join(run(*arguments, "--max-steps", 2, code=2).split())
    assert f"The training is not lost: {data / 'model.checkpoint'} has it." in text
    assert "Option: --resume" in text
    assert not (data / "model").exists()
    assert f"Saved {data / 'model'}" in run(*arguments, "--max-steps", 2, "--resume")
    assert not (data / "model.checkpoint").exists()
