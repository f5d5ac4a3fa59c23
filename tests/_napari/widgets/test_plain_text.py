import os
import threading

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QWidget

from napari_fractoseg._napari.jobs import Run, State
from napari_fractoseg._napari.widgets.class_legend import ClassLegend
from napari_fractoseg._napari.widgets.model_picker import ModelPicker
from napari_fractoseg._napari.widgets.plain_text import TextBrowser, plain_errors, plain_text
from napari_fractoseg._napari.widgets.queue_list import QueueList
from napari_fractoseg._napari.widgets.run_queue import RunQueue
from napari_fractoseg.classes import ClassScheme, FractureClass
from napari_fractoseg.errors import ImageError
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
