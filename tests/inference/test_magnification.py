"""Magnification guard: when an image is seen rescaled, and what is said."""

from __future__ import annotations

import warnings
from fractions import Fraction

import numpy as np
import pytest

import napari_fractoseg as nf
from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.errors import OptionError
from napari_fractoseg.images import MicrographStack
from napari_fractoseg.inference.magnification import Magnification, scale_text
from napari_fractoseg.models.card import ModelCard

IMAGE = np.random.default_rng(0).integers(0, 255, (96, 128), dtype=np.uint8)


def seen(learnt_um, image_um, choice="auto"):
    card = ModelCard("mine", DEFAULT_SCHEME, "Unet", "resnet18", pixel_size_um=learnt_um)
    return Magnification.of(card, image_um, choice)


@pytest.mark.parametrize(
    ("learnt_um", "image_um"), [(None, 0.1), (0.1, None), (None, None), (0.1, 0.14), (0.14, 0.1)]
)
def test_images_are_seen_as_they_are_unless_both_sizes_are_known_and_far_apart(learnt_um, image_um):
    assert seen(learnt_um, image_um) == Magnification()


@pytest.mark.parametrize(
    ("learnt_um", "image_um", "scale", "sentence"),
    [
        (0.18, 0.088, 2, "Seen at half its size, as the model learnt at 0.18 µm and this image "
         "has 0.088 µm a pixel."),
        (0.3, 0.1, 3, "Seen at 1/3 of its size, as"),
        (0.16, 0.1, "3/2", "Seen at 2/3 of its size, as"),
        (0.1, 0.2, "1/2", "Seen at twice its size, as"),
        (0.1, 0.79, "1/8", "Seen at 8 times its size, as"),
        (0.1, 0.26, "3/8", "Seen at 2.67 times its size, as"),
    ],
)  # fmt: skip
def test_it_is_said_at_which_size_and_why(learnt_um, image_um, scale, sentence):
    found = seen(learnt_um, image_um)
    assert found.scale == Fraction(scale)
    assert found.sentence.startswith(sentence)
    assert ("Finer details" in found.sentence) == (found.scale < 1)
    assert not found.is_asked


def test_none_leaves_the_image_as_it_is_and_says_what_that_may_do():
    found = seen(0.18, 0.088, "none")
    assert found.scale == 1
    assert found.sentence == (
        "Seen as it is, although the model learnt at 0.18 µm and this image has 0.088 µm a pixel: "
        "its labels may be wrong."
    )
    assert seen(0.18, 0.15, "none").sentence == ""


def test_a_factor_goes_before_the_pixel_sizes():
    assert seen(0.18, 0.088, 0.5).scale == Fraction(1, 2)
    assert seen(None, None, "2").sentence == "Seen at half its size (scale factor 2)."
    rounded = seen(None, None, 1.9)
    assert rounded.sentence == "Seen at half its size (scale factor 2, the nearest to 1.9)."
    assert rounded.is_asked
    assert seen(0.18, 0.088, 1) == Magnification(is_asked=True)


@pytest.mark.parametrize("choice", ["much", "0.1", 17, "nan", "", True, np.True_])
def test_other_choices_are_refused(choice):
    with pytest.raises(OptionError, match="It can be auto, none, or a factor from 0.125 to 16"):
        seen(None, None, choice)
    with pytest.raises(ValueError, match="a factor from"):
        scale_text(choice)


def test_sizes_beyond_all_scales_are_refused_with_a_way_out():
    with pytest.raises(
        OptionError, match="they differ 180 times, .*Check the pixel size"
    ) as caught:
        seen(0.18, 0.001)
    assert caught.value.options == ("scale=none",)


class TestSegment:
    """`nf.segment`."""

    @pytest.fixture
    def known(self, tiny_model):
        return tiny_model.with_card(pixel_size_um=0.2)

    def test_by_the_pixel_size_of_a_stack(self, known, tiny_model):
        stack = MicrographStack(IMAGE, pixel_size_um=0.1)
        with pytest.warns(UserWarning, match="Seen at half its size"):
            labels = nf.segment(stack, known, device="cpu")
        wanted = nf.segment(IMAGE, tiny_model, device="cpu", scale=2)
        np.testing.assert_array_equal(labels, wanted)
        assert (labels != nf.segment(IMAGE, tiny_model, device="cpu")).any()

    def test_what_was_asked_for_is_no_warning(self, known, tiny_model):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            nf.segment(IMAGE, known, device="cpu", scale=0.5)
        stack = MicrographStack(IMAGE, pixel_size_um=0.1)
        with pytest.warns(UserWarning, match="Seen as it is, although"):
            labels = nf.segment(stack, known, device="cpu", scale="none")
        np.testing.assert_array_equal(labels, nf.segment(IMAGE, tiny_model, device="cpu"))
