"""Attacks 9 to 12: kills, two runs at a time, leftovers, and what is on the disk after a crash."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from harness import Child, Lab, attack, first_line, is_refused, problem_of
from made_up import (
    CPU,
    PLAN,
    image_folder,
    masks_folder,
    model,
    via_folder,
    zarr_image,
)

_SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


# ---- 9: kills ---------------------------------------------------------------------------


@dataclass(frozen=True)
class _Work:
    """A command that is killed and gone on with.

    Parameters
    ----------
    row : str
        Row of the table.
    begin, again : callable
        Functions from a folder to the arguments of the first run, and of those after it.
    results : callable
        Function from a folder to all results, name -> content; a half one is an exception.
    """

    row: str
    begin: Callable[[Path], list[Any]]
    again: Callable[[Path], list[Any]]
    results: Callable[[Path], dict[str, Any]]


def _kill_and_resume(lab: Lab, work: _Work, kills: int) -> None:
    undisturbed = lab.fresh("undisturbed")
    first = lab.run(work.begin(undisturbed), undisturbed, limit_s=120)
    if first.code != 0:
        lab.note(work.row, "an undisturbed run", problem_of(first, (0,)))
        return
    wanted = work.results(undisturbed)
    for number in range(kills):
        folder = lab.fresh("killed")
        _one_kill(lab, work, folder, _SIGNALS[number % 3], first.seconds, wanted)
        shutil.rmtree(folder)


def _one_kill(
    lab: Lab,
    work: _Work,
    folder: Path,
    number: signal.Signals,
    seconds: float,
    wanted: dict[str, Any],
) -> None:
    after_s = float(lab.rng.uniform(0.05, 1.0)) * seconds
    child = lab.start(work.begin(folder), folder)
    while child.is_running() and time.monotonic() - child.began < after_s:
        time.sleep(0.002)
    if not child.is_running():
        child.wait()
        return
    child.send(number)
    stopped = child.wait(after_s + 30)
    what = f"{number.name} after {after_s / seconds:.0%} of the run"
    try:
        work.results(folder)
    except Exception as error:  # noqa: BLE001 - whatever reading half a file raises
        lab.note(work.row, what, f"half a file under its final name: {error}")
        return
    if number == signal.SIGINT and stopped.code != 130:
        lab.note("17 exit code of Ctrl-C", f"{work.row[2:]}, {what}", f"exit code {stopped.code}")
    elif number == signal.SIGINT:
        lab.note("17 exit code of Ctrl-C", what, None)
    resumed = lab.run(work.again(folder), folder, limit_s=120)
    problem = problem_of(resumed, (0,))
    if is_refused(resumed):
        problem = f"--resume is refused: {first_line(resumed.err)}"
    if problem is None:
        problem = _difference(work.results(folder), wanted)
    lab.note(work.row, what, problem)


def _difference(found: dict[str, Any], wanted: dict[str, Any]) -> str | None:
    for name, value in wanted.items():
        other = found.get(name)
        same = np.array_equal(other, value) if isinstance(value, np.ndarray) else other == value
        if not same:
            return f"{name} is not that of an undisturbed run"
    strange = sorted(set(found) - set(wanted))
    return f"there is {strange[0]} too" if strange else None


def _segment_results(out: Path) -> dict[str, Any]:
    """Read labels, fractions and the list of files of a folder of results."""
    import csv

    import tifffile

    found: dict[str, Any] = {}
    for path in sorted(p for p in out.glob("*.tif") if not p.name.startswith(".")):
        found[path.name] = tifffile.imread(path)
    for path in sorted(out.glob("*.zarr")):
        found[path.name] = _zarr_values(path)
    for path in out.glob("*fractions.csv"):
        with path.open(newline="", encoding="utf-8") as file:
            found[path.name] = sorted(map(tuple, csv.reader(file)))
    for path in out.glob("*run.json"):
        json.loads(path.read_text(encoding="utf-8"))
    return found


def _zarr_values(path: Path) -> Any:
    """Read the first level of an OME-Zarr without zarr's threads, which do not survive a fork."""
    level = path / "0"
    if not (level / "zarr.json").exists() and not (level / ".zarray").exists():
        raise ValueError(f"{path.name} has no array")
    return b"".join(p.read_bytes() for p in sorted(level.rglob("*")) if p.is_file())


def _segment_work(lab: Lab, row: str, source: Path, *options: str) -> _Work:
    """Return the segmentation of a file or folder, which is gone on with by --resume."""

    def command(folder: Path) -> list[Any]:
        return ["segment", source, "-o", folder / "out", "--model", model(lab), *CPU, *options]

    return _Work(
        row,
        command,
        lambda folder: [*command(folder), "--resume"],
        lambda folder: _segment_results(folder / "out"),
    )


