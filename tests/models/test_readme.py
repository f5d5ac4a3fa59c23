import pytest

from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.models.card import Inference, Lineage, ModelCard
from napari_fractoseg.models.readme import kept_text, readme_text

FIGURES = {"mode_agreement": 0.8, "agreement": 0.6, "mean_iou": None, "fraction_error": 0.05}


def card(**entries):
    return ModelCard("my model", DEFAULT_SCHEME, "Unet", "resnet18", **entries)


def test_classes_network_and_licence_are_named():
    text = readme_text(card(licence="MIT", inference=Inference(reductions=(2, 4), flips=True)))
    assert text.startswith("# my model\n")
    assert "| 2 | transgranular | #21c45a | yes |" in text
    assert "| 3 | background | transparent | no |" in text
    assert "`resnet18`" in text
    assert "at 1/2 and 1/4 of its resolution, and its four mirror images" in text
    assert "Licence: MIT" in text
    text = readme_text(card(inference=Inference(reductions=(1, 2, 8), smoothing_px=1.0)))
    assert "at full, 1/2 and 1/8 of its resolution, smoothed by a Gaussian of 1 px." in text
    assert "Cross-validation" not in text


def test_cross_validation_becomes_a_table_for_each_reference():
    figures = {"mean": FIGURES, "images": {"s17_3": FIGURES}}
    metrics = {"cross_validation": {"method": "By specimen.", "folds": {}, "polygons": figures}}
    lines = readme_text(card(metrics=metrics)).splitlines()
    assert "By specimen." in lines
    assert "Reference: polygons" in lines
    assert "| s17_3 | 0.800 | 0.600 | - | 0.050 |" in lines
    assert "| **mean** | 0.800 | 0.600 | - | 0.050 |" in lines


def test_what_training_kept_aside_is_shown():
    classes = {"intergranular": {"iou": 0.81, "labelled_px": 1200}}
    validation = {"mean_iou": 0.7, "mean_iou_before": 0.5, "classes": classes, "notes": ["Few."]}
    lines = readme_text(card(metrics={"validation": validation})).splitlines()
    assert "On held-out pixels, mean IoU 0.700 (before training 0.500)." in lines
    assert "| intergranular | 0.810 | 1200 |" in lines
    assert "- Few." in lines


def test_it_is_said_which_weights_were_kept():
    def trained(**validation):
        metrics = {"validation": validation} if validation else {}
        return card(metrics=metrics, lineage=Lineage(plan={"steps_done": 160}))

    best = trained(step=120, mean_iou=0.22, mean_iou_before=0.18)
    sentence = "Kept: the weights of step 120 of 160, the best on the held-out pixels."
    assert kept_text(best) == sentence
    assert sentence in readme_text(best)
    assert kept_text(trained()) == "Kept: the weights of step 160 of 160, the last one."
    assert kept_text(trained(step=0)) == (
        "No step was better than the start on the held-out pixels: the model is as it was."
    )
    assert kept_text(card()) == ""


def test_a_card_without_figures_says_so():
    text = readme_text(card(pixel_size_um=0.088))
    assert "How well it does was not measured." in text
    assert "pixel size: 0.088 µm" in text
    assert "sees the image at full resolution" in text


@pytest.mark.parametrize(
    ("now", "sentence"),
    [(0.7, "it does better than"), (0.6, "it does as well as"), (0.5, "it does worse than")],
)
def test_a_readout_is_compared_with_the_model_that_it_started_from(now, sentence):
    figures = {"mean_iou_before": 0.6, "mean_iou": now, "step": 1}
    lineage = Lineage(plan={"method": "readout", "steps_done": 1})
    text = kept_text(card(metrics={"validation": figures}, lineage=lineage))
    assert f"On the held-out pixels {sentence} the model that it started from" in text


@pytest.mark.parametrize(("before", "is_better"), [(0.9, True), (0.7, False), (None, False)])
def test_a_parent_that_does_better_on_rescaled_images_is_named(before, is_better):
    figures = {"mean_iou_before": before, "mean_iou": 0.7, "step": 3}
    lineage = Lineage(plan={"steps_done": 4})
    text = kept_text(card(metrics={"validation": figures}, lineage=lineage))
    assert text.startswith("Kept: the weights of step 3 of 4")
    assert ("does better on the held-out pixels, as it sees these images rescaled" in text) == (
        is_better
    )


def test_it_says_how_wide_facets_were_where_the_model_learnt():
    facets = {"median_px": 66, "quartiles_px": [49, 98], "n_facets": 703, "n_images": 16}
    text = readme_text(card(metrics={"facets": {**facets, "of": "of polygons"}}))
    assert (
        "- Its facets were typically 66 px wide (median of 703 in 16 images, half of them 49 to 98 "
        "px; of polygons). If yours are much larger or smaller, set the scale factor" in text
    )
    for wrong in ({}, {**facets, "median_px": "<b>"}, {**facets, "quartiles_px": [1]}):
        assert "typically" not in readme_text(card(metrics={"facets": wrong}))
