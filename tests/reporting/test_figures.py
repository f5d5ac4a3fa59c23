"""Figures of a measurement."""

import io

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from napari_fractoseg.classes import DEFAULT_SCHEME, ClassScheme, FractureClass
from napari_fractoseg.errors import OptionError
from napari_fractoseg.measurement.facets.plane import facets
from napari_fractoseg.measurement.facets.sizes import size_distributions
from napari_fractoseg.measurement.measure import measure
from napari_fractoseg.reporting.figures import (
    draw_fractions,
    draw_groups,
    draw_local_map,
    draw_sizes,
)

IMAGES = {
    "s1_a": np.array([[1, 1, 1, 2], [1, 1, 2, 2]]),
    "s1_b": np.array([[1, 2, 2, 2], [2, 2, 2, 2]]),
    "s2_a": np.array([[1, 1, 1, 1], [1, 1, 1, 2]]),
}


def axes():
    return Figure().subplots()


def drawn(ax):
    """The figure as SVG, drawn with everything in it."""
    if ax.get_legend_handles_labels()[0]:
        ax.legend()
    picture = io.BytesIO()
    ax.figure.savefig(picture, format="svg")
    return picture.getvalue().decode()


def percents(line):
    return np.round(np.asarray(line.get_xdata(), float), 6).tolist()


def test_means_have_their_intervals_and_the_fields_and_specimens_beside_them():
    found = measure(IMAGES, fields="grid:2px", specimens=r"^(s\d)")
    ax = axes()
    draw_fractions(ax, found)
    labelled = {line.get_label(): line for line in ax.lines}
    assert percents(labelled["fields"]) == [100, 25, 25, 0, 100, 75]
    assert percents(labelled["specimens"]) == [37.5, 87.5]
    (mean,) = (c for c in ax.containers if c.get_label() == "mean, 95 % interval")
    assert percents(mean.lines[0]) == [62.5]
    (low, _), (high, _) = mean.lines[2][0].get_segments()[0]
    limits = found.estimate("intergranular").sampling.shown
    assert (low, high) == pytest.approx([100 * limit for limit in limits])
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["intergranular", "transgranular"]
    assert labelled["fields"].get_color() == DEFAULT_SCHEME.find("i").color


def test_the_fields_of_one_image_are_drawn_once():
    ax = axes()
    draw_fractions(ax, measure(IMAGES["s1_a"], fields="grid:2px"))
    assert {"images", "planes", "specimens"}.isdisjoint(line.get_label() for line in ax.lines)


def test_without_an_interval_there_are_no_bars():
    ax = axes()
    draw_fractions(ax, measure(IMAGES["s1_a"]))
    assert ax.get_legend_handles_labels()[1] == ["fields", "mean (no interval)"]
    assert [c.has_xerr for c in ax.containers] == [False, False]


def test_groups_are_in_the_order_of_their_fractions():
    ax = axes()
    draw_groups(ax, measure(IMAGES, fields="grid:2px"))
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["s1_b", "s1_a", "s2_a"]
    (means,) = ax.containers
    assert percents(means.lines[0]) == [12.5, 62.5, 87.5]
    bars = means.lines[2][0].get_segments()
    assert bars[0][:, 0] == pytest.approx([12.5 - 17.67767, 12.5 + 17.67767])
    (fields,) = (line for line in ax.lines if line.get_label() == "fields")
    assert sorted(zip(fields.get_ydata(), percents(fields), strict=True)) == [
        (0, 0), (0, 25), (1, 25), (1, 100), (2, 75), (2, 100),
    ]  # fmt: skip


def test_many_groups_have_no_names():
    ax = axes()
    draw_groups(ax, measure({f"image {i}": IMAGES["s1_a"] for i in range(41)}))
    assert not ax.get_yticklabels()
    assert ax.get_ylabel() == "41 images and planes, in the order of their fractions"


def squares(edges, value=1):
    labels = np.zeros((12, sum(edges) + 2 * len(edges) + 2), int)
    column = 2
    for edge in edges:
        labels[1 : 1 + edge, column : column + edge] = value
        column += edge + 2
    return labels


def test_sizes_are_cumulative():
    found = facets(squares([1, 2, 3]), DEFAULT_SCHEME, pixel_size_um=0.5)
    for weighting, parts in (("area", [1 / 14, 5 / 14, 1]), ("number", [1 / 3, 2 / 3, 1])):
        ax = axes()
        draw_sizes(ax, found, weighting=weighting, size="area")
        (curve,) = ax.lines
        assert np.asarray(curve.get_xdata()).tolist() == [0.25, 0.25, 1, 2.25]
        assert curve.get_ydata() == pytest.approx([0, *np.multiply(parts, 100)])
        assert curve.get_label() == "intergranular, 3 facets"
        assert ax.get_xlabel() == "area (µm²)"


def test_quantiles_of_sizes_have_their_intervals():
    found = facets(squares([1, 2, 3] * 5), DEFAULT_SCHEME)
    ax = axes()
    names = ("equivalent_diameter", "area")
    sizes = pd.concat([size_distributions(found, name, quantiles=[0.5]) for name in names])
    draw_sizes(ax, found, sizes=sizes, weighting="number")
    (marks,) = ax.containers
    assert marks.lines[0].get_ydata().tolist() == [50]
    assert marks.lines[0].get_xdata() == pytest.approx([2 * np.sqrt(4 / np.pi)])


def test_a_map_is_in_micrometres_where_the_pixel_size_is_known():
    ax = axes()
    draw_local_map(ax, np.full((4, 6), 0.5), class_name="a", pixel_size_um=0.5)
    (image,) = ax.images
    assert image.get_extent() == [0, 3, 2, 0]
    assert np.unique(image.get_array()).tolist() == [50]
    assert ax.get_xlabel() == "µm"
    with pytest.raises(OptionError, match="no plane"):
        draw_local_map(ax, np.zeros(3))


@pytest.mark.parametrize("name", ["$", "$x$", "$\\frac{$", "\\$a$b", "<script>&'\"", "_hidden"])
def test_names_are_drawn_word_for_word(name):
    scheme = ClassScheme("a", (FractureClass(1, name, "#112233"), *DEFAULT_SCHEME.classes[1:]))
    found = measure({f"{name}{k}": labels for k, labels in IMAGES.items()}, scheme)
    for draw in (draw_fractions, draw_groups):
        ax = axes()
        draw(ax, found, scheme)
        text = drawn(ax)
        assert "<script" not in text
    ax = axes()
    draw_sizes(ax, facets(squares([1, 2]), scheme), scheme)
    (curve,) = ax.lines
    assert drawn(ax).count("<!--") > 0
    assert curve.get_label().replace("\\$", "$").lstrip("\u200a").startswith(name[:18])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [curve.get_label()]
    ax = axes()
    draw_local_map(ax, np.zeros((2, 2)), class_name=name)
    drawn(ax)


def test_nothing_to_draw_is_no_error():
    empty = measure(np.zeros((4, 4), int))
    for draw in (draw_fractions, draw_groups):
        ax = axes()
        draw(ax, empty)
        drawn(ax)
    ax = axes()
    draw_sizes(ax, facets(np.zeros((4, 4), int), DEFAULT_SCHEME))
    ax.figure.savefig(io.BytesIO(), format="svg")
