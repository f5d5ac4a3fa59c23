import numpy as np
import pytest
import skimage.draw
import skimage.io
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_fractoseg.annotations.document import AnnotatedImage
from napari_fractoseg.annotations.trace import TracedPolygon, image_from_labels, trace_polygons
from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.errors import AnnotationError, ClassSchemeError


def picture(*lines):
    return np.array([[int(letter) for letter in line.replace(".", "0")] for line in lines])


def ring(polygon):
    """Return (x, y) of the vertices."""
    return list(zip(polygon.columns.tolist(), polygon.rows.tolist(), strict=True))


def rings(*lines):
    return [ring(polygon) for polygon in trace_polygons(picture(*lines))]


def drawn(polygons, shape):
    """Return the labels that the polygons draw, and how many polygons cover each pixel."""
    labels, cover = np.zeros(shape, int), np.zeros(shape, int)
    for polygon in polygons:
        inside = skimage.draw.polygon(polygon.rows - 0.5, polygon.columns - 0.5, shape)
        labels[inside] = polygon.value
        cover[inside] += 1
    return labels, cover


def swept(polygons, shape):
    """Return the same for exact polygons with many vertices; sums values where they overlap.

    skimage.draw.polygon asks each pixel about each vertex: half a minute for a real image.
    """
    labels, cover = (np.zeros((shape[0], shape[1] + 1), int) for _ in range(2))
    for polygon in polygons:
        xs, ys = polygon.columns.astype(int), polygon.rows.astype(int)
        for x, here, there in zip(xs, ys, np.roll(ys, -1), strict=True):
            entered = 1 if there < here else -1  # clockwise: upwards on the left
            side = np.s_[min(here, there) : max(here, there), x]
            labels[side] += entered * polygon.value
            cover[side] += entered
    return labels.cumsum(axis=1)[:, :-1], cover.cumsum(axis=1)[:, :-1]


def assert_well_formed(polygon):
    points = np.column_stack([polygon.rows, polygon.columns])
    assert len(points) >= 4
    assert (points == np.round(points)).all()
    steps = np.roll(points, -1, axis=0) - points
    assert ((steps != 0).sum(axis=1) == 1).all(), "each side is horizontal or vertical"
    turned = (steps[:, 0] != 0) != (np.roll(steps, -1, axis=0)[:, 0] != 0)
    assert turned.all(), "each vertex is a corner"


def label_arrays(values):
    shapes = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12)
    return hnp.arrays(np.uint8, shapes, elements=st.sampled_from(values), fill=st.nothing())


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param(["1"], [[(0, 0), (1, 0), (1, 1), (0, 1)]], id="one pixel"),
        pytest.param(
            ["....", ".22.", ".22.", ".22."], [[(1, 1), (3, 1), (3, 4), (1, 4)]], id="rectangle"
        ),
        pytest.param(
            ["1..", "1..", "111"], [[(0, 0), (1, 0), (1, 2), (3, 2), (3, 3), (0, 3)]], id="L"
        ),
        pytest.param(
            [".1.", "111", ".1."],
            [
                [
                    (1, 0), (2, 0), (2, 1), (3, 1), (3, 2), (2, 2),
                    (2, 3), (1, 3), (1, 2), (0, 2), (0, 1), (1, 1),
                ]
            ],
            id="plus",
        ),
        pytest.param(
            [".1", "1."],
            [[(1, 0), (2, 0), (2, 1), (1, 1)], [(0, 1), (1, 1), (1, 2), (0, 2)]],
            id="pixels that touch at a corner are two regions",
        ),
        pytest.param(
            ["12"],
            [[(0, 0), (1, 0), (1, 1), (0, 1)], [(1, 0), (2, 0), (2, 1), (1, 1)]],
            id="neighbours of different values",
        ),
        pytest.param(
            ["111", "1.1", "111"],
            [
                [(0, 0), (3, 0), (3, 1), (0, 1)],
                [(0, 1), (1, 1), (1, 2), (2, 2), (2, 1), (3, 1), (3, 3), (0, 3)],
            ],
            id="a hole is cut at its upper edge if it is one pixel high",
        ),
        pytest.param(
            ["111", "1.1", "1.1", "111"],
            [
                [(0, 0), (3, 0), (3, 2), (2, 2), (2, 1), (1, 1), (1, 2), (0, 2)],
                [(0, 2), (1, 2), (1, 3), (2, 3), (2, 2), (3, 2), (3, 4), (0, 4)],
            ],
            id="a hole is cut through its middle",
        ),
        pytest.param(
            ["11.", "1.1", "111"],
            [
                [
                    (0, 0), (2, 0), (2, 1), (1, 1), (1, 2),
                    (2, 2), (2, 1), (3, 1), (3, 3), (0, 3),
                ]
            ],
            id="a hole that touches the outside at a corner is none; the ring touches itself",
        ),
    ],
)  # fmt: skip
def test_exact_rings(lines, expected):
    assert rings(*lines) == expected


