"""What is told of a layer that comes, goes, or gets another name."""

import gc

import numpy as np
from napari.components import LayerList
from napari.layers import Image

from napari_fractoseg._napari.layer_list import follow_layers


class Reader:
    """Notes the names that it read at each call."""

    def __init__(self, layers):
        self.layers = layers
        self.seen = []
        follow_layers(layers, self.refresh)

    def refresh(self, event=None):
        self.seen.append([layer.name for layer in self.layers])


def test_layers_that_come_go_and_are_renamed_are_told():
    layers = LayerList()
    reader = Reader(layers)
    layer = Image(np.zeros((4, 4)), name="a")
    layers.append(layer)
    assert reader.seen[-1] == ["a"]
    layer.name = "b"
    assert reader.seen[-1] == ["b"]
    layers.remove(layer)
    assert reader.seen[-1] == []


def test_nothing_else_is_told():
    layers = LayerList([Image(np.zeros((4, 4)), name="a")])
    reader = Reader(layers)
    layers[0].opacity = 0.5
    layers[0].visible = False
    layers[0].data = np.ones((4, 4))
    assert reader.seen == []


def test_a_reader_that_is_gone_is_not_kept():
    layers = LayerList([Image(np.zeros((4, 4)), name="a")])
    seen = Reader(layers).seen
    gc.collect()
    layers[0].name = "b"
    layers.clear()
    assert seen == []
