"""Text of others in windows: shown as it is, never as commands, links or pictures.

Qt takes text with tags for HTML wherever it is not told otherwise, and HTML can load files and
addresses: names of layers, models, classes and files come from other people.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from napari.errors import ReaderPluginError
from napari.utils import notifications
from qtpy.QtCore import Qt, QUrl
from qtpy.QtGui import QImage
from qtpy.QtWidgets import QLabel, QTextBrowser, QWidget

from napari_fractoseg.errors import FractosegError, UnexpectedError
from napari_fractoseg.text import printable

__all__ = [
    "TextBrowser",
    "button_text",
    "plain_error",
    "plain_errors",
    "plain_label",
    "plain_text",
    "show_error",
    "show_info",
    "show_warning",
]

_ZERO_WIDTH_SPACE = "\u200b"
_TAG = re.compile("(<|&(?=lt;))(?!\u200b)")
_ENDLESS = re.compile(r"[^\s/\\]{101,}")
"""Words that are too long for a line of a dock, and for the name of a file one would know."""


def plain_text(text: object) -> str:
    r"""Return text that Qt takes for plain text also where it guesses, as in tooltips.

    Examples
    --------
    >>> from napari_fractoseg._napari.widgets.plain_text import plain_text
    >>> plain_text("fracture modes")
    'fracture modes'
    >>> plain_text("<b>").encode("ascii", "backslashreplace")
    b'<\\u200bb>'
    """
    return _TAG.sub(rf"\1{_ZERO_WIDTH_SPACE}", printable(text))


def button_text(text: object) -> str:
    """Return text for a button or tick box, in which ``&`` is no mark of a key."""
    return printable(text).replace("&", "&&")


class _PlainLabel(QLabel):
    """Label that shows text as it is, but for the middle of words without an end."""

    def setText(self, text: str | None) -> None:  # noqa: N802 - Qt's name
        """Show text."""
        super().setText(_ENDLESS.sub(lambda m: f"{m[0][:30]}…{m[0][-10:]}", printable(text or "")))


def plain_label(text: object = "", parent: QWidget | None = None) -> QLabel:
    """Return a label of plain text, which breaks its lines."""
    label = _PlainLabel(parent)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    label.setText(str(text))
    return label


def show_info(text: object) -> None:
    """Show a notification of napari."""
    notifications.show_info(plain_text(text))


def show_warning(text: object) -> None:
    """Show a warning of napari."""
    notifications.show_warning(plain_text(text))


class _OneLine(notifications.ErrorNotification):
    """Notification of an error, of which the console gets one line and the window all details."""

    def __str__(self) -> str:
        return f"ERROR: {self.message}"


def show_error(error: FractosegError) -> None:
    """Show an error with its details in napari's window, and as one line on the console.

    napari would print its traceback, which says nothing to who chose a wrong file. That of a
    mistake of ours is printed.
    """
    plain = plain_error(error)
    kind = notifications.ErrorNotification if isinstance(error, UnexpectedError) else _OneLine
    notifications.notification_manager.dispatch(kind(plain))


def plain_error(error: FractosegError) -> FractosegError:
    """Return an error whose message napari shows as plain text, with the same details."""
    if plain_text(error) == str(error):
        return error
    plain = type(error)(plain_text(error), options=error.options)
    plain.__cause__ = error.__cause__
    return plain.with_traceback(error.__traceback__)


@contextmanager
def plain_errors() -> Iterator[None]:
    """Raise errors of ours from the block so that napari shows them as `show_error` does.

    The block is what napari calls: a reader, a writer, sample data, a command in a menu. They
    raise, as they may be called from Python; what nobody catches there comes to napari's hook.
    """
    try:
        yield
    except FractosegError as error:
        _watch_uncaught_errors()
        raise plain_error(error) from error.__cause__


def _watch_uncaught_errors() -> None:
    """Have errors of the user shown by `show_error` where napari shows those nobody catches.

    napari puts its hook in place while its windows run, and takes away then what is there.
    """
    manager = notifications.notification_manager
    is_for_developers = manager.exit_on_error or not manager.catch_error
    if sys.excepthook == manager.receive_error and not is_for_developers:
        sys.excepthook = _on_uncaught_error


def _on_uncaught_error(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    cause: BaseException | None = error
    while isinstance(cause, ReaderPluginError):  # it says that a reader failed, and not why
        cause = cause.__cause__
    if isinstance(cause, FractosegError):
        show_error(cause)
    else:
        notifications.notification_manager.receive_error(kind, error, traceback)


class TextBrowser(QTextBrowser):
    """Browser of text that follows no link, and loads nothing that the text names."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setOpenLinks(False)
        self._nothing = QImage(1, 1, QImage.Format.Format_ARGB32)
        self._nothing.fill(Qt.GlobalColor.transparent)

    def loadResource(self, kind: int, name: QUrl) -> Any:  # noqa: ARG002, N802 - as Qt calls it
        """Return an empty picture for whatever the text names; without one Qt would load a file."""
        return self._nothing
