"""COCO files as CVAT, Label Studio, Roboflow, makesense.ai and pycocotools write them."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_fractoseg.annotations import (
    AnnotatedImage,
    Flavour,
    Region,
    rasterise,
    read_annotations,
    read_via,
)
from napari_fractoseg.annotations.class_mapping import ClassMapping, map_classes
from napari_fractoseg.annotations.formats.neighbours.coco_dataset import is_coco_dataset, parse
from napari_fractoseg.annotations.formats.neighbours.filled import mask_of_runs
from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.errors import AnnotationError

TRIANGLE = [0, 0, 10, 0, 0, 10.5]
POLYGON = {"name": "polygon", "all_points_x": [0, 10, 0], "all_points_y": [0, 0, 10.5]}
CATEGORIES = [
    {"id": 7, "name": "intergranular", "supercategory": "brittle"},
    {"id": 90, "name": "t"},
]


def coco(*annotations, images=None, categories=CATEGORIES):
    images = images or [{"id": 3, "file_name": "a.png", "width": 20, "height": 12}]
    return {"images": images, "annotations": list(annotations), "categories": categories}


def annotation(**changes):
    entry = {"id": 1, "image_id": 3, "category_id": 7, "segmentation": [TRIANGLE], "iscrowd": 0}
    return {**entry, "bbox": [0, 0, 10, 10.5], "area": 52.5, **changes}


def document_of(*annotations, **changes):
    return parse(coco(*annotations, **changes), "coco.json")


def regions_of(*annotations):
    return document_of(*annotations)[0].regions


def run_lengths(mask):
    """Run lengths by their definition: pixel by pixel down the columns."""
    counts, before = [0], 0
    for value in mask.T.ravel().astype(int).tolist():
        if value != before:
            counts.append(0)
            before = value
        counts[-1] += 1
    return counts


def compressed(counts):
    """Text of run lengths, as the comments of pycocotools describe it."""
    text = ""
    for i, number in enumerate(counts):
        x = number - counts[i - 2] if i > 2 else number
        more = True
        while more:
            bits = x & 0x1F
            x >>= 5
            more = x != (-1 if bits & 0x10 else 0)
            text += chr((bits | (0x20 if more else 0)) + 48)
    return text


def drawn(regions, shape):
    mapping = ClassMapping("category", DEFAULT_SCHEME, {"intergranular": "intergranular"})
    return rasterise(AnnotatedImage("a.png", tuple(regions)), shape, mapping).labels > 0


def test_categories_are_values_of_one_attribute_whatever_their_numbers_and_supercategories():
    document = document_of(annotation(), annotation(id=2, category_id=90))
    assert document.flavour is Flavour.COCO_DATASET
    assert document[0].regions == (
        Region(POLYGON, {"category": "intergranular", "supercategory": "brittle"}),
        Region(POLYGON, {"category": "t"}),
    )
    assert document[0].extras == {"width": 20, "height": 12}
    assert document.definition("category").options == {"intergranular": "intergranular", "t": "t"}
    assert map_classes(document, DEFAULT_SCHEME).attribute == "category"
    assert document.notes == ()


@pytest.mark.parametrize("above", ["none", "", None, "t"])
def test_a_supercategory_that_says_nothing_is_none(above):
    categories = [{"id": 0, "name": "t", "supercategory": above}]
    document = document_of(annotation(category_id=0), categories=categories)
    assert document[0].regions[0].attributes == {"category": "t"}


def test_what_others_write_is_told_from_what_is_no_coco():
    assert is_coco_dataset(coco(annotation()))
    assert is_coco_dataset({**coco(), "info": {"description": "COCO 2017 Dataset"}})
    assert is_coco_dataset({"images": [], "annotations": [], "categories": []})
    for data in (
        [],
        {"images": [], "annotations": []},
        {**coco(), "annotations": {}},
        {"images": ["a.png"], "annotations": [1]},
        coco({"image": 3}),
        coco(images=[{"id": 3, "url": "x"}]),
    ):
        assert not is_coco_dataset(data)


def test_images_are_found_by_their_numbers_in_whatever_order_and_folders():
    images = [
        {"id": 900, "file_name": r"..\upload\1\b.png"},
        {"id": 2, "file_name": "images/a.png"},
    ]
    document = document_of(annotation(image_id=2), images=images)
    assert [(i.filename, len(i.regions)) for i in document] == [
        (r"..\upload\1\b.png", 0),
        ("images/a.png", 1),
    ]


def test_what_cvat_says_besides_is_kept():
    said = {"occluded": False, "rotation": 0.0, "category": "x"}
    (region,) = regions_of(annotation(attributes=said, score=0.5))
    assert dict(region.attributes) == {
        "category": "intergranular",
        "supercategory": "brittle",
        "occluded": False,
        "rotation": 0.0,
    }
    assert region.extras == {"score": 0.5}


def test_boxes_stand_for_outlines_that_are_not_there():
    document = document_of(
        annotation(segmentation=[], bbox=[1, 2, 3.5, 4]), annotation(segmentation=None, bbox=None)
    )
    box, nothing = document[0].regions
    assert box.shape == {"name": "rect", "x": 1, "y": 2, "width": 3.5, "height": 4}
    assert "no box in bbox None" in nothing.problem
    assert document.notes == (
        "Annotations without an outline, of which the box is taken: 1 (annotation 0).",
    )


def test_parts_crowds_and_strangers_are_told():
    runs = {"size": [12, 20], "counts": [0, 12, 228]}
    document = document_of(
        annotation(segmentation=[TRIANGLE, TRIANGLE]),
        annotation(segmentation=runs, iscrowd=1),
        annotation(image_id=4),
        annotation(category_id=1),
    )
    assert len(document[0].regions) == 4
    assert document.notes == (
        "Annotations of several parts, each made a region: 1 (annotation 0).",
        "Annotations of crowds (iscrowd), taken for areas like the others: 1 (annotation 1).",
        "Skipped annotations of images that are not in the file: 1 (annotation 2).",
        "Annotations without a category of the file: 1 (annotation 3).",
    )


@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))), st.booleans())
def test_masks_become_polygons_of_the_same_pixels(mask, as_text):
    counts = run_lengths(mask)
    runs = {"size": list(mask.shape), "counts": compressed(counts) if as_text else counts}
    regions = regions_of(annotation(segmentation=runs))
    np.testing.assert_array_equal(drawn(regions, mask.shape), mask)
    assert bool(regions) == mask.any()
    cut, row, column = mask_of_runs(runs)
    assert cut.sum() == mask.sum()
    assert not mask.any() or (cut.any(axis=0)[[0, -1]].all() and cut.any(axis=1)[[0, -1]].all())
    rows, columns = slice(row, row + cut.shape[0]), slice(column, column + cut.shape[1])
    np.testing.assert_array_equal(mask[rows, columns], cut)


def test_a_known_compressed_mask():
    # What pycocotools 2.0.11 encodes for a disk of radius 3 in 8 x 10 pixels.
    y, x = np.mgrid[:8, :10]
    mask = (y - 4) ** 2 + (x - 5) ** 2 <= 9
    found, row, column = mask_of_runs({"size": [8, 10], "counts": "d0154N0O20N102L6"})
    assert (row, column) == (1, 2)
    np.testing.assert_array_equal(found, mask[1:8, 2:9])


@pytest.mark.parametrize(
    ("runs", "problem"),
    [
        (
            {"size": [2, 2], "counts": [1, 2]},
            "run lengths of 3 pixels do not fit an image",
        ),
        ({"size": [2, 2], "counts": [5, -1]}, "are no run lengths"),
        ({"size": [2, 2], "counts": [1.5, 2.5]}, "are no run lengths"),
        ({"size": [2, 2], "counts": None}, "are no run lengths"),
        ({"size": [2], "counts": [4]}, "is not rows and columns"),
        ({"size": [10**9, 10**9], "counts": [10**18]}, "is not rows and columns"),
        ({"size": [2**20, 2**20], "counts": [0, 2**40]}, "too large"),
        ({"size": [2, 2], "counts": "\x00"}, "are no compressed run lengths"),
        ({"size": [2, 2], "counts": "o" * 99}, "are no compressed run lengths"),
        ({"size": [2, 2], "counts": "o"}, "end within a number"),
        ({}, "is not rows and columns"),
    ],
)
def test_masks_that_cannot_be_read_say_why(runs, problem):
    (region,) = regions_of(annotation(segmentation=runs))
    assert problem in region.problem


def test_panoptic_files_are_declined_with_a_reason():
    with pytest.raises(AnnotationError, match=r"coco\.json holds panoptic segments.*Export"):
        document_of({"image_id": 3, "file_name": "a.png", "segments_info": []})


def test_a_file_is_read_whoever_wrote_it_and_read_via_refuses_it(tmp_path):
    path = tmp_path / "_annotations.coco.json"
    path.write_text(json.dumps(coco(annotation())))
    assert read_annotations(path)[0].regions[0].shape == POLYGON
    with pytest.raises(AnnotationError, match=r"is not a file of the VGG.*it has COCO annotations"):
        read_via(path)
    path.write_text(json.dumps(coco(annotation(segmentation=[[1, 2, 3]]))))
    with pytest.raises(AnnotationError, match=r"region 0: .*again in the program that"):
        read_annotations(path)
    assert len(read_annotations(path, strict=False)[0].regions) == 1
