"""Attacks 13, 14 and 17: one bad thing costs only itself; disks, modes, names and exit codes."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness import (
    Lab,
    Outcome,
    as_nobody,
    attack,
    first_line,
    is_refused,
    problem_of,
    small_disk,
)
from made_up import CPU, image_folder, masks_folder, model, via_folder, zarr_image
from resuming import training_command

# ---- 13: names, loops, FIFOs ------------------------------------------------------------


def _bad_names(folder: Path, source: Path) -> None:
    for name in (b"5\xb5m.png", b"\xff\xfe.png", b"gro\xdfe.png"):
        shutil.copy(os.fsencode(source), os.path.join(os.fsencode(folder), name))


def _loops(folder: Path, _source: Path) -> None:
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "a.tif").symlink_to("b.tif")
    (folder / "b.tif").symlink_to("a.tif")
    (folder / "up").symlink_to("..")
    (folder / "gone.png").symlink_to("nowhere.png")


def _fifos(folder: Path, _source: Path) -> None:
    for name in ("f.png", "f2.tif", "f3.zarr", "f4.jpg", "groups.json", "via.json"):
        os.mkfifo(folder / name)


def _folders(folder: Path, _source: Path) -> None:
    for name in ("d.png", "d2.tif"):
        (folder / name).mkdir()


def _unreadable(folder: Path, source: Path) -> None:
    shutil.copy(source, folder / "secret.png")
    (folder / "secret.png").chmod(0)


_BAD: dict[str, Callable[[Path, Path], None]] = {
    "names that are not UTF-8": _bad_names,
    "link loops": _loops,
    "FIFOs": _fifos,
    "folders named as images": _folders,
    "a file that may not be read": _unreadable,
}


@attack(13, "bad files in a folder")
def bad_files(lab: Lab) -> None:
    """Put files that cannot be used beside good ones: the good ones must be done."""
    source, masks = image_folder(lab, 3, 128), masks_folder(lab, 3, 128)
    for what, make in _BAD.items():
        row = "13 bad files in a folder"
        folder = lab.fresh("bad")
        folder.chmod(0o777)
        shutil.copytree(source, folder / "images")
        make(folder / "images", source / "im00.png")
        before = as_nobody if make is _unreadable else None
        options = ["--model", model(lab), *CPU]
        out = folder / "out"
        outcome = lab.run(
            ["segment", folder / "images", "-o", out, *options], folder, limit_s=30, before=before
        )
        done = len(list(out.glob("im*_labels.tif"))) if out.is_dir() else 0
        problem = problem_of(outcome)
        lab.note(
            row, f"{what}, segment", problem or (None if done == 3 else _done_only(done, outcome))
        )
        shutil.copytree(masks, folder / "masks")
        make(folder / "masks", masks / "im00.png")
        for door, arguments in {
            "train": training_command(lab, folder / "t", 2, folder / "images", folder / "masks"),
            "evaluate": ["evaluate", "--images", folder / "images", "--labels", folder / "masks", "-o",
                         folder / "e.json", *options],
            "convert": ["convert", folder / "masks", "-o", folder / "via.json"],
        }.items():  # fmt: skip
            outcome = lab.run(arguments, folder, limit_s=30, before=before)
            lab.note(row, f"{what}, {door}", problem_of(outcome))


def _done_only(done: int, outcome: Outcome) -> str:
    return f"only {done} of 3 good images were done: {first_line(outcome.err)}"


@attack(13, "bad paths")
def bad_paths(lab: Lab) -> None:
    """Name link loops, FIFOs and names that are not UTF-8 as input, output, model and so on."""
    images, masks = image_folder(lab, 3, 128), masks_folder(lab, 3, 128)
    for what in ("loop", "fifo", "folder", "latin-1"):
        for suffix in ("", ".png", ".tif", ".json", ".csv", ".zip", ".zarr"):
            folder = lab.fresh("paths")
            path = _bad_path(folder, what, suffix)
            for door, arguments in _doors(lab, folder, path, images, masks).items():
                if suffix in door[1]:
                    outcome = lab.run(arguments, folder, limit_s=20)
                    lab.note(
                        "13 bad paths", f"{what} named x{suffix} as {door[0]}", problem_of(outcome)
                    )


def _bad_path(folder: Path, what: str, suffix: str) -> Path:
    path = folder / f"x{suffix}"
    if what == "loop":
        path.symlink_to(path.name)
    elif what == "fifo":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    else:
        path = Path(os.fsdecode(os.fsencode(folder) + b"/5\xb5m" + suffix.encode()))
    return path


def _doors(
    lab: Lab, folder: Path, path: Path, images: Path, masks: Path
) -> dict[tuple[str, tuple[str, ...]], list[Any]]:
    """Return arguments that name a path, by where and with which suffixes they make sense."""
    options = ["--model", model(lab), *CPU]
    short = training_command(lab, folder / "new", 1, images, masks)
    return {
        ("input of segment", ("", ".png", ".tif", ".zarr")): [
            "segment", path, "-o", folder / "out", *options],
        ("-o of segment", ("", ".zarr")): ["segment", images / "im00.png", "-o", path, *options],
        ("-o of train", ("",)): [*training_command(lab, folder, 1, images, masks), "-o", path],
        ("--plan", (".json",)): [*short, "--plan", path],
        ("--images of train", ("",)): [*short, "--images", path, "--labels", masks],
        ("--labels of evaluate", ("", ".json", ".csv")): [
            "evaluate", "--images", images, "--labels", path, "-o", folder / "e.json", *options],
        ("input of convert", ("", ".json", ".csv")): ["convert", path, "-o", folder / "o.json"],
        ("-o of convert", (".json",)): ["convert", masks, "-o", path],
        ("--classes", (".json",)): ["convert", masks, "-o", folder / "c.json", "--classes", path],
        ("model", ("",)): ["models", "info", path],
        ("-o of export", (".zip",)): ["models", "export", model(lab), "-o", path],
        ("zip to import", (".zip",)): ["models", "import", path],
    }  # fmt: skip


@attack(13, "cards that cannot be read")
def bad_cards(lab: Lab) -> None:
    """Put a model whose card cannot be read among others: those must be listed."""

    def unreadable(card: Path) -> None:
        card.chmod(0)

    def fifo(card: Path) -> None:
        card.unlink()
        os.mkfifo(card)

    def folder_instead(card: Path) -> None:
        card.unlink()
        card.mkdir()

    def loop(card: Path) -> None:
        card.unlink()
        card.symlink_to(card.name)

    def deep(card: Path) -> None:
        card.write_text("[" * 100_000)

    def latin(card: Path) -> None:
        card.write_bytes(b"\xff\xfe{}")

    def closed(card: Path) -> None:
        card.parent.chmod(0)

    for change in (unreadable, fifo, folder_instead, loop, deep, latin, closed):
        own = lab.fresh("own")
        for name in ("bad", "good"):
            shutil.copytree(model(lab), own / name)
        change(own / "bad" / "card.json")

        def before(own: Path = own) -> None:
            os.environ["FRACTOSEG_MODELS"] = str(own)
            as_nobody()

        for arguments in (["models", "list"], ["doctor"], ["models", "info", "bad"]):
            outcome = lab.run(arguments, own, limit_s=15, before=before)
            problem = problem_of(outcome)
            if problem is None and "info" not in arguments and "good" not in outcome.out:
                problem = f"the other model is not listed: {first_line(outcome.err)}"
            what = f"card: {change.__name__}, {' '.join(arguments)}"
            lab.note("13 cards that cannot be read", what, problem)
        (own / "bad").chmod(0o755)


# ---- 14: disks --------------------------------------------------------------------------


@attack(14, "full disk")
def full_disk(lab: Lab) -> None:
    """Let the disk be full while results, masks or models are written, then go on."""
    images, masks = image_folder(lab, 12, 256), masks_folder(lab, 3, 128)
    small = image_folder(lab, 3, 128)
    zarr = lab.once("zarr-768", lambda f: zarr_image(f / "image.zarr", size=768, chunk=128))
    via = via_folder(lab, 24, 512, 200)
    options = ["--model", model(lab), *CPU]

    def commands(out: Path) -> dict[str, list[Any]]:
        return {
            "segment": ["segment", images, "-o", out / "r", *options, "--confidence"],
            "segment to zarr": ["segment", zarr / "image.zarr", "-o", out / "r", *options],
            "train": training_command(lab, out, 12, small, masks),
            "convert": ["convert", via / "via.json", "-o", out / "r", "--to", "masks"],
            "models export": ["models", "export", model(lab), "-o", out / "m.zip"],
        }

    sizes = {
        "segment": 0.4,
        "segment to zarr": 0.2,
        "train": 3.0,
        "convert": 0.1,
        "models export": 0.5,
    }
    for what in commands(Path()):
        for factor in lab.some([0.02, 0.5, 1.0, 2.0], 1):
            with small_disk(max(sizes[what] * factor, 0.02)) as disk:
                if disk is None:
                    lab.remark("14 full disk", "no file system may be mounted here")
                    return
                _fill_and_go_on(lab, what, commands(disk)[what], disk)


def _fill_and_go_on(lab: Lab, what: str, arguments: list[Any], disk: Path) -> None:
    outcome = lab.run(arguments, limit_s=60)
    if outcome.code == 0:  # there was room
        return
    problem = problem_of(outcome, (1, 2))
    lab.note("14 full disk", f"{what}: {first_line(outcome.err)}", problem)
    import subprocess

    subprocess.run(["mount", "-o", "remount,size=200m", str(disk)], check=True)
    can_resume = ["--resume"] if what.startswith(("segment", "train")) else []
    again = lab.run([*arguments, *can_resume], limit_s=60)
    problem = problem_of(again, (0,))
    if is_refused(again):
        problem = f"is refused: {first_line(again.err)}"
    lab.note("14 full disk, then room again", what, problem)


@attack(14, "read-only -o")
def read_only(lab: Lab) -> None:
    """Name a folder that may not be written: it must be noticed before the work is done."""
    images, masks = image_folder(lab, 12, 256), masks_folder(lab, 3, 128)
    small, options = image_folder(lab, 3, 128), ["--model", model(lab), *CPU]
    via = via_folder(lab, 24, 512, 200)
    for kind in ("folder without permission", "file as a folder"):
        place = lab.fresh("read-only")
        out = place / "out"
        out.write_text("") if kind.startswith("file") else out.mkdir(mode=0o555)
        for what, arguments in {
            "segment": ["segment", images, "-o", out / "r", *options],
            "segment into itself": ["segment", images, "-o", out, *options],
            "train": training_command(lab, out, 60, small, masks),
            "train, history": [*training_command(lab, place / "t", 60, small, masks), "--history",
                               out / "h.csv"],
            "convert": ["convert", via / "via.json", "-o", out / "r", "--to", "masks"],
            "evaluate": ["evaluate", "--images", small, "--labels", masks, "-o", out / "e.json",
                         *options],
            "models export": ["models", "export", model(lab), "-o", out / "m.zip"],
        }.items():  # fmt: skip
            place.chmod(0o777)
            free = lab.fresh("free")
            elsewhere = [str(a).replace(str(out), str(free / "out")) for a in arguments]
            needed = lab.run(elsewhere, limit_s=120)
            outcome = lab.run(arguments, limit_s=120, before=as_nobody)
            problem = problem_of(outcome, (1, 2))
            if problem is None and outcome.seconds > 0.5 * needed.seconds and outcome.seconds > 1.5:
                problem = (
                    f"noticed after {outcome.seconds:.1f} s; all of it takes {needed.seconds:.1f} s"
                )
            lab.note("14 read-only -o", f"{what}, {kind}", problem)


# ---- 17: modes, names, links, exit codes ------------------------------------------------


@attack(17, "umask")
def umask(lab: Lab) -> None:
    """Look whether the modes of what is written are those that the umask wants."""
    images, masks, via = (
        image_folder(lab, 3, 128),
        masks_folder(lab, 3, 128),
        via_folder(lab, 3, 128, 5),
    )
    zarr = lab.once("zarr-small", lambda f: zarr_image(f / "image.zarr", size=256, chunk=128))
    for mask in (0o077, 0o002, 0o022, 0o027):
        folder = lab.fresh("umask")
        options = ["--model", model(lab), *CPU]
        packed = lab.once("packed-17", lambda f: _pack(lab, f)) / "m.zip"
        for what, arguments in {
            "segment": ["segment", images, "-o", folder / "out", *options, "--overlay"],
            "segment to zarr": ["segment", zarr / "image.zarr", "-o", folder / "zout", *options],
            "train": [*training_command(lab, folder, 2, images, masks), "--history", folder / "h.csv"],
            "convert to masks": ["convert", via / "via.json", "-o", folder / "masks", "--to", "masks"],
            "convert": ["convert", via / "via.json", "-o", folder / "via.json"],
            "evaluate": ["evaluate", "--images", images, "--labels", masks, "-o", folder / "e.json",
                         *options],
            "models export": ["models", "export", model(lab), "-o", folder / "m.zip"],
            "models import": ["models", "import", packed],
        }.items():  # fmt: skip
            before = set(folder.rglob("*"))

            def set_umask(mask: int = mask, folder: Path = folder) -> None:
                os.umask(mask)
                os.environ["FRACTOSEG_MODELS"] = str(folder / "models")

            outcome = lab.run(arguments, folder, before=set_umask)
            problem = problem_of(outcome, (0,))
            wrong = [
                f"{p.name} has mode {stat.S_IMODE(p.stat().st_mode):03o}"
                for p in sorted(set(folder.rglob("*")) - before)
                if not p.name.endswith(".lock") and "log-" not in str(p.relative_to(folder))
                and stat.S_IMODE(p.stat().st_mode) != ((0o777 if p.is_dir() else 0o666) & ~mask)
            ]  # fmt: skip
            wrong_text = f"{wrong[0]} and {len(wrong) - 1} more" if wrong else None
            lab.note("17 umask", f"umask {mask:03o}, {what}", problem or wrong_text)


def _pack(lab: Lab, folder: Path) -> None:
    from napari_fractoseg.models.archive import export_model

    export_model(lab.root / model(lab), folder / "m.zip")


@attack(17, "long names")
def long_names(lab: Lab) -> None:
    """Segment and convert images whose names are nearly too long."""
    source = image_folder(lab, 3, 128)
    for length in (200, 224, 235, 240, 246, 251):
        for letter in ("a", "\u00b5"):
            folder = lab.fresh("long")
            (folder / "images").mkdir()
            stem = letter * (length // len(letter.encode()))
            shutil.copy(source / "im00.png", folder / "images" / f"{stem}.png")
            shutil.copy(source / "im01.png", folder / "images" / "good.png")
            arguments = [
                "segment",
                folder / "images",
                "-o",
                folder / "out",
                "--model",
                model(lab),
                *CPU,
            ]
            outcome = lab.run(arguments, folder)
            problem = problem_of(outcome)
            done = (folder / "out" / "good_labels.tif").exists()
            if problem is None and not done:
                problem = f"the other image was not done: {first_line(outcome.err)}"
            if problem is None and length <= 240 and outcome.code != 0:
                problem = f"fails: {first_line(outcome.err)}"
            lab.note("17 long names", f"stem of {length} bytes of {letter!a}, segment", problem)


@attack(17, "models remove")
def remove_links(lab: Lab) -> None:
    """Remove a model that is a link: what it leads to must stay."""
    for what in ("link to a model", "dangling link", "model with a link in it", "name with .."):
        own = lab.fresh("own")
        target = own.parent / f"{own.name}-target"
        shutil.copytree(model(lab), target)
        name = "linked"
        if what == "link to a model":
            (own / name).symlink_to(target)
        elif what == "dangling link":
            (own / name).symlink_to(target.parent / "nowhere")
        elif what == "model with a link in it":
            shutil.copytree(model(lab), own / name)
            (own / name / "more").symlink_to(target)
        else:
            name = f"../{target.name}"

        def before(own: Path = own) -> None:
            os.environ["FRACTOSEG_MODELS"] = str(own)

        outcome = lab.run(["models", "remove", name, "--yes"], before=before)
        problem = problem_of(outcome)
        if len(list(target.iterdir())) < 4:
            problem = "what it leads to was deleted"
        if problem is None and what in ("link to a model",) and (own / name).is_symlink():
            problem = f"the link is still there: {first_line(outcome.err)}"
        lab.note("17 models remove", what, problem)


@attack(17, "Ctrl-C")
def control_c(lab: Lab) -> None:
    """Press Ctrl-C at random moments: the exit code is 130, and there is no traceback."""
    images, masks = image_folder(lab, 12, 256), masks_folder(lab, 12, 256)
    via, options = via_folder(lab, 24, 512, 200), ["--model", model(lab), *CPU]
    packed = lab.once("packed-17", lambda f: _pack(lab, f)) / "m.zip"

    def commands(folder: Path) -> dict[str, list[Any]]:
        return {
            "segment": ["segment", images, "-o", folder / "out", *options],
            "train": training_command(lab, folder, 24, images, masks),
            "train, twice": training_command(lab, folder, 24, images, masks),
            "convert": ["convert", via / "via.json", "-o", folder / "masks", "--to", "masks"],
            "evaluate": ["evaluate", "--images", images, "--labels", masks, "-o", folder / "e.json",
                         *options],
            "models export": ["models", "export", model(lab), "-o", folder / "m.zip"],
            "models import": ["models", "import", packed, "--name", folder.name],
        }  # fmt: skip

    for what in commands(Path()):
        undisturbed = lab.fresh("undisturbed")
        whole = lab.run(commands(undisturbed)[what], undisturbed, limit_s=120)
        for _ in range(lab.count(4)):
            folder = lab.fresh("ctrl-c")
            child = lab.start(commands(folder)[what], folder)
            time.sleep(float(lab.rng.uniform(0.1, 0.8)) * whole.seconds)
            if child.is_running():
                child.send(signal.SIGINT)
                if what.endswith("twice"):
                    time.sleep(0.05)
                    child.send(signal.SIGINT)
            outcome = child.wait(60)
            if outcome.code != 0:  # it was quicker
                problem = problem_of(outcome, (130,))
                lab.note("17 exit code of Ctrl-C", what, problem)


_ = resource
