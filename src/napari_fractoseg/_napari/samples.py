"""Sample data for napari's menu *File > Open Sample*.

They are plain layer-data tuples: napari makes the layers, and this module does not import it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import imageio.v3 as iio

from napari_fractoseg._napari.layer_metadata import metadata_with
from napari_fractoseg.classes import DEFAULT_SCHEME, UNLABELLED
from napari_fractoseg.samples import SAMPLE_SEEDS, synthetic_fracture, synthetic_stack
from napari_fractoseg.samples.published import BASE_URL, fetch_published

if TYPE_CHECKING:
    from napari.types import LayerDataTuple

    from napari_fractoseg.samples import SyntheticFracture

__all__ = ["PUBLISHED_SAMPLES", "published_images", "synthetic_image", "synthetic_stack_sample"]

PUBLISHED_SAMPLES = ("t16_4.jpg", "s4_5.jpg", "s4_2.jpg")
"""File names of the published images that the menu opens: three, so that it is quick."""


def synthetic_image() -> list[LayerDataTuple]:
    """Return a synthetic fracture surface and its exact labels, 640 x 640 px.

    Returns
    -------
    list of layer-data tuples
        An image layer and a hidden labels layer, in micrometres.
    """
    return _layers(synthetic_fracture(SAMPLE_SEEDS[4]), "synthetic fracture")


def synthetic_stack_sample() -> list[LayerDataTuple]:
    """Return five synthetic fracture surfaces as a stack, with exact labels.

    Returns
    -------
    list of layer-data tuples
        An image layer and a hidden labels layer of shape (5, 640, 640). The
        planes are unrelated fields of view: the first axis has no unit.
    """
    return _layers(synthetic_stack(SAMPLE_SEEDS[10]), "synthetic fracture stack")


def published_images() -> list[LayerDataTuple]:
    """Fetch three published micrographs; their pixel size is not known.

    Returns
    -------
    list of layer-data tuples
        An image layer each, 640 x 640 px; all but the first are hidden.

    Raises
    ------
    DownloadError
        If the images cannot be fetched.
    """
    # It imports Qt and napari, which the module is free of.
    from napari_fractoseg._napari.widgets.plain_text import plain_errors

    with plain_errors():
        images = [iio.imread(fetch_published(name)) for name in PUBLISHED_SAMPLES]
    return [
        (
            image,
            {
                "name": f"{name.removesuffix('.jpg')} (published)",
                "colormap": "gray",
                "visible": name == PUBLISHED_SAMPLES[0],
                "metadata": {
                    "source": BASE_URL + name,
                    "reference": "arXiv 1908.02242",
                    "licence": "GPL-3.0",
                },
            },
            "image",
        )
        for name, image in zip(PUBLISHED_SAMPLES, images, strict=True)
    ]


def _layers(sample: SyntheticFracture, name: str) -> list[LayerDataTuple]:
    """Return the layers of a synthetic image or stack."""
    leading = sample.image.ndim - 2
    place: dict[str, Any] = {
        "scale": (1.0,) * leading + (sample.pixel_size_um,) * 2,
        "units": ("pixel",) * leading + ("um",) * 2,
    }
    about = {"synthetic": True, "seed": sample.seed, "pixel_size_um": sample.pixel_size_um}
    colors = {None: "transparent", UNLABELLED: "transparent"}
    return [
        (sample.image, {"name": name, "colormap": "gray", "metadata": about, **place}, "image"),
        (
            sample.labels,
            {
                "name": f"{name}: exact labels",
                "visible": False,
                "opacity": 0.45,
                "colormap": colors | {c.value: c.rgba for c in DEFAULT_SCHEME},
                "features": {
                    "index": [UNLABELLED, *DEFAULT_SCHEME.values],
                    "class": ["unlabelled", *DEFAULT_SCHEME.names],
                },
                "metadata": metadata_with({**about, "scheme": DEFAULT_SCHEME.to_dict()}),
                **place,
            },
            "labels",
        ),
    ]
