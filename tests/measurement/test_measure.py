import json
import math

import numpy as np
import pandas as pd
import pytest

import napari_fractoseg as nf
from napari_fractoseg.classes import DEFAULT_SCHEME, ClassScheme, FractureClass
from napari_fractoseg.errors import ClassSchemeError, ImageError, OptionError
from napari_fractoseg.images.excluded import PlaneMask
from napari_fractoseg.measurement.estimates import ANALYSED, MODES
from napari_fractoseg.measurement.fields import field_table
from napari_fractoseg.measurement.measure import measurement_of_fields
from napari_fractoseg.measurement.texts import FractionError


def plane(*shares, size=10, background=0):
    """Squares beside each other, each with this share of intergranular rows."""
    squares = []
    for share in shares:
        square = np.full((size, size), 2, np.uint8)
        square[: round(share * size)] = 1
        if background:
            square[size - background :] = 3
        squares.append(square)
    return np.hstack(squares)


FOUR = plane(0.2, 0.4, 0.6, 0.4)


def test_squares_of_one_image_speak_for_this_image_only():
    found = nf.measure(FOUR, fields="grid:10px")
    inter = found.estimate("intergranular")
    assert (inter.sampling.n, inter.sampling.unit) == (4, "fields")
    assert inter.sampling.mean == pytest.approx(0.4)
    s = math.sqrt(0.08 / 3)
    assert inter.sampling.s == pytest.approx(s)
    assert inter.sampling.half_width == pytest.approx(3.182446 * s / 2)
    assert found.scope == "within this image only"
    assert any("parts of one image" in caveat for caveat in found.caveats)
    low, high = inter.bootstrap
    assert 0.2 <= low < 0.4 < high <= 0.6
    assert str(found).endswith(
        "of the projected area that shows a fracture mode, within this image only."
    )
    assert str(found).startswith("Intergranular 40.0 % (95 % interval 9.5 to 70.5 %; n = 4 fields)")


def test_squares_that_are_like_their_neighbours_have_a_wider_interval():
    in_order = nf.measure(plane(0.2, 0.3, 0.5, 0.6), fields="grid:10px")
    mixed = nf.measure(plane(0.2, 0.6, 0.3, 0.5), fields="grid:10px")
    wide, narrow = (found.estimate("intergranular").sampling for found in (in_order, mixed))
    assert wide.half_width == pytest.approx(narrow.half_width)
    assert narrow.shown == (narrow.low, narrow.high)
    assert wide.shown[0] < narrow.shown[0] < narrow.shown[1] < wide.shown[1]
    assert any("Neighbouring fields are alike" in caveat for caveat in in_order.caveats)
    assert not any("Neighbouring" in caveat for caveat in mixed.caveats)


@pytest.mark.parametrize(
    ("field", "has_interval"), [(1, False), (5, False), (16, True), (64, True)]
)
def test_fields_smaller_than_facets_have_no_interval(field, has_interval):
    squares = 1 + (np.random.default_rng(0).random((20, 20)) < 0.3)
    labels = np.kron(squares, np.ones((16, 16), int))  # facets of 16 x 16 px
    found = nf.measure(labels, fields=f"grid:{field}px")
    sampling = found.estimate("transgranular").sampling
    assert (sampling.no_interval == "") == has_interval
    assert math.isnan(sampling.shown[0]) == (not has_interval)
    assert has_interval or found.estimate("transgranular").bootstrap is None
    assert (sampling.fields_needed(10) is not None) == has_interval
    told = [caveat for caveat in found.caveats if "smaller than facets" in caveat]
    assert len(told) == (not has_interval)


def test_a_gradient_across_a_few_fields_has_an_interval():
    rows = [plane(*(0.1 * (row + 0.5 * column) for column in range(4))) for row in range(4)]
    found = nf.measure(np.vstack(rows), fields="grid:10px").estimate("intergranular").sampling
    assert found.design_effect > 2.5
    assert found.shown[0] < found.mean - found.half_width
    assert found.no_interval == ""


def test_images_have_no_neighbours():
    images = {"a": plane(0.2), "b": plane(0.25), "c": plane(0.6)}
    assert nf.measure(images).estimate("intergranular").sampling.design_effect == 1


def test_one_image_as_one_field_has_no_interval_and_says_why():
    found = nf.measure(FOUR)
    inter = found.estimate("intergranular")
    assert inter.sampling.mean == pytest.approx(0.4)
    assert math.isnan(inter.sampling.half_width)
    assert inter.bootstrap is None
    assert "Intergranular 40.0 % (no interval: 1 field, and it takes two)" in str(found)
    assert "within" not in str(found)
    assert any(c.startswith("There is no interval: 1 field") for c in found.caveats)


