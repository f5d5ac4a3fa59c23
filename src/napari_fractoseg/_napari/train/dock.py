"""The dock widget "Train on corrections"."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Slot
from qtpy.QtGui import QGuiApplication, QKeySequence, QShortcut, QShowEvent
from qtpy.QtWidgets import QVBoxLayout

from napari_fractoseg._napari.train.after_training import AfterTraining
from napari_fractoseg._napari.train.before_training import BeforeTraining
from napari_fractoseg._napari.train.panel import TrainingPanel
from napari_fractoseg._napari.train.request import (
    Trained,
    TrainingRequest,
    TrainingTask,
    unfinished_trainings,
)
from napari_fractoseg._napari.train.texts import result_html
from napari_fractoseg._napari.widgets.job_dock import JobDock, State
from napari_fractoseg.classes import DEFAULT_SCHEME, ClassScheme
from napari_fractoseg.errors import DownloadError, FractosegError, TrainingError
from napari_fractoseg.jobs import Progress
from napari_fractoseg.models.registry import list_models
from napari_fractoseg.training.presets import suggested_plan

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["TrainWidget"]

_NOTHING_PAINTED = (
    "Nothing to learn from yet. Correct a result with the brush, or paint two classes on a labels "
    "layer of the image."
)


class TrainWidget(JobDock):
    """Fine-tunes a model on what was painted.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer whose layers are learnt from.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(napari_viewer)
        self._task: TrainingTask | None = None
        self._offered: Path | None = None
        self._named_by_user = False
        self.panel = TrainingPanel(napari_viewer, self._fallback)
        self.before = BeforeTraining(napari_viewer, self.panel, self._fallback, self._on_failure)
        self.after = AfterTraining(napari_viewer, self.panel, self._on_failure)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.panel)
        self._adopt(self.panel.button, self.panel.progress, self.panel.state_line)
        self._connect()
        self._on_start()
        self._offer_unfinished()

    def _connect(self) -> None:
        panel = self.panel
        panel.pairs.changed.connect(self._update_state)
        panel.start.changed.connect(self._on_start)
        panel.name.native.textEdited.connect(self._on_name_edited)
        panel.button.clicked.connect(self.train)
        panel.random_button.clicked.connect(self.train_from_random)
        panel.resume_button.clicked.connect(self.resume)
        panel.discard_button.clicked.connect(self.discard)
        panel.command_button.clicked.connect(self.copy_command)
        for key, slot in (("N", panel.places.next), ("B", panel.places.previous)):
            shortcut = QShortcut(QKeySequence(key), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(slot)
        self._viewer.layers.selection.events.active.connect(self._update_state)

    # ---- what is chosen -----------------------------------------------------------------

    def _fallback(self) -> ClassScheme:
        """Return the classes of labels layers that are not ours: those of the start."""
        # Asked for while the panel is still being made, too.
        panel = getattr(self, "panel", None)
        entry = None if panel is None else panel.start.entry
        return DEFAULT_SCHEME if entry is None else entry.card.scheme

    @Slot()
    def _on_start(self) -> None:
        entry = self.panel.start.entry
        self.panel.options.for_start(entry is None)
        if not self._named_by_user:
            self.panel.name.value = _free_name("my model" if entry is None else entry.card.name)
        self.panel.pairs.refresh()
        self._update_state()

    @Slot()
    def _on_name_edited(self) -> None:
        self._named_by_user = True
        self._update_state()

    def request(self) -> TrainingRequest:
        """Take a snapshot of what is chosen; what is painted is copied.

        Raises
        ------
        FractosegError
            If that cannot be trained, with the reason.
        """
        self.panel.pairs.recount()
        missing = self._missing_text()
        if missing:
            raise TrainingError(missing)
        panel, entry = self.panel, self.panel.start.entry
        painted = tuple(row.painted(self._fallback()) for row in panel.pairs.chosen())
        scheme = painted[0].scheme if entry is None and painted else self._fallback()
        for row, layer in zip(panel.pairs.chosen(), painted, strict=True):
            taught = [] if row.taught is None else row.taught.by_value
            new = tuple(c for c in layer.scheme if c.value in taught)
            if new:
                scheme = scheme.joined(ClassScheme(layer.scheme.name, new))
        plan = suggested_plan(
            None if entry is None else entry.card,
            max_minutes=float(panel.budget.value),
            **panel.options.chosen(),
        )
        return TrainingRequest(
            name=str(panel.name.value).strip(),
            plan=plan,
            start=None if entry is None else entry.key,
            scheme=scheme,
            painted=painted,
            sources=tuple(panel.pairs.sources),
            annotations=panel.pairs.annotations,
            device=panel.device.device,
        )

    def _missing_text(self) -> str:
        pairs = self.panel.pairs
        taught = [row.taught for row in pairs.chosen() if row.taught is not None]
        if not pairs.sources:
            if not sum(t.n_taught for t in taught):
                return next(filter(None, (r.question for r in pairs.rows)), _NOTHING_PAINTED)
            classes = {value for t in taught for value in t.by_value}
            if len(classes) < 2:
                return (
                    "Only one class is painted. Paint at least two, or mark areas that are "
                    "correct, so that they can be told apart."
                )
        if not str(self.panel.name.value).strip():
            return "Give the new model a name."
        return ""

    # ---- a run --------------------------------------------------------------------------

    @Slot()
    def train(self) -> None:
        """Start training; does nothing while a run is going on."""
        try:
            task = TrainingTask(self.request())
        except FractosegError as error:
            self._on_failure(error)
            return
        self._run(task)

    @Slot()
    def train_from_random(self) -> None:
        """Train without the encoder's weights, which could not be fetched."""
        self.panel.options.encoder_weights.value = "none"
        self.train()

    @Slot()
    def resume(self) -> None:
        """Go on with a training that was interrupted."""
        if self._offered is None:
            return
        try:
            task = TrainingTask.resume(self._offered)
        except FractosegError as error:
            self._on_failure(error)
            return
        self._run(task)

    @Slot()
    def discard(self) -> None:
        """Forget the training that was interrupted; what was painted for it stays saved."""
        folder = self._offered
        if folder is not None and folder in unfinished_trainings():
            (folder / "checkpoint").unlink()
        self._offer_unfinished()

    def _run(self, task: TrainingTask) -> None:
        if self._handle is not None:
            return
        self._task = task
        self.after.forget()
        self.panel.curves.begin(task.request.scheme)
        self.panel.curves.show()
        self._start(task.job())
        self._offer_unfinished()

    def _ask_to_stop(self) -> None:
        """Make the current step the last one, and keep the best so far."""
        if self._task is not None:
            self._task.stop()

    @Slot(object, object)
    def _on_progress(self, progress: Progress, remaining_s: float | None) -> None:
        super()._on_progress(progress, remaining_s)
        if progress.metrics:
            self.panel.curves.add(dict(progress.metrics))

    @Slot(object)
    def _on_return(self, trained: Trained) -> None:
        self.panel.curves.show_history(trained.result.history)
        self._named_by_user = False
        self.panel.start.refresh()
        self.panel.start.choice.value = str(trained.folder)  # the next corrections go on from it
        self.panel.result_line.setText(result_html(trained))
        self.after.offer(trained, [row.image.value for row in self.panel.pairs.chosen()])
        self._set_state(State.DONE, "")

    @Slot(object)
    def _on_failure(self, error: FractosegError) -> None:
        super()._on_failure(error)
        self.panel.random_button.setVisible(isinstance(error, DownloadError))

    @Slot()
    def _on_stop(self) -> None:
        self._set_state(State.STOPPED, "Stopped before anything was learnt.")

    @Slot()
    def _on_finish(self) -> None:
        super()._on_finish()
        if self._task is not None:
            hint = f"The same training without a window:\n{self._task.command}"
            self.panel.command_button.setToolTip(hint)
        self._offer_unfinished()

    # ---- what is shown ------------------------------------------------------------------

    def _offer_unfinished(self) -> None:
        """Offer a training that was interrupted, unless one is running."""
        found = [] if self._handle is not None else unfinished_trainings()
        self._offered = found[0] if found else None
        panel = self.panel
        for widget in (panel.banner, panel.resume_button, panel.discard_button):
            widget.setVisible(bool(found))
        if self._offered is not None:
            panel.banner.setText(f"A training was interrupted: {self._offered.name}.")

    @Slot()
    def copy_command(self) -> None:
        """Copy the command that repeats the last run."""
        clipboard = QGuiApplication.clipboard()
        if self._task is not None and clipboard is not None:
            clipboard.setText(self._task.command)

    def _set_state(self, state: State, text: str) -> None:
        super()._set_state(state, text)
        panel = self.panel
        panel.result_line.setVisible(state is State.DONE)
        if state is not State.FAILED:
            panel.random_button.hide()
        self.before.show()
        panel.command_button.setVisible(self._task is not None and self.is_idle)
        self.after.show(self.is_idle)

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802 - Qt's name
        """Look for models and layers again whenever the dock is opened."""
        super().showEvent(event)
        self.panel.start.refresh()
        self._offer_unfinished()


def _free_name(base: str) -> str:
    """Return a name for a model that is not taken."""
    taken = {entry.key for entry in list_models()}
    stem = base.rstrip("0123456789 ") if base.startswith("my ") else f"my {base}"
    name, number = stem, 1
    while name in taken:
        number += 1
        name = f"{stem} {number}"
    return name
