"""Options that are described once."""

from dataclasses import replace

import pytest

from napari_fractoseg.batch import SegmentSettings
from napari_fractoseg.errors import OptionError
from napari_fractoseg.options import option_field, option_fields


def test_each_option_of_a_segmentation_is_described_in_the_docstring():
    for field in option_fields(SegmentSettings).values():
        assert field.description.endswith(".")
        assert f"{field.name} : {field.type_text}\n    {field.description[:30]}" in (
            SegmentSettings.__doc__
        )


def test_type_bounds_choices_and_default_are_those_of_the_field():
    tile = option_field(SegmentSettings, "tile_px")
    assert (tile.type, tile.is_optional, tile.lowest, tile.default) == (int, True, 32, None)
    assert option_field(SegmentSettings, "precision").choices == ("auto", "single", "half")
    assert option_field(SegmentSettings, "palette").type_text == (
        '{"standard", "colour-blind-safe"} or None'
    )


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"tile_px": 16}, "tile_px is 16. Input should be greater than or equal to 32."),
        ({"precision": "double"}, "precision is 'double'. Input should be 'auto', 'single'"),
        ({"tile_px": True}, "tile_px is True. It is a number."),
        ({"pixel_size_um": True}, "pixel_size_um is True. It is a number."),
        ({"max_memory_gb": 0.01}, "max_memory_gb is 0.01. Input should be greater"),
    ],
)
def test_a_value_out_of_bounds_is_refused_by_name_and_bound(values, said):
    with pytest.raises(OptionError, match=said):
        SegmentSettings(**values)
    with pytest.raises(OptionError, match=said):
        replace(SegmentSettings(), **values)