@attack(9, "kills of segment")
def kill_segment(lab: Lab) -> None:
    """Kill `segment FOLDER` at random moments, and go on with --resume."""
    row = "9 kill of segment FOLDER, then --resume"
    work = _segment_work(lab, row, image_folder(lab, 12, 256))
    _kill_and_resume(lab, work, lab.count(27, 3))


@attack(9, "kills of segment to zarr")
def kill_zarr(lab: Lab) -> None:
    """Kill the segmentation of a zarr image at random moments, and go on with --resume."""
    source = lab.once("zarr-large", lambda f: zarr_image(f / "image.zarr", size=768, chunk=128))
    row = "9 kill of segment of a zarr, then --resume"
    work = _segment_work(lab, row, source / "image.zarr", "--tile-px", "96")
    _kill_and_resume(lab, work, lab.count(18, 3))


@attack(9, "kills of convert")
def kill_convert(lab: Lab) -> None:
    """Kill `convert --to masks` at random moments, and run it again."""
    source = via_folder(lab, 24, 512, 200)

    def command(folder: Path) -> list[Any]:
        return ["convert", source / "via.json", "-o", folder / "masks", "--to", "masks"]

    work = _Work(
        "9 kill of convert --to masks, then again",
        command,
        command,
        lambda folder: _segment_results(folder / "masks"),
    )
    _kill_and_resume(lab, work, lab.count(21, 3))


def training_command(
    lab: Lab, folder: Path, steps: int = 24, images: Path | None = None, masks: Path | None = None
) -> list[Any]:
    """Return the arguments of a short training of a tiny network."""
    plan = lab.once("plan", lambda f: (f / "plan.json").write_text(json.dumps(PLAN))) / "plan.json"
    images, masks = images or image_folder(lab, 3, 128), masks or masks_folder(lab, 3, 128)
    return ["train", "--images", images, "--labels", masks, "-o", folder / "model", *CPU,
            "--plan", plan, "--max-steps", str(steps)]  # fmt: skip


def _trained(folder: Path) -> dict[str, Any]:
    """Return the weights of a trained model, if it is there; it must be complete."""
    if not (folder / "model").exists():
        return {}
    json.loads((folder / "model" / "card.json").read_text(encoding="utf-8"))
    return {"model.safetensors": (folder / "model" / "model.safetensors").read_bytes()}


@attack(9, "kills of train")
def kill_train(lab: Lab) -> None:
    """Kill a training at random moments, and go on with --resume."""
    row = "9 kill of train, then --resume"
    undisturbed = lab.fresh("training")
    first = lab.run(training_command(lab, undisturbed), undisturbed, limit_s=120)
    if first.code != 0:
        lab.note(row, "an undisturbed run", problem_of(first, (0,)))
        return
    wanted = _trained(undisturbed)
    for number in range(lab.count(15, 2)):
        folder = lab.fresh("killed")
        after_s = float(lab.rng.uniform(0.05, 1.0)) * first.seconds
        child = lab.start(training_command(lab, folder), folder)
        while child.is_running() and time.monotonic() - child.began < after_s:
            time.sleep(0.002)
        child.send((signal.SIGKILL, signal.SIGTERM)[number % 2])
        child.wait(after_s + 30)
        what = f"kill after {after_s / first.seconds:.0%} of the run"
        if (folder / "model").exists():  # it was finished
            lab.note(row, what, _difference(_trained(folder), wanted))
            continue
        resumed = lab.run([*training_command(lab, folder), "--resume"], folder, limit_s=120)
        problem = problem_of(resumed, (0,)) or _difference(_trained(folder), wanted)
        lab.note(row, what, problem)
        shutil.rmtree(folder)


# ---- 10: two at a time ------------------------------------------------------------------


@attack(10, "two runs into one folder")
def two_runs(lab: Lab) -> None:
    """Segment two folders into one at the same time, and look at the report."""
    source = image_folder(lab, 12, 256)
    halves = [lab.fresh("half"), lab.fresh("half")]
    for number, path in enumerate(sorted(source.glob("*.png"))):
        shutil.copy(path, halves[number % 2])
    row = "10 two runs into one folder"
    for number in range(lab.count(12, 2)):
        folder = lab.fresh("pair")
        pair = []
        for half in halves:
            arguments = ["segment", half, "-o", folder / "out", "--model", model(lab), *CPU]
            pair.append(lab.start(arguments, folder))
            time.sleep(float(lab.rng.uniform(0, 0.3)) * (number % 2))
        ended = [child.wait() for child in pair]
        refused = [is_refused(outcome) for outcome in ended]
        problem = None
        for outcome in ended:
            problem = problem or problem_of(outcome, (0, 2))
        if problem is None and any(r != (o.code == 2) for r, o in zip(refused, ended, strict=True)):
            problem = f"exit code 2: {first_line(ended[0].err or ended[1].err)}"
        if problem is None:
            problem = _missing_in_report(folder / "out", 12 - 6 * sum(refused))
        lab.note(row, "pair", problem)
        shutil.rmtree(folder)


