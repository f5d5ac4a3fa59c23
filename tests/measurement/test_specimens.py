import pandas as pd
import pytest

from napari_fractoseg.errors import OptionError
from napari_fractoseg.measurement.specimens import specimens_of

IMAGES = ["s17_1.tif", "s17_2.tif", "s9_1.tif"]


def test_a_pattern_finds_the_specimen_in_the_name():
    table = specimens_of(IMAGES, r"^(s\d+)_")
    assert table["image"].tolist() == IMAGES
    assert table["specimen"].tolist() == ["s17", "s17", "s9"]


def test_names_that_do_not_match_are_listed():
    with pytest.raises(OptionError, match=r"2 of 4 images have no specimen.*b\.tif, s_1\.tif"):
        specimens_of(["s17_1.tif", "b.tif", "s_1.tif", "s9_1.tif"], r"s(\d*)_")


@pytest.mark.parametrize(
    ("pattern", "text"),
    [("s17", "0 groups"), (r"(s)(\d+)", "2 groups"), ("(s17", "no regular expression")],
)
def test_patterns_without_one_group_are_refused(pattern, text):
    with pytest.raises(OptionError, match=text):
        specimens_of(IMAGES, pattern)


@pytest.mark.parametrize("separator", [",", ";"])
def test_a_csv_is_joined_with_all_its_columns(tmp_path, separator):
    rows = [
        ["Image", "specimen", "stress_MPa", "build"],
        ["s9_1", "007", "310.5", "NA"],
        ["s17_2.tif", "001", "", "A"],
        ["s17_1.tif", "001", "290", "A"],
    ]
    path = tmp_path / "specimens.csv"
    path.write_text("\n".join(separator.join(row) for row in rows), encoding="utf-8-sig")
    table = specimens_of(IMAGES, path)
    assert list(table.columns) == ["image", "specimen", "stress_MPa", "build"]
    assert table["specimen"].tolist() == ["001", "001", "007"]
    assert table["stress_MPa"].tolist()[::2] == [290, 310.5]
    assert table["stress_MPa"].isna().tolist() == [False, True, False]
    assert table["build"].tolist() == ["A", "A", "NA"]
    assert specimens_of(IMAGES, str(path)).equals(table)


def test_a_table_that_lacks_images_columns_or_names_one_twice_is_refused(tmp_path):
    table = pd.DataFrame({"image": ["s17_1", "s9_1"], "specimen": ["a", ""]})
    with pytest.raises(OptionError, match=r"s17_2\.tif, s9_1\.tif"):
        specimens_of(IMAGES, table)
    with pytest.raises(OptionError, match=r"not one column specimen; its columns are image, x"):
        specimens_of(IMAGES, table.rename(columns={"specimen": "x"}))
    with pytest.raises(OptionError, match=r"twice: s9_1\. Keep one"):
        specimens_of(IMAGES, pd.concat([table, table[1:]]))
    with pytest.raises(OptionError, match=r"none\.csv cannot be read as a table of specimens"):
        specimens_of(IMAGES, tmp_path / "none.csv")


def test_images_of_one_stem_are_not_guessed():
    mapping = {"a/1.tif": "x", "b/1.tif": "y"}
    assert specimens_of(["b/1.tif"], mapping)["specimen"].tolist() == ["y"]
    with pytest.raises(OptionError, match=r"1\.png"):
        specimens_of(["1.png"], mapping)
