"""Line of a dock that says on which device a model runs, and why it is no GPU."""

from __future__ import annotations

from typing import Any

from magicgui.widgets import ComboBox
from qtpy.QtCore import Qt, Slot
from qtpy.QtWidgets import QLabel, QMessageBox, QPushButton, QWidget

from napari_fractoseg._napari.jobs import Run, State
from napari_fractoseg._napari.torch_import import load_torch, prepare_torch
from napari_fractoseg._napari.widgets.controls import in_a_row, narrow
from napari_fractoseg._napari.widgets.plain_text import plain_text
from napari_fractoseg.jobs import Job, Progress

__all__ = ["DeviceLine"]


def _find_devices() -> Job[list[Any]]:
    """Return the devices that models can run on; importing PyTorch takes seconds."""
    yield Progress(0, 1, "looking for a GPU")
    prepare_torch()
    from napari_fractoseg.models.devices import list_devices

    return list_devices()


def _get_ready() -> Job[None]:
    """Load what segments while the user still looks at the dock: the first click waits less."""
    yield Progress(0, 1, "getting ready")
    load_torch()


class DeviceLine(QWidget):
    """Line with the device that was found, which is looked for in a thread.

    Parameters
    ----------
    preferred : str
        Kind of the device that is chosen if it is there: ``auto``, ``cpu``, ``cuda`` or ``mps``.
    parent : QWidget, optional
        Qt parent of the widget.
    """

    def __init__(self, preferred: str = "auto", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._preferred = preferred
        self._devices: list[Any] = []
        self.why_not_gpu = ""
        self.choice = ComboBox(choices=self._choices, name="device")
        self.choice.native.setToolTip("Where the model runs")
        self.label = QLabel("looking for a GPU …")
        self.why_button = QPushButton("Why no GPU?")
        self.why_button.clicked.connect(self.explain)
        self.why_button.hide()
        layout = in_a_row(self.label, narrow(self.choice))
        layout.addStretch()
        layout.addWidget(self.why_button)
        self.setLayout(layout)
        # Only the CPU is there for sure.
        self._show([(self.label.text(), "cpu" if preferred == "cpu" else "auto")])
        self._search = Run(_find_devices(), "looking for a GPU")
        self._search.ended.connect(self._on_search_end)
        self._search.start()

    @property
    def device(self) -> str:
        """Name of the chosen device, such as ``cuda``; ``auto`` until the devices are known."""
        return str(self.choice.value)

    @property
    def kind(self) -> str:
        """Kind of the chosen device, such as ``cuda``; ``auto`` for the one that is best here."""
        is_best = not self._devices or self.device == self._devices[0][1]
        return "auto" if is_best else self.device.partition(":")[0]

    def _choices(self, _widget: Any = None) -> list[tuple[str, str]]:
        return self._devices

    def _show(self, devices: list[tuple[str, str]]) -> None:
        self._devices = devices
        self.choice.reset_choices()
        self.choice.native.setVisible(len(devices) > 1)
        self.label.setText(devices[0][0])
        self.label.setVisible(len(devices) == 1)

    @Slot()
    def _on_search_end(self) -> None:
        if self._search.state is State.FAILED:
            self._show([("PyTorch cannot be loaded", "auto")])
            self.why_button.setText("Why?")
            self._explain_with(str(self._search.error))
        elif self._search.state is State.DONE:
            devices = self._search.result
            self._show([(d.label, d.name) for d in devices])
            self.choice.value = next(
                (d.name for d in devices if d.kind == self._preferred), devices[0].name
            )
            self._explain_with(devices[-1].why_not_gpu)
            Run(_get_ready(), "getting ready").start()

    def _explain_with(self, text: str) -> None:
        self.why_not_gpu = text
        self.why_button.setToolTip(plain_text(text))
        self.why_button.setVisible(bool(text))

    def explain(self) -> QMessageBox:
        """Open a message on why no GPU is used and what to do."""
        box = QMessageBox(self)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.setWindowTitle("Why no GPU?")
        box.setTextFormat(Qt.TextFormat.PlainText)
        box.setText(self.why_not_gpu)
        box.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        box.open()
        return box