def test_holes_beside_each_other_share_a_cut():
    labels = picture("1111111", "1.111.1", "1.1.1.1", "1111111")
    polygons = trace_polygons(labels)
    assert len(polygons) == 2
    assert all((polygon.rows == 2).any() for polygon in polygons)
    np.testing.assert_array_equal(drawn(polygons, labels.shape)[0], labels)


def test_holes_that_touch_at_a_corner_are_one():
    labels = picture("1111", "1.11", "11.1", "1111")
    upper, lower = trace_polygons(labels)
    assert ring(upper) == [(0, 0), (4, 0), (4, 2), (2, 2), (2, 1), (1, 1), (1, 2), (0, 2)]
    assert (upper.area_px, lower.area_px) == (7, 7)


def test_a_cut_goes_no_further_than_the_outside():
    labels = picture("111.1", "1.1.1", "11111", "1...1")
    polygons = trace_polygons(labels)
    assert [polygon.area_px for polygon in polygons] == [3, 11]
    assert ring(polygons[0]) == [(0, 0), (3, 0), (3, 1), (0, 1)]


def test_nested_regions_are_cut_each_on_their_own():
    labels = picture("11111", "12221", "12.21", "12221", "11111")
    polygons = trace_polygons(labels)
    assert [(p.value, p.area_px) for p in polygons] == [(1, 7), (1, 9), (2, 3), (2, 5)]
    labels_again, cover = drawn(polygons[::-1], labels.shape)
    np.testing.assert_array_equal(labels_again, labels)
    assert cover.max() == 1


def test_regions_are_listed_by_their_first_pixel_with_their_pieces_together():
    labels = picture("33333", "3.1.3", "33333", "2....")
    assert [p.value for p in trace_polygons(labels)] == [3, 3, 1, 2]


@given(label_arrays([0, 1, 2, 3]) | label_arrays([0, 1, 1, 1, 1]), st.randoms())
def test_polygons_in_any_order_are_the_labels_again(labels, random):
    before = labels.copy()
    polygons = trace_polygons(labels)
    random.shuffle(polygons)
    labels_again, cover = drawn(polygons, labels.shape)
    np.testing.assert_array_equal(labels_again, labels)
    np.testing.assert_array_equal(cover, labels > 0)
    np.testing.assert_array_equal(labels, before)
    assert sum(polygon.area_px for polygon in polygons) == np.count_nonzero(labels)
    for polygon in polygons:
        assert_well_formed(polygon)
        assert drawn([polygon], labels.shape)[1].sum() == polygon.area_px


@given(label_arrays([0, 1]))
def test_the_shoelace_area_is_the_number_of_pixels(labels):
    for polygon in trace_polygons(labels):
        y, x = polygon.rows, polygon.columns
        assert (x @ np.roll(y, -1) - np.roll(x, -1) @ y) / 2 == polygon.area_px


@given(label_arrays([0, 1, 2]), st.floats(0.1, 20))
def test_simplified_rings_are_open_and_have_an_area(labels, tolerance_px):
    exact = trace_polygons(labels)
    simple = trace_polygons(labels, tolerance_px=tolerance_px)
    assert [(p.value, p.area_px) for p in simple] == [(p.value, p.area_px) for p in exact]
    for before, after in zip(exact, simple, strict=True):
        assert len(set(ring(after))) >= 3
        assert set(ring(after)) <= set(ring(before))
        assert ring(after)[0] != ring(after)[-1]


