"""Curves of a training in the dock: what they show, and a legend that fits the small plot."""

import pytest

from napari_fractoseg._napari.train.curves import TrainingCurves
from napari_fractoseg.classes import DEFAULT_SCHEME

SCHEME = DEFAULT_SCHEME.with_names(["dimples", "cleavage with river lines", "striations"])
LOSSES = [{"step": n, "loss": 1 / n} for n in range(1, 30)]
JUDGED = {"step": 30, "loss": 0.1, "mean_iou": 0.5, **{f"iou {name}": 0.5 for name in SCHEME.names}}


@pytest.fixture
def curves(viewer, qtbot):
    curves = TrainingCurves(viewer)
    qtbot.addWidget(curves)
    curves.resize(330, curves.height())  # as wide as the dock
    curves.show()
    qtbot.waitUntil(lambda: curves.figure.bbox.width == 330, timeout=10_000)
    curves.begin(SCHEME)
    return curves


def legend_of(curves):
    (legend,) = curves.figure.legends
    return [text.get_text() for text in legend.get_texts()]


def test_without_figures_there_is_no_plot(curves):
    assert curves.figure.axes == []


def test_before_the_first_validation_only_the_loss_is_drawn(curves):
    curves.show_history(LOSSES)
    assert [ax.get_ylabel() for ax in curves.figure.axes] == ["loss"]
    assert legend_of(curves) == ["loss", "loss, smoothed"]


def test_the_legend_names_loss_classes_and_mean(curves):
    curves.show_history([*LOSSES, JUDGED])
    assert [ax.get_ylabel() for ax in curves.figure.axes] == ["loss", "IoU, held out"]
    assert legend_of(curves) == [
        *("loss", "loss, smoothed", "intergranular", "transgranular", "background"),
        *("dimples", "cleavage with riv…", "striations", "mean IoU"),
    ]


def test_the_legend_fits_and_leaves_room_for_the_curves(curves):
    curves.show_history([*LOSSES, JUDGED])
    curves.draw()
    (legend,) = curves.figure.legends
    box, whole = legend.get_window_extent(), curves.figure.bbox
    assert box.x0 >= 0
    assert box.y0 >= 0
    assert box.x1 <= whole.x1
    for ax in curves.figure.axes:
        plot = ax.get_window_extent()
        assert plot.y0 >= box.y1
        assert plot.height >= whole.height / 3