def _missing_in_report(out: Path, wanted: int) -> str | None:
    report = json.loads((out / "run.json").read_text(encoding="utf-8"))
    runs = [report, *report.get("earlier_runs", ())]
    done = {f["file"] for run in runs for f in run["files"] if f["status"].startswith("done")}
    lines = (out / "fractions.csv").read_text(encoding="utf-8").splitlines()[1:]
    listed = {line.split(",")[0] for line in lines}
    labels = len(list(out.glob("*_labels.tif")))
    if min(len(done), len(listed), labels) < wanted:
        return (
            f"both exit 0, but of {wanted} files {len(done)} are in run.json, {len(listed)} in "
            f"fractions.csv, {labels} have labels"
        )
    return None


@attack(10, "two trainings of one model")
def two_trainings(lab: Lab) -> None:
    """Train two models with the same -o at the same time."""
    row = "10 two trainings with one -o"
    for number in range(lab.count(8, 2)):
        folder = lab.fresh("pair")
        first = lab.start([*training_command(lab, folder, 30), "--name", "first"], folder)
        time.sleep(float(lab.rng.uniform(0, 2.0)) * (number % 2))
        second = lab.start([*training_command(lab, folder, 20), "--name", "second"], folder)
        ended = {"first": first.wait(120), "second": second.wait(120)}
        problem = None
        for outcome in ended.values():
            problem = problem or problem_of(outcome, (0, 2))
        saved = [name for name, outcome in ended.items() if "Saved" in outcome.out]
        if problem is None and len(saved) != 1:
            problem = f"{' and '.join(saved) or 'none'} said 'Saved'"
        if problem is None:
            name = json.loads((folder / "model" / "card.json").read_text(encoding="utf-8"))["name"]
            late = next(o for n, o in ended.items() if n not in saved)
            if name != saved[0]:
                problem = f"{saved[0]} said 'Saved', but the model is {name}"
            elif "(20 of 20)" in late.err:  # refused when all of it was computed
                problem = (
                    f"the other was refused after {late.seconds:.0f} s: {first_line(late.err)}"
                )
        lab.note(row, "pair" if not number % 2 else "pair, one later", problem)
        shutil.rmtree(folder)


# ---- 11: leftovers ----------------------------------------------------------------------


@attack(11, "leftovers of kills")
def leftovers(lab: Lab) -> None:
    """Kill while drafts are written; old ones must go at the next start, young ones stay."""
    _leftovers_of_import(lab)
    _leftovers_of_segment(lab)
    _leftovers_of_train(lab)


