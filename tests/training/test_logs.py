"""Logs for TensorBoard on a full disk."""

import threading

import pytest

from napari_fractoseg.errors import OutputError
from napari_fractoseg.jobs import Progress
from napari_fractoseg.training.logs import TensorBoardLog


def test_a_log_that_finds_no_room_ends_and_says_so(tmp_path, monkeypatch):
    # TensorBoard writes in a thread of its own, which ends with the error.
    monkeypatch.setattr(threading, "excepthook", lambda _arguments: None)
    before = set(threading.enumerate())
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with TensorBoardLog(tmp_path) as log:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300, hard))
        try:
            for step in range(1, 2000):
                log(Progress(step, 2000, metrics={"loss": 1.0, "learning_rate": 0.1}))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
    (note,) = log.notes
    assert note.startswith(f"The log in {tmp_path} ends at step ")
    assert note.endswith(": File too large.")


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file cannot be written"):
        TensorBoardLog(tmp_path / "file")
