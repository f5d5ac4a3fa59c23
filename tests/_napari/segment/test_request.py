import pytest

from napari_fractoseg._napari.segment.texts import result_text
from napari_fractoseg._napari.widgets.progress_text import progress_text
from napari_fractoseg.inference.result import LeftOut, RunRecord
from napari_fractoseg.jobs import Progress


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


def test_planes_left_out_are_told():
    left_out = {(i,): LeftOut(f"plane {i + 1} is blank.", is_damaged=False) for i in range(5)}
    lines = result_text(RunRecord(finished=[(9,)], left_out=left_out)).splitlines()
    assert lines == ["plane 1 is blank.", "plane 2 is blank.", "plane 3 is blank.",
                     "2 more planes were left unlabelled."]  # fmt: skip
    nothing = RunRecord(left_out={(): LeftOut("a is blank.", is_damaged=False)})
    assert result_text(nothing) == "a is blank."
    assert result_text(RunRecord(finished=[()])) == ""
    unknown = RunRecord(finished=[()], untold="Nobody knows.", notes=["Memory ran out."])
    assert result_text(unknown) == "Nobody knows.\nMemory ran out."
