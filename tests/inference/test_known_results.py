"""Results are known again by their content."""

import os

import numpy as np
import pytest

from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.inference import known_results
from napari_fractoseg.inference.known_results import known_result, remember_result
from napari_fractoseg.models.registry import user_folder
from napari_fractoseg.results.record import LabelRecord, labels_digest

LABELS = np.array([[1, 2, 3, 0]] * 6, np.uint8)


def record_of(labels):
    return LabelRecord("tiny", "0123", "s17", DEFAULT_SCHEME, labels_digest(labels))


def test_labels_are_known_by_their_values():
    record = record_of(LABELS)
    assert known_result(LABELS) is None
    remember_result(record, LABELS.shape)
    assert known_result(LABELS.astype(np.uint32)[None]) == record
    changed = LABELS.copy()
    changed[0, 0] = 2
    assert known_result(changed) is None


def test_unlabelled_arrays_are_nobodys_result():
    blank = np.zeros((6, 4), np.uint8)
    remember_result(record_of(blank), blank.shape)
    assert known_result(blank) is None


def test_labels_that_are_not_complete_are_not_kept():
    remember_result(record_of(LABELS).of(""), LABELS.shape)
    assert known_result(LABELS) is None


def test_the_oldest_are_forgotten(monkeypatch):
    monkeypatch.setattr(known_results, "_MOST", 2)
    arrays = [np.full((6, 4), value, np.uint8) for value in (1, 2, 3)]
    for second, labels in enumerate(arrays, start=1):
        remember_result(record_of(labels), labels.shape)
        files = (user_folder().parent / "results").iterdir()
        os.utime(max(files, key=lambda path: path.stat().st_mtime), (second, second))
    assert [known_result(labels) is None for labels in arrays] == [True, False, False]


@pytest.mark.skipif(os.name == "nt", reason="folders are protected otherwise")
def test_a_folder_that_cannot_be_written_to_stops_nothing(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("FRACTOSEG_MODELS", str(tmp_path / "file" / "models"))
    remember_result(record_of(LABELS), LABELS.shape)
    assert known_result(LABELS) is None
