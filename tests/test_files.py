import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from napari_fractoseg.errors import ModelError, OutputError, OutputExistsError, TrainingError
from napari_fractoseg.files import (
    check_writable,
    draft_folder,
    draft_of,
    hold,
    is_held,
    read_json,
    read_json_object,
    refuse_existing,
    sweep_drafts,
    write_bytes,
)


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


@pytest.mark.parametrize(
    ("umask", "file_mode", "folder_mode"),
    [(0o022, 0o644, 0o755), (0o077, 0o600, 0o700), (0o002, 0o664, 0o775)],
)
def test_who_may_read_what_is_written_is_left_to_the_users_umask(
    tmp_path, umask, file_mode, folder_mode
):
    before = os.umask(umask)
    try:
        path = write_bytes(tmp_path / "a.json", b"abc")
        with draft_of(tmp_path / "b.json") as draft:
            draft.write_bytes(b"abc")
            draft.chmod(0o400)  # some libraries do
        with draft_folder(tmp_path / "model") as draft:
            (draft / "card.json").write_bytes(b"abc")
            (draft / "card.json").chmod(0o600)
    finally:
        os.umask(before)
    written = [path, tmp_path / "b.json", tmp_path / "model" / "card.json"]
    assert [p.stat().st_mode & 0o777 for p in written] == [file_mode] * 3
    assert (tmp_path / "model").stat().st_mode & 0o777 == folder_mode


def test_a_failure_leaves_the_old_file_and_no_draft(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b"mine")
    with pytest.raises(TypeError):
        write_bytes(path, "no bytes", overwrite=True)
    assert path.read_bytes() == b"mine"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_folder_in_the_way_is_an_error_and_leaves_no_draft(tmp_path):
    (tmp_path / "a.json").mkdir()
    with pytest.raises(OutputError, match=r"a\.json cannot be written: Is a directory\."):
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


def test_a_name_as_long_as_the_file_system_allows_can_be_written(tmp_path):
    path = tmp_path / ("µ" * 125 + ".json")
    write_bytes(path, b"abc")
    with hold(path, TrainingError("taken")):
        assert is_held(path)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_name_that_is_too_long_is_said_to_be_so(tmp_path):
    with pytest.raises(OutputError, match="cannot be written: File name too long"):
        write_bytes(tmp_path / ("a" * 300), b"abc")
    assert not any(tmp_path.iterdir())


def test_a_folder_is_written_whole_or_not_at_all(tmp_path):
    with suppress(KeyboardInterrupt), draft_folder(tmp_path / "model") as draft:
        (draft / "card.json").write_bytes(b"abc")
        raise KeyboardInterrupt
    assert not any(tmp_path.iterdir())
    with draft_folder(tmp_path / "model") as draft:
        (draft / "card.json").write_bytes(b"abc")
    assert (tmp_path / "model" / "card.json").read_bytes() == b"abc"
    with pytest.raises(OutputExistsError, match="exists already"), draft_folder(tmp_path / "model"):
        pass


def test_a_folder_that_another_run_made_meanwhile_is_not_replaced(tmp_path):
    writes = draft_folder(tmp_path / "model")
    (writes.__enter__() / "card.json").write_bytes(b"abc")
    (tmp_path / "model").mkdir()
    with pytest.raises(OutputExistsError, match="exists already"):
        writes.__exit__(None, None, None)
    assert [p.name for p in tmp_path.rglob("*")] == ["model"]


def test_a_full_disk_is_said_to_be_full(tmp_path):
    with (
        pytest.raises(OutputError, match=r"a\.json cannot be written: No space left on device"),
        draft_of(tmp_path / "a.json"),
        Path("/dev/full").open("wb", buffering=0) as full,
    ):
        full.write(b"abc")


def test_a_folder_in_which_nothing_can_be_written_is_refused_at_once(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="results cannot be written: Not a directory"):
        check_writable(tmp_path / "file" / "results")
    check_writable(tmp_path / "new" / "results")
    assert not any((tmp_path / "new" / "results").iterdir())


def test_drafts_that_were_left_a_day_ago_are_removed(tmp_path):
    drafts = []
    for name in ("a.json", "model"):  # as a killed process leaves them
        with suppress(KeyboardInterrupt), draft_of(tmp_path / name) as draft:
            drafts.append(draft)
            raise KeyboardInterrupt
    folder, young = drafts[1], tmp_path / drafts[0].name.replace("a", "b", 1)
    folder.mkdir()
    (folder / "weights").touch()
    mine = tmp_path / ".notes-draft.txt"
    for path in (drafts[0], young, mine):
        path.touch()
    two_days_ago = time.time() - 2 * 24 * 3600
    for path in (drafts[0], mine, folder / "weights", folder):
        os.utime(path, (two_days_ago, two_days_ago))
    assert set(sweep_drafts(tmp_path)) == {drafts[0], folder}
    assert set(tmp_path.iterdir()) == {young, mine}
    assert sweep_drafts(tmp_path / "nowhere") == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[" * 100_000, "it is nested too deeply"),
        (b"{", "Expecting property name"),
        (b'"\xff"', "can't decode byte 0xff"),
        (b"9" * 5000, "Exceeds the limit"),
        (b"[1, 2, 3, 4]", "it is larger than 0 MB"),
    ],
)
def test_json_of_others_is_refused_with_the_reason(tmp_path, content, reason):
    path = tmp_path / "plan.json"
    path.write_bytes(content)
    most = 10 if "larger" in reason else 2**20
    with pytest.raises(ModelError, match=f"plan.json is not a plan: .*{reason}.*Write it again"):
        read_json(path, ModelError, "a plan", "Write it again.", most_bytes=most)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "plan.json")
    with pytest.raises(ModelError, match="it is no file but a folder, pipe or device"):
        read_json(tmp_path / "plan.json", ModelError, "a plan")
    assert read_json_object(tmp_path / "plan.json") is None
