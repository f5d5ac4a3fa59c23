"""Windows that are closed while a result is saved."""

import threading

import pytest
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import QApplication, QMainWindow, QMessageBox

from napari_fractoseg._napari.jobs import Run, State
from napari_fractoseg._napari.save.closing import ClosesWhenSaved
from napari_fractoseg.errors import OutputError
from napari_fractoseg.jobs import Progress

pytestmark = pytest.mark.usefixtures("no_job_left")

LONG = 20_000


class ByItsFrame(QCloseEvent):
    """Event of a window that the user closes, which only the system can send."""

    def spontaneous(self):
        """Whether it came from the system."""
        return True


class Saving:
    """A window, and a run that saves until it is let go."""

    def __init__(self, qtbot, error=None):
        self.qtbot, self.is_written, self.error = qtbot, threading.Event(), error
        self.window = QMainWindow()
        qtbot.addWidget(self.window)
        self.window.show()
        self.run = Run(self._job())
        ClosesWhenSaved(self.run, "<b>s17 is being saved in /data.", self.window)
        self.run.start()
        qtbot.waitUntil(lambda: self.run.progress is not None, timeout=LONG)

    def _job(self):
        yield Progress(1, 3, "report")
        while not self.is_written.wait(0.01):
            yield Progress(1, 3, "report")
        if self.error is not None:
            raise self.error

    def close(self):
        """Close the window by its frame; return the dialog that opens."""
        event = ByItsFrame()
        QApplication.sendEvent(self.window, event)
        assert not event.isAccepted()
        (dialog,) = self.window.findChildren(QMessageBox)
        return dialog

    def click(self, dialog, text):
        next(button for button in dialog.buttons() if button.text() == text).click()

    def finish(self):
        self.is_written.set()
        self.qtbot.waitUntil(lambda: self.run.state.has_ended, timeout=LONG)


@pytest.fixture
def saving(qtbot):
    made = []

    def make(**options):
        made.append(Saving(qtbot, **options))
        return made[-1]

    yield make
    for each in made:
        each.finish()


def test_the_window_closes_when_the_result_is_saved(saving):
    job = saving()
    dialog = job.close()
    assert job.window.isVisible()
    assert dialog.text().startswith("<b>s17 is being saved"), "names are no commands"
    assert dialog.text().endswith("in /data. The window closes when that is done.")
    assert "report" in dialog.informativeText()
    job.finish()
    assert job.run.state is State.DONE
    assert not job.window.isVisible()


def test_the_window_can_be_kept(saving):
    job = saving()
    job.click(job.close(), "Keep the window open")
    assert job.run.state is State.RUNNING
    job.finish()
    assert job.run.state is State.DONE
    assert job.window.isVisible()
    event = ByItsFrame()
    QApplication.sendEvent(job.window, event)
    assert event.isAccepted(), "nothing is saved any more"


def test_saving_can_be_stopped(saving, qtbot):
    job = saving()
    job.click(job.close(), "Stop saving and close")
    qtbot.waitUntil(lambda: job.run.state is State.STOPPED, timeout=LONG)
    assert not job.window.isVisible()


def test_after_an_error_the_window_stays_and_shows_it(saving):
    job = saving(error=OutputError("The disk is full."))
    job.close()
    job.finish()
    assert job.run.state is State.FAILED
    assert job.window.isVisible()


def test_a_program_that_closes_the_window_is_not_asked(saving):
    job = saving()
    assert job.window.close()
    assert not job.window.isVisible()
    assert not job.window.findChildren(QMessageBox)
