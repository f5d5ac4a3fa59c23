"""From the release of the mouse to new labels: *Live* in a real window.

    python benchmarks/live.py --sizes 1280 4096 16000 --strokes 20

Opens napari with a published image, mirrored side by side up to the size, and its
segmentation by the bundled model; switches *Live* on in the training dock; and paints
strokes by mouse events into the canvas, a second apart, each over a class that is not
the one shown there. A stroke ends with the release of the button. Counted is the time from then
until the canvas was drawn with other labels, and, all the while, the longest time in
which the window answered nothing. Needs a screen (or xvfb-run) and the shared data.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import napari
import numpy as np
from corrections import shared_fracture
from napari.qt import get_qapp
from qtpy.QtCore import QEvent, QEventLoop, QObject, QPoint, QPointF, Qt, QTimer
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QOpenGLWidget, QWidget

import napari_fractoseg as nf
from napari_fractoseg._napari.corrections import remember_prediction
from napari_fractoseg._napari.jobs import runs_under_way
from napari_fractoseg._napari.layers import labels_layer
from napari_fractoseg._napari.train.dock import TrainWidget
from napari_fractoseg.classes import DEFAULT_SCHEME

SEEN_PX = 1280
"""Width of what is seen: people who paint facets see some dozens of them."""
PAUSE_MS = 1000
"""Between two strokes, in which the rest of a large image is being labelled."""


def wait(milliseconds: int) -> None:
    """Let the window work for a while."""
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


def wait_until(done: Any, seconds: float = 600) -> None:
    """Let the window work until something is so."""
    until = time.monotonic() + seconds
    while not done():
        if time.monotonic() > until:
            raise SystemExit(f"It did not come to an end in {seconds} s.")
        wait(5)


class Watch(QObject):
    """Notes when the button was released, when new labels were drawn, and how long nothing ran."""

    def __init__(self, canvas: QWidget, session: Any) -> None:
        super().__init__()
        self._canvas, self._is_new = canvas, False
        self.released: float | None = None
        self.latencies: list[float] = []
        self.longest_gap = 0.0
        self._last = time.monotonic()
        self._beat = QTimer(self, interval=10)
        self._beat.timeout.connect(self._on_beat)
        self._beat.start()
        session.relabelled.connect(self._on_labels)
        get_qapp().installEventFilter(self)

    def _on_beat(self) -> None:
        now = time.monotonic()
        self.longest_gap = max(self.longest_gap, now - self._last)
        self._last = now

    def _on_labels(self) -> None:
        self._is_new = True

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """Look at releases of the button and at what is drawn, and let all pass."""
        if event.type() == QEvent.Type.MouseButtonRelease and watched is self._canvas:
            self.released, self._is_new = time.monotonic(), False
        elif event.type() == QEvent.Type.Paint and watched is self._canvas and self._is_new:
            QTimer.singleShot(0, self._on_drawn)  # after this event was handled
        return False

    def _on_drawn(self) -> None:
        if self.released is not None and self._is_new:
            self.latencies.append(time.monotonic() - self.released)
            self.released, self._is_new = None, False


def mirrored(plane: np.ndarray, size: int) -> np.ndarray:
    """Return a plane with its mirror images beside it, up to a size."""
    pads = [(0, max(0, size - length)) for length in plane.shape]
    return np.pad(plane, pads, mode="symmetric")[:size, :size]


def paint(canvas: QWidget, start: QPoint, end: QPoint, steps: int = 8) -> None:
    """Paint a straight stroke with the left button."""
    left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
    _send(canvas, QEvent.Type.MouseMove, start, none, none)
    _send(canvas, QEvent.Type.MouseButtonPress, start, left, left)
    for number in range(1, steps + 1):
        _send(canvas, QEvent.Type.MouseMove, start + (end - start) * (number / steps), none, left)
        wait(12)
    _send(canvas, QEvent.Type.MouseButtonRelease, end, left, none)


def _send(
    canvas: QWidget,
    kind: QEvent.Type,
    place: QPoint,
    button: Qt.MouseButton,
    held: Qt.MouseButton,
) -> None:
    # `QTest.mouseMove` moves the pointer of the screen, which knows of no button held.
    at = QPointF(place), QPointF(canvas.mapToGlobal(place))
    event = QMouseEvent(kind, *at, button, held, Qt.KeyboardModifier.NoModifier)
    get_qapp().sendEvent(canvas, event)


def strokes(size: int, count: int, plane: np.ndarray, labels: np.ndarray) -> Watch:
    """Paint strokes on an image of a size, one after the other."""
    viewer = napari.Viewer(show=False)
    viewer.window.resize(1366, 768)
    viewer.window.show()
    viewer.add_image(mirrored(plane, size), name="surface")
    first = mirrored(labels, size)
    layer = labels_layer(first.copy(), DEFAULT_SCHEME, name="surface · fracture modes",
                         metadata={"image": "surface"})  # fmt: skip
    remember_prediction(layer, first)
    viewer.add_layer(layer)
    dock = TrainWidget(viewer)
    viewer.window.add_dock_widget(dock, name="Train on corrections", area="right")
    viewer.layers.selection.active = layer
    wait_until(lambda: dock.settings.start.entry is not None)
    camera = getattr(viewer, "scene", viewer).camera  # napari 0.9, and before
    camera.center = (size / 2, size / 2)
    (canvas,) = dock.window().findChildren(QOpenGLWidget)
    camera.zoom = canvas.width() / min(size, SEEN_PX)
    dock.live.switch.setChecked(True)
    dock.live.switch_on()
    session = dock.live.session
    wait_until(lambda: session.is_at_rest)
    layer.mode, layer.brush_size = "paint", 20
    watch = Watch(canvas, session)
    random = np.random.default_rng(0)
    for _ in range(count):
        x, y = (
            int(random.integers(60, length - 60)) for length in (canvas.width(), canvas.height())
        )
        row, column = (
            int(centre + (at - length / 2) / camera.zoom)
            for centre, at, length in zip(
                camera.center[-2:], (y, x), (canvas.height(), canvas.width()), strict=True
            )
        )
        row, column = (min(max(i, 0), size - 1) for i in (row, column))
        layer.selected_label = 1 + int(layer.data[row, column]) % 2
        angle = random.uniform(0, 2 * np.pi)
        end = QPoint(x + round(40 * np.cos(angle)), y + round(40 * np.sin(angle)))
        paint(canvas, QPoint(x, y), end)
        wait_until(lambda: watch.released is None)
        wait(PAUSE_MS)
    dock.live.keep_labels()
    get_qapp().removeEventFilter(watch)
    wait_until(lambda: not runs_under_way())
    viewer.close()
    return watch


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="*", default=(1280, 4096, 16000))
    parser.add_argument("--strokes", type=int, default=20)
    parser.add_argument("--image", default="t13_4.jpg")
    options = parser.parse_args()
    image = nf.read_image(shared_fracture() / "images" / options.image)
    plane = np.asarray(image.data)
    labels = nf.segment(plane, "default")
    get_qapp()
    print("size, px | strokes | median, s | 95th percentile, s | longest, s | longest gap, s")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FRACTOSEG_MODELS"] = str(Path(folder) / "models")
        for size in options.sizes:
            watch = strokes(size, options.strokes, plane, labels)
            found = watch.latencies
            print(
                f"{size} | {len(found)} | {np.median(found):.2f} | "
                f"{np.percentile(found, 95):.2f} | {max(found):.2f} | {watch.longest_gap:.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
