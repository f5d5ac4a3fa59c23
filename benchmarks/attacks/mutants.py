"""Attack 15: damaged files of every kind; what is raised must be an error of ours."""

from __future__ import annotations

import copy
import io
import json
import os
import shutil
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from harness import Lab, attack, survey
from made_up import CPU, PLAN, grains, image_folder, masks_folder, model, via_document, zarr_image
from resuming import training_command

_DEEP = b"[" * 100_000
_ODD_TEXTS: tuple[bytes, ...] = (
    b"", b"null", b"[]", b"{}", b"1", b'"x"', b"\xff\xfe\x00", b"\xb5", b"{", b"NaN", b"[1, 2]",
    b"1e999", b'{"a": ' + _DEEP, _DEEP, b'{"a":' * 50_000, b"true", b'{"\\ud800": 1}', b'"\\ud800"',
    b"9" * 5000, b'{"a": ' + b"9" * 5000 + b"}",
)  # fmt: skip
_ODD_VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, 1e308, 10**30, "", "x", "\x00", [], {}, [None], [[]], {"a": 1}, ["x"] * 3,
    "\ud800", 2**63, -(2**63), [[1, 2], [3]], float("nan"), float("inf"),
)  # fmt: skip


def _flipped(rng: np.random.Generator, data: bytes, count: int, first: int | None = None) -> bytes:
    """Return bytes of which some are changed, of all or of the first ones."""
    changed = bytearray(data)
    for place in rng.integers(0, min(len(data), first or len(data)), count):
        changed[place] = int(rng.choice([0, 1, 0x7F, 0x80, 0xFF, int(rng.integers(256))]))
    return bytes(changed)


