"""Widget of the dock "Train on corrections"."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari.layers import Image
from qtpy.QtCore import Qt, Slot
from qtpy.QtGui import QGuiApplication, QKeySequence, QShortcut, QShowEvent
from qtpy.QtWidgets import QLabel, QPushButton

from napari_fractoseg._napari.jobs import State
from napari_fractoseg._napari.layers import is_segmentable
from napari_fractoseg._napari.train.curves import TrainingCurves
from napari_fractoseg._napari.train.learn_from import LearnFrom
from napari_fractoseg._napari.train.next_places import NextPlaces
from napari_fractoseg._napari.train.next_steps import NextSteps
from napari_fractoseg._napari.train.request import TrainingRequest, TrainingTask
from napari_fractoseg._napari.train.run import TrainingRun
from napari_fractoseg._napari.train.settings import TrainingSettings
from napari_fractoseg._napari.train.texts import result_html, training_text
from napari_fractoseg._napari.train.unfinished import UnfinishedTraining
from napari_fractoseg._napari.widgets.controls import small_button
from napari_fractoseg._napari.widgets.dock import Dock
from napari_fractoseg._napari.widgets.painting_keys import keys_line
from napari_fractoseg._napari.widgets.plain_text import plain_text
from napari_fractoseg._napari.widgets.run_controls import ProgressRow, RunControls
from napari_fractoseg._napari.widgets.run_queue import queue_of
from napari_fractoseg.classes import ClassScheme
from napari_fractoseg.errors import DownloadError, FractosegError, TrainingError
from napari_fractoseg.training.presets import suggested_plan

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["TrainWidget"]

_NOTHING_PAINTED = (
    "Nothing to learn from yet. Correct a result with the brush, or paint two classes on a labels "
    "layer of the image."
)
_GOES_ON_ALREADY = "This training is running or waiting already."
_KEYS = "Here: N, B next, previous place · Esc stop"


class TrainWidget(Dock):
    """Dock widget that fine-tunes a model on what was painted.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        Viewer whose layers are learnt from.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(napari_viewer)
        self.queue = queue_of(napari_viewer)
        self.run: TrainingRun | None = None
        self._make_controls()
        self._make_lines()
        self._lay_out()
        self._connect()
        self._on_queue()
        self._on_settings()
        self._offer_unfinished()

    # ---- construction -------------------------------------------------------------------

    def _make_controls(self) -> None:
        self.unfinished = UnfinishedTraining()
        self.settings = TrainingSettings()
        self.learn_from = LearnFrom(self.viewer, lambda: self.settings.scheme)
        self.curves = TrainingCurves(self.viewer)
        self.curves.hide()
        self.controls = RunControls(
            self,
            self.viewer,
            "Train",
            blocked=self._blocked,
            queue=self.queue,
            progress=ProgressRow(
                describe=training_text,
                cancel_text="Stop",
                cancel_hint="Stop after this step and keep the best so far (Esc)",
                stopping_text="stopping after this step, keeping the best …",
            ),
            below_progress=self.curves,
        )
        self.next_steps = NextSteps(self.viewer)
        self.places = NextPlaces(
            self.viewer,
            self.queue,
            self.learn_from.pairs,
            self.settings.start,
            self.settings.device,
        )

    def _make_lines(self) -> None:
        self.random_button = QPushButton("Train from random weights")
        self.random_button.setToolTip("The same training, without the weights that are missing")
        self.random_button.hide()
        self.command_button = small_button("Copy command", "The same training without a window")
        self.result_line = QLabel()
        self.result_line.setWordWrap(True)
        self.result_line.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.result_line.setTextFormat(Qt.TextFormat.RichText)
        self.result_line.hide()

    def _lay_out(self) -> None:
        for widget in (
            self.unfinished,
            self.learn_from,
            self.settings,
            self.controls,
            self.random_button,
            self.result_line,
            self.next_steps,
            self.places,
            keys_line(_KEYS),
            self.command_button,
        ):
            self.column.addWidget(widget)
        self.column.addStretch(1)

    def _connect(self) -> None:
        controls = self.controls
        self.unfinished.resumed.connect(self.resume)
        self.learn_from.changed.connect(controls.choice_changed)
        self.settings.changed.connect(self._on_settings)
        for source in (self.learn_from, self.places):
            source.failed.connect(controls.refuse)
        controls.button.clicked.connect(self.train)
        controls.changed.connect(self._show_state)
        self.random_button.clicked.connect(self.train_from_random)
        self.command_button.clicked.connect(self.copy_command)
        self.queue.changed.connect(self._on_queue)
        for key, slot in (("N", self.places.next), ("B", self.places.previous)):
            shortcut = QShortcut(QKeySequence(key), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(slot)

    # ---- what is chosen -----------------------------------------------------------------

    @Slot()
    def _on_settings(self) -> None:
        """Count in the classes of another model to start from, and tell again what is missing."""
        self.learn_from.pairs.refresh()
        self.controls.choice_changed()

    def request(self) -> TrainingRequest:
        """Return a snapshot of what is chosen, with copies of what is painted.

        Raises
        ------
        FractosegError
            If that cannot be trained; the message has the reason.
        """
        self.learn_from.pairs.recount()
        missing = self._missing_text()
        if missing:
            raise TrainingError(missing)
        pairs, settings = self.learn_from.pairs, self.settings
        entry = settings.start.entry
        painted = tuple(row.painted(settings.scheme) for row in pairs.chosen())
        scheme = painted[0].scheme if entry is None and painted else settings.scheme
        for row, layer in zip(pairs.chosen(), painted, strict=True):
            taught = [] if row.taught is None else row.taught.by_value
            new = tuple(c for c in layer.scheme if c.value in taught)
            if new:
                scheme = scheme.joined(ClassScheme(layer.scheme.name, new))
        plan = suggested_plan(
            None if entry is None else entry.card,
            **settings.limits,
            **settings.options.chosen(),
        )
        return TrainingRequest(
            name=str(settings.name.value).strip(),
            plan=plan,
            start=None if entry is None else entry.key,
            scheme=scheme,
            painted=painted,
            sources=tuple(pairs.sources),
            annotations=pairs.annotations,
            device=settings.device.device,
        )

    def _missing_text(self) -> str:
        pairs = self.learn_from.pairs
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
        return self.settings.missing_text

    def _blocked(self) -> str:
        """Return why no training can be started: something is missing, or one goes on already."""
        return self._missing_text() if self.controls.is_idle else _GOES_ON_ALREADY

    # ---- a run --------------------------------------------------------------------------

    @Slot()
    def train(self) -> None:
        """Start a training after the runs in the queue; do nothing while a training goes on."""
        if self.controls.is_idle:
            try:
                self._start(TrainingTask(self.request()))
            except FractosegError as error:
                self.controls.refuse(error)

    @Slot()
    def train_from_random(self) -> None:
        """Start a training with random weights, as those of the encoder could not be fetched."""
        self.settings.options.encoder_weights.value = "none"
        self.train()

    @Slot(object)
    def resume(self, folder: Path) -> None:
        """Go on with a training that was interrupted."""
        if self.controls.is_idle:
            try:
                self._start(TrainingTask.resume(folder))
            except FractosegError as error:
                self.controls.refuse(error)

    def _start(self, task: TrainingTask) -> None:
        self.next_steps.forget()
        self.controls.start(TrainingRun(task))
        self.bring_into_view(self.controls)

    @Slot()
    def _on_queue(self) -> None:
        """Show the training that goes on, also one that was started before the dock was open."""
        run = self.queue.shown_by_dock(TrainingRun)
        if run is None or run is self.run:
            return
        self.run = run
        self.curves.begin(run.task.request.scheme)
        self.curves.show_history(run.history)
        if run.state.has_ended:  # while no dock was open
            self._on_end()
        else:
            run.progressed.connect(self._on_progress)
            run.ended.connect(self._on_end)
            run.changed.connect(self._offer_unfinished)
        self.controls.follow(run)

    @Slot()
    def _on_progress(self) -> None:
        progress = None if self.run is None else self.run.progress
        if progress is None or not progress.metrics:
            return
        is_first = not self.curves.history
        self.curves.add(dict(progress.metrics))
        if is_first:
            self._show_state()
            self.bring_into_view(self.controls)

    @Slot()
    def _on_end(self) -> None:
        run = self.run
        if run is None:
            return
        self.command_button.setToolTip(
            plain_text(f"The same training without a window:\n{run.task.command}")
        )
        if run.state is State.DONE:
            trained = run.result
            self.curves.show_history(trained.result.history)
            self.settings.start_from(trained.folder)  # the next corrections go on from it
            self.result_line.setText(result_html(trained))
            self.next_steps.offer(trained, self._images_of(run))
            self.controls.follow(run)  # what is painted meanwhile does not hide what came out

    def _images_of(self, run: TrainingRun) -> list[Image]:
        """Return the image layers that a training learnt from, as far as they are open.

        Those of a training that was taken up are not known: then the ones that are chosen.
        """
        names = [painted.image.name for painted in run.task.request.painted]
        images = [x for x in self.viewer.layers if is_segmentable(x) and x.name in names]
        return images or [row.image.value for row in self.learn_from.pairs.chosen()]

    # ---- what is shown ------------------------------------------------------------------

    @Slot()
    def _offer_unfinished(self) -> None:
        """Offer a training that was interrupted, unless one is running."""
        self.unfinished.offer(self.controls.is_idle)

    @Slot()
    def copy_command(self) -> None:
        """Copy the command line that repeats the last training to the clipboard."""
        clipboard = QGuiApplication.clipboard()
        if self.run is not None and clipboard is not None:
            clipboard.setText(self.run.task.command)

    @Slot()
    def _show_state(self) -> None:
        """Show the controls that fit the state of the run."""
        run, state, is_idle = self.controls.run, self.controls.state, self.controls.is_idle
        lacks_weights = run is not None and isinstance(run.error, DownloadError)
        self.curves.setVisible(run is not None and bool(self.curves.history))
        self.result_line.setVisible(state is State.DONE)
        self.random_button.setVisible(state is State.FAILED and lacks_weights)
        self.command_button.setVisible(run is not None and is_idle)
        self.next_steps.refresh()
        self.places.refresh(is_idle)

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802 - Qt's name
        """Look for models and layers again whenever the dock is opened."""
        super().showEvent(event)
        self.settings.start.refresh()
        self._offer_unfinished()
