"""Attacks 6 to 8: a number that changes without a word."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from harness import Lab, Outcome, attack, first_line, problem_of
from made_up import CPU, changed_model, chunk_files, grains, image_folder, model, zarr_image

__all__: list[str] = []


def _unsaid(outcome: Outcome) -> str | None:
    """Return the problem of a run that should have said that something is wrong."""
    problem = problem_of(outcome)
    if problem is None and outcome.code == 0 and not outcome.notes:
        return "exit code 0 without a note"
    return problem


# ---- 6: chunks --------------------------------------------------------------------------


@attack(6, "missing chunks")
def missing_chunks(lab: Lab) -> None:
    """Delete chunks of a zarr image before a run, and while it runs."""

    def make(folder: Path) -> None:
        for version in (2, 3):
            zarr_image(folder / f"v{version}.zarr", size=768, chunk=96, version=version)

    source = lab.once("zarr", make)
    wanted = {}
    for name in ("v2", "v3"):
        folder = lab.fresh("whole")
        shutil.copytree(source / f"{name}.zarr", folder / "image.zarr")
        lab.run(["segment", folder / "image.zarr", "-o", folder / "out", "--model", model(lab), *CPU,
                 "--tile-px", "96"], folder)  # fmt: skip
        wanted[name] = _fractions(folder)
    for number in range(lab.count(8, 2)):
        for name in ("v2", "v3"):
            for when in ("before", "during"):
                folder = lab.fresh("chunks")
                path = folder / "image.zarr"
                shutil.copytree(source / f"{name}.zarr", path)
                chunks = chunk_files(path)
                which = lab.rng.choice(len(chunks), 1 + number * 4, replace=False)
                gone = [chunks[i] for i in which]
                if when == "before":
                    for chunk in gone:
                        chunk.unlink()
                child = lab.start(["segment", path, "-o", folder / "out", "--model", model(lab), *CPU,
                                   "--tile-px", "96"], folder)  # fmt: skip
                while when == "during" and child.is_running():
                    if any((folder / "out").glob(".*")):  # it writes
                        time.sleep(0.1)
                        for chunk in gone:
                            chunk.unlink()
                        break
                    time.sleep(0.002)
                outcome = child.wait()
                if all(not chunk.exists() for chunk in gone):
                    what = (
                        f"{len(gone)} of {len(chunks)} chunks of zarr {name} deleted {when} it runs"
                    )
                    problem = problem_of(outcome)
                    if (
                        problem is None
                        and outcome.code == 0
                        and (when == "before" or _fractions(folder) != wanted[name])
                    ):
                        said = (
                            f" ({first_line(outcome.notes[0])})" if outcome.notes else ", no note"
                        )
                        problem = f"exit code 0{said}"
                    lab.note(f"6 chunks of a zarr deleted {when} the run", what, problem)
                shutil.rmtree(folder)


def _fractions(folder: Path) -> str:
    path = folder / "out" / "fractions.csv"
    return path.read_text(encoding="utf-8") if path.exists() else ""


# ---- 7: weights -------------------------------------------------------------------------


@attack(7, "weights")
def odd_weights(lab: Lab) -> None:
    """Segment with weights that are no numbers, too large, or of other types."""
    images = image_folder(lab, 3, 128)
    for what, change in _weights().items():
        used = changed_model(lab, lambda folder, change=change: _rewrite(lab, folder, change))
        folder = lab.fresh("weights")
        arguments = ["segment", images, "-o", folder / "out", "--model", used, *CPU]
        lab.note("7 odd weights", what, _unsaid(lab.run(arguments, folder)))


def _rewrite(lab: Lab, folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    def rewrite() -> None:
        from safetensors.torch import load_file, save_file

        weights = load_file(folder / "model.safetensors")
        change(weights)
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    outcome = lab.run(rewrite)
    if outcome.code != 0:
        raise SystemExit(outcome.err)


def _weights() -> dict[str, Callable[[dict[str, Any]], object]]:
    """Return what is done to the weights, by what it is."""

    def is_weight(tensor: Any) -> bool:
        return bool(tensor.is_floating_point() and tensor.ndim == 4)

    def one(value: float, dtype: str = "float32") -> Callable[[dict[str, Any]], object]:
        def change(weights: dict[str, Any]) -> None:
            import torch

            name = next(n for n, t in weights.items() if is_weight(t))
            weights[name] = weights[name].to(getattr(torch, dtype))
            weights[name].view(-1)[0] = value

        return change

    def all_of(make: Callable[[Any], Any], where: str = "") -> Callable[[dict[str, Any]], object]:
        def change(weights: dict[str, Any]) -> None:
            for name, tensor in weights.items():
                if is_weight(tensor) and where in name:
                    weights[name] = make(tensor)

        return change

    def cast(dtype: str, factor: float = 1.0) -> Callable[[Any], Any]:
        import torch

        return lambda tensor: (tensor * factor).to(getattr(torch, dtype))

    def running_variance(weights: dict[str, Any]) -> None:
        for name, tensor in weights.items():
            if name.endswith("running_var"):
                weights[name] = tensor * 0 - 1

    return {
        "one NaN": one(float("nan")),
        "one infinity": one(float("inf")),
        "one minus infinity": one(float("-inf")),
        "one float64 of 1e300": one(1e300, "float64"),
        "all float64 times 1e300": all_of(cast("float64", 1e300)),
        "all float64 of 1e39": all_of(lambda t: cast("float64")(t) * 0 + 1e39),
        "all float32 of 3e38": all_of(lambda t: t * 0 + 3e38),
        "all float32 times 1e30": all_of(cast("float32", 1e30)),
        "all float16 of 65504": all_of(lambda t: cast("float16")(t * 0 + 65504)),
        "head of 3e38": all_of(lambda t: t * 0 + 3e38, "segmentation_head"),
        "negative variances": running_variance,
        "complex": all_of(cast("complex64")),
        "integers": all_of(cast("int32", 100)),
        "small integers": all_of(cast("int8", 100)),
        "booleans": all_of(cast("bool")),
        "float8 (e4m3)": all_of(cast("float8_e4m3fn")),
        "float8 (e5m2)": all_of(cast("float8_e5m2")),
    }


# ---- 8: pages and cut results -----------------------------------------------------------


@attack(8, "pages of different sizes")
def odd_pages(lab: Lab) -> None:
    """Segment TIFFs whose pages differ in size or type."""
    import tifffile

    rng = np.random.default_rng(0)
    pages = {
        "two sizes": [(64, 64), (96, 80)],
        "three sizes": [(64, 64), (96, 80), (128, 128)],
        "thumbnail first": [(32, 32), (128, 128), (128, 128)],
        "thumbnail last": [(128, 128), (128, 128), (32, 32)],
        "one odd among five": [(64, 64)] * 3 + [(65, 64)] + [(64, 64)],
    }
    for what, shapes in pages.items():
        folder = lab.fresh("pages")
        with tifffile.TiffWriter(folder / "image.tif") as file:
            for shape in shapes:
                file.write(grains(rng, *shape), contiguous=False, metadata=None)
        arguments = [
            "segment",
            folder / "image.tif",
            "-o",
            folder / "out",
            "--model",
            model(lab),
            *CPU,
        ]
        lab.note("8 pages of different sizes", what, _unsaid(lab.run(arguments, folder)))


@attack(8, "cut results")
def cut_results(lab: Lab) -> None:
    """Cut a result of a finished run, and resume it."""
    images = image_folder(lab, 3, 128)
    done = lab.fresh("done")
    options = ["--model", model(lab), *CPU, "--confidence", "--overlay"]
    lab.run(["segment", images, "-o", done / "out", *options], done)
    names = ["im01_labels.tif", "im00_confidence.tif", "im02_overlay.png"]
    for name in names:
        for part in (0.0, 0.5, 0.95):
            folder = lab.fresh("cut")
            shutil.copytree(done / "out", folder / "out")
            path = folder / "out" / name
            before = path.read_bytes()
            path.write_bytes(before[: int(len(before) * part)])
            outcome = lab.run(
                ["segment", images, "-o", folder / "out", *options, "--resume"], folder
            )
            problem = problem_of(outcome)
            if problem is None and not _same_picture(path, done / "out" / name):
                problem = f"is taken as done: {first_line(outcome.out or outcome.err)}"
            lab.note("8 cut results and --resume", f"{name} cut to {part:.0%}", problem)


def _same_picture(path: Path, other: Path) -> bool:
    import imageio.v3 as iio

    try:
        return bool(np.array_equal(iio.imread(path), iio.imread(other)))
    except Exception:  # noqa: BLE001 - a cut file may raise anything
        return False
