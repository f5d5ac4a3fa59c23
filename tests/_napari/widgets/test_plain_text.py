import json
import os
import sys
import threading

import pytest
from napari._app_model import get_app_model
from napari.errors import ReaderPluginError
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QLabel, QWidget

from napari_fractoseg._napari.jobs import Run, State
from napari_fractoseg._napari.widgets.class_legend import ClassLegend
from napari_fractoseg._napari.widgets.model_picker import ModelPicker
from napari_fractoseg._napari.widgets.plain_text import TextBrowser, plain_errors, plain_text
from napari_fractoseg._napari.widgets.queue_list import QueueList
from napari_fractoseg._napari.widgets.run_queue import RunQueue
from napari_fractoseg.classes import ClassScheme, FractureClass
from napari_fractoseg.errors import AnnotationError, ImageError, UnexpectedError
from napari_fractoseg.jobs import Progress
from napari_fractoseg.models.model import SegmentationModel


@pytest.mark.parametrize(
    "text",
    ["<b>bold</b>", "&lt;b&gt;", "a <img src='x'>", "a<br>b"],
)
def test_text_with_tags_is_shown_with_its_tags(is_rich, text):
    assert is_rich(text)
    shown = plain_text(text)
    assert not is_rich(shown)
    assert shown.replace("\u200b", "") == text


def test_plain_text_stays_as_it_is():
    assert plain_text("Zr & Al, 5 µm > 3 µm") == "Zr & Al, 5 µm > 3 µm"


def test_errors_name_files_as_plain_text():
    with pytest.raises(ImageError) as raised, plain_errors():
        raise ImageError("<b>a</b>.tif does not exist.", options=("channel",))
    assert str(raised.value) == "<\u200bb>a<\u200b/b>.tif does not exist."
    assert raised.value.options == ("channel",)


@pytest.fixture
def console(viewer, qtbot, capsys):
    """What napari prints when Qt calls a function, as for a drop or a menu, while it runs."""

    def printed(call):
        done = []
        # Slots are called one after the other: the second one follows the first's error.
        QTimer.singleShot(0, call)
        QTimer.singleShot(0, lambda: done.append(True))
        qtbot.waitUntil(lambda: bool(done), timeout=20_000)
        return capsys.readouterr().out

    notification_manager.records.clear()
    with notification_manager:
        yield printed


BROKEN = {
    "via.json": '{"_via_img_metadata": {"a.png-1": {"filename": "a.png", "size',
    "coco.json": '{"images": [{"file_name": "a.png"}], "annotations": [{"category_id": 1, "segm',
    "run.json": json.dumps({"files": [{"path": "a.png", "outputs": ["a_labels.tif"]}]}),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_that_is_dropped_is_one_line_and_still_raises_in_python(
    viewer, console, tmp_path, name
):
    path = tmp_path / name
    path.write_text(BROKEN[name])
    (tmp_path / "a_labels.tif").write_bytes(b"II*")
    text = console(lambda: viewer.open(str(path), plugin=None))
    assert text.startswith("ERROR: ")
    assert text.count("\n") == 1
    assert name in text or "a_labels.tif" in text
    (shown,) = notification_manager.records
    assert f"ERROR: {shown.message}\n" == text, "the window says the same"
    assert shown.exception.__traceback__ is not None, "the window has the details"
    with pytest.raises((AnnotationError, ImageError)):
        viewer.open(str(path), plugin="napari-fractoseg")
    with pytest.raises(ReaderPluginError):
        viewer.open(str(path), plugin=None)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("save_result", "There are no labels to save."),
        ("save_back", "No layer here came from a VIA file"),
    ],
)
def test_a_command_that_cannot_do_it_is_one_line(console, command, says):
    commands = get_app_model().commands
    text = console(lambda: commands.execute_command(f"napari-fractoseg.{command}").result())
    assert text.startswith(f"ERROR: {says}")
    assert text.count("\n") == 1


def test_what_nobody_expected_keeps_its_traceback(viewer, console, tmp_path):
    (tmp_path / "via.json").write_text(BROKEN["via.json"])
    console(lambda: viewer.open(str(tmp_path / "via.json"), plugin=None))  # now ours is watched

    def raise_(error):
        raise error

    for error in (ValueError("a mistake"), UnexpectedError("a mistake")):
        text = console(lambda error=error: raise_(error))
        assert "Traceback" in text
        assert "raise_" in text


