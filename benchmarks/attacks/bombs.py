"""Attack 16: small files that say they are huge; memory and time that they take."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness import Lab, Outcome, attack, problem_of
from made_up import CPU, changed_model, edit_json, image_folder, masks_folder, model, via_document
from resuming import training_command

_LIMIT_S, _LIMIT_GIB = 30.0, 2.0


def _verdict(outcome: Outcome) -> str | None:
    """Return what is wrong with the end of a run that was given a bomb."""
    problem = problem_of(outcome)
    if outcome.peak_gib > _LIMIT_GIB:
        return f"takes more than {_LIMIT_GIB:.0f} GB"
    if problem is None and outcome.seconds > _LIMIT_S:
        return f"takes {outcome.seconds:.0f} s"
    return problem


def _try(lab: Lab, what: str, arguments: Any, *, may_be_long: bool = False) -> None:
    """Run a command, and note whether it took too much; it is killed before that does harm."""
    outcome = lab.run(arguments, limit_s=_LIMIT_S, most_gib=_LIMIT_GIB + 0.5, memory_gib=None)
    problem = _verdict(outcome)
    if may_be_long and outcome.code is None and outcome.peak_gib < _LIMIT_GIB:
        problem = None  # it does what it was asked for
    lab.note("16 bombs", what, problem)


# ---- models -----------------------------------------------------------------------------


@attack(16, "huge models")
def huge_models(lab: Lab) -> None:
    """Load models whose configuration asks for far more than the weights hold."""
    images = image_folder(lab, 3, 128)

    def widths(*channels: int) -> Callable[[Path], None]:
        return lambda folder: edit_json(folder / "config.json", decoder_channels=list(channels))

    def classes(folder: Path) -> None:
        edit_json(folder / "config.json", decoder_channels=[16, 8, 8, 8, 20_000])

    def deep(folder: Path) -> None:
        edit_json(folder / "config.json", encoder_depth=10**9)

    def reductions(folder: Path) -> None:
        card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
        card["inference"] = {"reductions": [1] * 8, "flips": True, "halo_px": 10**9}
        (folder / "card.json").write_text(json.dumps(card), encoding="utf-8")

    def many_entries(folder: Path) -> None:
        card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
        card["lineage"]["data"] = {str(i): "0" * 64 for i in range(10**6)}
        (folder / "card.json").write_text(json.dumps(card), encoding="utf-8")

    def spaces(name: str) -> Callable[[Path], None]:
        def change(folder: Path) -> None:
            with (folder / name).open("r+b") as file:
                file.truncate(3 * 2**30)

        return change

    variants: dict[str, Callable[[Path], None]] = {
        "decoder of 20 000 channels": widths(20_000, 20_000, 8, 8, 8),
        "decoder of 5 000 channels": widths(5_000, 5_000, 5_000, 5_000, 8),
        "decoder of 10^9 channels": widths(10**9, 8, 8, 8, 8),
        "last layer of 20 000 channels": classes,
        "encoder of depth 10^9": deep,
        "8 reductions, halo of 10^9 px": reductions,
        "card of 10^6 entries": many_entries,
        "card.json of 3 GB": spaces("card.json"),
        "config.json of 3 GB": spaces("config.json"),
    }
    for what, change in variants.items():
        used = changed_model(lab, change)
        folder = lab.fresh("bomb")
        arguments = ["segment", images, "-o", folder / "out", "--model", used, *CPU]
        _try(lab, f"{what}, segment", arguments)
    folder = lab.fresh("bomb")
    plan = {"decoder_channels": [20_000, 20_000, 8, 8, 8], "patch_px": 32}
    (folder / "plan.json").write_text(json.dumps(plan))
    masks = masks_folder(lab, 3, 128)
    arguments = [*training_command(lab, folder, 1, images, masks), "--plan", folder / "plan.json"]
    _try(lab, "plan with 20 000 channels, train", arguments)


# ---- images -----------------------------------------------------------------------------


def _tiff(
    path: Path, size: int, *, bits: int = 8, compressed: bool = True, strips: int = 1
) -> None:
    """Write a TIFF of a square image without its pixels, or with zeros that are compressed."""
    rows = -(-size // strips)
    data = zlib.compress(bytes(2**20)) if compressed else b""
    if compressed and size * rows * bits // 8 <= 2**32:
        packer, left, parts = zlib.compressobj(9), size * rows * bits // 8, []
        while left > 0:
            parts.append(packer.compress(bytes(min(left, 2**24))))
            left -= 2**24
        data = b"".join([*parts, packer.flush()])
    at = 8 + len(data)
    entries = [
        (256, 4, 1, size), (257, 4, 1, size), (258, 3, 1, bits), (259, 3, 1, 8 if compressed else 1),
        (262, 3, 1, 1), (273, 4, strips, 8), (277, 3, 1, 1), (278, 4, 1, rows),
        (279, 4, strips, len(data) or 2**31 - 1), (339, 3, 1, 3 if bits == 64 else 1),
    ]  # fmt: skip
    after = at + 2 + 12 * len(entries) + 4
    extra = b""
    head = struct.pack("<H", len(entries))
    for tag, kind, count, value in entries:
        if count > 1:
            offset = after + len(extra)
            extra += struct.pack(f"<{count}I", *[value] * count)
            head += struct.pack("<HHII", tag, kind, count, offset)
        else:
            head += struct.pack("<HHII", tag, kind, count, value)
    path.write_bytes(
        struct.pack("<2sHI", b"II", 42, at) + data + head + struct.pack("<I", 0) + extra
    )


def _png(path: Path, size: int) -> None:
    """Write a PNG of a square image of zeros of which only the first rows are there."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", size, size, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(2**22))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


