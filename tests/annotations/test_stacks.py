import imageio.v3 as iio
import numpy as np
import pytest
import tifffile

from napari_fractoseg.annotations import AnnotatedImage, Region
from napari_fractoseg.annotations.class_mapping import ClassMapping
from napari_fractoseg.annotations.image_lookup import ImageLookup
from napari_fractoseg.annotations.stacks import assemble, draw_labels_job, short_name
from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.jobs import Progress, drain

MAPPING = ClassMapping("name", DEFAULT_SCHEME, {"i": "intergranular", "t": "transgranular"})


def put(path, shape=(4, 6), dtype=np.uint8):
    iio.imwrite(path, np.zeros(shape, dtype))
    return path


def assembled(folder, *names, **options):
    images = [AnnotatedImage(name) for name in names]
    return assemble(ImageLookup.scan(folder).find_all(images, **options))


def rect(value, x, y, width, height):
    shape = {"name": "rect", "x": x, "y": y, "width": width, "height": height}
    return Region(shape, {"name": value})


def test_images_of_one_shape_and_type_are_a_stack_in_the_order_of_the_document(tmp_path):
    root = tmp_path.resolve()
    for name in ("a.png", "c.png", "b.png"):
        put(root / name)
    put(root / "large.png", (8, 6))
    put(root / "deep.png", dtype=np.uint16)
    assembly = assembled(root, "c.png", "large.png", "a.png", "deep.png", "b.png")
    planes = [[image.filename for image in stack.images] for stack in assembly.stacks]
    assert planes == [["c.png", "a.png", "b.png"], ["large.png"], ["deep.png"]]
    assert assembly.stacks[0].paths == (root / "c.png", root / "a.png", root / "b.png")
    assert [s.plane_shape for s in assembly.stacks] == [(4, 6), (8, 6), (4, 6)]
    assert [s.dtype for s in assembly.stacks] == [np.uint8, np.uint8, np.uint16]
    assert assembly.missing == ()
    assert assembly.notes == ()


def test_colour_images_are_a_stack_of_their_own(tmp_path):
    put(tmp_path / "grey.png")
    put(tmp_path / "colour.png", (4, 6, 3))
    grey, colour = assembled(tmp_path, "grey.png", "colour.png").stacks
    assert (grey.rgb, colour.rgb) == (False, True)
    assert (colour.shape, colour.plane_shape) == ((4, 6, 3), (4, 6))


def test_images_without_a_file_are_named(tmp_path):
    put(tmp_path / "a.png")
    assembly = assembled(tmp_path, "x.png", "a.png", "y.png", "z.png", most_names=2)
    assert [image.filename for image in assembly.missing] == ["x.png", "y.png", "z.png"]
    assert len(assembly.stacks) == 1
    assert assembly.notes == (
        f"3 of 4 images not found in {tmp_path.resolve()}: x.png, y.png, ...",
    )


def test_files_that_cannot_be_used_are_missing_and_the_reason_is_noted(tmp_path):
    (tmp_path / "bad.png").write_text("no picture")
    tifffile.imwrite(
        tmp_path / "stack.tif", np.zeros((5, 4, 6), np.uint8), photometric="minisblack"
    )
    assembly = assembled(tmp_path, "bad.png", "stack.tif")
    assert assembly.stacks == ()
    assert [image.filename for image in assembly.missing] == ["bad.png", "stack.tif"]
    assert "bad.png cannot be read as an image" in assembly.notes[0]
    assert assembly.notes[1] == "stack.tif has shape (5, 4, 6); only single images are opened."


def test_a_search_that_was_given_up_is_noted(tmp_path):
    folder = ImageLookup(tmp_path, (), is_complete=False)
    assert assemble(folder.find_all([])).notes == (
        f"{tmp_path} holds too many files to search; name the image folder.",
    )


def test_one_image_is_drawn_as_a_plane():
    image = AnnotatedImage("a.png", (rect("i", 0, 0, 2, 1), rect("t", 1, 0, 2, 2)))
    drawn = drain(draw_labels_job([image], (3, 4), MAPPING))
    assert drawn.labels.dtype == np.uint8
    assert drawn.labels.tolist() == [[1, 2, 2, 0], [0, 2, 2, 0], [0, 0, 0, 0]]
    assert drawn.overlaps == {("intergranular", "transgranular"): 1}
    assert drawn.notes == (
        "Regions of different classes overlap (intergranular / transgranular 1 px); the later "
        "region wins.",
    )


def test_several_images_are_drawn_as_a_stack_with_progress_after_each():
    images = [
        AnnotatedImage("a.png", (rect("i", 0, 0, 1, 1), rect("i", 0, 0, 1, 2))),
        AnnotatedImage("b.png", (rect("t", 1, 1, 1, 1), rect("t", 9, 9, 1, 1))),
    ]
    reports = []
    drawn = drain(draw_labels_job(images, (2, 2), MAPPING), reports.append)
    assert drawn.labels.tolist() == [[[1, 0], [1, 0]], [[0, 0], [0, 2]]]
    assert reports == [Progress(1, 2, "image 1 of 2"), Progress(2, 2, "image 2 of 2")]
    # Regions of one class may overlap: nothing is lost.
    assert drawn.overlaps == {("intergranular", "intergranular"): 1}
    assert drawn.notes == ("1 region covers no pixel.",)


@pytest.mark.parametrize(
    ("overlap", "expected", "note"),
    [
        ("later", [[1, 2, 2]], "the later region wins"),
        ("smaller", [[1, 2, 2]], "the smaller region wins"),
        ("unlabelled", [[1, 0, 2]], "these pixels are left unlabelled"),
    ],
)
def test_overlap_rules(overlap, expected, note):
    image = AnnotatedImage("a.png", (rect("i", 0, 0, 2, 1), rect("t", 1, 0, 2, 1)))
    drawn = drain(draw_labels_job([image], (1, 3), MAPPING, overlap=overlap))
    assert drawn.labels.tolist() == expected
    assert note in drawn.notes[0]


def test_pixels_without_a_region_can_have_a_class():
    image = AnnotatedImage("a.png", (rect("i", 0, 0, 2, 1),))
    drawn = drain(draw_labels_job([image], (1, 3), MAPPING, unannotated="background"))
    assert drawn.labels.tolist() == [[1, 1, 3]]


@pytest.mark.parametrize(
    ("filename", "name"),
    [
        ("s17_3.jpg", "s17_3"),
        ("C:\\sem\\a.tif", "a"),
        ("https://example.org/b.c.png?x=1", "b.c"),
        ("", "image"),
        ("..", ".."),
    ],
)
def test_short_names(filename, name):
    assert short_name(AnnotatedImage(filename)) == name


def test_images_that_fit_several_files_are_named(tmp_path):
    for part in ("train", "val"):
        (tmp_path / part).mkdir()
        for name in ("a.png", "b.png", "c.png"):
            put(tmp_path / part / name)
    assembly = assembled(tmp_path, "a.png", "val/b.png", "c.tif", "x.png", "b.png", most_names=2)
    assert [image.filename for image in assembly.missing] == ["a.png", "c.tif", "x.png", "b.png"]
    assert [s.paths for s in assembly.stacks] == [((tmp_path / "val" / "b.png").resolve(),)]
    assert assembly.notes == (
        f"1 of 5 images not found in {tmp_path.resolve()}: x.png",
        "3 images fit several files: a.png (train/a.png, val/a.png), c.tif (train/c.png, "
        "val/c.png), ...; name the image folder, or rename all files but one.",
    )