def test_simplifying_a_disk_keeps_its_place():
    labels = np.zeros((120, 120), np.uint8)
    labels[skimage.draw.disk((60, 60), 50)] = 1
    (exact,) = trace_polygons(labels)
    (simple,) = trace_polygons(labels, tolerance_px=1.0)
    assert len(simple.rows) < len(exact.rows) / 4
    disk, again = labels == 1, drawn([simple], labels.shape)[0] == 1
    assert (disk & again).sum() / (disk | again).sum() > 0.96


def test_a_ring_that_would_vanish_stays_exact():
    (polygon,) = trace_polygons(picture("1111111"), tolerance_px=3)
    assert ring(polygon) == [(0, 0), (7, 0), (7, 1), (0, 1)]


def test_small_regions_are_left_out_before_holes_are_cut():
    labels = picture("11111", "11211", "11111", ".....", "22233")
    polygons = trace_polygons(labels, min_area_px=3)
    assert [(p.value, p.area_px) for p in polygons] == [(1, 5), (1, 9), (2, 3)]
    assert trace_polygons(labels, min_area_px=100) == []


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0), (2, 3)])
def test_nothing_labelled_gives_no_polygons(shape):
    assert trace_polygons(np.zeros(shape, np.uint8)) == []


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (np.zeros((2, 3, 4), int), {}, r"shape \(2, 3, 4\) and .* int64; .*Pass one plane"),
        (np.zeros((2, 3)), {}, r"type float64; .* whole numbers.*astype\('uint8'\)"),
        (np.array([[1, -2]]), {}, "the value -2; .*Set negative labels to 0"),
        (np.ones((2, 2), int), {"tolerance_px": -0.5}, "tolerance_px is -0.5; .*Use 0"),
        (np.ones((2, 2), int), {"tolerance_px": np.nan}, "tolerance_px is nan"),
    ],
)
def test_unusable_input_is_named(labels, options, message):
    with pytest.raises(AnnotationError, match=message):
        trace_polygons(labels, **options)


def test_an_image_entry_holds_plain_numbers_and_class_names():
    labels = picture("11", ".2").astype(np.uint8)
    image = image_from_labels(labels, DEFAULT_SCHEME, filename="a.png", attribute="mode", size=12)
    assert isinstance(image, AnnotatedImage)
    assert (image.filename, image.size) == ("a.png", 12)
    first, second = image.regions
    assert first.attributes == {"mode": "intergranular"}
    assert second.attributes == {"mode": "transgranular"}
    shape = {"name": "polygon", "all_points_x": [0, 2, 2, 0], "all_points_y": [0, 0, 1, 1]}
    assert first.shape == shape
    assert {type(x) for x in first.shape["all_points_x"]} == {int}


def test_an_image_entry_passes_the_options_on():
    labels = np.zeros((40, 40), np.uint8)
    labels[skimage.draw.disk((20, 20), 15)] = 2
    labels[0, 0] = 1
    image = image_from_labels(
        labels, DEFAULT_SCHEME, filename="a.png", tolerance_px=1, min_area_px=2
    )
    (region,) = image.regions
    assert region.attributes == {"name": "transgranular"}
    assert len(region.shape["all_points_x"]) < 20
    assert image.size == -1


def test_coordinates_that_are_not_whole_have_three_decimals():
    polygon = TracedPolygon(1, np.array([0, 0, 2.00049]), np.array([0, 1 / 3, 4.5]), 5)
    shape = {"name": "polygon", "all_points_x": [0, 0.333, 4.5], "all_points_y": [0, 0, 2]}
    assert polygon.to_shape() == shape
    assert [type(y) for y in polygon.to_shape()["all_points_y"]] == [int, int, int]


def test_values_without_a_class_are_named():
    with pytest.raises(ClassSchemeError, match=r"no class: 7 \(2 px\)"):
        image_from_labels(picture("177"), DEFAULT_SCHEME, filename="a.png")


@pytest.mark.shared_data
def test_real_labels_come_back_exactly(shared_data):
    path = shared_data / "fracture" / "paper_labels" / "s17_3.png"
    if not path.is_file():
        pytest.skip(f"no {path}")
    labels = skimage.io.imread(path)
    polygons = trace_polygons(labels)
    labels_again, cover = swept(polygons, labels.shape)
    np.testing.assert_array_equal(labels_again, labels)
    np.testing.assert_array_equal(cover, labels > 0)
    assert sum(polygon.area_px for polygon in polygons) == np.count_nonzero(labels)
