"""Take the pictures of napari that the documentation shows.

    xvfb-run -a -s "-screen 0 1920x1200x24" python scripts/screenshots.py
    xvfb-run -a -s "-screen 0 1920x1200x24" python scripts/screenshots.py \
        --theme light --size 1366x768 -o build/segment-light.png
    xvfb-run -a -s "-screen 0 1920x1200x24" python scripts/screenshots.py --what import
    xvfb-run -a -s "-screen 0 1920x1200x24" python scripts/screenshots.py --what train
    xvfb-run -a -s "-screen 0 1920x1200x24" python scripts/screenshots.py --what queue
    xvfb-run -a -s "-screen 0 1920x1200x24" python scripts/screenshots.py --what live
    xvfb-run -a -s "-screen 0 1920x1200x24" python scripts/screenshots.py --what measure
    xvfb-run -a -s "-screen 0 1920x1200x24" python scripts/screenshots.py --what audit
    xvfb-run -a -s "-screen 0 1920x1200x24" python scripts/screenshots.py --what info-bar
    xvfb-run -a -s "-screen 0 1920x1200x24" python scripts/screenshots.py --what sem

A real fracture image is segmented with the default model, polygons drawn on
one are imported, or a segmentation is corrected after such polygons and the
model fine-tuned (``--when ready | running | done``). Of the queue, the picture shows a run,
others that wait, and their end (``--when running | done``). Of *Live*, ten strokes are painted,
with a picture after each beside the last one (``live-00.png`` to ``live-10.png``), and all of
them as one (``live-strokes.jpg``). A segmentation is measured in 4 x 4 fields; of the audit, the
picture shows the question at the twelfth point, or the result (``--when running | done``; the
answers are made up: nine in ten are the labels). A synthetic image with an info bar is segmented
without it (``--when advanced``: it is a layer), and its scale bar is measured (``--when ready |
done``: before and after the size is applied). Without
the data beside the checkout (``FRACTOSEG_SHARED_DATA``) a synthetic image takes its place.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import matplotlib
import napari
import numpy as np
import numpy.typing as npt
from napari.qt import get_qapp
from PIL import Image, ImageDraw, ImageFont
from qtpy.QtCore import QEventLoop, QPoint, QRect, Qt, QTimer
from qtpy.QtGui import QFont, QGuiApplication, QPainter, QPen, QPixmap
from qtpy.QtWidgets import QOpenGLWidget, QWidget
from scipy import ndimage

from napari_fractoseg._napari.audit.dock import AuditWidget
from napari_fractoseg._napari.calibrate.dock import CalibrateWidget
from napari_fractoseg._napari.jobs import State
from napari_fractoseg._napari.measure.dock import MeasureWidget, measure_in_dock
from napari_fractoseg._napari.segment.dock import SegmentWidget
from napari_fractoseg._napari.train.dock import TrainWidget
from napari_fractoseg._napari.via.dock import ViaImportWidget
from napari_fractoseg.annotations import rasterise, read_via, write_via
from napari_fractoseg.annotations.class_mapping import map_classes
from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.images import MicrographStack, read_image
from napari_fractoseg.samples import synthetic_fracture

ROOT = Path(__file__).parents[1]
TIMEOUT_MS = 600_000
_SHOWN_STEPS = 70
"""The picture of a running training is taken after so many steps."""


def fracture_folder() -> Path:
    """Return the folder of the real fracture images."""
    data = Path(os.environ.get("FRACTOSEG_SHARED_DATA", ROOT.parent / "shared" / "data"))
    return data / "fracture"


def fracture_image() -> MicrographStack:
    """Return a published micrograph, or a synthetic one."""
    path = fracture_folder() / "images" / "s17_3.jpg"
    if path.is_file():
        return read_image(path)
    return MicrographStack(synthetic_fracture(seed=7).image, name="synthetic fracture")


def wait(milliseconds: int) -> None:
    """Let the window work."""
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


def wait_for_end(widget: SegmentWidget) -> None:
    """Wait until a run has ended.

    Raises
    ------
    RuntimeError
        If it does not end with a result.
    """
    waited = 0
    controls = widget.controls
    while not controls.is_idle and waited < TIMEOUT_MS:
        wait(100)
        waited += 100
    if controls.state is not State.DONE:
        raise RuntimeError(f"{controls.state}: {controls.state_line.text()}")


def segment(viewer: napari.Viewer, when: str) -> SegmentWidget:
    """Segment an image, and stop at the moment that the picture shows."""
    image = fracture_image()
    viewer.add_image(image.data, rgb=image.rgb, name=image.name)
    widget = SegmentWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Segment fracture modes", area="right")
    wait(8000)  # devices are looked for in a thread
    if when == "advanced":
        widget.advanced.expand(animate=False)
    if when in ("running", "done"):
        widget.segment()
    if when == "running":
        wait(3500)
    elif when == "done":
        wait_for_end(widget)
    return widget


def queue(viewer: napari.Viewer, when: str) -> SegmentWidget:
    """Segment a stack, and let single images wait."""
    folder = fracture_folder() / "images"
    planes = [read_image(folder / f"s4_{i}.jpg").data for i in (2, 4, 5, 6)]
    rows, columns = (min(plane.shape[axis] for plane in planes) for axis in (0, 1))
    stack = np.stack([plane[:rows, :columns] for plane in planes])
    widget = SegmentWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Segment fracture modes", area="right")
    wait(8000)
    viewer.add_image(stack, name="s4 stack")
    widget.source.extent.value = "all"
    widget.segment()
    for name in ("t13_4", "s17_3", "u22_2"):
        if (folder / f"{name}.jpg").is_file():
            viewer.add_image(read_image(folder / f"{name}.jpg").data, name=name, visible=False)
            widget.segment()
    widget.source.choice.value = viewer.layers["s4 stack"]
    widget.source.extent.value = "current"
    viewer.dims.set_current_step(0, 0)
    if when == "done":
        while widget.queue.is_busy:
            wait(200)
    else:
        while widget.queue.running.progress is None or widget.result is None:
            wait(200)
    return widget


def import_annotations(viewer: napari.Viewer, folder: Path) -> ViaImportWidget:
    """Import the polygons of one image."""
    document = read_via(fracture_folder() / "via_region_data.json")
    image = document.find("s4_2.jpg")
    write_via(document.with_images([image]), folder / "via_region_data.json")
    (folder / image.filename).write_bytes(
        (fracture_folder() / "images" / image.filename).read_bytes()
    )
    widget = ViaImportWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Open annotations", area="right")
    widget.file.value = folder / "via_region_data.json"
    while not widget.controls.is_idle:  # it is read
        wait(100)
    widget.import_layers()
    while not widget.controls.is_idle:
        wait(100)
    return widget


def correct(
    labels: napari.layers.Labels, image_name: str, count: int = 12
) -> list[tuple[int, int]]:
    """Paint over the largest differences from the polygons drawn on an image; return where."""
    places = []
    document = read_via(fracture_folder() / "via_region_data.json")
    mapping = map_classes(document, DEFAULT_SCHEME)
    truth = rasterise(document.find(image_name), labels.data.shape, mapping).labels
    left = np.where(labels.data != truth, truth, 0)
    labels.brush_size = 30
    for _ in range(count):
        depth = max(
            (ndimage.distance_transform_edt(left == c.value) for c in DEFAULT_SCHEME),
            key=lambda distance: distance.max(),
        )
        row, column = np.unravel_index(int(depth.argmax()), depth.shape)
        labels.paint((int(row), int(column)), int(left[row, column]))
        rows, columns = np.ogrid[: left.shape[0], : left.shape[1]]
        left[(rows - row) ** 2 + (columns - column) ** 2 < 60**2] = 0
        places.append((int(row), int(column)))
    return places


def train(viewer: napari.Viewer, when: str) -> TrainWidget:
    """Correct a segmentation and fine-tune the model on it, up to the moment of the picture."""
    image = read_image(fracture_folder() / "images" / "s4_2.jpg")
    layer = viewer.add_image(image.data, name=image.name)
    segmenting = SegmentWidget(viewer)
    viewer.window.add_dock_widget(segmenting, name="Segment fracture modes", area="right")
    wait(8000)
    segmenting.segment()
    wait_for_end(segmenting)
    correct(segmenting.result, "s4_2.jpg")
    widget = TrainWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Train on corrections", area="right", tabify=True)
    viewer.layers.selection.active = segmenting.result
    layer.contrast_limits = (0, 255)
    wait(6000)
    widget.settings.budget.value = 5.0
    if when != "ready":
        widget.train()
        history = widget.curves.history
        while not any("mean_iou" in row and row["step"] > _SHOWN_STEPS for row in history):
            wait(200)
    if when == "running":
        wait(3000)
        return widget
    while not widget.controls.is_idle:
        wait(200)
    if when == "done":
        widget.places.find()
        wait(10_000)
    return widget


def live(viewer: napari.Viewer, folder: Path) -> TrainWidget:
    """Segment an image, switch *Live* on, and paint ten strokes; each is a picture in a folder."""
    image = read_image(fracture_folder() / "images" / "s4_2.jpg")
    viewer.add_image(image.data, name=image.name)
    segmenting = SegmentWidget(viewer)
    viewer.window.add_dock_widget(segmenting, name="Segment fracture modes", area="right")
    wait(8000)
    segmenting.segment()
    wait_for_end(segmenting)
    widget = TrainWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Train on corrections", area="right", tabify=True)
    viewer.layers.selection.active = segmenting.result
    wait(3000)
    widget.live.switch.click()
    session = widget.live.session
    folder.mkdir(parents=True, exist_ok=True)
    seen = []
    for number in range(11):
        places = correct(segmenting.result, "s4_2.jpg", count=1) if number else []
        viewer.reset_view()
        wait(200)
        while not session.is_at_rest:
            wait(50)
        wait(1500)
        screen = grab(widget)
        screen.save(str(folder / f"live-{number:02}.png"))
        seen.append(marked(screen.copy(place_of_canvas(widget)), places, viewer))
    side_by_side(seen).save(str(folder / "live-strokes.jpg"), quality=85)
    return widget


def place_of_canvas(widget: QWidget) -> QRect:
    """Return where the image is drawn in the window of a widget: the middle of the canvas."""
    (canvas,) = widget.window().findChildren(QOpenGLWidget)
    place = QRect(canvas.mapTo(widget.window(), QPoint(0, 0)), canvas.size())
    side = min(place.width(), place.height())
    square = QRect(0, 0, side, side)
    square.moveCenter(place.center())
    return square


def marked(picture: QPixmap, places: list[tuple[int, int]], viewer: napari.Viewer) -> QPixmap:
    """Return a picture of the canvas with a ring around each of the places (row, column)."""
    camera = getattr(viewer, "scene", viewer).camera  # napari 0.9, and before
    painter = QPainter(picture)
    painter.setPen(QPen(Qt.yellow, 5))
    for place in places:
        y, x = (
            round(length / 2 + (index - middle) * camera.zoom)
            for index, middle, length in zip(
                place, camera.center[-2:], (picture.height(), picture.width()), strict=True
            )
        )
        painter.drawEllipse(QPoint(x, y), 26, 26)
    painter.end()
    return picture


def side_by_side(pictures: list[QPixmap], columns: int = 4, width: int = 400) -> QPixmap:
    """Return pictures in rows, each with its number."""
    small = [picture.scaledToWidth(width, Qt.SmoothTransformation) for picture in pictures]
    height = max(picture.height() for picture in small)
    n_rows = -(-len(small) // columns)
    sheet = QPixmap(columns * (width + 4), n_rows * (height + 4))
    sheet.fill(Qt.white)
    painter = QPainter(sheet)
    painter.setFont(QFont("sans-serif", 16))
    for number, picture in enumerate(small):
        row, column = divmod(number, columns)
        x, y = column * (width + 4), row * (height + 4)
        painter.drawPixmap(x, y, picture)
        painter.fillRect(x, y, 36, 30, Qt.white)
        painter.drawText(QRect(x, y, 36, 30), Qt.AlignCenter, str(number))
    painter.end()
    return sheet


def measure(viewer: napari.Viewer) -> MeasureWidget:
    """Measure a segmentation, with facets as a layer."""
    dock = segment(viewer, "done")
    widget = measure_in_dock(viewer, dock.result, dock)
    widget.divide()
    while not widget.controls.is_idle:
        wait(200)
    return widget


def audit(viewer: napari.Viewer, when: str, folder: Path) -> AuditWidget:
    """Count forty points on a segmentation, nine in ten of which agree with it."""
    widget = measure(viewer).audit()
    widget.form.n_points.value = 40
    widget.form.file.value = folder / "points.csv"
    widget.operator.setEditText("Ada")
    widget.start()
    while widget.session is None:
        wait(200)
    values = {c.name: c.value for c in DEFAULT_SCHEME}
    for point in widget.session.count.points.itertuples():
        if when == "running" and point.point == 12:
            break
        right = values[point.stratum]
        widget.session.choose(right if point.point % 10 else right % 3 + 1)
        wait(300)
    if when == "done":
        widget.show_result()
    return widget


def info_bar(viewer: napari.Viewer, when: str) -> SegmentWidget:
    """Segment an image without its info bar."""
    viewer.add_image(image_with_bar(), name="with info bar")
    widget = SegmentWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Segment fracture modes", area="right")
    wait(8000)
    if when == "advanced":
        widget.info_bar.edit()
    elif when == "done":
        widget.segment()
        wait_for_end(widget)
    return widget


def image_with_bar() -> npt.NDArray[np.uint8]:
    """Return a synthetic fracture surface over an info bar, in which 200 px are 15 µm."""
    surface = synthetic_fracture(seed=7, shape=(880, 1280)).image
    bar = Image.new("L", (surface.shape[1], 80))
    draw = ImageDraw.Draw(bar)
    draw.line([(60, 55), (260, 55)], fill=255, width=3)
    for end in (60, 260):
        draw.line([(end, 45), (end, 65)], fill=255, width=3)
    font = ImageFont.truetype(matplotlib.get_data_path() + "/fonts/ttf/DejaVuSans.ttf", 24)
    for column, text in ((120, "15 µm"), (520, "15.00 kV"), (800, "WD 9.8 mm"), (1080, "SE2")):
        draw.text((column, 8), text, fill=255, font=font)
    return np.vstack([surface, np.asarray(bar, surface.dtype)])


def sem(viewer: napari.Viewer, when: str) -> CalibrateWidget:
    """Measure the scale bar of an image."""
    viewer.add_image(image_with_bar(), name="synthetic")
    segmenting = SegmentWidget(viewer)
    viewer.window.add_dock_widget(segmenting, name="Segment fracture modes", area="right")
    wait(8000)
    segmenting.source.pixel_size.calibrate()
    wait(1000)
    widget = next(iter(segmenting.window().findChildren(CalibrateWidget)))
    widget.how.value = "bar"
    widget.draw()
    viewer.layers.selection.active.add_lines(np.array([[935, 60], [935, 260]]))
    widget.bar.setText("15")
    if when == "done":
        widget.apply()
    return widget


def grab(widget: QWidget) -> QPixmap:
    """Return the pixels of the screen under the window: the canvas is drawn by OpenGL."""
    return QGuiApplication.primaryScreen().grabWindow(int(widget.window().winId()))


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--out", type=Path, help="default: docs/images/WHAT.png")
    pictures = (
        "segment",
        "import",
        "train",
        "queue",
        "live",
        "measure",
        "audit",
        "info-bar",
        "sem",
    )
    parser.add_argument("--what", choices=pictures, default="segment")
    parser.add_argument("--theme", choices=("dark", "light"), default="dark")
    parser.add_argument("--size", default="1600x1000")
    parser.add_argument("--when", choices=("ready", "running", "done", "advanced"), default="done")
    options = parser.parse_args()
    out = options.out or ROOT / "docs" / "images" / f"{options.what}.png"
    width, height = map(int, options.size.split("x"))

    get_qapp()
    viewer = napari.Viewer(title="napari-fractoseg", show=False)
    viewer.theme = options.theme
    viewer.window.resize(width, height)
    viewer.window.show()
    wait(500)
    with tempfile.TemporaryDirectory() as folder:
        # What is trained for a picture is not kept among the user's own models.
        os.environ["FRACTOSEG_MODELS"] = str(Path(folder) / "models")
        stories: dict[str, Callable[[], QWidget]] = {
            "segment": lambda: segment(viewer, options.when),
            "train": lambda: train(viewer, options.when),
            "queue": lambda: queue(viewer, options.when),
            "live": lambda: live(viewer, out.parent),
            "measure": lambda: measure(viewer),
            "info-bar": lambda: info_bar(viewer, options.when),
            "audit": lambda: audit(viewer, options.when, Path(folder)),
            "sem": lambda: sem(viewer, options.when),
            "import": lambda: import_annotations(viewer, Path(folder)),
        }
        widget = stories[options.what]()
        viewer.window.resize(width, height)
        if not (isinstance(widget, AuditWidget) and widget.session):  # it shows a point
            viewer.reset_view()
        wait(3000)
        out.parent.mkdir(parents=True, exist_ok=True)
        screen = grab(widget)
        screen.save(str(out))
        print(f"{out}: {screen.width()} x {screen.height()}")
        if isinstance(widget, SegmentWidget):
            widget.queue.end_all()
        if isinstance(widget, TrainWidget):
            widget.controls.cancel()
            while not widget.controls.is_idle:
                wait(200)
        wait(1000)
        viewer.close()


if __name__ == "__main__":
    main()
