from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.models.card import Inference, ModelCard
from napari_fractoseg.models.readme import readme_text

FIGURES = {"mode_agreement": 0.8, "agreement": 0.6, "mean_iou": None, "fraction_error": 0.05}


def card(**entries):
    return ModelCard("my model", DEFAULT_SCHEME, "Unet", "resnet18", **entries)


def test_classes_network_and_licence_are_named():
    text = readme_text(card(licence="MIT", inference=Inference(reductions=(2, 4), flips=True)))
    assert text.startswith("# my model\n")
    assert "| 2 | transgranular |" in text
    assert "`resnet18`" in text
    assert "at 1/2 and 1/4 of its resolution, and its four mirror images" in text
    assert "Licence: MIT" in text
    assert "Cross-validation" not in text


def test_cross_validation_becomes_a_table_for_each_reference():
    figures = {"mean": FIGURES, "images": {"s17_3": FIGURES}}
    metrics = {"cross_validation": {"method": "By specimen.", "folds": {}, "polygons": figures}}
    lines = readme_text(card(metrics=metrics)).splitlines()
    assert "By specimen." in lines
    assert "Reference: polygons" in lines
    assert "| s17_3 | 0.800 | 0.600 | - | 0.050 |" in lines
    assert "| **mean** | 0.800 | 0.600 | - | 0.050 |" in lines
