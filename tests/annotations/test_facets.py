"""Facets of made-up planes: what a click gives, at every level."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from napari_fractoseg.annotations.facets import (
    Facet,
    FacetTree,
    RecentSizes,
    TreeCache,
    facet_tree,
    facet_tree_job,
)
from napari_fractoseg.annotations.facets.find import edge_strength
from napari_fractoseg.errors import ImageError
from napari_fractoseg.images import Micrograph, MicrographStack
from napari_fractoseg.images.micrograph import LazyPlane
from napari_fractoseg.jobs import Progress


def voronoi(shape, n_facets, seed):
    """A plane of flat facets with clearly different grey levels, and the number of each pixel."""
    rng = np.random.default_rng(seed)
    seeds = rng.uniform(0, shape, (n_facets, 2))
    pixels = np.stack(np.indices(shape), axis=-1).reshape(-1, 2)
    number = cKDTree(seeds).query(pixels)[1].reshape(shape)
    return rng.permutation(n_facets)[number] * (200.0 / n_facets), number


def tree_of(plane):
    return facet_tree(Micrograph(np.asarray(plane)))


def full(facet, shape):
    """The facet as a mask of the plane."""
    mask = np.zeros(shape, bool)
    mask[facet.rows, facet.columns] = facet.mask
    return mask


def iou(a, b):
    return np.count_nonzero(a & b) / np.count_nonzero(a | b)


def quarters():
    plane = np.zeros((80, 100))
    plane[:40, 50:], plane[40:, :50], plane[40:, 50:] = 80, 160, 255
    return plane


@pytest.mark.parametrize(("row", "column"), [(10, 10), (10, 90), (70, 10), (70, 90)])
def test_a_click_gives_the_facet_that_the_edges_bound(row, column):
    tree = tree_of(quarters())
    facet = tree.near(row, column, 2000)
    rows, columns = facet.indices()
    assert facet.area_px == len(rows) == 2000
    assert (rows.min(), rows.max()) == ((0, 39) if row < 40 else (40, 79))
    assert (columns.min(), columns.max()) == ((0, 49) if column < 50 else (50, 99))


def test_facets_of_a_tessellation_are_had_in_one_click():
    plane, number = voronoi((160, 200), 14, seed=3)
    tree = tree_of(plane)
    for facet in range(14):
        inside = number == facet
        row, column = np.argwhere(inside)[np.count_nonzero(inside) // 2]
        levels = range(len(tree.areas_px(row, column)))
        best = max(iou(full(tree.at(row, column, level), plane.shape), inside) for level in levels)
        assert best > 0.9, facet


def test_a_gap_in_an_edge_does_not_join_two_facets():
    """The lowest pass leads through the gap; the mean of the border does not."""
    plane = np.full((80, 120), 100.0)
    plane[:, 58:61] = 255
    plane[38:41, 58:61] = 100
    plane += np.random.default_rng(0).normal(0, 1, plane.shape)
    tree = tree_of(plane)
    left = np.zeros(plane.shape, bool)
    left[:, :58] = True
    levels = range(len(tree.areas_px(20, 20)))
    assert max(iou(full(tree.at(20, 20, level), plane.shape), left) for level in levels) > 0.9


def test_a_facet_has_no_holes():
    plane = np.full((90, 90), 30.0)
    plane[:, 60:] = 200
    plane[30:36, 25:31] = 255
    tree = tree_of(plane)
    facet = tree.near(10, 10, 60 * 90 - 36)
    assert facet.contains(33, 28)
    assert facet.area_px == 60 * 90


@settings(max_examples=25)
@given(
    seed=st.integers(0, 1000),
    row=st.integers(0, 47),
    column=st.integers(0, 63),
    noisy=st.booleans(),
)
def test_levels_contain_the_point_and_grow(seed, row, column, noisy):
    plane, _ = voronoi((48, 64), 9, seed)
    if noisy:
        plane = plane + np.random.default_rng(seed).normal(0, 20, plane.shape)
    tree = tree_of(plane)
    areas = tree.areas_px(row, column)
    assert list(areas) == sorted(areas)
    for level, area in enumerate(areas):
        facet = tree.at(row, column, level)
        assert (facet.level, facet.region_px) == (level, area)
        assert facet.contains(row, column)
        assert facet.area_px >= area
        assert areas[tree.near(row, column, area).level] == area


@settings(max_examples=25)
@given(seed=st.integers(0, 1000), row=st.integers(0, 47), column=st.integers(0, 63))
def test_each_level_differs_noticeably_from_the_one_before(seed, row, column):
    plane = np.random.default_rng(seed).normal(0, 1, (48, 64))
    tree = tree_of(plane)
    levels = range(len(tree.areas_px(row, column)))
    facets = [tree.at(row, column, level) for level in levels]
    for fine, coarse in itertools.pairwise(facets):
        if (fine.area_px, coarse.area_px) == (fine.region_px, coarse.region_px):  # no holes
            assert iou(full(fine, plane.shape), full(coarse, plane.shape)) <= 1 / 1.1


@settings(max_examples=25)
@given(seed=st.integers(0, 1000), row=st.integers(0, 47), column=st.integers(0, 63))
def test_coarser_levels_of_one_hierarchy_contain_finer_ones(seed, row, column):
    plane = np.random.default_rng(seed).normal(0, 1, (48, 64))
    both = tree_of(plane)
    for hierarchy in both.hierarchies:
        tree = FacetTree(both.shape, both.reduction, both.leaves, (hierarchy,))
        n_levels = len(tree.areas_px(row, column))
        masks = [full(tree.at(row, column, level), plane.shape) for level in range(n_levels)]
        assert all((fine <= coarse).all() for fine, coarse in itertools.pairwise(masks))


def test_from_a_facet_one_step_leads_to_the_next_level_and_back():
    plane = np.random.default_rng(1).normal(0, 1, (64, 64))
    tree = tree_of(plane)
    n_levels = len(tree.areas_px(30, 30))
    facet = tree.at(30, 30, 0)
    seen = [facet.level]
    for _ in range(n_levels):
        facet = tree.next_at(30, 30, facet, 1)
        seen.append(facet.level)
    assert seen == [*range(n_levels), n_levels - 1]
    assert tree.next_at(30, 30, facet, -1).level == n_levels - 2
    assert tree.at(30, 30, -5).level == 0


def test_a_plane_without_edges_is_one_facet():
    tree = tree_of(np.full((30, 40), 7))
    assert tree.areas_px(3, 4) == (1200,)
    assert tree.at(3, 4, 0).area_px == 1200


def test_large_planes_are_reduced_and_facets_lie_where_they_are():
    plane = np.zeros((1500, 2101), np.uint8)
    plane[:, 1050:] = 200
    tree = tree_of(plane)
    assert tree.reduction == 3
    facet = tree.near(1499, 2100, 1500 * 1051)
    assert facet.area_px == 1500 * 1051
    assert (facet.rows, facet.columns) == (slice(0, 1500), slice(1050, 2101))


def test_the_image_is_left_as_it_is():
    plane = quarters()
    before = plane.copy()
    tree_of(plane)
    np.testing.assert_array_equal(plane, before)


def test_the_job_says_how_far_it_is():
    job = facet_tree_job(Micrograph(quarters()))
    steps = list(job)
    assert [(s.done, s.total) for s in steps] == [(n, 5) for n in range(1, 6)]
    assert steps[1] == Progress(2, 5, "edges")


def test_a_point_outside_is_refused():
    with pytest.raises(ImageError, match=r"row 80, column 3.*80 x 100 pixels.*inside"):
        tree_of(quarters()).at(80, 3, 0)


def test_a_plane_that_is_too_large_is_refused():
    lazy = LazyPlane(np.broadcast_to(np.uint8(0), (9000, 9000)))
    with pytest.raises(ImageError, match=r"mosaic.*64 megapixels.*9000 x 9000.*brush"):
        facet_tree(Micrograph(lazy, name="mosaic"))


def test_planes_of_a_stack():
    stack = MicrographStack(np.stack([quarters(), quarters().T.reshape(80, 100)]))
    tree = facet_tree(stack.plane((0,)))
    assert tree.near(10, 10, 2000).area_px == 2000


def outline_mask(lines, shape):
    """Fill what the lines enclose, row by row: a pixel is inside if lines cross to its left."""
    mask = np.zeros(shape, bool)
    for (row0, column0), (row1, column1) in lines:
        if column0 == column1:
            for row in range(round(row0 + 0.5), round(row1 + 0.5)):
                mask[row, round(column0 + 0.5) :] ^= True
    return mask


def test_the_outline_runs_along_the_edges_of_pixels():
    mask = np.array([[0, 1, 1], [1, 1, 0], [0, 1, 0]], bool)
    lines = Facet(slice(2, 5), slice(1, 4), mask, 0, 5).outline()
    expected = np.zeros((6, 5), bool)
    expected[2:5, 1:4] = mask
    np.testing.assert_array_equal(outline_mask(lines, (6, 5)), expected)
    lengths = np.abs(lines[:, 1] - lines[:, 0]).sum(axis=1)
    assert lengths.sum() == 12


def test_facets_of_the_same_pixels_are_the_same():
    mask = np.array([[0, 1], [1, 1]], bool)
    facet = Facet(slice(2, 4), slice(1, 3), mask, 0, 3)
    assert facet.is_same_as(Facet(slice(2, 4), slice(1, 3), mask.copy(), 4, 3))
    assert not facet.is_same_as(Facet(slice(2, 4), slice(2, 4), mask, 0, 3))
    assert not facet.is_same_as(Facet(slice(2, 4), slice(1, 3), np.ones((2, 2), bool), 0, 4))


def test_the_cache_forgets_what_was_not_used_for_longest():
    trees = [tree_of(np.random.default_rng(seed).normal(0, 1, (32, 32))) for seed in range(3)]
    cache = TreeCache(trees[0].memory_bytes + trees[1].memory_bytes)
    cache.put("a", trees[0])
    cache.put("b", trees[1])
    assert cache.get("a") is trees[0]
    cache.put("c", trees[2])
    assert (cache.get("a"), cache.get("b")) == (trees[0], None)
    assert cache.memory_bytes == trees[0].memory_bytes + trees[2].memory_bytes
    cache.forget(lambda key: key == "a")
    assert (cache.get("a"), cache.get("c")) == (None, trees[2])


def test_one_tree_larger_than_the_cache_is_kept():
    tree = tree_of(quarters())
    cache = TreeCache(10)
    cache.put("a", tree)
    assert cache.get("a") is tree
    assert tree.memory_bytes >= tree.leaves.nbytes


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_clearness_of_a_region_is_that_of_its_pixels(seed):
    """Contrast of the border times compactness, counted pixel by pixel."""
    plane = np.random.default_rng(seed).normal(0, 1, (30, 40))
    tree = tree_of(plane)
    strength = edge_strength(Micrograph(plane).normalised())
    for hierarchy in tree.hierarchies:
        for node in range(len(hierarchy.parents) - 1):  # the whole plane has no border
            inside = np.isin(tree.leaves, hierarchy.members(node))
            at_border = []
            for one, other in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
                stronger = np.maximum(strength[one], strength[other])
                at_border.extend(stronger[inside[one] != inside[other]])
            edges = (inside[0], inside[-1], inside[:, 0], inside[:, -1])
            outline = len(at_border) + sum(np.count_nonzero(edge) for edge in edges)
            contrast = np.mean(at_border) / strength[inside].mean()
            expected = np.log(contrast * np.count_nonzero(inside) / outline**2)
            assert hierarchy.clearness[node] == pytest.approx(expected, abs=1e-4)


def test_clear_edges_count_more_than_the_size_that_is_looked_for():
    plane = np.random.default_rng(0).normal(100, 5, (100, 100))
    plane[20:60, 30:70] += 120
    tree = tree_of(plane)
    for area in (800, 1600, 3200):
        facet = tree.likely(40, 50, area)
        expected = np.zeros(plane.shape, bool)
        expected[20:60, 30:70] = True
        assert iou(full(facet, plane.shape), expected) > 0.9, area
    nearest = tree.near(40, 50, 800)
    assert nearest.area_px < 1000


def test_the_likely_facet_is_refused_outside():
    with pytest.raises(ImageError, match="row 3, column 100"):
        tree_of(quarters()).likely(3, 100, 2000)


def test_the_likely_facet_of_a_plane_without_edges_is_the_plane():
    assert tree_of(np.full((30, 40), 7)).likely(3, 4, 10).area_px == 1200


def test_the_next_size_is_the_mean_of_the_last_five_and_a_typical_one():
    sizes = RecentSizes()
    assert sizes.next_px(100) == 100
    for area in (1e9, 1, 1, 1, 1, 64):  # the first is forgotten
        sizes.note(area)
    assert sizes.next_px(1) == 2
