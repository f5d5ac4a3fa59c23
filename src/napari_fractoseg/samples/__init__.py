"""Images to try things on: synthetic surfaces with exact labels, and published micrographs."""

from napari_fractoseg.samples.synthetic import (
    SAMPLE_SEEDS,
    TRAINING_SEEDS,
    SyntheticFracture,
    synthetic_fracture,
    synthetic_stack,
)

__all__ = [
    "SAMPLE_SEEDS",
    "TRAINING_SEEDS",
    "SyntheticFracture",
    "synthetic_fracture",
    "synthetic_stack",
]
