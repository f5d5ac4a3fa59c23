"""Make the animation of the README from the real program.

    xvfb-run -a -s "-screen 0 1920x1200x24" python scripts/tour.py

A published micrograph is opened, segmented, corrected with *Live*, and measured in 4 x 4 fields. A
picture is taken after each step and gets a line that says what was done; how long each took is not
shown. The strokes are on the largest differences from polygons that people drew, as in
``screenshots.py --what live``; a ring marks the latest.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import napari
from napari.qt import get_qapp
from PIL import Image, ImageDraw, ImageFont
from qtpy.QtGui import QPainter
from qtpy.QtWidgets import QWidget
from screenshots import (
    ROOT,
    correct,
    fracture_folder,
    grab,
    marked,
    place_of_canvas,
    wait,
    wait_for_end,
)

from napari_fractoseg._napari.measure.dock import measure_in_dock
from napari_fractoseg._napari.segment.dock import SegmentWidget
from napari_fractoseg._napari.train.dock import TrainWidget
from napari_fractoseg.images import read_image

IMAGE = "s4_2.jpg"
N_STROKES = 6
LINE_PX = 44


class Film:
    """Pictures of a window, each with a line below it and the time that it is shown."""

    def __init__(self, viewer: napari.Viewer, width: int) -> None:
        self.viewer = viewer
        self.width = width
        self.pictures: list[Image.Image] = []
        self.milliseconds: list[int] = []

    def take(
        self,
        widget: QWidget,
        line: str,
        seconds: float,
        places: Sequence[tuple[int, int]] = (),
    ) -> None:
        """Add a picture of the window of a widget, with rings around places of the image."""
        self.viewer.reset_view()
        wait(800)
        window = grab(widget)
        square = place_of_canvas(widget)
        painter = QPainter(window)
        painter.drawPixmap(square, marked(window.copy(square), list(places), self.viewer))
        painter.end()
        screen = window.toImage()
        screen.convertTo(screen.Format.Format_RGB888)
        size = (screen.width(), screen.height())
        pixels = Image.frombuffer(
            "RGB", size, bytes(screen.constBits().asarray(screen.sizeInBytes())),
            "raw", "RGB", screen.bytesPerLine(), 1,
        )  # fmt: skip
        height = round(self.width * size[1] / size[0])
        picture = Image.new("RGB", (self.width, height + LINE_PX), "white")
        picture.paste(pixels.resize((self.width, height), Image.Resampling.LANCZOS))
        font = matplotlib.get_data_path() + "/fonts/ttf/DejaVuSans.ttf"
        ImageDraw.Draw(picture).text(
            (self.width // 2, height + LINE_PX // 2),
            line,
            fill="black",
            anchor="mm",
            font=ImageFont.truetype(font, 20),
        )
        self.pictures.append(picture)
        self.milliseconds.append(round(1000 * seconds))

    def save(self, path: Path, quality: int) -> None:
        """Write an animated WebP that begins anew."""
        first, *others = self.pictures
        first.save(
            path,
            save_all=True,
            append_images=others,
            duration=self.milliseconds,
            loop=0,
            quality=quality,
            method=6,
        )


def play(viewer: napari.Viewer, film: Film) -> None:
    """Go from an image to a number, and take a picture after each step."""
    image = read_image(fracture_folder() / "images" / IMAGE)
    viewer.add_image(image.data, name=image.name)
    segmenting = SegmentWidget(viewer)
    viewer.window.add_dock_widget(segmenting, name="Segment fracture modes", area="right")
    while segmenting.device.label.text().startswith("looking"):  # for a GPU, in a thread
        wait(200)
    film.take(segmenting, "Open a micrograph, and the dock of the plugin", 2.5)
    segmenting.segment()
    wait_for_end(segmenting)
    film.take(
        segmenting,
        "Segment: blue broke along the grain boundaries, green through the grains",
        3,
    )
    training = learn(viewer, film, segmenting)
    measuring = measure_in_dock(viewer, segmenting.result, segmenting)
    measuring.divide()
    while not measuring.controls.is_idle:
        wait(200)
    film.take(measuring, "Measure: each fraction with its interval, facets, a report", 4)
    training.controls.cancel()


def learn(viewer: napari.Viewer, film: Film, segmenting: SegmentWidget) -> TrainWidget:
    """Paint strokes with *Live* on, and keep the labels."""
    widget = TrainWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Train on corrections", area="right", tabify=True)
    viewer.layers.selection.active = segmenting.result
    wait(3000)
    widget.live.switch.click()
    session = widget.live.session
    for number in range(1, N_STROKES + 1):
        places = correct(segmenting.result, IMAGE, count=1)
        wait(200)
        while not session.is_at_rest:
            wait(50)
        strokes = "one stroke" if number == 1 else f"{number} strokes"
        film.take(widget, f"Live: the model learns from each stroke ({strokes})", 1.3, places)
    film.milliseconds[-1] += 1500
    widget.live.keep_labels()
    return widget


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--out", type=Path, default=ROOT / "docs" / "images" / "tour.webp")
    parser.add_argument("--size", default="1400x875")
    parser.add_argument("--width", type=int, default=1000, help="of the animation, in pixels")
    parser.add_argument("--quality", type=int, default=80)
    options = parser.parse_args()

    get_qapp()
    viewer = napari.Viewer(title="napari-fractoseg", show=False)
    viewer.window.resize(*map(int, options.size.split("x")))
    viewer.window.show()
    wait(500)
    film = Film(viewer, options.width)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FRACTOSEG_MODELS"] = str(Path(folder) / "models")
        play(viewer, film)
        film.save(options.out, options.quality)
        print(f"{options.out}: {len(film.pictures)} pictures, {options.out.stat().st_size} bytes")
        wait(1000)
        viewer.close()


if __name__ == "__main__":
    main()
