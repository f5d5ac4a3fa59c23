"""What a card says its confidence is worth, and the README of it."""

from __future__ import annotations

import pytest

from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.models.card import ModelCard
from napari_fractoseg.models.confidence import confidence_text, reliability_bins
from napari_fractoseg.models.readme import readme_text

CARD = ModelCard("my model", DEFAULT_SCHEME, "Unet", "resnet18")


def table(accuracy, n_px=500, ece=0.034):
    bins = [
        {"low": 0.8, "high": 0.8667, "confidence": 0.83, "accuracy": 0.8, "n_px": 20},
        {"low": 0.8667, "high": 0.9333, "confidence": 0.902, "accuracy": accuracy, "n_px": n_px},
    ]
    return {"ece": ece, "bins": bins}


def calibrated(temperature=1.4, **references):
    figures = {"on": "unseen specimens", "method": "By specimen.", "references": references}
    return CARD.with_temperature(temperature, figures)


def test_it_is_said_how_many_pixels_were_right_where_it_was_sure():
    card = calibrated(published=table(0.88), polygons=table(0.71, ece=0.16))
    assert confidence_text(card) == (
        "Calibrated on unseen specimens. Where it says 0.87 to 0.93, so many pixels were right: "
        "88 % against published, 71 % against polygons; expected calibration error 0.03 against "
        "published, 0.16 against polygons."
    )
    text = readme_text(card)
    assert "## Confidence\n\nCalibrated on unseen specimens." in text
    assert "By specimen." in text
    assert "| 0.87 to 0.93 | 0.902 | 0.880 | 500 |" in text
    assert reliability_bins(card)["published"][1]["accuracy"] == 0.88


def test_few_pixels_are_no_share():
    assert confidence_text(calibrated(published=table(0.88, n_px=99))) == (
        "Calibrated on unseen specimens; expected calibration error 0.03 against published."
    )


def test_what_is_not_calibrated_says_so_and_why():
    assert confidence_text(CARD) == ("Not calibrated: nothing was held out to compare it with.")
    few = CARD.with_temperature(1.0, {"why": "only 64 labelled pixels were held out"})
    assert confidence_text(few) == "Not calibrated: only 64 labelled pixels were held out."
    assert "Not calibrated: only 64" in readme_text(few)
    assert few.uncalibrated() == CARD


@pytest.mark.parametrize(
    "figures",
    [3, {"references": []}, {"references": {"x": 1}}, {"references": {"x": {"ece": "<b>"}}},
     {"references": {"x": {"ece": float("nan")}}, "why": 3}],
)  # fmt: skip
def test_entries_of_another_kind_are_passed_over(figures):
    assert confidence_text(CARD.with_temperature(1.0, figures)).startswith("Not calibrated")
    assert "Not calibrated" in readme_text(CARD.with_temperature(1.0, figures))


def test_texts_of_others_are_no_markup():
    figures = {"references": {"<b>[x](y)": {"ece": 0.1, "bins": [{"low": "0"}, 3]}}, "on": 3}
    text = readme_text(CARD.with_temperature(1.2, figures))
    assert "against \\<b>\\[x](y)" in text
    assert "Reference: \\<b>\\[x](y)" in text