def _damaged(rng: np.random.Generator, data: bytes, number: int, head: int) -> bytes:
    """Return one of several kinds of damage."""
    kind = number % 5
    if kind == 0:
        return data[: int(rng.integers(0, len(data)))]
    if kind == 1:
        return _flipped(rng, data, int(rng.integers(1, 40)))
    if kind == 4 and len(data) > 200:  # a piece is missing, or there twice
        start, length = int(rng.integers(0, len(data) - 60)), int(rng.integers(1, 60))
        piece = data[start : start + length] if number % 2 else b""
        return data[:start] + piece * 2 + data[start + length :]
    return _flipped(rng, data, int(rng.integers(1, 6)), head)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all entries in JSON data."""
    found = [path] if path else []
    if isinstance(value, dict):
        entries: Any = value.items()
    elif isinstance(value, list):
        entries = list(enumerate(value))[:6]
    else:
        return found
    for key, entry in entries:
        found += _paths(entry, (*path, key))
    return found


def _changed(rng: np.random.Generator, data: Any) -> bytes:
    """Return JSON in which one or two entries are of another type, gone, or renamed."""
    changed = copy.deepcopy(data)
    for _ in range(int(rng.integers(1, 3))):
        paths = _paths(changed)
        if not paths:
            break
        *parents, last = paths[int(rng.integers(len(paths)))]
        place = changed
        for key in parents:
            place = place[key]
        kind = int(rng.integers(8))
        if kind == 0:
            del place[last]
        elif kind == 1 and isinstance(place, dict):
            place[f"{last}x"] = place.pop(last)
        else:
            place[last] = copy.deepcopy(_ODD_VALUES[int(rng.integers(len(_ODD_VALUES)))])
    return json.dumps(changed).encode("utf-8", "surrogatepass")


# ---- images -----------------------------------------------------------------------------


def _pictures() -> dict[str, bytes]:
    """Return good image files of many kinds, by their names."""
    import imageio.v3 as iio
    import tifffile

    rng = np.random.default_rng(1)
    grey, rgb = grains(rng, 64, 80), np.dstack([grains(rng, 64, 80)] * 3)
    found: dict[str, bytes] = {}
    for name, data in {"grey": grey, "rgb": rgb, "grey16": grey.astype(np.uint16) * 200}.items():
        found[f"{name}.png"] = iio.imwrite("<bytes>", data, extension=".png")
    for suffix in (".jpg", ".bmp"):
        for name, data in {"grey": grey, "rgb": rgb}.items():
            found[f"{name}{suffix}"] = iio.imwrite("<bytes>", data, extension=suffix)
    tiffs: dict[str, dict[str, Any]] = {
        "plain": {"data": grey},
        "zlib": {"data": grey, "compression": "zlib", "predictor": True},
        "lzw-tiles": {"data": grey, "compression": "lzw", "tile": (16, 16)},
        "jpeg": {"data": rgb, "compression": "jpeg"},
        "zstd": {"data": grey, "compression": "zstd", "rowsperstrip": 8},
        "ome": {"data": np.stack([grey] * 3), "ome": True, "metadata": {"axes": "ZYX"}},
        "imagej": {"data": np.stack([grey] * 3), "imagej": True},
        "float": {"data": grey.astype(np.float32), "compression": "deflate"},
        "bilevel": {"data": grey > 100},
        "big": {"data": grey.astype(np.uint16), "bigtiff": True, "byteorder": ">"},
        "palette": {"data": grey, "photometric": "palette",
                    "colormap": np.zeros((3, 256), np.uint16)},
        "cmyk": {"data": np.dstack([grey] * 4), "photometric": "separated"},
        "packbits": {"data": grey, "compression": "packbits"},
    }  # fmt: skip
    for name, options in tiffs.items():
        file = io.BytesIO()
        tifffile.imwrite(file, **options)
        found[f"{name}.tif"] = file.getvalue()
    return found


def _read_wholly(path: Path) -> None:
    """Read an image by all doors, every plane, as `segment` does."""
    from napari_fractoseg.errors import FractosegError
    from napari_fractoseg.images import image_shape, read_image, read_mask

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        errors = []
        for read in (image_shape, read_mask, _read_planes(read_image)):
            try:
                read(path)
            except FractosegError as error:
                errors.append(error)
        if errors:
            raise errors[0]


def _read_planes(read_image: Callable[[Path], Any]) -> Callable[[Path], None]:
    def read(path: Path) -> None:
        stack = read_image(path)
        for number, index in enumerate(stack.indices()):
            plane = stack.plane(index)
            if number == 20:
                break
            if plane.data.shape[0] * plane.data.shape[1] < 2**27:
                np.asarray(plane.data[...])
            else:
                np.asarray(plane.data[:64, :64])

    return read


@attack(15, "damaged images")
def damaged_images(lab: Lab) -> None:
    """Read damaged TIFF, PNG, JPEG and BMP files as images and as masks."""
    good = lab.once("pictures", _write_pictures)
    for kind, normal in {"TIFF": 3000, "PNG": 500, "JPEG": 300, "BMP": 300}.items():
        suffix = {"TIFF": ".tif", "PNG": ".png", "JPEG": ".jpg", "BMP": ".bmp"}[kind]
        sources = sorted(good.glob(f"*{suffix}"))
        folder = lab.fresh("damaged")
        paths = []
        for number in range(lab.count(normal, 20)):
            source = sources[number % len(sources)]
            path = folder / f"{source.stem}-{number}{suffix}"
            head = 400 if number % 3 else 64
            data = source.read_bytes()
            if suffix == ".tif" and number % 4 == 1:  # the directory may be at the end
                data, tail = data[:8], data[8:]
                data += _damaged(lab.rng, tail, 3, len(tail)) if number % 8 == 1 else tail[::-1]
            path.write_bytes(_damaged(lab.rng, data, number, head))
            paths.append(path)
        survey(lab, f"15 damaged {kind}", paths, _read_wholly, name=lambda p: p.name)
        shutil.rmtree(folder)
    _tags(lab)


def _write_pictures(folder: Path) -> None:
    for name, data in _pictures().items():
        (folder / name).write_bytes(data)


def _tags(lab: Lab) -> None:
    """Read TIFFs of which one tag has another value, type or count."""
    import struct

    good = lab.once("pictures", _write_pictures)
    folder, paths = lab.fresh("tags"), []
    values = (0, 1, 2, 3, 7, 255, 65535, 2**31 - 1, 2**31, 2**32 - 1)
    for source in sorted(good.glob("*.tif")):
        data = source.read_bytes()
        if data[:4] != b"II*\x00":
            continue
        (at,) = struct.unpack_from("<I", data, 4)
        (entries,) = struct.unpack_from("<H", data, at)
        for entry in range(entries):
            start = at + 2 + 12 * entry
            for value in values:
                for offset, code, most in (
                    (8, "<I", 2**32),
                    (4, "<I", 2**32),
                    (2, "<H", 2**16),
                    (0, "<H", 2**16),
                ):
                    if value < most and lab.rng.random() < 0.45 * lab.scale:
                        changed = bytearray(data)
                        struct.pack_into(code, changed, start + offset, value)
                        path = folder / f"{source.stem}-{entry}-{offset}-{value}.tif"
                        path.write_bytes(bytes(changed))
                        paths.append(path)
    survey(lab, "15 TIFF tags changed", paths, _read_wholly, name=lambda p: p.name)
    shutil.rmtree(folder)


@attack(15, "damaged masks in train and evaluate")
def damaged_masks(lab: Lab) -> None:
    """Give damaged images as masks to training and evaluation, by the command line."""
    images, masks = image_folder(lab, 3, 128), masks_folder(lab, 3, 128)
    good = lab.once("pictures", _write_pictures)
    sources = [p for p in sorted(good.iterdir()) if p.suffix in (".tif", ".png")]
    row = "15 damaged masks in train, evaluate, convert"
    for number in range(lab.count(60, 6)):
        folder = lab.fresh("masks")
        shutil.copytree(masks, folder / "masks")
        (folder / "masks" / "im00.png").unlink()
        source = sources[number % len(sources)]
        name = f"im00{source.suffix}"
        (folder / "masks" / name).write_bytes(_damaged(lab.rng, source.read_bytes(), number, 200))
        door, arguments = (
            ("train", training_command(lab, folder, 1, images, folder / "masks")),
            ("evaluate", ["evaluate", "--images", images, "--labels", folder / "masks", "-o",
                          folder / "e.json", "--model", model(lab), *CPU]),
            ("convert", ["convert", folder / "masks", "-o", folder / "via.json"]),
        )[number % 3]  # fmt: skip
        from harness import problem_of

        lab.note(row, f"{source.name} as {door}", problem_of(lab.run(arguments, folder)))
        shutil.rmtree(folder)


# ---- zarr -------------------------------------------------------------------------------


@attack(15, "damaged zarrs")
def damaged_zarrs(lab: Lab) -> None:
    """Read zarrs with wrong metadata, and with cut or foreign chunks."""

    def make(folder: Path) -> None:
        for version in (2, 3):
            zarr_image(folder / f"array{version}.zarr", size=64, chunk=32, version=version)
            _ome(folder / f"ome{version}.zarr", version)

    good = lab.once("good-zarrs", make)
    folder, paths = lab.fresh("zarrs"), []
    names = ("array2", "array3", "ome2", "ome3")
    for number in range(lab.count(900, 24)):
        path = folder / f"{names[number % 4]}-{number}.zarr"
        shutil.copytree(good / f"{names[number % 4]}.zarr", path)
        if number % 3:
            _damage_metadata(lab.rng, path, number)
        else:
            _damage_chunk(lab.rng, path, number)
        paths.append(path)
    survey(lab, "15 damaged zarr", paths, _read_wholly, name=lambda p: p.name)
    survey(lab, "15 damaged zarr as labels", paths[::2], _read_labels, name=lambda p: p.name)
    shutil.rmtree(folder)


def _ome(path: Path, version: int) -> None:
    """Write an OME-Zarr label image."""
    path.mkdir()
    zarr_image(path / "0", size=64, chunk=32, version=version)
    scale = [{"type": "scale", "scale": [0.5, 0.5]}, {"type": "translation", "translation": [1, 2]}]
    image = {
        "version": "0.4",
        "axes": [{"name": n, "type": "space", "unit": "micrometer"} for n in "yx"],
        "datasets": [{"path": "0", "coordinateTransformations": scale}],
        "coordinateTransformations": [{"type": "scale", "scale": [2, 2]}],
    }
    label = {
        "properties": [{"label-value": 1, "class": "intergranular"}],
        "colors": [{"label-value": 1, "rgba": [1, 2, 3, 255]}],
    }
    channels = {"channels": [{"label": "a", "color": "FF0000", "window": {"start": 0, "end": 1}}]}
    said = {"multiscales": [image], "image-label": label, "omero": channels}
    if version == 2:
        (path / ".zgroup").write_text('{"zarr_format": 2}')
        (path / ".zattrs").write_text(json.dumps(said))
    else:
        node = {
            "zarr_format": 3,
            "node_type": "group",
            "attributes": {"ome": {**said, "version": "0.5"}},
        }
        (path / "zarr.json").write_text(json.dumps(node))


def _damage_metadata(rng: np.random.Generator, path: Path, number: int) -> None:
    names = ("zarr.json", ".zarray", ".zattrs", ".zgroup")
    files = sorted(p for p in path.rglob("*") if p.name in names)
    file = files[int(rng.integers(len(files)))]
    data = file.read_bytes()
    if number % 7 == 0:
        file.write_bytes(_ODD_TEXTS[number // 7 % len(_ODD_TEXTS)])
    elif number % 7 == 1:
        file.write_bytes(_damaged(rng, data, number, len(data)))
    elif number % 7 == 2 and rng.random() < 0.3:
        file.unlink()
    else:
        file.write_bytes(_changed(rng, json.loads(data)))


def _damage_chunk(rng: np.random.Generator, path: Path, number: int) -> None:
    from made_up import chunk_files

    chunks = chunk_files(path)
    chunk = chunks[int(rng.integers(len(chunks)))]
    if number % 5 == 0:
        chunk.unlink()
        (chunk.mkdir if number % 2 else lambda: os.symlink(chunk.name, chunk))()
        return
    data = chunk.read_bytes()
    cut = data[: int(rng.integers(0, len(data)))]
    chunk.write_bytes((cut, b"", data * 3, os.urandom(len(data)), cut)[number % 5])


def _read_labels(path: Path) -> None:
    from napari_fractoseg.images.ome_zarr import read_metadata
    from napari_fractoseg.results.label_images import read_ngff

    read_metadata(path)
    read_ngff(path)


# ---- models -----------------------------------------------------------------------------


def _load_model(folder: Path) -> None:
    from napari_fractoseg.models.card import ModelCard
    from napari_fractoseg.models.model import SegmentationModel
    from napari_fractoseg.models.readme import readme_text

    readme_text(ModelCard.read(folder))
    SegmentationModel.load(folder)


@attack(15, "damaged models")
def damaged_models(lab: Lab) -> None:
    """Load models of which card, configuration or weights are damaged."""
    good, folder = model(lab), lab.fresh("models")
    for name, normal in {"card.json": 700, "config.json": 400, "model.safetensors": 400}.items():
        data = (good / name).read_bytes()
        variants = [] if name.endswith("tensors") else list(_ODD_TEXTS)
        for number in range(lab.count(normal, 12)):
            if name.endswith("tensors"):
                variants.append(_safetensors(lab.rng, data, number))
            elif number % 4:
                variants.append(_changed(lab.rng, json.loads(data)))
            else:
                variants.append(_damaged(lab.rng, data, number // 4, len(data)))
        base = folder / name
        shutil.copytree(good, base)

        def load(
            number: int, base: Path = base, name: str = name, variants: Any = variants
        ) -> None:
            (base / name).write_bytes(variants[number])
            _load_model(base)

        survey(lab, f"15 damaged {name}", range(len(variants)), load, limit_s=15)
    shutil.rmtree(folder)


def _safetensors(rng: np.random.Generator, data: bytes, number: int) -> bytes:
    """Return weights with a damaged header, or one with other names, types and places."""
    size = int.from_bytes(data[:8], "little")
    if number % 3 == 0:
        return _damaged(rng, data, number // 3, 8 + size)
    header = json.loads(data[8 : 8 + size])
    if number % 3 == 1:
        text = _changed(rng, header)
    else:
        names = [n for n in header if not n.startswith("__")]
        name = names[int(rng.integers(len(names)))]
        types = ("F64", "F16", "BF16", "I64", "I32", "U8", "BOOL", "F8_E4M3", "F8_E5M2", "C64", "X")
        entry = header[name]
        kind = types[int(rng.integers(len(types)))]
        width = {"F64": 8, "I64": 8, "C64": 8, "F16": 2, "BF16": 2}.get(kind, 1)
        width = 4 if kind == "I32" else width
        start, end = entry["data_offsets"]
        entry["dtype"] = kind
        count = (end - start) // width
        entry["shape"] = [count] if number % 2 else [max(count, 1), 1]
        text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data[8 + size :]


@attack(15, "odd metrics")
def odd_metrics(lab: Lab) -> None:
    """Show models whose figures are of other types."""
    good = json.loads((model(lab) / "card.json").read_text(encoding="utf-8"))
    metrics = {
        "validation": {
            "mean_iou": 0.5, "mean_iou_before": 0.4, "step": 3, "images": ["a"], "notes": ["n"],
            "classes": {"intergranular": {"iou": 0.5, "labelled_px": 10}},
        },
        "cross_validation": {
            "method": "m", "reference": {"mean": {"agreement": 0.9},
                                         "images": {"a": {"agreement": 0.9, "mean_iou": None}}},
        },
    }  # fmt: skip
    good["metrics"], good["lineage"]["plan"] = metrics, {**PLAN, "steps_done": 5}
    folder = lab.fresh("metrics")
    cards = []
    for _ in range(lab.count(400, 10)):
        card = copy.deepcopy(good)
        part = "metrics" if lab.rng.random() < 0.8 else "lineage"
        card[part] = json.loads(_changed(lab.rng, card[part]))
        cards.append(card)

    def show(number: int) -> None:
        from napari_fractoseg.models.card import ModelCard
        from napari_fractoseg.models.readme import kept_text, readme_text

        (folder / "card.json").write_bytes(json.dumps(cards[number]).encode())
        card = ModelCard.read(folder)
        readme_text(card).encode()
        kept_text(card).encode()

    survey(lab, "15 odd metrics, models info", range(len(cards)), show)


# ---- annotations and other JSON ---------------------------------------------------------


def _annotations(folder: Path) -> None:
    """Write annotations in all layouts."""
    from napari_fractoseg import convert

    source = folder / "via.json"
    shutil.copytree(_IMAGES[0], folder, dirs_exist_ok=True)
    source.write_text(json.dumps(via_document(3, 128, 5)))
    for to in ("via2-project", "via2-csv", "via1", "via1-csv", "coco"):
        convert(source, folder / f"{to}.{'csv' if 'csv' in to else 'json'}", to)
    via3 = {
        "project": {"pid": "__VIA_PROJECT_ID__", "rev": "1", "vid_list": ["1"], "pname": "p",
                    "data_format_version": "3.1.1"},
        "config": {}, "attribute": {"1": {"aname": "name", "anchor_id": "FILE1_Z0_XY1", "type": 4,
                                          "options": {"0": "i", "1": "t"}, "default_option_id": "0"}},
        "file": {"1": {"fid": "1", "fname": "im00.png", "type": 2, "loc": 1, "src": ""}},
        "metadata": {"1_a": {"vid": "1", "flg": 0, "z": [], "xy": [7, 1, 1, 50, 1, 50, 50],
                             "av": {"1": "0"}}},
        "view": {"1": {"fid_list": ["1"]}},
    }  # fmt: skip
    (folder / "via3.json").write_text(json.dumps(via3))
    _annotations_of_others(folder)


def _annotations_of_others(folder: Path) -> None:
    """Write annotations as LabelMe, Pascal VOC, ImageJ and makers of COCO files do."""
    from roifile import ImagejRoi

    points = [[1, 1], [50, 1], [50, 50.5]]
    shapes = [
        {"label": "t", "points": points, "shape_type": "polygon", "group_id": 1, "flags": {}},
        {"label": "i", "points": points[:2], "shape_type": "circle"},
    ]
    labelme = {"version": "5.4.1", "shapes": shapes, "imagePath": "im00.png", "imageWidth": 128}
    (folder / "labelme.json").write_text(json.dumps(labelme))
    runs = {"size": [128, 128], "counts": [300, 20, 108, 30, 15926]}
    coco = {
        "images": [{"id": 4, "file_name": "x/im00.png", "width": 128, "height": 128}],
        "annotations": [{"id": n, "image_id": 4, "category_id": 2, "bbox": [1, 1, 9, 9],
                         "segmentation": part} for n, part in enumerate((runs, [], [[1, 1, 9, 1, 9, 9]]))],
        "categories": [{"id": 2, "name": "t", "supercategory": "none"}],
    }  # fmt: skip
    (folder / "dataset.json").write_text(json.dumps(coco))
    box = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>40</xmax><ymax>60</ymax></bndbox>"
    entry = f"<object><name>t</name><difficult>0</difficult>{box}</object>"
    (folder / "voc.xml").write_text(
        f"<annotation><filename>im00.png</filename>{entry}</annotation>"
    )
    roi = ImagejRoi.frompoints(points, name="t").tobytes()
    (folder / "im00.roi").write_bytes(roi)
    with zipfile.ZipFile(folder / "im00_RoiSet.zip", "w") as archive:
        for number in range(3):
            archive.writestr(f"{number}.roi", roi)


_IMAGES: list[Path] = []


@attack(15, "damaged annotations")
def damaged_annotations(lab: Lab) -> None:
    """Read and convert damaged files of VIA and other programs."""
    from napari_fractoseg.annotations.reading import SUFFIXES_READ

    _IMAGES[:] = [image_folder(lab, 3, 128)]
    good = lab.once("annotations", _annotations)
    folder = lab.fresh("annotations")
    shutil.copytree(_IMAGES[0], folder, dirs_exist_ok=True)
    sources = sorted(p for p in good.iterdir() if p.suffix in SUFFIXES_READ)
    paths = []
    for number in range(lab.count(1500, 30)):
        source = sources[number % len(sources)]
        data = source.read_bytes()
        if source.suffix == ".json" and number % 3:
            data = _changed(lab.rng, json.loads(data))
        elif number % 40 == 0:
            data = _ODD_TEXTS[number // 40 % len(_ODD_TEXTS)]
        else:
            data = _damaged(lab.rng, data, number // 3, len(data))
        path = folder / f"{source.stem}-{number}{source.suffix}"
        path.write_bytes(data)
        paths.append(path)

    def read(path: Path) -> None:
        from napari_fractoseg import convert
        from napari_fractoseg.annotations.reading import flavour_of, is_damaged, read_annotations

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            flavour_of(path)
            is_damaged(path)
            read_annotations(path, strict=False)
            out = folder / "out"
            shutil.rmtree(out, ignore_errors=True)
            convert(path, out, "masks", new_classes=True, skip_unclassified=True, skip_damaged=True)

    survey(lab, "15 damaged annotations", paths, read, name=lambda p: p.name)
    shutil.rmtree(folder)


@attack(15, "odd JSON")
def odd_json(lab: Lab) -> None:
    """Put JSON that is deep, of other types or not UTF-8 wherever a JSON file is read."""
    images, masks = image_folder(lab, 3, 128), masks_folder(lab, 3, 128)
    from harness import problem_of

    done = lab.fresh("done")
    segment = ["segment", images, "--model", model(lab), *CPU]
    lab.run([*segment, "-o", done / "out"], done)
    scheme = {"name": "x", "classes": [{"value": 1, "name": "a", "color": "#ff0000", "aliases": ["b"],
              "description": "", "is_fracture_mode": True}]}  # fmt: skip
    run_json = json.loads((done / "out" / "run.json").read_text(encoding="utf-8"))
    good: dict[str, Any] = {"plan": PLAN, "groups.json": {"im00": "a", "im01": "b"},
                            "classes.json": scheme, "--classes": scheme, "run.json": run_json,
                            "run.json, overwrite": run_json, "card as plan": {"lineage": {"plan": PLAN}}}  # fmt: skip
    for kind, data in good.items():
        texts = lab.some(_ODD_TEXTS, 5) + [_changed(lab.rng, data) for _ in range(lab.count(12, 2))]
        for number, text in enumerate(texts):
            folder = lab.fresh("json")
            arguments = _json_door(lab, kind, folder, text, images, masks, done)
            outcome = lab.run(arguments, folder)
            what = f"{text[:30]!r} ({len(text)} bytes) as {kind}"
            lab.note(f"15 odd JSON as {kind.split(',')[0]}", what, problem_of(outcome))
            shutil.rmtree(folder)
            _ = number


def _json_door(
    lab: Lab, kind: str, folder: Path, text: bytes, images: Path, masks: Path, done: Path
) -> list[Any]:
    """Write the text where a command reads it, and return the arguments of the command."""
    file = folder / "file.json"
    file.write_bytes(text)
    if kind in ("plan", "card as plan"):
        return [*training_command(lab, folder, 1, images, masks), "--plan", file]
    if kind == "groups.json":
        shutil.copytree(images, folder / "images")
        (folder / "images" / kind).write_bytes(text)
        return training_command(lab, folder, 1, folder / "images", masks)
    if kind == "classes.json":
        shutil.copytree(masks, folder / "masks")
        (folder / "masks" / kind).write_bytes(text)
        return ["evaluate", "--images", images, "--labels", folder / "masks", "-o", folder / "e.json",
                "--model", model(lab), *CPU]  # fmt: skip
    if kind == "--classes":
        return ["convert", masks, "-o", folder / "via.json", "--classes", file]
    shutil.copytree(done / "out", folder / "out")
    (folder / "out" / "run.json").write_bytes(text)
    how = "--overwrite" if kind.endswith("overwrite") else "--resume"
    return ["segment", images, "-o", folder / "out", "--model", model(lab), *CPU, how]


@attack(15, "damaged checkpoints")
def damaged_checkpoints(lab: Lab) -> None:
    """Go on from checkpoints with missing, renamed or changed tensors and facts."""
    from harness import problem_of

    steps = 8
    killed = lab.fresh("checkpoint")
    child = lab.start(training_command(lab, killed, 400), killed)
    checkpoint = killed / "model.checkpoint"
    while child.is_running() and not checkpoint.exists():
        pass
    child.stop()
    child.wait()
    if not checkpoint.exists():
        lab.note("15 damaged checkpoints", "a checkpoint", "none was written")
        return
    data = checkpoint.read_bytes()
    for what, changed in _checkpoints(lab, data).items():
        folder = lab.fresh("resume")
        (folder / "model.checkpoint").write_bytes(changed)
        arguments = [*training_command(lab, folder, 400), "--resume", "--max-minutes", "0.01"]
        arguments = [*training_command(lab, folder, 400), "--resume"]
        outcome = _start_only(lab, arguments, folder)
        lab.note("15 damaged checkpoints", what, problem_of(outcome, (0, 2, -9)))
        shutil.rmtree(folder)
    _ = steps


def _start_only(lab: Lab, arguments: list[Any], folder: Path) -> Any:
    """Run a training for a short while; what is wrong with the checkpoint is seen at once."""
    child = lab.start(arguments, folder)
    import time

    while child.is_running() and time.monotonic() - child.began < 2.5:
        time.sleep(0.01)
    child.stop()
    return child.wait()


def _checkpoints(lab: Lab, data: bytes) -> dict[str, bytes]:
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    names = [n for n in header if n != "__metadata__"]
    facts = json.loads(header["__metadata__"]["fractoseg"])
    prefixes = sorted({n.split("/")[0] for n in names})

    def packed(changed: Any) -> bytes:
        text = json.dumps(changed).encode()
        return len(text).to_bytes(8, "little") + text + data[8 + size :]

    def with_facts(text: str) -> bytes:
        return packed({**header, "__metadata__": {"fractoseg": text}})

    found: dict[str, bytes] = {}
    for prefix in prefixes:
        mine = [n for n in names if n.startswith(f"{prefix}/") or n == prefix]
        renamed = {(f"{n}x" if n == mine[0] else n): v for n, v in header.items()}
        found[f"{mine[0]} renamed"] = packed(renamed)
        moved = {(f"old{n}" if n in mine else n): v for n, v in header.items()}
        found[f"all of {prefix} renamed"] = packed(moved)
        shaped = copy.deepcopy(header)
        entry = shaped[mine[-1]]
        entry["shape"] = [*entry["shape"], 1, 1]
        found[f"{mine[-1]} of another shape"] = packed(shaped)
        typed = copy.deepcopy(header)
        for name in mine:
            if typed[name]["dtype"] == "F32":
                typed[name]["dtype"] = "I32"
        found[f"{prefix} of integers"] = packed(typed)
    found["facts are deep"] = with_facts("[" * 100_000)
    for text in ("", "null", "[]", "{}", "1", '"x"'):
        found[f"facts are {text!r}"] = with_facts(text)
    for _ in range(lab.count(40, 4)):
        text = _changed(lab.rng, facts).decode("utf-8", "surrogatepass")
        found[f"facts changed ({len(found)})"] = with_facts(text)
    for number in range(lab.count(10, 2)):
        found[f"damaged ({number})"] = _damaged(lab.rng, data, number, 8 + size)
    found["cut to nothing"] = b""
    if lab.scale < 1:
        keep = lab.some(list(found), 6)
        found = {name: found[name] for name in keep}
    return found
