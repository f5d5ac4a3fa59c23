import subprocess
import sys

import pytest

from napari_fractoseg.errors import OutputExistsError, TrainingError
from napari_fractoseg.files import hold, is_held, refuse_existing, write_bytes


def test_a_file_is_written_whole_and_its_folder_made(tmp_path):
    path = tmp_path / "new" / "folder" / "a.json"
    assert write_bytes(path, b"abc") == path
    assert path.read_bytes() == b"abc"
    assert [p.name for p in path.parent.iterdir()] == ["a.json"]


def test_an_existing_file_is_replaced_only_when_asked(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b"mine")
    with pytest.raises(OutputExistsError, match=r"a\.json exists already\. Choose another name\."):
        write_bytes(path, b"abc")
    assert path.read_bytes() == b"mine"
    write_bytes(path, b"abc", overwrite=True)
    assert path.read_bytes() == b"abc"


def test_a_written_file_can_be_read_by_others(tmp_path):
    path = write_bytes(tmp_path / "a.json", b"abc")
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_failure_leaves_the_old_file_and_no_draft(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b"mine")
    with pytest.raises(TypeError):
        write_bytes(path, "no bytes", overwrite=True)
    assert path.read_bytes() == b"mine"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_folder_in_the_way_is_an_error_and_leaves_no_draft(tmp_path):
    (tmp_path / "a.json").mkdir()
    with pytest.raises(OSError, match=r"a\.json"):
        write_bytes(tmp_path / "a.json", b"abc", overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_existing_paths_are_refused_with_the_remedy(tmp_path):
    refuse_existing(None, tmp_path / "free")
    with pytest.raises(OutputExistsError, match=r"exists already\. Use --overwrite\."):
        refuse_existing(None, tmp_path / "free", tmp_path, remedy="Use --overwrite.")


def test_a_file_is_held_by_one_run_only(tmp_path):
    path = tmp_path / "new" / "checkpoint"
    assert not is_held(path)
    with hold(path, TrainingError("taken")):
        assert is_held(path)
        with pytest.raises(TrainingError, match="taken"), hold(path, TrainingError("taken")):
            pass
        assert is_held(path)
    assert not is_held(path)
    with hold(path, TrainingError("taken")):
        assert is_held(path)


def test_a_run_that_was_killed_holds_nothing(tmp_path):
    path = tmp_path / "checkpoint"
    code = (
        "import sys, time; from pathlib import Path; from napari_fractoseg.files import hold\n"
        "with hold(Path(sys.argv[1]), ValueError()): print('held', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE) as process:  # noqa: S603 - our own code
        assert process.stdout.readline().strip() == b"held"
        assert is_held(path)
        process.kill()
    assert not is_held(path)
