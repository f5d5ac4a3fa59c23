"""From the first click on Segment to labels, in a napari that has just started.

    python benchmarks/first_click.py --starts 7 --pauses 0 4

Starts napari anew each time, opens the Segment dock with an image of 1280 x 1280 px, and clicks
*Segment* by a mouse event some time after the dock was shown. Counted are the seconds from the
click until labels were drawn, and until the result was complete: importing PyTorch and loading
the model included, and the processor time of all threads meanwhile, which other programs on a busy
machine change less. The longest gap is the longest time in which the window answered nothing,
from the opening of the dock to the click. Needs a screen (or xvfb-run).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from typing import Any

SIZE_PX = 1280
_ROW = (
    "pause, s | starts | first labels, s | complete, s (least to most) | processor, s (least) | "
    "longest gap, s | load"
)


def measured(pause_s: float) -> dict[str, float]:
    """Open napari and the dock in this process, click, and return the seconds."""
    import napari
    from qtpy.QtCore import QEventLoop, QObject, Qt, QTimer
    from qtpy.QtTest import QTest

    from napari_fractoseg.samples import synthetic_fracture

    def wait(milliseconds: int) -> None:
        loop = QEventLoop()
        QTimer.singleShot(milliseconds, loop.quit)
        loop.exec()

    def wait_until(done: Any) -> None:
        while not done():
            wait(5)

    class Beat(QObject):
        """Notes the longest time in which the window did nothing."""

        def __init__(self) -> None:
            super().__init__()
            self.last, self.longest = time.monotonic(), 0.0
            self._timer = QTimer(self, interval=5)
            self._timer.timeout.connect(self._on_beat)
            self._timer.start()

        def _on_beat(self) -> None:
            now = time.monotonic()
            self.longest, self.last = max(self.longest, now - self.last), now

    surface = synthetic_fracture(0, shape=(SIZE_PX, SIZE_PX))
    viewer = napari.Viewer(show=False)
    viewer.window.resize(1366, 768)
    viewer.window.show()
    viewer.add_image(surface.image, name="surface")
    wait(1500)  # napari's own first drawing
    _, dock = viewer.window.add_plugin_dock_widget("napari-fractoseg", "Segment fracture modes")
    wait_until(dock.isVisible)
    beat = Beat()
    wait(round(1000 * pause_s))
    gap = beat.longest
    drawn: list[float] = []
    viewer.layers.events.inserted.connect(lambda _event: drawn.append(time.monotonic()))
    began, before = time.monotonic(), time.process_time()
    QTest.mouseClick(dock.controls.button, Qt.MouseButton.LeftButton)
    wait_until(lambda: dock.controls.is_idle)
    complete, processor = time.monotonic() - began, time.process_time() - before
    if dock.result is None or not dock.result.data.any():
        raise SystemExit(f"There are no labels: {dock.controls.state_line.text()}")
    viewer.close()
    return {"first": drawn[0] - began, "complete": complete, "processor": processor, "gap": gap}


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--starts", type=int, default=7)
    parser.add_argument(
        "--pauses", type=float, nargs="*", default=(0, 4), help="seconds from dock to click"
    )
    parser.add_argument("--once", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once is not None:
        print(json.dumps(measured(options.once)))
        return
    print(_ROW)
    for pause in options.pauses:
        found = [_in_new_process(pause) for _ in range(options.starts)]
        complete = [run["complete"] for run in found]
        print(
            f"{pause:g} | {len(found)} | {statistics.median(r['first'] for r in found):.2f} | "
            f"{statistics.median(complete):.2f} ({min(complete):.2f} to {max(complete):.2f}) | "
            f"{statistics.median(r['processor'] for r in found):.2f} "
            f"({min(r['processor'] for r in found):.2f}) | "
            f"{statistics.median(r['gap'] for r in found):.2f} | {os.getloadavg()[0]:.1f}",
            flush=True,
        )


def _in_new_process(pause: float) -> dict[str, float]:
    command = [sys.executable, __file__, "--once", str(pause)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
