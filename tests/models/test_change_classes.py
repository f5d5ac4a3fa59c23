from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.errors import ModelError
from napari_fractoseg.models.change_classes import with_classes
from napari_fractoseg.models.model import SegmentationModel

IMAGE = np.random.default_rng(0).normal(size=(1, 1, 64, 64)).astype(np.float32)


def logits(model):
    with torch.no_grad():
        return model.network(torch.from_numpy(IMAGE))


def test_a_new_class_leaves_what_is_known(tiny_model, tmp_path):
    larger = with_classes(tiny_model, DEFAULT_SCHEME.with_names(["dimples"]))
    assert larger.card.scheme.names[-1] == "dimples"
    assert larger.known_channels == (0, 1, 2)
    torch.testing.assert_close(logits(larger)[:, :3], logits(tiny_model))
    again = SegmentationModel.load(larger.save(tmp_path / "larger"))
    torch.testing.assert_close(logits(again), logits(larger))
    assert tiny_model.card.scheme == DEFAULT_SCHEME
    assert logits(tiny_model).shape[1] == 3


def test_classes_are_removed_and_reordered_by_name(tiny_model):
    classes = (DEFAULT_SCHEME.find("t"), DEFAULT_SCHEME.find("i"))
    smaller = with_classes(tiny_model, replace(DEFAULT_SCHEME, classes=classes))
    torch.testing.assert_close(logits(smaller), logits(tiny_model)[:, [1, 0]])


def test_a_renamed_class_keeps_its_weights(tiny_model):
    scheme = replace(
        DEFAULT_SCHEME,
        classes=(
            replace(DEFAULT_SCHEME.classes[0], name="along the grains", aliases=()),
            *DEFAULT_SCHEME.classes[1:],
        ),
    )
    renamed = with_classes(tiny_model, scheme, renamed={"along the grains": "intergranular"})
    torch.testing.assert_close(logits(renamed), logits(tiny_model))
    assert renamed.card.scheme.names[0] == "along the grains"


def test_a_replaced_class_starts_anew(tiny_model):
    scheme = DEFAULT_SCHEME.with_names(["dimples"])
    scheme = replace(scheme, classes=(*scheme.classes[:2], scheme.classes[3]))
    replaced = with_classes(tiny_model, scheme, seed=1)
    torch.testing.assert_close(logits(replaced)[:, :2], logits(tiny_model)[:, :2])
    assert (logits(replaced)[:, 2] - logits(tiny_model)[:, 2]).abs().max() > 0.01
    assert replaced.known_channels == (0, 1)


def test_nothing_in_common_is_refused(tiny_model):
    scheme = DEFAULT_SCHEME.with_names(["dimples"])
    with pytest.raises(ModelError, match=r"Of the classes dimples model 'tiny' knows none"):
        with_classes(tiny_model, replace(scheme, classes=scheme.classes[3:]))
    with pytest.raises(ModelError, match=r"no class cleavage to rename"):
        with_classes(tiny_model, scheme, renamed={"dimples": "cleavage"})


def test_how_sure_it_was_says_nothing_of_other_classes(tiny_model):
    card = tiny_model.card.with_temperature(1.7, {"references": {}})
    model = tiny_model.with_card(inference=card.inference, metrics=card.metrics)
    larger = with_classes(model, DEFAULT_SCHEME.with_names(["dimples"])).card
    assert (larger.inference.temperature, larger.metrics) == (1.0, {})
    first = replace(DEFAULT_SCHEME.classes[0], color="#123456")
    recoloured = replace(DEFAULT_SCHEME, classes=(first, *DEFAULT_SCHEME.classes[1:]))
    kept = with_classes(model, recoloured).card
    assert (kept.inference.temperature, kept.metrics) == (1.7, card.metrics)
