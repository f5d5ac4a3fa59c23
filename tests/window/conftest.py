"""What a person does in a real window: mouse, keys, menus, and pictures of what is seen."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import napari
import pytest
from napari.qt import get_qapp
from qtpy.QtCore import QEvent, QEventLoop, QPoint, QPointF, Qt, QTimer
from qtpy.QtGui import QAction, QGuiApplication, QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QAbstractButton, QDockWidget, QLabel, QOpenGLWidget, QScrollArea, QWidget

from napari_fractoseg._napari.torch_import import prepare_torch

LEFT, NONE = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
NO_KEY = Qt.KeyboardModifier.NoModifier
SIZE = 1366, 768


def wait(milliseconds: int) -> None:
    """Let the window work for a while."""
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


class Person:
    """Somebody in front of a napari window, who only has mouse, keys and eyes.

    Parameters
    ----------
    viewer : napari.Viewer
        The window.
    pictures : Path or None
        Folder for pictures of the screen; None takes none.
    """

    def __init__(self, viewer: napari.Viewer, pictures: Path | None) -> None:
        self.viewer, self._pictures, self._n_pictures = viewer, pictures, 0

    @property
    def canvas(self) -> QWidget:
        """The widget in which images are drawn."""
        found = [w for w in self.window.findChildren(QOpenGLWidget) if w.isVisible()]
        return found[0]

    @property
    def window(self) -> QWidget:
        """The window itself, found as Qt's window of a given title."""
        found = [w for w in get_qapp().topLevelWidgets() if self.viewer.title in w.windowTitle()]
        return next(w for w in found if w.isVisible())

    def menu(self, *path: str) -> None:
        """Choose an entry of the menu bar by what it says."""
        menu: QWidget = self.window.menuBar()
        for text in path[:-1]:
            menu = _action(menu, text).menu()
            menu.aboutToShow.emit()
        _action(menu, path[-1]).trigger()
        wait(300)

    def dock(self, kind: type[QWidget]) -> QWidget:
        """Return the dock of a kind that is seen."""
        self.until(lambda: any(w.isVisible() for w in self.window.findChildren(kind)))
        return next(w for w in self.window.findChildren(kind) if w.isVisible())

    def tab(self, kind: type[QWidget]) -> QWidget:
        """Bring the dock of a kind before the others."""
        widget: QWidget | None = next(iter(self.window.findChildren(kind)))
        parent = widget
        while parent is not None and not isinstance(parent, QDockWidget):
            parent = parent.parentWidget()
        parent.raise_()
        wait(200)
        return widget

    def click(self, button: QAbstractButton) -> None:
        """Click a button, which is scrolled into view first; it has to be seen and enabled."""
        parent = button.parentWidget()
        while parent is not None:
            if isinstance(parent, QScrollArea):
                parent.ensureWidgetVisible(button)
            parent = parent.parentWidget()
        wait(100)
        assert button.isVisible(), f"{button.text()!r} is not seen"
        assert button.isEnabled(), f"{button.text()!r} is greyed out"
        place = QPoint(8, button.height() // 2)
        assert button.visibleRegion().contains(place), f"{button.text()!r} is clipped"
        QTest.mouseClick(button, LEFT, NO_KEY, place)
        wait(50)

    def key(self, key: Qt.Key, modifier: Qt.KeyboardModifier = NO_KEY) -> None:
        """Press a key over the canvas."""
        self.canvas.setFocus()
        QTest.keyClick(self.canvas, key, modifier)
        wait(100)

    def stroke(self, start: tuple[int, int], end: tuple[int, int], steps: int = 12) -> None:
        """Paint from one pixel (row, column) of the image to another with the left button."""
        first, last = self._seen_at(start), self._seen_at(end)
        self._mouse(QEvent.Type.MouseMove, first, NONE, NONE)
        self._mouse(QEvent.Type.MouseButtonPress, first, LEFT, LEFT)
        for number in range(1, steps + 1):
            place = first + (last - first) * (number / steps)
            self._mouse(QEvent.Type.MouseMove, place, NONE, LEFT)
            wait(15)
        self._mouse(QEvent.Type.MouseButtonRelease, last, LEFT, NONE)
        wait(50)

    def _mouse(
        self, kind: QEvent.Type, place: QPoint, button: Qt.MouseButton, held: Qt.MouseButton
    ) -> None:
        # `QTest.mouseMove` moves the pointer of the screen, which knows of no button held.
        at = QPointF(place), QPointF(self.canvas.mapToGlobal(place))
        get_qapp().sendEvent(self.canvas, QMouseEvent(kind, *at, button, held, NO_KEY))

    def _seen_at(self, pixel: tuple[int, int]) -> QPoint:
        camera = getattr(self.viewer, "scene", self.viewer).camera  # napari 0.9, and before
        y, x = (
            length / 2 + (index - middle) * camera.zoom
            for index, middle, length in zip(
                pixel,
                camera.center[-2:],
                (self.canvas.height(), self.canvas.width()),
                strict=True,
            )
        )
        place = QPoint(round(x), round(y))
        assert self.canvas.rect().contains(place), f"{pixel} is not in the picture"
        return place

    def until(self, done: Callable[[], object], seconds: float = 240) -> None:
        """Wait until something is so."""
        end = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < end, f"not so after {seconds} s"
            wait(20)

    def reads(self, widget: QWidget) -> str:
        """Return all that a person reads in the labels of a widget."""
        found = [each.text() for each in widget.findChildren(QLabel) if each.isVisible()]
        return "\n".join(text for text in found if text)

    def look(self, name: str) -> None:
        """Keep a picture of the window."""
        wait(400)
        screen = QGuiApplication.primaryScreen().grabWindow(int(self.window.winId()))
        self._n_pictures += 1
        if self._pictures is not None:
            self._pictures.mkdir(parents=True, exist_ok=True)
            screen.save(str(self._pictures / f"{self._n_pictures:02}-{name}.png"))


def _action(menu: QWidget, text: str) -> QAction:
    found = {a.text().replace("&", "").rstrip(" …."): a for a in menu.actions()}
    assert text in found, f"{text!r} is not in the menu: {sorted(found)}"
    return found[text]


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Person]:
    """Somebody in front of an empty window of 1366 x 768."""
    prepare_torch()
    pictures = os.environ.get("FRACTOSEG_PICTURES")
    viewer = napari.Viewer(title="fractoseg story", show=False)
    viewer.window.show()
    viewer.window.resize(*SIZE)
    wait(1000)
    yield Person(viewer, Path(pictures) if pictures else None)
    viewer.close()
    wait(500)
