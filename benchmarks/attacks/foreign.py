"""Attacks 1 to 5: code of others must not run, and their texts and links must do nothing."""

from __future__ import annotations

import csv
import json
import os
import pickle
import shutil
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from harness import (
    Child,
    Lab,
    as_nobody,
    attack,
    control_characters,
    first_line,
    problem_of,
    survey,
)
from made_up import (
    CPU,
    ENCODER,
    changed_model,
    edit_json,
    image_folder,
    masks_folder,
    model,
    via_document,
    via_folder,
    zarr_image,
)

# ---- 1: Dask ----------------------------------------------------------------------------


@attack(1, "dask")
def dask_sockets(lab: Lab) -> None:
    """Look for sockets of `--workers 1` that speak without a key, or that others can reach."""
    row = "1 sockets of --workers"
    images = image_folder(lab, 6, 256)
    for _ in range(lab.count(2)):
        out = lab.fresh("dask")
        with (out / "log.txt").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "napari_fractoseg.cli", "segment", str(images), "-o",
                 str(out / "results"), "--model", str(model(lab)), *CPU, "--workers", "1"],
                stdout=log, stderr=log,
            )  # fmt: skip
            found = _watch_sockets(process)
        for text, problem in found.items():
            lab.note(row, text, problem)
        text = (out / "log.txt").read_text(errors="replace")
        problem = None if process.returncode == 0 else f"exit code {process.returncode}"
        lab.note(row, f"the run itself ({first_line(text)})", problem)


def _watch_sockets(process: subprocess.Popen[bytes]) -> dict[str, str | None]:
    """Return each listening socket of a process and its children, with what is wrong with it."""
    found: dict[str, str | None] = {}
    seen: set[tuple[str, int]] = set()
    end = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < end:
        for address, port in _listening(process.pid) - seen:
            seen.add((address, port))
            is_local = address in ("127.0.0.1", "::1")
            problem = None if is_local else "listens on all interfaces"
            if _speaks_dask(port):
                problem = "speaks Dask without TLS; anybody on this machine can run code"
            found[f"socket {len(found) + 1} on {address}"] = problem
        time.sleep(0.1)
    if process.poll() is None:
        process.kill()
        found["the run"] = "still running after 120 s"
    process.wait()
    return found


def _listening(pid: int) -> set[tuple[str, int]]:
    found = set()
    try:
        parent = psutil.Process(pid)
        for process in (parent, *parent.children(recursive=True)):
            for c in process.net_connections("inet"):
                if c.status == psutil.CONN_LISTEN:
                    found.add((c.laddr.ip, c.laddr.port))
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        pass
    return found


_IDENTITY = """
import asyncio, sys
from distributed.core import rpc
async def ask():
    async with rpc(sys.argv[1], timeout=3) as other:
        print(await other.identity())
asyncio.run(asyncio.wait_for(ask(), 5))
"""


