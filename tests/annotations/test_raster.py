import math

import numpy as np
import pytest
import skimage.draw
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_fractoseg.annotations.class_mapping import ClassMapping
from napari_fractoseg.annotations.document import AnnotatedImage, Region
from napari_fractoseg.annotations.raster import (
    hidden_regions,
    rasterise,
    to_pixel_centres,
    to_pixel_edges,
)
from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.errors import AnnotationError, ClassSchemeError

SHAPE = (24, 30)
MAPPING = ClassMapping("mode", DEFAULT_SCHEME, {"i": "i", "t": "t", "b": "b", "unsure": None})

# scikit-image loads its functions at their first use, which may be in any of the tests.
unhurried = settings(deadline=None)
positions = st.floats(-10, 40, allow_nan=False)
radii = st.floats(0.1, 30, allow_nan=False)


def rect(x, y, width, height, mode="i"):
    shape = {"name": "rect", "x": x, "y": y, "width": width, "height": height}
    return Region(shape, {"mode": mode})


def points(name, *vertices, mode="i"):
    xs, ys = zip(*vertices, strict=True)
    return Region({"name": name, "all_points_x": [*xs], "all_points_y": [*ys]}, {"mode": mode})


def ellipse(cx, cy, rx, ry, **theta):
    shape = {"name": "ellipse", "cx": cx, "cy": cy, "rx": rx, "ry": ry, **theta}
    return Region(shape, {"mode": "i"})


def circle(cx, cy, r):
    return Region({"name": "circle", "cx": cx, "cy": cy, "r": r}, {"mode": "i"})


def drawn(*regions, shape=(6, 8), **options):
    return rasterise(AnnotatedImage("a.png", regions), shape, MAPPING, **options)


def labels(*regions, **options):
    return drawn(*regions, **options).labels


def centres(shape=SHAPE):
    """Return y and x of the centres of pixels, in VIA's coordinates."""
    return np.indices(shape) + 0.5


def assert_covers(region, excess):
    """Check against a formula that is negative inside, but for centres on the outline."""
    found = labels(region, shape=SHAPE) == 1
    clear = np.abs(excess) > 1e-6
    np.testing.assert_array_equal(found[clear], (excess < 0)[clear])


def test_coordinates_are_turned_and_back():
    assert to_pixel_centres(0.5, 3.0) == (0.0, 2.5)
    rows, columns = to_pixel_edges(np.array([0.0, 1.0]), np.array([-0.5, 4.0]))
    np.testing.assert_array_equal(rows, [0.5, 1.5])
    np.testing.assert_array_equal(columns, [0.0, 4.5])


