"""Excluded area of an image in napari, such as its info bar: found, switched off, or edited.

`area_of` is the one lookup for an image layer, `area_of_labels` that for its labels.
"""

from napari_fractoseg._napari.excluded.areas import areas_of
from napari_fractoseg._napari.excluded.lookup import (
    area_of,
    area_of_labels,
    key_of,
    labels_mask,
    stack_with_area,
)

__all__ = ["area_of", "area_of_labels", "areas_of", "key_of", "labels_mask", "stack_with_area"]
