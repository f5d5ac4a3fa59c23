"""Info bars of made-up images."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from napari_fractoseg.images.bars.info_bar import find_info_bar
from napari_fractoseg.images.calibration import SemFacts

ROWS, COLUMNS, BAR = 300, 400, 32


def surface(level=120, spread=25):
    noise = np.random.default_rng(0).normal(level, spread, (ROWS, COLUMNS))
    return np.clip(noise, 0, 255).astype(np.uint8)


def with_bar(image, ground, text, frame=None, height=BAR):
    bar = Image.new("L", (image.shape[1], height), ground)
    draw = ImageDraw.Draw(bar)
    draw.text((6, height // 4), "EHT = 5.00 kV  WD = 7.9 mm  SE2", fill=text,
              font=ImageFont.load_default(height // 2))  # fmt: skip
    if frame is not None:
        draw.rectangle((0, 0, image.shape[1] - 1, height - 1), outline=frame)
    return np.concatenate([image[:-height], np.asarray(bar)])


@pytest.mark.parametrize(
    ("ground", "text", "frame"),
    [(0, 255, None), (255, 0, None), (243, 10, 0), (0, 255, 252), (46, 255, None)],
)
def test_rows_are_found_exactly(ground, text, frame):
    image = with_bar(surface(), ground, text, frame)
    assert find_info_bar(image).rows == (ROWS - BAR, ROWS)
    assert find_info_bar(image[::-1]).rows == (0, BAR)
    assert find_info_bar(image.astype(np.uint16) * 257).rows == (ROWS - BAR, ROWS)
    assert find_info_bar(np.stack([image] * 3, axis=-1)).rows == (ROWS - BAR, ROWS)


def test_a_row_of_the_image_below_the_bar_is_left_out_with_it():
    image = with_bar(surface(), 255, 0, 0)
    image[-1] = surface()[-1]
    assert find_info_bar(image).rows == (ROWS - BAR, ROWS)


def dark_below():
    image = surface()
    image[-60:] = np.clip(image[-60:].astype(int) - 150, 0, 255)
    return image


def blank_below():
    image = surface()
    image[-40:] = 0
    return image


def fading():
    fade = np.clip(np.linspace(2, -1, ROWS), 0, 1)[:, None]
    return (surface() * fade).astype(np.uint8)


def bright_particle_on_black():
    image = np.zeros((ROWS, COLUMNS), np.uint8)
    rows, columns = np.mgrid[:ROWS, :COLUMNS]
    disc = (rows - 260) ** 2 + (columns - 200) ** 2 < 30**2
    image[disc] = surface()[disc]
    return image


@pytest.mark.parametrize(
    "image",
    [surface(), dark_below(), blank_below(), fading(), bright_particle_on_black(),
     surface(spread=2), np.zeros((ROWS, COLUMNS)), np.full((ROWS, COLUMNS), np.nan),
     np.zeros((1, 1), np.uint8), np.zeros((3, 500), np.uint8),
     np.indices((ROWS, COLUMNS)).sum(0) // 8 % 2],
    ids=["surface", "dark", "blank", "fading", "particle", "smooth", "zero", "nan", "one", "flat",
         "stripes"],
)  # fmt: skip
def test_where_there_is_no_bar_none_is_found(image):
    found = find_info_bar(image)
    assert (found.rows, found.is_over_image) == (None, False)


def test_a_band_that_takes_more_than_a_quarter_is_image():
    assert find_info_bar(with_bar(surface(), 0, 255, height=ROWS // 3)).rows is None


def test_a_micron_bar_over_the_image_is_told_and_nothing_is_cut_off():
    image = surface()
    image[280:285, 250:350] = 0
    image[280:284, 250:350] = 255
    image[279, 250:350] = 0
    found = find_info_bar(image)
    assert (found.rows, found.is_over_image) == (None, True)
    assert "over the image" in found.why


def test_rows_that_the_metadata_say_go_first():
    facts = SemFacts(image_rows=280, image_rows_from="FEI [Image] ResolutionY")
    found = find_info_bar(surface(), facts)
    assert found.rows == (280, ROWS)
    assert found.why.startswith("FEI [Image] ResolutionY says that the image has 280 rows")
    whole = SemFacts(image_rows=ROWS, image_rows_from="FEI [Image] ResolutionY")
    assert find_info_bar(surface(), whole).rows is None
    assert find_info_bar(with_bar(surface(), 0, 255), whole).rows == (ROWS - BAR, ROWS)


def test_the_upper_edge_is_read_only_without_a_bar_at_the_lower():
    class Recorded:
        """An image that knows which rows were read."""

        def __init__(self, image):
            self.image, self.shape, self.dtype, self.first = image, image.shape, image.dtype, []

        def __getitem__(self, rows):
            self.first.append(rows.start)
            return self.image[rows]

    image = Recorded(with_bar(surface(), 0, 255))
    assert find_info_bar(image).rows == (ROWS - BAR, ROWS)
    assert 0 not in image.first
    other = Recorded(surface())
    assert find_info_bar(other).rows is None
    assert 0 in other.first


def test_complex_numbers_are_no_grey_levels():
    assert find_info_bar(surface().astype(np.complex64)).rows is None