@unhurried
@given(st.integers(-9, 9), st.integers(-7, 7), st.integers(-8, 8), st.integers(-6, 6))
def test_whole_number_rectangles_cover_exactly_their_pixels(x, y, width, height):
    expected = np.zeros((6, 8), np.uint8)
    left, right = sorted((x, x + width))
    top, bottom = sorted((y, y + height))
    expected[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = 1
    np.testing.assert_array_equal(labels(rect(x, y, width, height)), expected)


@unhurried
@given(positions, positions, st.floats(-30, 30), st.floats(-30, 30))
def test_rectangles(x, y, width, height):
    rows, columns = centres()
    middle_y, middle_x = y + height / 2, x + width / 2
    excess = np.maximum(
        np.abs(rows - middle_y) - abs(height) / 2, np.abs(columns - middle_x) - abs(width) / 2
    )
    assert_covers(rect(x, y, width, height), excess)


def test_rectangles_through_centres_leave_no_gap_and_no_overlap():
    result = drawn(rect(0, 0, 2.5, 6), rect(2.5, 0, 5.5, 6, "t"))
    assert result.overlaps == {}
    np.testing.assert_array_equal(result.labels[0], [1, 1, 2, 2, 2, 2, 2, 2])


@unhurried
@given(positions, positions, radii)
def test_circles(cx, cy, r):
    rows, columns = centres()
    assert_covers(circle(cx, cy, r), np.hypot(rows - cy, columns - cx) / r - 1)


@unhurried
@given(positions, positions, radii, radii, st.floats(-7, 7))
def test_ellipses(cx, cy, rx, ry, theta):
    rows, columns = centres()
    along = (columns - cx) * math.cos(theta) + (rows - cy) * math.sin(theta)
    across = (rows - cy) * math.cos(theta) - (columns - cx) * math.sin(theta)
    excess = np.hypot(along / rx, across / ry) - 1
    assert_covers(ellipse(cx, cy, rx, ry, theta=theta), excess)


def test_ellipses_turn_clockwise_on_the_screen():
    found = labels(ellipse(10, 10, 9, 2, theta=math.pi / 4), shape=(20, 20))
    assert found[15, 15] == found[4, 4] == 1
    assert found[15, 4] == found[4, 15] == 0
    assert labels(ellipse(4, 3, 4, 1))[2:4].sum() == labels(ellipse(4, 3, 4, 1)).sum() == 12


@unhurried
@given(st.lists(st.tuples(positions, positions), min_size=3, max_size=8, unique=True))
def test_polygons_are_those_of_skimage_half_a_pixel_off(vertices):
    xs, ys = np.array(vertices).T
    expected = np.zeros(SHAPE, np.uint8)
    expected[skimage.draw.polygon(ys - 0.5, xs - 0.5, SHAPE)] = 1
    np.testing.assert_array_equal(labels(points("polygon", *vertices), shape=SHAPE), expected)


@unhurried
@given(st.integers(0, 7), st.integers(0, 5), st.integers(1, 8), st.integers(1, 6), st.booleans())
def test_a_polygon_of_whole_numbers_covers_the_pixels_of_the_rectangle(x, y, w, h, closed):
    corners = [(x, y), (x + w, y), (x + w, y + h), (x, y + h)]
    polygon = points("polygon", *corners, *corners[:closed])
    np.testing.assert_array_equal(labels(polygon), labels(rect(x, y, w, h)))


vertices_of_lines = st.lists(st.tuples(positions, positions), min_size=1, max_size=5)


@unhurried
@given(vertices_of_lines, st.floats(0.5, 9))
def test_lines_reach_half_their_width(vertices, width):
    rows, columns = centres()
    distance = np.full(SHAPE, np.inf)
    for (x0, y0), (x1, y1) in zip(vertices, vertices[1:] or vertices, strict=False):
        length2 = (x1 - x0) ** 2 + (y1 - y0) ** 2
        t = (columns - x0) * (x1 - x0) + (rows - y0) * (y1 - y0)
        t = np.clip(t / length2, 0, 1) if length2 > 1e-12 else 0.0
        distance = np.minimum(
            distance, np.hypot(columns - x0 - t * (x1 - x0), rows - y0 - t * (y1 - y0))
        )
    found = labels(points("polyline", *vertices), shape=SHAPE, line_width_px=width) == 1
    clear = np.abs(distance - width / 2) > 1e-6
    np.testing.assert_array_equal(found[clear], (distance < width / 2)[clear])


def test_a_long_diagonal_is_drawn_without_seams():
    found = labels(points("polyline", (0, 0), (300, 300)), shape=(300, 300))
    rows, columns = np.indices(found.shape)
    np.testing.assert_array_equal(found, np.abs(rows - columns) <= 1.5 * math.sqrt(2))


def test_a_line_that_crosses_itself_counts_each_pixel_once():
    line = points("polyline", (0, 3), (8, 3), (0, 3), (4, 3), mode="t")
    assert drawn(rect(0, 0, 8, 6), line).overlaps == {("intergranular", "transgranular"): 32}


def test_polygons_with_a_common_edge_share_the_centres_on_it():
    upper = points("polygon", (0, 0), (6, 0), (6, 6))
    result = drawn(upper, points("polygon", (0, 0), (6, 6), (0, 6), mode="t"))
    assert result.overlaps == {("intergranular", "transgranular"): 6}
    assert result.labels.diagonal().tolist() == [2] * 6


def test_a_closed_line_is_a_line():
    corners = [(2.5, 2.5), (21.5, 2.5), (21.5, 21.5), (2.5, 21.5), (2.5, 2.5)]
    found = labels(points("polyline", *corners), shape=SHAPE)
    assert found[12, 12] == 0
    assert found[12, 1:4].tolist() == found[12, 20:23].tolist() == [1, 1, 1]
    # The corners are round, but their pixels are only 1.41 away.
    assert found.sum() == 22**2 - 16**2


def test_points_are_disks():
    point = Region({"name": "point", "cx": 4.5, "cy": 3.5}, {"mode": "i"})
    assert labels(point, point_radius_px=1.1).nonzero()[0].tolist() == [2, 3, 3, 3, 4]
    np.testing.assert_array_equal(
        labels(point, shape=SHAPE), labels(circle(4.5, 3.5, 3), shape=SHAPE)
    )


@pytest.mark.parametrize("option", ["line_width_px", "point_radius_px"])
@pytest.mark.parametrize("size", [0, -1.0, math.nan])
def test_lines_and_points_need_a_size(option, size):
    with pytest.raises(AnnotationError, match=f"{size} px.* must be above 0"):
        labels(**{option: size})


def test_regions_that_cover_no_pixel_are_named():
    result = drawn(
        rect(0, 0, 2, 2),
        rect(8, 0, 5, 5),
        rect(3, 3, 0, 4),
        circle(-9, -9, 3),
        circle(3, 3, 0),
        ellipse(3, 3, 0, 2),
        points("polygon", (1.5, 1.5), (5.5, 1.5), (1.5, 1.5)),
        points("polygon", (10, 10), (12, 10), (12, 12)),
        points("polyline", (-5, -9), (-5, 9)),
    )
    assert result.empty == tuple(range(1, 9))
    assert result.labels.sum() == 4


def test_damaged_regions_are_left_out_and_counted():
    noted = Region(rect(0, 0, 8, 6).shape, {}, problem="rect without x")
    by_hand = Region({"name": "rect", "x": 0}, {"mode": "i"})
    result = drawn(noted, rect(0, 0, 1, 1), by_hand)
    assert result.skipped == 2
    assert result.empty == ()
    assert result.labels.sum() == 1


BIG, SMALL = rect(0, 0, 6, 4, "t"), rect(4, 2, 4, 4, "i")
"""24 and 16 pixels, of which 4 are shared."""


def test_later_regions_win():
    result = drawn(SMALL, BIG)
    assert np.bincount(result.labels.ravel()).tolist() == [12, 12, 24]
    assert result.overlaps == {("intergranular", "transgranular"): 4}
    assert drawn(BIG, SMALL).overlaps == {("transgranular", "intergranular"): 4}


@pytest.mark.parametrize("regions", [(SMALL, BIG), (BIG, SMALL)])
def test_smaller_regions_win(regions):
    result = drawn(*regions, overlap="smaller")
    assert np.bincount(result.labels.ravel()).tolist() == [12, 16, 20]
    assert sum(result.overlaps.values()) == 4


def test_of_equally_large_regions_the_later_wins():
    regions = [rect(0, 0, 4, 4, "i"), rect(1, 1, 4, 4, "t"), rect(2, 2, 4, 4, "b")]
    for overlap in ("later", "smaller"):
        assert labels(*regions, overlap=overlap).diagonal().tolist() == [1, 2, 3, 3, 3, 3]


def test_the_part_inside_the_image_decides_which_region_is_smaller():
    cut = rect(-100, 0, 103, 6, "t")
    assert labels(cut, rect(0, 0, 8, 6), overlap="smaller")[0].tolist() == [2] * 3 + [1] * 5


@pytest.mark.parametrize("regions", [(SMALL, BIG), (BIG, SMALL)])
def test_contested_pixels_can_be_left_unlabelled(regions):
    result = drawn(*regions, overlap="unlabelled", unannotated="background")
    assert np.bincount(result.labels.ravel()).tolist() == [4, 12, 20, 12]
    assert not result.labels[2:4, 4:6].any()


def test_contested_pixels_stay_so_whatever_is_drawn_over_them():
    modes = ["i", "t", "t", "i"]
    assert not labels(*(rect(0, 0, 8, 6, m) for m in modes), overlap="unlabelled").any()


def test_regions_of_one_class_overlap_without_a_contest():
    result = drawn(rect(0, 0, 4, 6), rect(2, 0, 4, 6), overlap="unlabelled")
    assert result.labels.sum() == 36
    assert result.overlaps == {("intergranular", "intergranular"): 12}


@unhurried
@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 5), st.integers(1, 8),
                          st.integers(1, 6), st.sampled_from("itb")), max_size=6))  # fmt: skip
