"""Which rows of an image are left out as its info bar."""

import numpy as np
import pytest

import sem_files as made
from napari_fractoseg.bar_option import checked_choice
from napari_fractoseg.errors import ImageError
from napari_fractoseg.images import MicrographStack, SemFacts, read_image
from napari_fractoseg.images.bars.choice import chosen_bar, without_bar

STACK = MicrographStack(np.random.default_rng(0).integers(60, 180, (2, 60, 40)).astype(np.uint8))


@pytest.mark.parametrize(
    ("choice", "bands"), [("7", ((53, 60),)), ("50:55", ((50, 55),)), ("0:4", ((0, 4),))]
)
def test_rows_are_given(choice, bands):
    bar = chosen_bar(STACK, choice)
    assert bar.area.bands == bands
    assert bar.to_dict() == {
        "rows": [list(bands[0])],
        "has_mask": False,
        "source": f"These rows were given ({choice}).",
    }


@pytest.mark.parametrize("choice", ["", "all", "-3", "5:", "7:7", "9:2", "1:2:3", "1.5", "0", "٣"])
def test_other_text_is_refused_and_says_what_may_be_given(choice):
    with pytest.raises(ValueError, match=r"auto, none, a number of rows .* \(691:768\)"):
        checked_choice(choice)
    with pytest.raises(ImageError, match="Give auto, none"):
        chosen_bar(STACK, choice)


def test_rows_that_the_image_does_not_have_are_refused():
    with pytest.raises(ImageError, match="image of 60 rows"):
        chosen_bar(STACK, "50:70")
    with pytest.raises(ImageError, match=r"61 rows at the lower .* the image has 60 rows only"):
        chosen_bar(STACK, "61")


def test_none_leaves_a_bar_that_the_metadata_say():
    facts = [SemFacts(image_rows=50, image_rows_from="A microscope")]
    assert chosen_bar(STACK, "auto", facts).area.bands == ((50, 60),)
    found = chosen_bar(STACK, "none", facts)
    assert found.area is None
    assert found.why == "No info bar was looked for."


def test_auto_says_why_there_is_none():
    assert "no band of one grey level" in chosen_bar(STACK).why


def test_planes_that_differ_lose_the_rows_that_are_bar_on_all():
    facts = [SemFacts(image_rows=n, image_rows_from="A microscope") for n in (50, 54)]
    bar = chosen_bar(STACK, "auto", facts)
    assert bar.area.bands == ((54, 60),)


def test_nothing_is_cut_off_a_plane_without_a_bar():
    facts = [SemFacts(image_rows=50, image_rows_from="A microscope"), SemFacts()]
    bar = chosen_bar(STACK, "auto", facts)
    assert bar.area is None
    assert "1 of 2 planes have an info bar: no rows are left out" in bar.notes[0]


def test_planes_that_agree_need_no_note():
    facts = [SemFacts(image_rows=50, image_rows_from="A microscope")] * 2
    assert chosen_bar(STACK, "auto", facts).notes == ()


def test_a_file_says_its_rows(tmp_path):
    path = made.write_tiff(tmp_path / "a.tif", {made.FEI: made.FEI_TEXT}, shape=(36, 40))
    stack, bar = without_bar(read_image(path), "auto", [path])
    assert stack.excluded.bands == ((30, 36),)
    assert "30 rows" in bar.why
    stack, bar = without_bar(read_image(path), "none", [path])
    assert stack.excluded is None


def test_text_over_the_image_is_a_note():
    image = np.random.default_rng(1).integers(40, 200, (400, 400)).astype(np.uint8)
    image[379:385, 199:301] = 0
    image[380:384, 200:300] = 255
    stack, bar = without_bar(MicrographStack(image))
    assert stack.excluded is None
    (note,) = stack.notes
    assert note.startswith("image: Text and a micron bar are drawn over the image")
    assert note.endswith("It was segmented as well.")
    assert bar.notes == stack.notes


def test_what_was_excluded_before_stays_so():
    one, _ = without_bar(STACK, "5")
    both, _ = without_bar(one, "0:3")
    assert both.excluded.bands == ((55, 60), (0, 3))
    assert both.excluded.source == "These rows were given (5). These rows were given (0:3)."