def _bmp(path: Path, size: int) -> None:
    """Write a BMP that says it is large."""
    info = struct.pack("<IiiHHIIiiII", 40, size, size, 1, 24, 0, 0, 0, 0, 0, 0)
    path.write_bytes(b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + info)


def _zarr(path: Path, shape: tuple[int, ...], chunk: int, version: int = 3) -> None:
    """Write the metadata of a zarr without chunks."""
    path.mkdir()
    chunks = [min(chunk, n) for n in shape]
    if version == 2:
        node = {"zarr_format": 2, "shape": shape, "chunks": chunks, "dtype": "|u1", "order": "C",
                "compressor": None, "fill_value": 0, "filters": None}  # fmt: skip
        (path / ".zarray").write_text(json.dumps(node))
        return
    node = {
        "zarr_format": 3, "node_type": "array", "shape": shape, "data_type": "uint8",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunks}},
        "chunk_key_encoding": {"name": "default"}, "fill_value": 0,
        "codecs": [{"name": "bytes"}], "attributes": {},
    }  # fmt: skip
    (path / "zarr.json").write_text(json.dumps(node))


@attack(16, "huge images")
def huge_images(lab: Lab) -> None:
    """Segment small files that say they hold huge images; use them as masks, too."""
    folder = lab.fresh("images")
    made: dict[str, tuple[str, Callable[[Path], object]]] = {
        "TIFF of 60 000^2 px, one strip, 3.6 GB of zeros": ("a.tif", lambda p: _tiff(p, 60_000)),
        "TIFF of 60 000^2 px, cut": ("b.tif", lambda p: _tiff(p, 60_000, compressed=False)),
        "TIFF of 300 000^2 px, one strip": ("c.tif", lambda p: _tiff(p, 300_000)),
        "TIFF of 70 000^2 px of 64 bits": ("d.tif", lambda p: _tiff(p, 70_000, bits=64)),
        "TIFF of 2^32 px edge": ("e.tif", lambda p: _tiff(p, 2**32 - 1)),
        "TIFF of 60 000^2 px, 60 000 strips": ("f.tif", lambda p: _tiff(p, 60_000, strips=60_000)),
        "PNG of 60 000^2 px": ("g.png", lambda p: _png(p, 60_000)),
        "PNG of 13 000^2 px": ("h.png", lambda p: _png(p, 13_000)),
        "PNG of 2^31 px edge": ("i.png", lambda p: _png(p, 2**31 - 1)),
        "BMP of 60 000^2 px": ("j.bmp", lambda p: _bmp(p, 60_000)),
        "zarr of 10^9 x 10^9 px": ("k.zarr", lambda p: _zarr(p, (10**9, 10**9), 256)),
        "zarr of 10^9 x 10^9 px, format 2": ("l.zarr", lambda p: _zarr(p, (10**9, 10**9), 256, 2)),
        "zarr of one chunk of 10^6 x 10^6 px": (
            "m.zarr",
            lambda p: _zarr(p, (10**6, 10**6), 10**6),
        ),
        "zarr of 10^12 planes": ("n.zarr", lambda p: _zarr(p, (10**12, 64, 64), 64)),
        "zarr of 10^30 px edge": ("o.zarr", lambda p: _zarr(p, (10**30, 64), 64)),
    }
    for what, (name, make) in made.items():
        make(folder / name)
        out = lab.fresh("out")
        arguments = ["segment", folder / name, "-o", out, "--model", model(lab), *CPU]
        _try(lab, f"{what}, segment", arguments, may_be_long="of 60 000" in what)
        masks = lab.fresh("masks")
        (masks / f"im00{Path(name).suffix}").symlink_to(folder / name)
        arguments = ["convert", masks, "-o", out / "via.json"]
        _try(lab, f"{what}, convert as a mask", arguments)


# ---- texts ------------------------------------------------------------------------------


@attack(16, "huge texts")
def huge_texts(lab: Lab) -> None:
    """Read JSON that is long, deep, or that asks for huge masks."""
    folder = lab.fresh("texts")
    images = image_folder(lab, 3, 128)

    def far(document: Any) -> Any:
        for image in document.values():
            for region in image["regions"]:
                shape = region["shape_attributes"]
                shape["all_points_x"] = [0, 10**9, 10**9]
                shape["all_points_y"] = [0, 0, 10**9]
        return document

    def many_points(document: Any) -> Any:
        shape = next(iter(document.values()))["regions"][0]["shape_attributes"]
        shape["all_points_x"] = list(range(10**6))
        shape["all_points_y"] = [i * 7919 % 128 for i in range(10**6)]
        return document

    for what, change in {
        "regions of 10^9 px": far,
        "a polygon of 10^6 points": many_points,
    }.items():
        text = json.dumps(change(via_document(3, 128, 4)))
        (folder / "via.json").write_text(text)
        out = lab.fresh("out") / "masks"
        arguments = ["convert", folder / "via.json", "-o", out, "--to", "masks", "--images", images]
        _try(lab, f"{what}, convert", arguments)
    for what, text in {
        "JSON of 10^5 brackets": "[" * 10**5,
        "JSON of 10^7 brackets": "[" * 10**7,
        "JSON of one number of 10^7 digits": "9" * 10**7,
    }.items():
        (folder / "deep.json").write_text(text)
        for door, arguments in {
            "convert": ["convert", folder / "deep.json", "-o", folder / "o.json"],
            "--plan": [*training_command(lab, folder, 1), "--plan", folder / "deep.json"],
            "--classes": ["convert", masks_folder(lab, 3, 128), "-o", folder / "c.json", "--classes",
                          folder / "deep.json"],
        }.items():  # fmt: skip
            _try(lab, f"{what}, {door}", arguments)