def test_overlap_rules_pixel_by_pixel(boxes):
    masks = [labels(rect(*box[:4])) > 0 for box in boxes]
    values = ["itb".index(box[4]) + 1 for box in boxes]
    sizes = [mask.sum() for mask in masks]
    results = {
        rule: drawn(*(rect(*box) for box in boxes), overlap=rule)
        for rule in ("later", "smaller", "unlabelled")
    }
    for pixel in np.ndindex(6, 8):
        under = [k for k, mask in enumerate(masks) if mask[pixel]]
        here = {values[k] for k in under}
        smallest = min(under, key=lambda k: (sizes[k], -k), default=None)
        expected = {
            "later": values[under[-1]] if under else 0,
            "smaller": 0 if smallest is None else values[smallest],
            "unlabelled": here.pop() if len(here) == 1 else 0,
        }
        assert {rule: result.labels[pixel] for rule, result in results.items()} == expected
    count = sum(max(n - 1, 0) for n in np.sum(masks, axis=0).ravel()) if masks else 0
    for result in results.values():
        assert sum(result.overlaps.values()) == count
        assert result.overlaps == results["later"].overlaps


def test_pixels_without_a_region_can_be_a_class():
    assert labels(rect(0, 0, 4, 6), unannotated="BG")[0].tolist() == [1] * 4 + [3] * 4
    assert (labels(unannotated="background") == 3).all()
    with pytest.raises(ClassSchemeError, match="'nothing' is not in the scheme"):
        labels(unannotated="nothing")


