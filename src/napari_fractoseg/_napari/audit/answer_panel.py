"""Panel of a point count that goes on: the question, a button for each answer, how far it is."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import QGridLayout, QPushButton, QVBoxLayout, QWidget

from napari_fractoseg._napari.audit.session import CountSession
from napari_fractoseg._napari.widgets.class_legend import swatch
from napari_fractoseg._napari.widgets.controls import side_by_side, small_button
from napari_fractoseg._napari.widgets.plain_text import button_text, plain_label, plain_text
from napari_fractoseg.audit.points import plane_text
from napari_fractoseg.classes import ClassScheme

__all__ = ["AnswerPanel", "key_actions"]

_COLUMNS = 2
_LAST_KEY = 9
_RESULT_HINT = (
    "Compare with the labels. Before all is answered you give away that you judge blind: you "
    "would lean to what the labels say."
)
_ON_CANVAS_ONLY = ("Up", "Down")
"""Keys that change a number where a box of the dock has the focus."""


def key_actions(
    session: Callable[[], CountSession | None],
) -> dict[str, Callable[[], object]]:
    """Return what each key does to the point count that goes on.

    Parameters
    ----------
    session : callable
        Function that returns the point count, None if none goes on.

    Returns
    -------
    dict of str to callable
        Key, as napari names it, -> what it does.
    """

    def bound(method: Callable[..., None], *args: object) -> Callable[[], None]:
        def act() -> None:
            current = session()
            if current is not None:
                method(current, *args)

        return act

    actions: dict[str, Callable[[], object]] = {
        str(value): bound(CountSession.choose, value) for value in range(1, _LAST_KEY + 1)
    }
    actions |= {"B": bound(CountSession.border), "X": bound(CountSession.cant_tell)}
    actions |= dict.fromkeys(("Backspace", "Control-Z"), bound(CountSession.undo))
    actions |= dict.fromkeys(("N", "Right", "Down"), bound(CountSession.step, 1))
    actions |= dict.fromkeys(("P", "Left", "Up"), bound(CountSession.step, -1))
    actions["Escape"] = bound(CountSession.leave_border)
    return actions


class AnswerPanel(QWidget):
    """Question, buttons and keys of a point count; nothing is enabled without one."""

    stopped = Signal()
    """Signal that the user ends the count, or pauses it."""
    asked = Signal()
    """Signal that the user wants to see the result."""

    def __init__(self) -> None:
        super().__init__()
        self.session: CountSession | None = None
        self._scheme: ClassScheme | None = None
        self.buttons: dict[int, QPushButton] = {}
        self.question = plain_label()
        self.question.setStyleSheet("font-weight: bold")
        self.place = plain_label()
        self.problem = plain_label()
        self.border_button = small_button("B  border", "Two classes, of which each counts half (B)")
        self.unsure_button = small_button(
            "X  can't tell", "Leave the point out of the fraction, and count it (X)"
        )
        self.previous_button = small_button("< P", "Point before (P, arrow left)")
        self.undo_button = small_button("Undo", "Take the last answer back (Backspace, Ctrl+Z)")
        self.next_button = small_button("N >", "Next point (N, arrow right)")
        self.result_button = small_button("Result", _RESULT_HINT)
        self.stop_button = small_button(
            "Stop", "Show the layers as they were; go on later where you are now"
        )
        self.border_button.setCheckable(True)
        self._lay_out()
        self._keys = key_actions(lambda: self.session)
        for button, key in (
            (self.border_button, "B"),
            (self.unsure_button, "X"),
            (self.previous_button, "P"),
            (self.undo_button, "Backspace"),
            (self.next_button, "N"),
        ):
            button.clicked.connect(self._keys[key])
        self.result_button.clicked.connect(self.asked)
        self.stop_button.clicked.connect(self.stopped)
        self._shortcuts: list[QShortcut] = []
        self.follow(None)

    def _lay_out(self) -> None:
        self._grid = QGridLayout()
        self._grid.setSpacing(3)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.question)
        layout.addWidget(self.place)
        layout.addLayout(self._grid)
        layout.addLayout(side_by_side(self.border_button, self.unsure_button))
        layout.addLayout(side_by_side(self.previous_button, self.undo_button, self.next_button))
        layout.addWidget(self.problem)

    @property
    def last_row(self) -> tuple[QPushButton, QPushButton]:
        """Buttons that end the count; the dock puts them below what it shows of the result."""
        return self.result_button, self.stop_button

    def make_shortcuts(self, dock: QWidget) -> None:
        """Let the keys work while a dock has the focus, too."""
        for key, action in self._keys.items():
            if key not in _ON_CANVAS_ONLY:
                shortcut = QShortcut(QKeySequence(key.replace("Control-", "Ctrl+")), dock)
                shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
                shortcut.activated.connect(action)
                shortcut.setEnabled(False)
                self._shortcuts.append(shortcut)

    def keys(self) -> dict[str, Callable[[], object]]:
        """Return what each key does, as napari names them."""
        return self._keys

    # ---- what is shown ------------------------------------------------------------------

    def follow(self, session: CountSession | None) -> None:
        """Show a point count from now on; None shows nothing."""
        self.session = session
        for shortcut in self._shortcuts:
            shortcut.setEnabled(session is not None)
        if session is not None and session.count.scheme != self._scheme:
            self._scheme = session.count.scheme
            self._rebuild(self._scheme)
        self.setVisible(session is not None)
        for button in self.last_row:
            button.setVisible(session is not None)

    def _rebuild(self, scheme: ClassScheme) -> None:
        for button in self.buttons.values():
            self._grid.removeWidget(button)
            button.deleteLater()
        self.buttons = {}
        for place, fracture_class in enumerate(scheme):
            value = fracture_class.value
            button = small_button(button_text(f"{value}  {fracture_class.name}"), "")
            button.setIcon(swatch(fracture_class))
            button.setStyleSheet("text-align: left; padding: 3px 5px;")
            key = f" (key {value})" if value <= _LAST_KEY else ""
            button.setToolTip(plain_text(f"{fracture_class.description}{key}".strip()))
            button.clicked.connect(partial(self._choose, value))
            self.buttons[value] = button
            self._grid.addWidget(button, place // _COLUMNS, place % _COLUMNS)

    def _choose(self, value: int, _checked: bool = False) -> None:
        if self.session is not None:
            self.session.choose(value)

    def refresh(self, problem: str = "") -> None:
        """Show the question of now.

        Parameters
        ----------
        problem : str
            What is wrong in the viewer, such as an image that is not open.
        """
        session = self.session
        if session is None:
            return
        self.question.setText(session.question())
        place = session.count.place(session.point)
        plane = f" · plane {plane_text(place.index)}" if place.index else ""
        saved = "saved in" if session.is_saved else "NOT saved in"
        self.place.setText(
            f"{place.image}{plane}\n{session.operator} · {saved} {session.path.name}"
        )
        self.place.setToolTip(plain_text(session.path))
        self.border_button.setChecked(session.is_border)
        lines = "\n".join(filter(None, (session.problem, problem)))
        self.problem.setText(lines)
        self.problem.setVisible(bool(lines))
        is_done = session.is_complete
        self.result_button.setText("Finish: show the result" if is_done else "Result so far")
        self.stop_button.setVisible(not is_done)
