import numpy as np
import pytest

from napari_fractoseg._napari.segment.texts import fractions_text, result_text
from napari_fractoseg._napari.widgets.progress_text import progress_text
from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.inference.result import LeftOut, RunRecord
from napari_fractoseg.jobs import Progress
from napari_fractoseg.measure.fractions import class_fractions


@pytest.mark.parametrize(
    ("progress", "remaining_s", "text"),
    [
        (Progress(0, 0, "loading the model"), None, "loading the model …"),
        (Progress(3, 8), None, "38 %"),
        (Progress(3, 8), 4.2, "38 % · 5 s left"),
        (Progress(1, 4, "tile 1 of 4"), None, "tile 1 of 4"),
        (Progress(12, 34, "plane 12 of 34"), 39.5, "plane 12 of 34 · 40 s left"),
        (
            Progress(5, 8, "plane 2 of 2, tile 1 of 4"),
            61,
            "plane 2 of 2, tile 1 of 4 · 2 min left",
        ),
        (Progress(8, 8, "plane 2 of 2"), 0.0, "plane 2 of 2"),
    ],
)
def test_progress_in_words(progress, remaining_s, text):
    assert progress_text(progress, remaining_s) == text


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        ([1, 2, 2, 2, 3], "Intergranular 25.0 %   Transgranular 75.0 %   of 80 % classified"),
        ([1, 1, 0, 0, 0], "Intergranular 100.0 %   Transgranular 0.0 %   of 40 % classified"),
        ([3, 3, 3, 3, 0], "No intergranular or transgranular area was found."),
    ],
)
def test_fractions_in_words(labels, text):
    line = fractions_text(class_fractions(np.array(labels, np.uint8), DEFAULT_SCHEME))
    assert line.replace("\u00a0", " ") == text


def test_planes_left_out_are_told_with_the_result():
    table = class_fractions(np.array([1, 2, 2, 2], np.uint8), DEFAULT_SCHEME)
    left_out = {(i,): LeftOut(f"plane {i + 1} is blank.", is_damaged=False) for i in range(5)}
    lines = result_text(table, RunRecord(finished=[(9,)], left_out=left_out)).splitlines()
    assert lines[0].startswith("Intergranular")
    assert lines[1:] == ["plane 1 is blank.", "plane 2 is blank.", "plane 3 is blank.",
                         "2 more planes were left unlabelled."]  # fmt: skip
    nothing = RunRecord(left_out={(): LeftOut("a is blank.", is_damaged=False)})
    assert result_text(table, nothing) == "a is blank."