def test_images_are_the_observations_not_their_squares():
    images = {"a": plane(0.2, 0.4), "b": plane(0.6, 0.6), "c": plane(0.1, 0.5)}
    found = nf.measure(images, fields="grid:10px")
    inter = found.estimate("intergranular")
    assert (inter.sampling.n, inter.sampling.unit) == (3, "images")
    assert inter.sampling.mean == pytest.approx((0.3 + 0.6 + 0.3) / 3)
    assert inter.within_spread == pytest.approx(math.sqrt((0.02 + 0 + 0.08) / 3))
    assert inter.bootstrap is None
    assert found.scope == ""
    assert any("images are taken as independent" in caveat for caveat in found.caveats)


def test_planes_of_a_stack_are_the_observations():
    found = nf.measure(np.stack([plane(0.2), plane(0.6)]))
    assert found.estimate("intergranular").sampling.unit == "planes"
    assert found.estimate("intergranular").sampling.n == 2
    assert found.fields["plane"].tolist() == [1, 2]


SPECIMENS = {
    "s1_a": plane(0.2),
    "s1_b": plane(0.4),
    "s1_c": plane(0.6),
    "s2_a": plane(0.8),
    "s2_b": plane(0.6),
}


def test_specimens_are_the_observations_where_there_are_several():
    found = nf.measure(SPECIMENS, specimens=r"^(s\d)_")
    inter = found.estimate("intergranular")
    assert (inter.sampling.n, inter.sampling.unit) == (2, "specimens")
    assert inter.sampling.mean == pytest.approx((0.4 + 0.7) / 2)  # not that of five images, 0.52
    assert inter.pooled == pytest.approx(0.52)
    assert inter.within_spread == pytest.approx(math.sqrt((0.08 + 0.02) / 3))
    groups = found.groups().set_index("specimen")
    assert groups["n_fields"].to_dict() == {"s1": 3, "s2": 2}
    assert groups["fraction_of_modes_intergranular"].to_dict() == pytest.approx(
        {"s1": 0.4, "s2": 0.7}
    )
    assert groups["s_fraction_of_modes_intergranular"]["s1"] == pytest.approx(0.2)
    assert found.fields["specimen"].tolist() == ["s1"] * 3 + ["s2"] * 2


def test_images_of_a_single_specimen_speak_for_it_only():
    found = nf.measure(SPECIMENS, specimens=dict.fromkeys(SPECIMENS, "s1"))
    assert found.estimate("intergranular").sampling.n == 5
    assert found.scope == "within this specimen only"
    assert any("of one specimen" in caveat for caveat in found.caveats)


def test_columns_of_the_table_of_specimens_are_kept_beside_ours():
    table = pd.DataFrame(
        {"image": list(SPECIMENS), "specimen": "x", "stress": range(5), "row": range(5)}
    )
    found = nf.measure(SPECIMENS, specimens=table).fields
    assert found["stress"].tolist() == [0, 1, 2, 3, 4]
    assert found["row (specimens)"].tolist() == [0, 1, 2, 3, 4]
    assert found["row"].tolist() == [0] * 5


def test_denominators_are_those_of_the_whole_plane():
    labels = plane(0.2, 0.4, background=2)  # 10 x 20
    labels[5, :3] = 0
    labels = np.pad(labels, ((0, 4), (0, 3)), constant_values=1)  # 14 x 23
    exclude = np.zeros(labels.shape, bool)
    exclude[0, :20] = True
    found = nf.measure(labels, fields="grid:10px", exclude=exclude)
    assert found.areas.to_dict() == {
        "planes_px": 14 * 23,
        "left_out_px": 14 * 23 - 200,
        "excluded_px": 20,
        "unlabelled_px": 3,
        "analysed_px": 200 - 20 - 3,
        "background_px": 40,
        "modes_px": 137,
    }
    background = found.estimate("background", ANALYSED)
    assert background.pooled == pytest.approx(40 / 177)
    text = " ".join(found.caveats)
    assert "37.9 % of the area is in no field" in text
    assert "6.2 % of the area is excluded" in text
    assert "0.9 % of the area is unlabelled" in text
    assert "projected area" in text


def test_fields_without_a_fracture_mode_count_apart():
    labels = plane(0.2, 0.4, 0.6)
    labels[:, 20:] = 3
    found = nf.measure(labels, fields="grid:10px")
    assert found.estimate("intergranular").sampling.n == 2
    assert found.estimate("intergranular").sampling.mean == pytest.approx(0.3)
    assert found.estimate("intergranular", ANALYSED).sampling.n == 3
    assert any("1 of 3 fields show no fracture mode" in caveat for caveat in found.caveats)


