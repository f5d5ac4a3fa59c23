"""Widget of the dock "Audit by point count"."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, QTimer, Slot
from qtpy.QtWidgets import QComboBox, QFileDialog, QFormLayout, QWidget

from napari_fractoseg._napari.audit.answer_panel import AnswerPanel
from napari_fractoseg._napari.audit.keys import CanvasKeys
from napari_fractoseg._napari.audit.plan_form import PlanForm, plan_job
from napari_fractoseg._napari.audit.points_view import PointsView
from napari_fractoseg._napari.audit.result_panel import ResultPanel
from napari_fractoseg._napari.audit.session import CountSession
from napari_fractoseg._napari.audit.sources import AuditSources
from napari_fractoseg._napari.calibrate.row import PixelSizeRow
from napari_fractoseg._napari.jobs import Run, State
from napari_fractoseg._napari.widgets.controls import side_by_side, small_button
from napari_fractoseg._napari.widgets.dock import Dock
from napari_fractoseg._napari.widgets.plain_text import button_text, plain_label, plain_text
from napari_fractoseg._napari.widgets.run_controls import RunControls
from napari_fractoseg._napari.widgets.style import primary_style
from napari_fractoseg.audit.points import PointCount
from napari_fractoseg.classes import class_name
from napari_fractoseg.errors import FractosegError
from napari_fractoseg.files import refuse_existing
from napari_fractoseg.text import counted, listed

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["AuditWidget"]

_FIRST_OPERATOR = "A"
_NO_FILE = "Say in which file the answers are saved."
_PLANNING = "The points are being planned."
_NO_NAME = "Say who looks: the name of the operator."
_DESIGNS = {"grid": "systematic grid", "stratified": "stratified by class", "random": "random"}


class AuditWidget(Dock):
    """Dock widget that asks what is under points of an image, and compares it with the labels.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        Viewer whose labels are audited.

    Attributes
    ----------
    count : PointCount or None
        Points that are open, with their answers.
    path : Path or None
        File of these points.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(napari_viewer)
        self.count: PointCount | None = None
        self.path: Path | None = None
        self._planning: Path | None = None
        self._is_saved = True
        # Not at once: napari removes layers one by one, until none is left.
        self._layers_soon = QTimer(self, singleShot=True, interval=0)
        self._make_controls()
        self._lay_out()
        self._connect()
        self._show_state()
        self.sources.refresh()

    # ---- construction -------------------------------------------------------------------

    def _make_controls(self) -> None:
        self.sources = AuditSources(self.viewer)
        self.size_row = PixelSizeRow(self.viewer)
        self.form = PlanForm()
        self.operator = QComboBox()
        self.operator.setEditable(True)
        self.operator.setEditText(_FIRST_OPERATOR)
        self.operator.setToolTip("Who looks. Another person counts blind, with a name of their own")
        self.controls = RunControls(
            self, self.viewer, "Start the count", blocked=self._blocked, queue=None
        )
        self.file_line = plain_label()
        self.go_on_button = small_button("", "Answer the points that are still open")
        self.open_button = small_button("Open points …", "Go on with points that were saved")
        self.new_button = small_button(
            "New points …", "Close these, which are saved, and plan others"
        )
        self.line = plain_label()
        self.panel = AnswerPanel()
        self.panel.make_shortcuts(self)
        self.view = PointsView(self.viewer, self)
        self.keys = CanvasKeys(self.viewer, self.panel.keys())
        self.result = ResultPanel()

    def _lay_out(self) -> None:
        who = QWidget()
        form = QFormLayout(who)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("Operator", self.operator)
        self._who = who
        self._labels_title = plain_label()
        for widget in (
            self.panel,
            self.file_line,
            self._labels_title,
            self.sources,
            self.size_row,
            self.form,
            who,
            self.controls,
            self.go_on_button,
            self.line,
            self.result,
        ):
            self.column.addWidget(widget)
        self.column.addLayout(side_by_side(*self.panel.last_row))
        self.column.addLayout(side_by_side(self.open_button, self.new_button))
        self.column.addStretch(1)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def _connect(self) -> None:
        self.sources.changed.connect(self._on_sources)
        self.sources.painted.connect(self._show_result)
        self.form.changed.connect(self.controls.choice_changed)
        self.operator.editTextChanged.connect(self._on_operator)
        self.controls.button.clicked.connect(self.start)
        self.go_on_button.clicked.connect(self.go_on)
        self.open_button.clicked.connect(self.ask_for_points)
        self.new_button.clicked.connect(self.close_points)
        self.panel.stopped.connect(self.stop)
        self.panel.asked.connect(self.show_result)
        self.result.save_button.clicked.connect(self._on_saved)
        self.view.changed.connect(self._layers_soon.start)
        self._layers_soon.timeout.connect(self._on_session)
        self.closed.connect(self.stop)
        self.viewer.events.theme.connect(self._restyle)
        self._restyle()

    def _restyle(self, _event: object = None) -> None:
        self.go_on_button.setStyleSheet(primary_style(str(self.viewer.theme)))

    # ---- what is chosen -----------------------------------------------------------------

    @property
    def session(self) -> CountSession | None:
        """Count that goes on; None while nobody is asked."""
        return self.panel.session

    @property
    def operator_name(self) -> str:
        """Name of the operator, as it is kept with the answers."""
        return class_name(self.operator.currentText())

    def _blocked(self) -> str:
        if self._planning is not None:
            return _PLANNING
        if problem := self.sources.problem():
            return problem
        if not self.operator_name:
            return _NO_NAME
        return "" if self.form.path is not None else _NO_FILE

    @Slot()
    def _on_sources(self) -> None:
        if self.count is None:
            chosen = self.sources.chosen()
            self.form.suggest(chosen)
            images, labels = ({}, {}) if chosen is None else (chosen.images, chosen.labels)
            self.size_row.show_images(images.values(), labels.values())
        self.controls.choice_changed()
        self._show_result()

    @Slot()
    def _on_operator(self) -> None:
        self.controls.choice_changed()
        if self.session is None:
            self.result.forget()  # another person is not to see what this one said
            self._show_state()
            self._show_result()

    # ---- begin --------------------------------------------------------------------------

    @Slot()
    def start(self) -> None:
        """Plan points on the labels that are ticked, and ask for the first one."""
        chosen, path = self.sources.chosen(), self.form.path
        if self._blocked() or chosen is None or path is None:
            return
        try:
            refuse_existing(path, remedy="Open it to go on with it, or choose another name.")
        except FractosegError as error:
            self.controls.refuse(error)
            return
        job = plan_job(
            chosen.arrays(), chosen, int(self.form.n_points.value), str(self.form.design.value)
        )
        run = Run(job, "planning points")
        run.ended.connect(self._on_planned)
        self._planning = path
        self.controls.start(run)

    @Slot()
    def _on_planned(self) -> None:
        run, path = self.controls.run, self._planning
        self._planning = None
        if run is None or path is None or run.state is not State.DONE:
            return
        try:
            run.result.write(path)
        except FractosegError as error:
            self.controls.refuse(error)
            return
        self.form.suggest_again()
        self._take(run.result, path)
        self.go_on()

    @Slot()
    def ask_for_points(self) -> None:
        """Ask for a file of points, and open it."""
        near = self.path or self.form.path
        name, _ = QFileDialog.getOpenFileName(
            self, "Open points", "" if near is None else str(near.parent), "Points (*.csv)"
        )
        if name:
            self.open_points(Path(name))

    def open_points(self, path: Path) -> None:
        """Open a file of points, to go on with it or to see its result.

        Parameters
        ----------
        path : Path
            File that this dock, or ``fractoseg points``, has written.
        """
        if not self._leave():
            return
        try:
            count = PointCount.read(path)
        except FractosegError as error:
            self._say(f"That did not work. {error}")
            return
        self._take(count, path)
        self.sources.tick_images(count.images)

    def _take(self, count: PointCount, path: Path) -> None:
        """Have points open from now on."""
        self.count, self.path = count, path
        name = self.operator_name or _FIRST_OPERATOR
        self._list_operators(count.operators[0] if count.operators else name)
        self.result.forget()
        self._say("")
        self._show_state()

    @Slot()
    def close_points(self) -> None:
        """Close the points, which are saved, to plan others."""
        if not self._leave():
            return
        self.count = self.path = None
        self.result.forget()
        self.controls.follow(None)
        self.controls.say("")
        self.form.suggest(self.sources.chosen())
        self._show_state()
        self._show_result()

    @Slot()
    def go_on(self) -> None:
        """Ask for the points that the operator has not answered yet."""
        if self.count is None or self.path is None or self.session is not None:
            return
        if not self.operator_name:
            self._say(_NO_NAME)
            return
        self.result.forget()
        chosen = self.sources.chosen()
        session = CountSession(self.count, self.operator_name, self.path, self)
        session.changed.connect(self._on_session)
        self.view.begin({} if chosen is None else chosen.images)
        self.panel.follow(session)
        self.keys.start()
        self._show_state()
        self._on_session()
        self.setFocus()

    def _leave(self) -> bool:
        """End a count before other points are opened; return False if answers cannot be saved."""
        self.stop()
        if self.count is None or self.path is None or self._is_saved:
            return True
        try:
            self.count.write(self.path)
        except FractosegError as error:
            self._say(f"Some answers are not saved yet. {error}")
            return False
        self._is_saved = True
        return True

    @Slot()
    def stop(self) -> None:
        """End the count, or pause it: the layers are shown again as they were."""
        self._planning = None  # points that are being planned are not begun with
        session = self.session
        if session is None:
            return
        if not session.is_saved:
            session.write()
        self._is_saved = session.is_saved
        self._say("" if session.is_saved else session.problem)
        self.keys.stop()
        self.panel.follow(None)
        self.view.end()
        self.count = session.count
        self._list_operators(session.operator)
        self._show_state()
        self._show_result()

    # ---- a count that goes on -----------------------------------------------------------

    @Slot()
    def _on_session(self) -> None:
        """Show the point that is asked, and what is known by hand."""
        session = self.session
        if session is None:
            return
        self.count = session.count
        problem = self.view.show(session.count, session.operator, session.point)
        self._show_session(problem)
        self._show_result()

    def _show_session(self, problem: str) -> None:
        shown = self.view.shown_against()
        if shown:
            problem = "\n".join(
                filter(None, (problem, f"{listed(shown)} is shown: the count is not blind."))
            )
        self.panel.refresh(problem)

    # ---- result -------------------------------------------------------------------------

    @Slot()
    def show_result(self) -> None:
        """Compare the answers with the labels; a count that is complete ends with it."""
        session = self.session
        if session is not None and session.is_complete:
            self.stop()
        self.result.reveal()
        self._show_state()
        self._show_result()

    @Slot()
    def _show_result(self) -> None:
        chosen = self.sources.chosen()
        labels = None if chosen is None else chosen.arrays()
        self.result.show_count(
            self.count, self.path, self._asked_operator, labels, goes_on=self.session is not None
        )

    @Slot()
    def _on_saved(self) -> None:
        self.bring_into_view(self.result.saved_line)

    @property
    def _asked_operator(self) -> str:
        return self.operator_name if self.session is None else self.session.operator

    # ---- what is shown ------------------------------------------------------------------

    def _list_operators(self, name: str) -> None:
        """Offer those who gave answers, with one of them, or somebody new, as the choice."""
        self.operator.blockSignals(True)
        self.operator.clear()
        self.operator.addItems([] if self.count is None else list(self.count.operators))
        self.operator.setEditText(name)
        self.operator.blockSignals(False)

    def _say(self, text: str) -> None:
        self.line.setText(text)
        self.line.setVisible(bool(text))

    def _show_state(self) -> None:
        """Show the controls for planning, for points that are open, or for a count that goes on."""
        is_open, goes_on = self.count is not None, self.session is not None
        for widget in (self.form, self.controls, self.size_row):
            widget.setVisible(not is_open)
        self._who.setVisible(not goes_on)
        self.sources.setVisible(not goes_on)
        self._labels_title.setText("Compare with the labels" if is_open else "Labels to check")
        self._labels_title.setVisible(not goes_on)
        self.open_button.setVisible(not goes_on)
        for widget in (self.new_button, self.go_on_button, self.file_line):
            widget.setVisible(is_open and not goes_on)
        if not goes_on and self.count is not None and self.path is not None:
            self._show_open(self.count, self.path)

    def _show_open(self, count: PointCount, path: Path) -> None:
        told = {name: len(count.answers(name)) for name in count.operators}
        answered = listed(f"{name} {n}" for name, n in told.items())
        self.file_line.setText(
            f"{path.name}: {counted(len(count), 'point')}, {_DESIGNS[count.design]}. "
            f"Answered: {answered}"
        )
        self.file_line.setToolTip(plain_text(path))
        name = self.operator_name
        n_done = told.get(name, 0)
        text = f"Go on as {name} ({n_done} of {len(count)})" if n_done else f"Count blind as {name}"
        if n_done == len(count):
            text = f"Look at the points of {name} again"
        self.go_on_button.setText(button_text(text))
        self.go_on_button.setEnabled(bool(name))
        result_button, _ = self.panel.last_row
        result_button.setText("Result")
        result_button.setVisible(n_done > 0 and not self.result.is_revealed)
