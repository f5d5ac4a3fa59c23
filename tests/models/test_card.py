import json
import math

import pytest

from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.errors import ModelError
from napari_fractoseg.models.card import Inference, Lineage, ModelCard

CARD = ModelCard(
    name="fracture modes",
    scheme=DEFAULT_SCHEME,
    architecture="Unet",
    encoder="resnet18",
    inference=Inference(reductions=(2, 4), flips=True, halo_px=96),
    pixel_size_um=0.088,
    metrics={"cv": {"mode_agreement": 0.9}},
    lineage=Lineage(parent="abc", plan={"seed": 3}, data={"s17_3": "00ff"}),
)


def test_json_round_trip():
    assert ModelCard.from_json(CARD.to_json()) == CARD


def changed(**entries):
    return json.dumps({**json.loads(CARD.to_json()), **entries})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a model card"),
        ("[1]", "not a model card"),
        (changed(schema_version=2), r"schema_version.*'2'"),
        (changed(surprise=1), "surprise"),
        (changed(pixel_size_um=-1), "pixel_size_um.*greater than 0"),
        (changed(normalisation="z-score"), "normalisation.*z-score"),
        (changed(inference={"reductions": [0]}), "inference.reductions"),
        (changed(inference={"temperature": 0}), "inference.temperature.*greater than 0"),
        (changed(inference={"temperature": math.inf}), "inference.temperature"),
        (changed(inference={"reductions": []}), "inference.reductions.*at least 1 item"),
        (changed(scheme={"name": "x", "classes": []}), "scheme.*no classes"),
    ],
)
def test_bad_cards_name_file_entry_and_value(text, message):
    with pytest.raises(ModelError, match=message) as caught:
        ModelCard.from_json(text, "here/card.json")
    assert "here/card.json" in str(caught.value)
    assert "\n" not in str(caught.value)
