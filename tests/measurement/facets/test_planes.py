"""Tables of facets of many planes, and tables to paste."""

import numpy as np
import pandas as pd
import pytest

from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.images import MicrographStack
from napari_fractoseg.jobs import drain
from napari_fractoseg.measurement.facets.planes import (
    FacetSettings,
    FacetTables,
    facets_of_planes_job,
    sizes_of,
)
from napari_fractoseg.measurement.tables import csv_text, tsv_text

PLANES = np.full((2, 6, 8), 2, np.uint8)
PLANES[0, 2, 3:5] = 1
PLANES[1, 2:4, 3] = 3


def test_what_is_pasted_is_what_is_saved_with_tabs():
    table = pd.DataFrame({"=name": ["-1", "a\tb", 'say "x"'], "n": [1.5, np.nan, -2]})
    rows = tsv_text(table).splitlines()
    assert rows == ["'=name\tn", "'-1\t1.5", '"a\tb"\t', '"say ""x"""\t-2.0']
    assert csv_text(table).splitlines()[:2] == ["'=name,n", "'-1,1.5"]


def test_facets_of_all_planes_are_one_table_with_their_planes():
    found = drain(
        facets_of_planes_job(
            PLANES,
            DEFAULT_SCHEME,
            FacetSettings(min_area_px=2),
            name="=s17",
            pixel_size_um=0.5,
            exclude=np.arange(48).reshape(6, 8) < 8,
            image=MicrographStack(PLANES * 10),
        )
    )
    tables = FacetTables(FacetSettings(min_area_px=2))
    for plane, facets in enumerate(found.facets, start=1):
        tables.add(facets, image="=s17", plane=plane, specimen="s")
    table = tables.table()
    columns = ["image", "plane", "specimen", "index", "class_name", "area_um2", "mean_grey"]
    assert table[columns].to_numpy().tolist() == [
        ["=s17", 1, "s", 1, "transgranular", 9.5, 20.0],
        ["=s17", 1, "s", 2, "intergranular", 0.5, 10.0],
        ["=s17", 2, "s", 1, "transgranular", 9.5, 20.0],
        ["=s17", 2, "s", 2, "background", 0.5, 30.0],
    ]
    assert found.boundary[["image", "plane"]].to_numpy().tolist() == [["=s17", 1], ["=s17", 2]]
    assert found.boundary["length_um"].to_numpy()[0] > 0
    sizes, reason = sizes_of(tables)
    assert reason == ""
    assert set(sizes["size"]) == {"equivalent_diameter_um", "area_um2"}


def test_without_facets_there_are_no_sizes_and_it_says_so():
    assert sizes_of(None) == (None, "facets were not measured")
    assert sizes_of(FacetTables()) == (None, "There is no facet whose size could be measured.")


def test_an_empty_table_of_facets_has_its_columns():
    tables = FacetTables()
    empty = np.zeros((4, 4), np.uint8)
    found = drain(facets_of_planes_job(empty, DEFAULT_SCHEME, FacetSettings(), name="a"))
    tables.add(found.facets[0], image="a", plane=1)
    assert tables.table().empty
    assert "area_px" in tables.table()


@pytest.mark.parametrize("shape", [(), (3,)])
def test_areas_say_where_the_pixels_went(shape):
    from napari_fractoseg.measurement.measure import measure

    labels = np.full((*shape, 10, 10), 1, np.uint8)
    labels[..., 0, :] = 0
    labels[..., 1, :] = 3
    mask = np.zeros((10, 10), bool)
    mask[2, :5] = True
    found = measure(labels, exclude=mask)
    n = 100 * (shape or (1,))[0]
    assert str(found.areas) == (
        f"Analysed 85.0 % of {n} px: background in it 10.0 %, unlabelled 10.0 %, excluded 5.0 %."
    )
    left = measure(labels, fields="grid:9px")
    assert str(left.areas).endswith("in no field 19.0 %.")
    pooled = (
        "" if not shape else "All fields as one area: intergranular 100.0 %, transgranular 0.0 %."
    )
    assert found.pooled_text() == pooled
