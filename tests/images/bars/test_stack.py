"""The info bar of stacks."""

import numpy as np

from napari_fractoseg.images import MicrographStack
from napari_fractoseg.images.bars.stack import find_bar_of_stack

from .test_info_bar import BAR, COLUMNS, ROWS, surface, with_bar


def barred(height=BAR):
    return with_bar(surface(), 255, 0, height=height)


def found(*planes, rgb=False):
    return find_bar_of_stack(MicrographStack(np.stack(planes), rgb=rgb))


def test_rows_that_are_bar_on_all_planes_are_the_bar():
    assert found(barred(), barred()).rows == (ROWS - BAR, ROWS)
    assert found(barred(), barred(40), barred(48)).rows == (ROWS - BAR, ROWS)


def test_nothing_of_a_plane_without_a_bar_is_cut_off():
    bar = found(barred(), surface(), barred())
    assert bar.rows is None
    assert "2 of 3 planes have an info bar" in bar.why
    assert found(barred(), barred()[::-1]).rows is None
    assert found(surface(), surface()).rows is None


def test_colours_and_further_axes_are_planes_as_well():
    plane = np.stack([barred()] * 3, axis=-1)
    assert found(plane, plane, rgb=True).rows == (ROWS - BAR, ROWS)
    stack = np.broadcast_to(barred(), (2, 3, ROWS, COLUMNS))
    assert find_bar_of_stack(MicrographStack(stack)).rows == (ROWS - BAR, ROWS)
