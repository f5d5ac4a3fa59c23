"""Micrographs with an info bar, and a window that shows one."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

ROWS, COLUMNS, BAR = 200, 240, 24


@pytest.fixture
def surface():
    """A rough surface without an info bar."""
    noise = np.random.default_rng(0).normal(120, 25, (ROWS, COLUMNS))
    return np.clip(noise, 0, 255).astype(np.uint8)


@pytest.fixture
def barred(surface):
    """The surface with an info bar in its rows 176 to 199."""
    bar = Image.new("L", (COLUMNS, BAR), 0)
    font = ImageFont.load_default(12)
    ImageDraw.Draw(bar).text((6, 5), "EHT = 5.00 kV  WD = 7.9 mm  SE2", fill=255, font=font)
    return np.concatenate([surface[:-BAR], np.asarray(bar)])
