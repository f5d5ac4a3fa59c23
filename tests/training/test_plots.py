import pytest
from matplotlib.figure import Figure

from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.training.plots import draw_loss, draw_validation

HISTORY = [
    {"step": 1, "loss": 2.0},
    {"step": 2, "loss": 1.0, "mean_iou": 0.4, "iou intergranular": 0.5, "iou background": 0.3},
    {"step": 3, "loss": 1.0},
    {"step": 4, "loss": 1.0, "mean_iou": 0.6, "iou intergranular": 0.7, "iou background": 0.5},
]


def test_the_loss_of_each_step_and_its_running_mean():
    ax = Figure().subplots()
    draw_loss(HISTORY, ax)
    each, mean = ax.lines
    assert each.get_ydata().tolist() == [2, 1, 1, 1]
    assert mean.get_ydata()[0] == pytest.approx(2)
    assert mean.get_ydata()[1] == pytest.approx((0.9 * 2 + 1) / 1.9)
    assert ax.get_ylabel() == "loss"
    assert [line.get_label() for line in ax.lines] == ["loss", "loss, smoothed"]


def test_validations_have_a_line_for_each_class_in_its_colour():
    ax = Figure().subplots()
    draw_validation(HISTORY, ax, DEFAULT_SCHEME, color="#123456")
    lines = {line.get_label(): line for line in ax.lines}
    assert set(lines) == {"intergranular", "background", "mean IoU"}
    assert lines["mean IoU"].get_xdata().tolist() == [2, 4]
    assert lines["intergranular"].get_color() == DEFAULT_SCHEME.find("i").color
    assert lines["background"].get_color() == "#123456"
    assert ax.get_ylim() == (0, 1)


def test_the_name_of_a_class_leaves_room_in_a_legend():
    ax = Figure().subplots()
    scheme = DEFAULT_SCHEME.with_names(["a" * 40])
    draw_validation([{"step": 1, "mean_iou": 0.4, f"iou {'a' * 40}": 0.5}], ax, scheme)
    assert ax.lines[0].get_label() == f"{'a' * 17}…"


def test_nothing_to_draw_is_no_error():
    for draw in (lambda ax: draw_loss([], ax), lambda ax: draw_validation([], ax, DEFAULT_SCHEME)):
        draw(Figure().subplots())
