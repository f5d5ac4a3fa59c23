"""Damaged files of other programs: one error that names the file, or what is whole in it."""

import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image
from roifile import ROI_TYPE, ImagejRoi

from napari_fractoseg.annotations import rasterise, read_annotations
from napari_fractoseg.annotations.class_mapping import ClassMapping
from napari_fractoseg.annotations.formats.neighbours.labelme import LABEL
from napari_fractoseg.annotations.reading import flavour_of, is_damaged
from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.errors import AnnotationError

N_MUTANTS = 100
ODD = [None, -1, 0, 1e308, 10**30, "", "x", [], {}, [[]], [None], True, float("nan"), "é" * 50]


def coco():
    runs = {"size": [12, 20], "counts": [0, 12, 5, 7, 216]}
    base = {"image_id": 1, "category_id": 1, "bbox": [1, 1, 4, 4], "iscrowd": 0}
    parts = [[[1, 1, 9, 1, 9, 9]], runs, {"size": [8, 10], "counts": "d0154N0O20N102L6"}, []]
    return {
        "images": [{"id": 1, "file_name": "a.png", "width": 20, "height": 12}],
        "annotations": [{**base, "id": n, "segmentation": s} for n, s in enumerate(parts)],
        "categories": [{"id": 1, "name": "t", "supercategory": "none"}],
    }


def labelme():
    import base64

    buffer = io.BytesIO()
    Image.fromarray(np.eye(3, 4, dtype=np.uint8)).save(buffer, format="PNG")
    mask = base64.b64encode(buffer.getvalue()).decode()
    kinds = {"polygon": 4, "rectangle": 2, "circle": 2, "linestrip": 3, "points": 2}
    shapes = [
        {LABEL: "t", "shape_type": kind, "points": [[n, 2 * n % 7] for n in range(1, count + 1)]}
        for kind, count in kinds.items()
    ]
    shapes.append({LABEL: "i", "shape_type": "mask", "points": [[1, 1], [4, 3]], "mask": mask})
    return {"shapes": shapes, "imagePath": "a.png", "imageWidth": 20, "imageHeight": 12}


def voc():
    box = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>4</xmax><ymax>6</ymax></bndbox>"
    outline = "<polygon><x1>1</x1><y1>1</y1><x2>9</x2><y2>1</y2><x3>9</x3><y3>9</y3></polygon>"
    turned = "<robndbox><cx>5</cx><cy>5</cy><w>4</w><h>2</h><angle>1</angle></robndbox>"
    objects = "".join(f"<object><name>t</name>{s}</object>" for s in (box, outline, turned))
    return f"<annotation><filename>a.png</filename>{objects}</annotation>".encode()


def rois():
    polygon = ImagejRoi.frompoints([(1.5, 1), (9, 1), (9, 9.25)], name="t")
    ring = [0, 1, 1, 1, 9, 1, 1, 9, 9, 4, 0, 3, 3, 1, 3, 6, 1, 6, 6, 4]
    composite = ImagejRoi(roitype=ROI_TYPE.RECT, top=1, left=1, bottom=9, right=9)
    composite.multi_coordinates = np.array(ring, np.float32)
    composite.shape_roi_size = len(ring)
    return [polygon.tobytes(), composite.tobytes()]


def archive(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for number, member in enumerate(members):
            file.writestr(f"{number}.roi", member)
    return buffer.getvalue()


def flipped(rng, data):
    changed = bytearray(data)
    for place in rng.integers(len(changed), size=rng.integers(1, 4)):
        changed[place] = rng.integers(256)
    return bytes(changed[: rng.integers(len(changed))] if rng.random() < 0.2 else changed)


def retyped(rng, text):
    """Text with a few other characters, of those that numbers and tags are made of."""
    characters = list(text)
    for place in rng.integers(len(characters), size=rng.integers(1, 4)):
        characters[place] = rng.choice(list("0123456789.-eninf<>/& "))
    return "".join(characters).encode()


def places(value):
    """Every list or mapping in JSON data, with each of its keys."""
    keys = value if isinstance(value, dict) else range(len(value))
    for key in list(keys):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from places(value[key])


def odd(rng, make):
    data = make()
    where = list(places(data))
    place, key = where[rng.integers(len(where))]
    place[key] = ODD[rng.integers(len(ODD))]
    return json.dumps(data).encode()


MUTANTS = {
    "coco.json": lambda rng: odd(rng, coco),
    "labelme.json": lambda rng: odd(rng, labelme),
    "flipped coco.json": lambda rng: flipped(rng, json.dumps(coco()).encode()),
    "flipped labelme.json": lambda rng: flipped(rng, json.dumps(labelme()).encode()),
    "voc.xml": lambda rng: retyped(rng, voc().decode()),
    "flipped voc.xml": lambda rng: flipped(rng, voc()) if rng.random() < 0.9 else voc(),
    "polygon.roi": lambda rng: flipped(rng, rois()[0]),
    "composite.roi": lambda rng: flipped(rng, rois()[1]),
    "RoiSet.zip": lambda rng: flipped(rng, archive(rois())),
    "members.zip": lambda rng: archive([flipped(rng, member) for member in rois()]),
}
WHOLE = {"coco.json": 4, "labelme.json": 9, "voc.xml": 3, "polygon.roi": 1, "RoiSet.zip": 3}


def n_drawn(path):
    """Read a file, draw all that can be drawn, and return the number of regions."""
    document = read_annotations(path, strict=False)
    for image in document:
        classes = {value: "transgranular" for r in image.regions for value in r.ticked("class")}
        mapping = ClassMapping("class", DEFAULT_SCHEME, {**classes, "": "transgranular"})
        rasterise(image, (24, 24), mapping)
    return sum(len(image.drawable) for image in document)


@pytest.mark.parametrize("name", WHOLE)
def test_whole_files_are_drawn(tmp_path, name):
    whole = {
        "coco.json": lambda: json.dumps(coco()).encode(),
        "labelme.json": lambda: json.dumps(labelme()).encode(),
        "voc.xml": voc,
        "polygon.roi": lambda: rois()[0],
        "RoiSet.zip": lambda: archive(rois()),
    }
    (tmp_path / name).write_bytes(whole[name]())
    assert n_drawn(tmp_path / name) == WHOLE[name]


@pytest.mark.parametrize("name", MUTANTS)
def test_damaged_files_are_one_error_or_what_is_whole_in_them(tmp_path, name):
    rng = np.random.default_rng(len(name))
    path = tmp_path / name
    n_read = 0
    for _ in range(N_MUTANTS):
        path.write_bytes(MUTANTS[name](rng))
        flavour_of(path)
        is_damaged(path)
        try:
            n_drawn(path)
        except AnnotationError as error:
            assert name in str(error)  # noqa: PT017
        else:
            n_read += 1
    assert n_read > 0
