"""Tables as CSV text, and files of others."""

import numpy as np
import pandas as pd
import pytest

from napari_fractoseg.errors import OptionError
from napari_fractoseg.measurement.tables import csv_text, read_texts


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_texts_are_read_as_they_were_written(tmp_path, separator):
    cells = ["=1+1", "'a", "NA", "", " b ", "1,5; 2", 'say "hi"', "line\nbreak", "-", "'=x"]
    table = pd.DataFrame({"a": cells, "b, c": np.arange(len(cells))})
    path = tmp_path / "a.csv"
    text = csv_text(table)
    if separator != ",":  # as a spreadsheet program of another language saves it
        path.write_text(text)
        saved = pd.read_csv(path, dtype=str, keep_default_na=False)
        text = saved.to_csv(sep=separator, index=False)
    path.write_text(f"\ufeff{text}", encoding="utf-8")
    found = read_texts(path, "a table")
    assert found.columns.tolist() == ["a", "b, c"]
    assert found["a"].tolist() == cells
    assert found["b, c"].tolist() == [str(n) for n in range(len(cells))]


@pytest.mark.parametrize("text", ["", "a,b\n1,2,3\n", "a,b\n1,2\n3,4,5\n", 'a,b\n"1,2\n'])
def test_what_is_no_table_is_told(tmp_path, text):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(OptionError, match=r"a\.csv cannot be read as a table: "):
        read_texts(tmp_path / "a.csv", "a table")


def test_other_encodings_are_told(tmp_path):
    (tmp_path / "a.csv").write_bytes("a\nfaçade\n".encode("latin-1"))
    with pytest.raises(OptionError, match="utf-8"):
        read_texts(tmp_path / "a.csv", "a table")