def test_napari_takes_its_hook_away_as_before(viewer, tmp_path):
    before = sys.excepthook
    with notification_manager, pytest.raises(ImageError), plain_errors():
        raise ImageError("a.tif is damaged.")
    assert sys.excepthook is before
    with pytest.raises(ImageError), plain_errors():
        raise ImageError("a.tif is damaged.")
    assert sys.excepthook is before, "without napari's windows errors are Python's"


@pytest.fixture
def pictures(tmp_path, web_server):
    """Addresses of pictures, on the web and in a pipe; and whether somebody looked at them."""
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    was_read = threading.Event()

    def offer() -> None:
        with pipe.open("wb"):  # opens when somebody opens the pipe to read
            was_read.set()

    thread = threading.Thread(target=offer, daemon=True)
    thread.start()
    yield (
        [f"{web_server.url}/a.png", pipe.as_uri(), str(pipe)],
        lambda: bool(web_server.asked) or was_read.is_set(),
    )
    os.close(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK))
    thread.join()


needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")


@needs_pipes
def test_a_browser_of_text_loads_nothing(qtbot, pictures):
    addresses, was_looked_at = pictures
    browser = TextBrowser()
    qtbot.addWidget(browser)
    browser.setMarkdown(" ".join(f"![p]({address})" for address in addresses))
    with qtbot.waitExposed(browser):
        browser.show()
    qtbot.wait(200)  # pictures are loaded when they are drawn
    assert not was_looked_at()
    browser.setHtml(" ".join(f"<img src='{address}'>" for address in addresses))
    qtbot.wait(200)
    assert not was_looked_at()


@needs_pipes
def test_the_card_of_a_foreign_model_loads_nothing(
    qtbot, pictures, tiny_model, tmp_path, monkeypatch, is_rich
):
    addresses, was_looked_at = pictures
    description = " ".join(f"![p]({a}) <img src='{a}'>" for a in addresses)
    model = SegmentationModel(tiny_model.card, tiny_model.network).with_card(
        name=f"<img src='{addresses[1]}'><b>bold</b> \x1b[31m",
        description=description,
        licence=f"![p]({addresses[0]})",
    )
    model.save(tmp_path / "models" / "foreign")
    monkeypatch.setenv("FRACTOSEG_MODELS", str(tmp_path / "models"))
    picker = ModelPicker()
    qtbot.addWidget(picker)
    picker.choice.value = str(tmp_path / "models" / "foreign")
    dialog = picker.show_card()
    qtbot.waitExposed(dialog)
    qtbot.wait(200)
    assert not was_looked_at()
    assert "\x1b" not in dialog.windowTitle()
    assert not is_rich(picker.choice.native.toolTip())
    for label in dialog.findChildren(QLabel):
        assert label.textFormat() == Qt.TextFormat.PlainText
    dialog.close()


def test_class_names_are_shown_as_they_are(qtbot, is_rich):
    legend = ClassLegend()
    qtbot.addWidget(legend)
    scheme = ClassScheme(
        "own", (FractureClass(1, "<b>Zr & Al</b>", "#ff0000", description="<img src='a.png'>"),)
    )
    legend.show_scheme(scheme)
    button = legend.buttons[1]
    assert button.text() == "1  <b>Zr && Al</b>"  # one & is shown for two
    assert not is_rich(button.toolTip())
    assert button.toolTip().replace("\u200b", "").startswith("<img src='a.png'> Click to paint")


def test_the_queue_names_its_runs_as_they_are(make_napari_viewer, qtbot, no_job_left, is_rich):
    def fail():
        yield Progress(0, 1)
        raise ImageError("<b>bad</b>")

    queue, dock = RunQueue(make_napari_viewer()), QWidget()
    qtbot.addWidget(dock)
    runs = [Run(fail(), f"<b>{n}</b>") for n in range(2)]
    for run in runs:
        queue.add(run, dock)
    rows = QueueList(queue, Run)
    qtbot.addWidget(rows)
    qtbot.waitUntil(lambda: all(run.state is State.FAILED for run in runs), timeout=10_000)
    rows.refresh()
    for row in rows.rows:
        assert row.title.textFormat() == Qt.TextFormat.PlainText
        assert not is_rich(row.title.toolTip())
        assert not is_rich(row.state.toolTip())
        assert row.title.text() in ("<b>0</b>", "<b>1</b>")