def test_regions_left_out_on_purpose_are_neither_drawn_nor_background():
    regions = rect(0, 0, 4, 6), rect(2, 0, 4, 6, "unsure")
    assert labels(*regions)[0].tolist() == [1, 1, 1, 1, 0, 0, 0, 0]
    result = drawn(*regions, unannotated="background")
    assert result.labels[0].tolist() == [1, 1, 1, 1, 0, 0, 3, 3]
    assert result.overlaps == {}
    assert (result.empty, result.skipped) == ((), 0)


def test_regions_without_a_class_are_named():
    with pytest.raises(AnnotationError, match=r"^image 'a\.png', region 1: 'dimple'"):
        labels(rect(0, 0, 1, 1), rect(0, 0, 1, 1, "dimple"))


def test_unknown_overlap_rules_are_refused():
    with pytest.raises(AnnotationError, match="overlap='first' is none of later, smaller"):
        labels(overlap="first")


def test_labels_are_bytes_of_the_shape_asked_for():
    result = labels(shape=(3, 5))
    assert result.shape == (3, 5)
    assert result.dtype == np.uint8


@given(st.lists(st.tuples(st.integers(-4, 14), st.integers(-4, 12)), min_size=2, max_size=6))
def test_rings_along_pixel_edges_are_filled_as_scikit_image_does(corners):
    columns = [x for x, _ in corners for _ in range(2)]
    rows = [y for _, y in corners for _ in range(2)]
    rows = rows[-1:] + rows[:-1]  # now each side is horizontal or upright
    ring = {"name": "polygon", "all_points_x": columns, "all_points_y": rows}
    expected = np.zeros((8, 10), np.uint8)
    if len(set(zip(rows, columns, strict=True))) > 2:
        inside = skimage.draw.polygon(np.array(rows) - 0.5, np.array(columns) - 0.5, (8, 10))
        expected[inside] = 1
    np.testing.assert_array_equal(labels(Region(ring, {"mode": "i"}), shape=(8, 10)), expected)


@pytest.mark.parametrize(
    ("overlap", "hidden"),
    [("later", {0, 3, 4, 5}), ("smaller", {3, 4, 5}), ("unlabelled", {0, 3, 4, 5, 6})],
)
def test_regions_that_no_pixel_shows(overlap, hidden):
    regions = (
        rect(1, 1, 2, 2, "t"),  # inside the next one
        rect(0, 0, 5, 5, "i"),
        rect(0, 0, 1, 1, "unsure"),
        rect(50, 0, 3, 3),
        rect(9, 9, 0.2, 0.2),
        rect(10, 0, 4, 4, "i"),  # under the next one, of the same size
        rect(10, 0, 4, 4, "t"),
        Region({"name": "blob"}, {"mode": "i"}),
    )
    assert hidden_regions(AnnotatedImage("a", regions), SHAPE, MAPPING, overlap=overlap) == hidden


@given(
    st.lists(
        st.builds(rect, positions, positions, radii, radii, st.sampled_from("itb")), max_size=6
    ),
    st.sampled_from(["later", "smaller"]),
)
@unhurried
def test_labels_are_the_same_without_hidden_regions(regions, overlap):
    image = AnnotatedImage("a", tuple(regions))
    hidden = hidden_regions(image, SHAPE, MAPPING, overlap=overlap)
    seen = AnnotatedImage("a", tuple(r for n, r in enumerate(regions) if n not in hidden))
    before = rasterise(image, SHAPE, MAPPING, overlap=overlap).labels
    assert (rasterise(seen, SHAPE, MAPPING, overlap=overlap).labels == before).all()