def _speaks_dask(port: int) -> bool:
    try:
        done = subprocess.run(
            [sys.executable, "-c", _IDENTITY, f"tcp://127.0.0.1:{port}"],
            check=False, capture_output=True, timeout=20,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0 and b"'id'" in done.stdout


# ---- 2: pickles in zarr -----------------------------------------------------------------


class _Bomb:
    """Object whose pickle makes a folder when it is read."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.marker),)


def _pickle_zarr(path: Path, marker: Path, filters: list[str], dtype: str = "|O") -> None:
    path.mkdir(parents=True)
    metadata = {
        "zarr_format": 2, "shape": [64, 64], "chunks": [64, 64], "dtype": dtype, "order": "C",
        "compressor": None, "fill_value": 0, "filters": [{"id": name} for name in filters],
    }  # fmt: skip
    (path / ".zarray").write_text(json.dumps(metadata))
    (path / "0.0").write_bytes(pickle.dumps(_Bomb(marker)))


def _label_zarr(path: Path, marker: Path, filters: list[str], dtype: str) -> None:
    """Write an OME-Zarr label image whose array holds the pickle."""
    _pickle_zarr(path / "0", marker, filters, dtype)
    (path / ".zgroup").write_text('{"zarr_format": 2}')
    axes = [{"name": n, "type": "space"} for n in "yx"]
    scale = [{"type": "scale", "scale": [1.0, 1.0]}]
    image = {
        "version": "0.4", "axes": axes,
        "datasets": [{"path": "0", "coordinateTransformations": scale}],
    }  # fmt: skip
    label = {"version": "0.4", "properties": [{"label-value": 1, "class": "intergranular"}]}
    (path / ".zattrs").write_text(json.dumps({"multiscales": [image], "image-label": label}))


@attack(2, "pickles in zarr")
def zarr_pickles(lab: Lab) -> None:
    """Let every door read zarr arrays whose filters unpickle."""
    import importlib.metadata

    row = "2 pickles in zarr run"
    variants = [
        (filters, dtype)
        for filters in (["vlen-utf8", "pickle"], ["pickle"], ["pickle", "vlen-utf8"],
                        ["json2", "pickle"], ["vlen-bytes", "pickle"])
        for dtype in ("|O", "|u1", "<U4")
    ]  # fmt: skip
    for filters, dtype in lab.some(variants):
        what = f"{'+'.join(filters)} of {dtype}"
        for door in ("image", "mask", "labels", "evaluate"):
            folder = lab.fresh("pickle")
            marker = folder / "code-ran"
            outcome = _read_zarr_by(lab, door, folder, marker, filters, dtype)
            problem = "code ran" if marker.exists() else problem_of(outcome)
            lab.note(row, f"{what} as {door}", problem)
    lab.remark(row, f"numcodecs {importlib.metadata.version('numcodecs')} is installed")


def _read_zarr_by(
    lab: Lab, door: str, folder: Path, marker: Path, filters: list[str], dtype: str
) -> Any:
    if door == "image":
        _pickle_zarr(folder / "im00.zarr", marker, filters, dtype)
        work: Any = [
            "segment",
            folder / "im00.zarr",
            "-o",
            folder / "out",
            "--model",
            model(lab),
            *CPU,
        ]
    elif door == "mask":
        _pickle_zarr(folder / "masks" / "im00.zarr", marker, filters, dtype)
        work = ["convert", folder / "masks", "-o", folder / "via.json"]
    elif door == "labels":
        _label_zarr(folder / "im00_labels.zarr", marker, filters, dtype)

        def work() -> None:
            from napari_fractoseg.errors import FractosegError
            from napari_fractoseg.images import read_image, read_mask

            for read in (read_image, read_mask):
                try:
                    found = read(folder / "im00_labels.zarr")
                    np.asarray(found if isinstance(found, np.ndarray) else found.plane().data[...])
                except FractosegError:
                    pass
    else:
        images = image_folder(lab, 3, 128)
        _label_zarr(folder / "masks" / "im00_labels.zarr", marker, filters, dtype)
        work = ["evaluate", "--images", images, "--labels", folder / "masks", "-o",
                folder / "e.json", "--model", model(lab), *CPU]  # fmt: skip
    return lab.run(work, folder)


# ---- 3: names of encoders ---------------------------------------------------------------


def _watch(record: Path, secret: Path) -> None:
    """Write down each look into a folder, and the first one at the network, which ends it."""

    def note(text: str) -> None:
        with record.open("a") as file:
            file.write(f"{text}\n")

    def no_network(*arguments: Any, **_named: Any) -> Any:
        note(f"looks up {arguments[0]!r}" if isinstance(arguments[0], str) else "connects")
        os._exit(1)  # it would try again for a minute

    def listen(event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("open", "os.listdir", "os.scandir") and str(arguments[0]).startswith(
            str(secret)
        ):
            note(f"reads the folder {arguments[0]}")

    sys.addaudithook(listen)
    socket.getaddrinfo = no_network
    socket.socket.connect = no_network  # type: ignore[method-assign,assignment]
    socket.create_connection = no_network


@attack(3, "encoder names")
def encoder_names(lab: Lab) -> None:
    """Name encoders that timm would fetch, or read from a folder, in all that names one."""
    row = "3 encoder names that reach out"
    secret = lab.fresh("secret")
    (secret / "config.json").write_text('{"architecture": "resnet18", "num_classes": 3}')
    names = ["tu-hf_hub:evil/repo", "tu-hf-hub:evil/repo", f"tu-local-dir:{secret}",
             "tu-hf_hub:timm/resnet18.a1_in1k", "TU-hf_hub:evil/repo", "hf-hub:evil/repo",
             "tu-timm/resnet18", f"local-dir:{secret}"]  # fmt: skip
    images, masks = image_folder(lab, 3, 128), masks_folder(lab, 3, 128)
    training = ["train", "--images", images, "--labels", masks, "--max-steps", "1", *CPU]
    for name in lab.some(names, 3):

        def rename(folder: Path, name: str = name) -> None:
            edit_json(folder / "card.json", encoder=name)
            edit_json(folder / "config.json", encoder_name=name)

        foreign = changed_model(lab, rename, "foreign")
        folder = lab.fresh("names")
        (folder / "plan.json").write_text(json.dumps({"encoder": name}))
        shutil.make_archive(str(folder / "foreign"), "zip", foreign)
        runs: dict[str, list[Any]] = {
            "model, segment": ["segment", images, "-o", folder / "out", "--model", foreign, *CPU],
            "model, info": ["models", "info", foreign],
            "model, export": ["models", "export", foreign, "-o", folder / "x.zip"],
            "zip, import": ["models", "import", _exported(foreign, folder / "foreign.zip")],
            "plan": [*training, "-o", folder / "new1", "--plan", folder / "plan.json"],
            "option": [*training, "-o", folder / "new2", "--encoder", name],
        }
        for door, arguments in runs.items():
            record = folder / "record.txt"
            record.unlink(missing_ok=True)
            outcome = lab.run(
                arguments, folder, limit_s=60, before=lambda record=record: _watch(record, secret)
            )
            looked = record.read_text().splitlines() if record.exists() else []
            lab.note(row, f"{name} by {door}", looked[0] if looked else problem_of(outcome))


def _exported(folder: Path, out: Path) -> Path:
    """Pack a model folder as `models export` does, without a check."""
    import hashlib

    hashes = {}
    with zipfile.ZipFile(out, "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, path.name)
            hashes[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
        archive.writestr("hashes.json", json.dumps(hashes))
    return out


# ---- 4: texts ---------------------------------------------------------------------------

_EVIL = (
    "\x1b[31mred",
    "\x1b]0;title\x07",
    "a\x08\x08b",
    "\x9b31m",
    "x\rover",
    "\x1b[2J",
    "tab\x00nul",
)


@attack(4, "foreign texts")
def foreign_texts(lab: Lab) -> None:
    """Put control characters into all texts of others, and look for them on the terminal."""
    for evil in lab.some(_EVIL, 1):
        _texts_of_models(lab, evil)
        _texts_of_files(lab, evil)
        _texts_of_annotations(lab, evil)
    _formulas(lab)


def _check_text(lab: Lab, what: str, arguments: list[Any], folder: Path) -> None:
    outcome = lab.run(arguments, folder)
    problem = control_characters(outcome.text) or problem_of(outcome)
    lab.note("4 control characters on the terminal", what, problem)


def _texts_of_models(lab: Lab, evil: str) -> None:
    images, masks = image_folder(lab, 3, 128), masks_folder(lab, 3, 128)

    def set_class(folder: Path) -> None:
        card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
        card["scheme"]["classes"][0]["name"] = f"inter{evil}granular"
        (folder / "card.json").write_text(json.dumps(card), encoding="utf-8")

    def set_texts(folder: Path) -> None:
        edit_json(
            folder / "card.json", name=f"m{evil}", description=f"d{evil}", licence=f"l{evil}",
            metrics={f"validation{evil}": 1, "validation": {"classes": {f"c{evil}": {"iou": 0.5}},
                     "mean_iou": 0.5, "notes": [f"n{evil}"]}},
        )  # fmt: skip

    for part, change in (("class name", set_class), ("texts of the card", set_texts)):
        foreign = changed_model(lab, change)
        folder = lab.fresh("texts")
        own = {"FRACTOSEG_MODELS": str(foreign.parent)}
        runs: dict[str, list[Any]] = {
            "segment": ["segment", images, "-o", folder / "out", "--model", foreign, *CPU],
            "evaluate": ["evaluate", "--images", images, "--labels", masks, "-o", folder / "e.json",
                         "--model", foreign, *CPU],
            "models info": ["models", "info", foreign],
        }  # fmt: skip
        for door, arguments in runs.items():
            _check_text(lab, f"{evil!r} in {part}, {door}", arguments, folder)
        outcome = lab.run(["models", "list"], folder, before=lambda own=own: os.environ.update(own))
        problem = control_characters(outcome.text) or problem_of(outcome)
        lab.note(
            "4 control characters on the terminal", f"{evil!r} in {part}, models list", problem
        )


def _texts_of_files(lab: Lab, evil: str) -> None:
    evil = evil.replace("\x00", "").replace("/", "")
    folder = lab.fresh("names")
    (folder / "images").mkdir()
    source = image_folder(lab, 3, 128) / "im00.png"
    shutil.copy(source, folder / "images" / f"im{evil}.png")
    (folder / "images" / f"bad{evil}.png").write_bytes(b"no image")
    arguments = ["segment", folder / "images", "-o", folder / "out", "--model", model(lab), *CPU]
    _check_text(lab, f"{evil!r} in file names, segment", arguments, folder)
    named = folder / f"via{evil}.json"
    named.write_text("{")
    _check_text(
        lab, f"{evil!r} in file name, convert", ["convert", named, "-o", folder / "o.json"], folder
    )
    moved = folder / f"model{evil}"
    shutil.copytree(model(lab), moved)
    _check_text(lab, f"{evil!r} in folder name, models info", ["models", "info", moved], folder)
    (folder / "masks").mkdir()
    shutil.copy(masks_folder(lab, 3, 128) / "im00.png", folder / "masks" / f"im{evil}.png")
    arguments = ["evaluate", "--images", folder / "images", "--labels", folder / "masks", "-o",
                 folder / "e.json", "--model", model(lab), *CPU]  # fmt: skip
    _check_text(lab, f"{evil!r} in file names, evaluate", arguments, folder)


def _texts_of_annotations(lab: Lab, evil: str) -> None:
    folder = lab.fresh("via")
    shutil.copytree(image_folder(lab, 3, 128), folder / "images")
    document = via_document(3, 128, 4, attribute=f"i{evil}")
    next(iter(document.values()))["filename"] = f"missing{evil}.png"
    path = folder / "images" / "via.json"
    path.write_text(json.dumps(document))
    for to in ("masks", "via2-csv", "coco"):
        out = folder / (to if to == "masks" else f"{to}.{'csv' if 'csv' in to else 'json'}")
        arguments = ["convert", path, "-o", out, "--to", to]
        _check_text(lab, f"{evil!r} in attribute values, convert to {to}", arguments, folder)
        _check_text(lab, f"{evil!r} in attribute values, convert to {to}, new classes",
                    [*arguments, "--new-classes", "--overwrite"], folder)  # fmt: skip
    arguments = ["evaluate", "--images", folder / "images", "--labels", path, "-o",
                 folder / "e.json", "--model", model(lab), *CPU]  # fmt: skip
    _check_text(lab, f"{evil!r} in attribute values, evaluate", arguments, folder)


def _formulas(lab: Lab) -> None:
    row, folder = "4 formulas in fractions.csv", lab.fresh("formulas")
    (folder / "images").mkdir()
    source = image_folder(lab, 3, 128) / "im00.png"
    names = ["=cmd|calc.png", "+1+1.png", "-2.png", "@SUM(A1).png", "\t=1.png", "=1.png"]
    for name in names:
        shutil.copy(source, folder / "images" / name)

    def rename(path: Path) -> None:
        card = json.loads((path / "card.json").read_text(encoding="utf-8"))
        card["scheme"]["classes"][0]["name"] = "=1+1"
        (path / "card.json").write_text(json.dumps(card), encoding="utf-8")

    for what, used in (("file names", model(lab)), ("class name", changed_model(lab, rename))):
        out = folder / what
        outcome = lab.run(["segment", folder / "images", "-o", out, "--model", used, *CPU], folder)
        if not (out / "fractions.csv").exists():
            lab.note(row, what, problem_of(outcome, (2,)))
            continue
        with (out / "fractions.csv").open(newline="", encoding="utf-8") as file:
            cells = {cell for line in csv.reader(file) for cell in line}
        bad = sorted(cell for cell in cells if _is_formula(cell))
        for cell in bad:
            lab.note(row, what, f"stands raw: {cell!r}")
        lab.note(row, f"{what}, the run", problem_of(outcome))


def _is_formula(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    return False


# ---- 5: archives of models --------------------------------------------------------------


@attack(5, "export")
def export_links(lab: Lab) -> None:
    """Export folders with links, and look for what lies outside of them in the zip."""
    row = "5 what models export packs"
    secret = lab.fresh("secret") / "secret.txt"
    secret.write_text("TOP-SECRET")

    def link(name: str, target: Path) -> Any:
        def change(folder: Path) -> None:
            (folder / name).unlink(missing_ok=True)
            (folder / name).symlink_to(target)

        return change

    variants: dict[str, Any] = {
        "LICENSE.txt is a link": link("LICENSE.txt", secret),
        "README.md is a link": link("README.md", secret),
        "LICENSE-x.md is a link": link("LICENSE-x.md", secret),
        "LICENCE-a.txt is a link to a link": link("LICENCE-a.txt", _chain(lab, secret)),
        "LICENCE-f.txt is a link to a folder": link("LICENCE-f.txt", secret.parent),
        "LICENCE-l.txt is a loop": link("LICENCE-l.txt", Path("LICENCE-l.txt")),
        "LICENCE-d.txt is a folder": lambda folder: (folder / "LICENCE-d.txt").mkdir(),
        "LICENCE-p.txt is a FIFO": lambda folder: os.mkfifo(folder / "LICENCE-p.txt"),
        "LICENCE-n.txt is /dev/null": link("LICENCE-n.txt", Path("/dev/zero")),
        "LICENCE-u.txt is unreadable": _unreadable,
    }
    for what, change in variants.items():
        folder = changed_model(lab, change)
        out = lab.fresh("zip")
        out.chmod(0o777)
        before = as_nobody if "unreadable" in what else None
        outcome = lab.run(
            ["models", "export", folder, "-o", out / "m.zip"], out, limit_s=15, before=before
        )
        lab.note(row, what, _packed_secret(out / "m.zip") or problem_of(outcome))


def _chain(lab: Lab, secret: Path) -> Path:
    between = lab.fresh("chain") / "between"
    between.symlink_to(secret)
    return between


def _unreadable(folder: Path) -> None:
    (folder / "LICENCE-u.txt").write_text("x")
    (folder / "LICENCE-u.txt").chmod(0)


def _packed_secret(path: Path) -> str | None:
    if not path.exists():
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            held = [n for n in archive.namelist() if b"TOP-SECRET" in archive.read(n)]
    except zipfile.BadZipFile:
        return "half a zip under its final name"
    return f"a file from outside is in the zip: {held[0]}" if held else None


@attack(15, "import of zips")
def import_zips(lab: Lab) -> None:
    """Import zips that are damaged, encrypted, packed in odd ways, or that lead elsewhere."""
    row = "15 damaged zips, models import"
    good = _exported(model(lab), lab.fresh("zip") / "good.zip").read_bytes()
    folder = lab.fresh("zips")
    made = _zips(lab, good, folder)

    def import_one(path: Path) -> str | None:
        from napari_fractoseg.models.archive import import_model

        own = folder / f"own-{path.stem}"
        own.mkdir()
        os.environ["FRACTOSEG_MODELS"] = str(own)
        try:
            import_model(path, "taken")
        finally:
            left = {p.name for p in own.iterdir() if not p.name.endswith(".lock")} - {"taken"}
            strange = [p for p in (own / "taken").glob("*") if p.is_symlink()]
            left |= {p.name for p in strange}
            escaped = sorted(p.name for p in folder.iterdir() if "escaped" in p.name)
            if left or escaped:
                return f"left behind {sorted(left) or escaped}"  # noqa: B012 - is the worse one
        return None

    survey(lab, row, made, import_one, limit_s=20, name=lambda p: p.stem)
    bad_hashes = folder / "bomb.zip"
    _with_member(good, bad_hashes, "hashes.json", b'{"a": "' + b"0" * (1500 * 2**20) + b'"}')
    child = Child(["models", "import", bad_hashes], folder)
    outcome = child.wait(60)
    problem = problem_of(outcome)
    if problem is None and outcome.peak_gib > 1:
        problem = f"takes {outcome.peak_gib:.1f} GB"
    lab.note("16 bombs", "hashes.json of 1.5 GB in a small zip", problem)
    bad_hashes.unlink()


def _with_member(good: bytes, out: Path, name: str, data: bytes, **options: Any) -> Path:
    """Write a zip with one member replaced or added."""
    import io

    with (
        zipfile.ZipFile(io.BytesIO(good)) as source,
        zipfile.ZipFile(out, "w", options.get("method", zipfile.ZIP_DEFLATED)) as target,
    ):
        for member in source.infolist():
            if member.filename != name:
                target.writestr(member.filename, source.read(member))
        if data is not None:
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = options.get("attributes", 0o644 << 16)
            target.writestr(info, data)
    return out


def _zips(lab: Lab, good: bytes, folder: Path) -> list[Path]:
    """Write the zips to import."""
    deep = b"[" * 100_000
    texts = {
        "deep-hashes": ("hashes.json", deep),
        "list-hashes": ("hashes.json", b"[]"),
        "null-hashes": ("hashes.json", b"null"),
        "number-hashes": ("hashes.json", b'{"card.json": 1, "config.json": 2}'),
        "latin-hashes": ("hashes.json", b"\xff\xfe{"),
        "escape": ("../escaped.txt", b"x"),
        "absolute": ("/tmp/escaped.txt", b"x"),
        "backslash": ("..\\escaped.txt", b"x"),
        "nested": ("sub/card.json", b"{}"),
        "nul-name": ("card.json\x00.txt", b"{}"),
        "big-json": ("hashes.json", b"{" + b" " * 2**26 + b"}"),
    }
    made = [_with_member(good, folder / f"{k}.zip", *entry) for k, entry in texts.items()]
    made += [
        _with_member(
            good, folder / f"link-{name}.zip", name, b"/etc/hostname", attributes=0o120777 << 16
        )
        for name in ("card.json", "LICENSE.txt", "README.md")
    ]
    for method in (zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2, zipfile.ZIP_STORED):
        made.append(
            _with_member(good, folder / f"packed{method}.zip", "README.md", b"x", method=method)
        )
    made += _patched(lab, good, folder)
    return made


def _patched(lab: Lab, good: bytes, folder: Path) -> list[Path]:
    """Write zips with single fields or bytes changed."""
    made, data = [], np.frombuffer(good, np.uint8)
    central = [i for i in range(len(good) - 4) if good[i : i + 4] == b"PK\x01\x02"]
    local = [i for i in range(len(good) - 4) if good[i : i + 4] == b"PK\x03\x04"]

    def write(name: str, changed: Any) -> None:
        path = folder / f"{name}.zip"
        path.write_bytes(changed.tobytes())
        made.append(path)

    for number in range(len(local)):
        for kind, offsets in {"encrypted": (6, 8), "method": (8, 10), "size": (22, 24)}.items():
            changed = data.copy()
            value = 1 if kind == "encrypted" else 14 if kind == "method" else 0x7F
            changed[local[number] + offsets[0]] = value
            changed[central[number] + offsets[1]] = value
            write(f"{kind}{number}", changed)
        for method in (8, 12, 14, 99):
            changed = data.copy()
            changed[local[number] + 8] = changed[central[number] + 10] = method
            write(f"method-{method}-{number}", changed)
    for number in range(lab.count(60, 6)):
        changed = data.copy()
        heads = np.array([*range(local[-1], len(good)), *range(local[0], local[0] + 600)])
        places = heads if number % 2 else np.arange(len(good))
        changed[lab.rng.choice(places, 3)] = lab.rng.integers(0, 256, 3)
        write(f"flipped{number}", changed)
    for number in range(lab.count(10, 2)):
        write(f"cut{number}", data[: int(lab.rng.integers(0, len(good)))])
    return made


_ = (ENCODER, via_folder, zarr_image)