def _hidden(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [p for p in folder.iterdir() if p.name.startswith(".") and not p.name.endswith(".lock")]


def _killed_while_drafting(child: Child, folder: Path, skip: int = 0) -> list[Path]:
    """Kill a child when a hidden file appears in a folder; return those that are left."""
    seen: set[str] = set()
    while child.is_running():
        new = {p.name for p in _hidden(folder)} - seen
        if new:
            seen |= new
            if len(seen) > skip:
                child.stop()
                break
        time.sleep(0.0002)
    child.wait()
    return _hidden(folder)


def _check_leftovers(
    lab: Lab,
    kind: str,
    left: Sequence[Path],
    next_start: Callable[[], Any],
    final: Sequence[str] = (),
) -> None:
    """Make leftovers old, leave young copies beside them, start again, and see what stayed."""
    row = f"11 leftovers of {kind}"
    left = [p for p in left if p.name not in final]
    if not left:
        return
    young = []
    for path in left:
        stem, changed = path.name, None
        for place in range(len(stem) - len(path.suffix) - 1, 0, -1):
            if stem[place].isalnum():
                changed = stem[:place] + ("x" if stem[place] != "x" else "y") + stem[place + 1 :]
                break
        copy = path.with_name(changed or f"{stem}x")
        (shutil.copytree if path.is_dir() else shutil.copy)(path, copy)
        young.append(copy)
    old = time.time() - 3 * 24 * 3600
    for path in left:
        for part in (*path.rglob("*"), path) if path.is_dir() else (path,):
            os.utime(part, (old, old))
    outcome = next_start()
    problem = problem_of(outcome, (0,))
    lab.note(row, "the next start", problem)
    for path in left:
        lab.note(row, path.name, "is still there after 3 days" if path.exists() else None)
    for path in young:
        lab.note(f"{row}, young ones", path.name, None if path.exists() else "was removed at once")


def _leftovers_of_import(lab: Lab) -> None:
    def pack(folder: Path) -> None:
        from napari_fractoseg.models.archive import export_model

        export_model(model(lab), folder / "m.zip")

    model(lab)
    packed = lab.once("packed", pack) / "m.zip"
    for _ in range(lab.count(6, 1)):
        folder = lab.fresh("own")
        own = {"FRACTOSEG_MODELS": str(folder / "models")}

        def set_own(own: dict[str, str] = own) -> None:
            os.environ.update(own)

        child = lab.start(["models", "import", packed], folder, before=set_own)
        left = _killed_while_drafting(child, folder / "models")
        _check_leftovers(
            lab, "models import", left,
            lambda folder=folder, set_own=set_own: lab.run(
                ["models", "import", packed, "--name", "other"], folder, before=set_own),
        )  # fmt: skip


def _leftovers_of_segment(lab: Lab) -> None:
    images = image_folder(lab, 6, 256)
    for number in range(lab.count(9, 1)):
        folder = lab.fresh("drafts")
        arguments = ["segment", images, "-o", folder / "out", "--model", model(lab), *CPU]
        left = _killed_while_drafting(lab.start(arguments, folder), folder / "out", number)
        _check_leftovers(
            lab, "segment", left,
            lambda folder=folder, arguments=arguments: lab.run(
                [*arguments, "--resume", "--overwrite"], folder),
            [p.name for p in left if "journal" in p.name],
        )  # fmt: skip


def _leftovers_of_train(lab: Lab) -> None:
    for number in range(lab.count(6, 1)):
        folder = lab.fresh("drafts")
        (folder / "out").mkdir()
        child = lab.start(training_command(lab, folder / "out"), folder)
        left = _killed_while_drafting(child, folder / "out", number % 5)
        _check_leftovers(
            lab, "train", left,
            lambda folder=folder: lab.run([*training_command(lab, folder / "out"), "--resume"], folder),
        )  # fmt: skip


# ---- 12: fsync --------------------------------------------------------------------------


def _watch_renames(record: Path) -> None:
    """Write down each file that is renamed without having been written to the disk before."""
    synced: set[int] = set()
    fsync, replace, rename = os.fsync, os.replace, os.rename

    def noted_fsync(number: Any) -> None:
        number = number if isinstance(number, int) else number.fileno()
        synced.add(os.fstat(number).st_ino)
        fsync(number)

    def check(source: Any, target: Any) -> None:
        path = Path(os.fsdecode(source))
        final = Path(os.fsdecode(target))
        if any(p.name.startswith(".") for p in (final, *final.parents)):
            return  # a draft, which is not final
        parts = [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]
        missing = [p.name for p in parts if p.stat().st_ino not in synced]
        with record.open("a", encoding="utf-8") as file:
            file.write(f"{json.dumps([Path(os.fsdecode(target)).name, missing])}\n")

    def noted_replace(source: Any, target: Any, **named: Any) -> None:
        check(source, target)
        replace(source, target, **named)

    def noted_rename(source: Any, target: Any, **named: Any) -> None:
        check(source, target)
        rename(source, target, **named)

    os.fsync, os.replace, os.rename = noted_fsync, noted_replace, noted_rename


@attack(12, "fsync before renames")
def fsync_before_rename(lab: Lab) -> None:
    """Look whether all that is renamed to its final name was written to the disk before."""
    folder = lab.fresh("sync")
    source = via_folder(lab, 3, 128, 5)
    runs: dict[str, list[Any]] = {
        "segment": ["segment", image_folder(lab, 3, 128), "-o", folder / "out", "--model", model(lab), *CPU],
        "segment to zarr": ["segment", image_folder(lab, 3, 128) / "im00.png", "-o", folder / "im00.zarr",
                            "--model", model(lab), *CPU],
        "train": training_command(lab, folder),
        "convert": ["convert", source / "via.json", "-o", folder / "via.json"],
        "models export": ["models", "export", model(lab), "-o", folder / "m.zip"],
        "models import": ["models", "import", folder / "m.zip", "--name", "synced"],
    }  # fmt: skip
    for name, arguments in runs.items():
        record = folder / f"{name}.txt"
        outcome = lab.run(arguments, folder, before=lambda record=record: _watch_renames(record))
        lab.note("12 renames without fsync", name, problem_of(outcome, (0,)))
        lines = record.read_text(encoding="utf-8").splitlines() if record.exists() else []
        for target, missing in map(json.loads, lines):
            problem = f"{missing[0]} was not written to the disk first" if missing else None
            lab.note("12 renames without fsync", f"{name}, {target}", problem)
