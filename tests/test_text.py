import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_fractoseg.text import from_spreadsheet, printable, size_text, spreadsheet_safe


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Cf", "Zl", "Zp"])))
def test_ordinary_text_is_shown_as_it_is(text):
    assert printable(text) == text


@given(st.text())
def test_what_is_shown_can_be_encoded_and_holds_no_control_character(text):
    shown = printable(text)
    shown.encode("utf-8")
    assert all(c in "\n\t" or (c >= " " and c not in "\x7f\x9b") for c in shown)
    assert printable(shown) == shown


@given(st.text(st.sampled_from("'=+-@\t\r ab1"), max_size=6))
def test_no_cell_is_a_formula_and_each_can_be_read_back(text):
    cell = spreadsheet_safe(text)
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert from_spreadsheet(cell) == text


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        ((96, 128), "128 x 96 px"),
        ((34, 96, 128), "34 planes of 128 x 96 px"),
        ((2, 34, 96, 128), "2 x 34 planes of 128 x 96 px"),
        ((7,), "7 values in a row"),
    ],
)
def test_sizes_are_written_as_people_write_them(shape, text):
    assert size_text(shape) == text