def test_fields_with_little_or_no_analysed_area_are_said():
    labels = plane(0.2, 0.4, 0.6, 0.4)
    labels[:, 20:30] = 0
    labels[:, 31:] = 0
    found = nf.measure(labels, fields="grid:10px")
    assert found.estimate("intergranular").sampling.n == 3
    text = " ".join(found.caveats)
    assert "1 of 4 fields have no analysed area" in text
    assert "1 of 4 fields have less than half of the analysed area of the largest" in text


def test_nothing_that_shows_a_mode_is_said():
    found = nf.measure(np.full((4, 4), 3))
    assert str(found) == "No area shows a fracture mode (intergranular or transgranular)."
    assert math.isnan(found.estimate("intergranular").pooled)
    assert found.to_dict()["estimates"][-1]["mean"] is None


def test_images_of_other_magnifications_are_pooled_by_their_true_area():
    images = {"near": plane(1.0), "far": plane(0.0)}
    found = nf.measure(images, pixel_size_um={"near": 1.0, "far": 3.0})
    assert found.estimate("intergranular").sampling.mean == 0.5
    assert found.estimate("intergranular").pooled == pytest.approx(100 / (100 + 900))
    unknown = nf.measure(images, pixel_size_um={"near": 1.0})
    assert unknown.estimate("intergranular").pooled == 0.5


def test_the_error_of_the_labels_stands_beside_the_interval():
    unknown = nf.measure(FOUR).caveats
    assert any("How wrong the labels are is not known" in caveat for caveat in unknown)
    told = nf.measure(FOUR, classification=FractionError(0.08, "on unseen images")).caveats
    assert any("Model's error on unseen images: ± 8 points." in caveat for caveat in told)
    assert not any("not known" in caveat for caveat in told)


def test_other_classes_than_ours_are_measured():
    scheme = ClassScheme(
        "own", (FractureClass(9, "dimples", "#ff0000"), FractureClass(4, "cleavage", "#00ff00"))
    )
    found = nf.measure(np.array([[4, 9, 9, 9]]), scheme)
    assert found.estimate("dimples", MODES).pooled == 0.75
    with pytest.raises(OptionError, match=r"no fraction of 'intergranular'.*dimples \(analysed"):
        found.estimate("intergranular")


def test_tables_that_were_measured_one_by_one_give_the_same():
    tables = [field_table(each, DEFAULT_SCHEME, image=n) for n, each in SPECIMENS.items()]
    apart = measurement_of_fields(
        pd.concat(tables, ignore_index=True), DEFAULT_SCHEME, specimens=r"^(s\d)_"
    )
    assert apart.to_dict() == nf.measure(SPECIMENS, specimens=r"^(s\d)_").to_dict()


def test_result_is_json_and_a_table():
    found = nf.measure(SPECIMENS, specimens=r"^(s\d)_")
    data = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert data["n_images"] == 5
    assert data["estimates"][3]["class_name"] == "intergranular"
    assert data["estimates"][3]["n"] == 2
    assert found.table()["of"].tolist() == [ANALYSED] * 3 + [MODES] * 2


def test_what_does_not_fit_is_refused_with_the_name_of_the_image():
    with pytest.raises(ImageError, match="no labels"):
        nf.measure({})
    with pytest.raises(ClassSchemeError, match=r"no class: 9"):
        nf.measure(np.array([[9]]))
    with pytest.raises(OptionError, match="excluded areas of images that are not measured: s3"):
        nf.measure(SPECIMENS, exclude={"s3": np.zeros((10, 10))})
    with pytest.raises(OptionError, match="5 of 5 images have no specimen"):
        nf.measure(SPECIMENS, specimens=r"(x)")
    with pytest.raises(OptionError, match="pixel size is not known"):
        nf.measure(FOUR, fields="grid:10um")


@pytest.mark.parametrize("size_um", [0, -1, float("nan"), float("inf"), 1e300, 1e-7])
def test_an_impossible_pixel_size_is_refused(size_um):
    with pytest.raises(OptionError, match="The edge of a pixel is a number from 1e-06 to"):
        nf.measure(np.ones((4, 4), int), pixel_size_um=size_um)


def test_a_bar_over_which_no_grid_is_laid_is_excluded_area():
    labels = np.repeat([[1], [2]], [10, 10], axis=0).repeat(20, axis=1)
    bar = PlaneMask((20, 20), ((16, 20),))
    for fields, left_out_px in (("each", 0), ("grid:2x2", 0), ("grid:15px", 320 - 225)):
        areas = nf.measure(labels, fields=fields, exclude=bar).areas
        assert (areas.planes_px, areas.excluded_px) == (400, 80)
        assert areas.left_out_px == left_out_px
        assert areas.analysed_px == 320 - left_out_px
