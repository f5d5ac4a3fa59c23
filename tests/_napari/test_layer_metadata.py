"""What is kept in a layer's metadata."""

import numpy as np
import pytest
from napari.layers import Image, Labels

from napari_fractoseg._napari.layer_metadata import add_facts, facts_of, metadata_with
from napari_fractoseg._napari.layers import scheme_of
from napari_fractoseg.classes import DEFAULT_SCHEME


@pytest.mark.parametrize("metadata", [{}, {"fractoseg": None}, {"fractoseg": "1.2"}, {"other": 3}])
def test_nothing_is_known_of_layers_of_others(metadata):
    layer = Labels(np.zeros((4, 4), np.uint8), metadata=metadata)
    assert facts_of(layer) == {}
    assert scheme_of(layer) is None


def test_new_facts_join_those_that_are_there_and_the_metadata_of_others():
    metadata = {**metadata_with({"image": "s17", "planes": [[0]]}), "other": 3}
    layer = Image(np.zeros((4, 4)), metadata=metadata)
    add_facts(layer, {"planes": "all"})
    assert layer.metadata == {"fractoseg": {"image": "s17", "planes": "all"}, "other": 3}


def test_something_can_be_said_of_a_layer_with_a_damaged_entry():
    layer = Labels(np.zeros((4, 4), np.uint8), metadata={"fractoseg": "1.2"})
    add_facts(layer, {"scheme": DEFAULT_SCHEME.to_dict()})
    assert scheme_of(layer) == DEFAULT_SCHEME


def test_what_is_returned_may_be_changed_without_changing_the_layer():
    layer = Labels(np.zeros((4, 4), np.uint8), metadata=metadata_with({"image": "s17"}))
    facts_of(layer)["image"] = "other"
    assert facts_of(layer) == {"image": "s17"}
