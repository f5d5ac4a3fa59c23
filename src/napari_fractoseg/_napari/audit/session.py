"""A point count that goes on: what is asked, what was answered, and its file."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QObject, Signal

from napari_fractoseg.audit.points import BORDER, CANT_TELL, PointCount
from napari_fractoseg.classes import FractureClass
from napari_fractoseg.errors import FractosegError
from napari_fractoseg.text import listed

__all__ = ["CountSession"]

_CLASSES_OF_A_BORDER = 2


class CountSession(QObject):
    """Answers of one operator to the points of an audit, written to a file after each.

    Parameters
    ----------
    count : PointCount
        Points, with the answers that were given before.
    operator : str
        Name of the person who looks.
    path : Path
        CSV file of the points.
    parent : QObject, optional
        Owner of the session.

    Attributes
    ----------
    count : PointCount
        Points, with all answers.
    point : int
        Number of the point that is asked.
    problem : str
        What went wrong last, such as a disk that is full; empty if nothing.
    """

    changed = Signal()
    """Signal that there is another answer, another point, or another text."""

    def __init__(
        self, count: PointCount, operator: str, path: Path, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self.count, self.operator, self.path = count, operator, path
        self.problem = ""
        self.is_saved = True
        self._border: list[FractureClass] | None = None
        self._given: list[tuple[int, str]] = []
        self._numbers = [int(number) for number in count.points["point"]]
        first = count.next_point(operator)
        self.point = self._numbers[-1] if first is None else first
        self._is_at_end = first is None

    # ---- what is asked ------------------------------------------------------------------

    @property
    def answers(self) -> dict[int, str]:
        """Answers of the operator: number of a point -> answer."""
        return self.count.answers(self.operator)

    @property
    def is_complete(self) -> bool:
        """Whether every point has an answer."""
        return self.count.next_point(self.operator) is None

    @property
    def is_border(self) -> bool:
        """Whether the two classes of a border are asked for now."""
        return self._border is not None

    def question(self) -> str:
        """Return the text on how far the count is, and what is asked now."""
        done, total = len(self.answers), len(self.count)
        if self._border is not None:
            named = f": {self._border[0].name} and …" if self._border else "."
            return f"Point {self.point} is on a border{named} Press the keys of both classes."
        if self._is_at_end:
            return f"All {total} points are answered. Backspace takes the last answer back."
        earlier = self.answers.get(self.point)
        if earlier:
            return f"Points {done} of {total} · point {self.point} was answered: {said(earlier)}"
        return f"Points {done} of {total} · point {self.point}: what is under the cross?"

    # ---- answers ------------------------------------------------------------------------

    def choose(self, value: int) -> None:
        """Answer with the class of a label value; of a border, it is one of the two."""
        chosen = next((c for c in self.count.scheme if c.value == value), None)
        if chosen is None:
            named = (f"{c.value} {c.name}" for c in self.count.scheme)
            self._say(f"{value} is no class. Press {listed(named)}, B or X.")
        elif self._border is None:
            self._answer(chosen.name)
        elif chosen not in self._border:
            self._border.append(chosen)
            if len(self._border) == _CLASSES_OF_A_BORDER:
                self._answer(BORDER.join(c.name for c in self._border))
            else:
                self._say("")

    def border(self) -> None:
        """Ask for the two classes of a border; where there are only two, answer with them."""
        if len(self.count.scheme) == _CLASSES_OF_A_BORDER:
            self._answer(BORDER.join(self.count.scheme.names))
        elif len(self.count.scheme) < _CLASSES_OF_A_BORDER:
            self._say("There is one class only, so that no point is on a border of two.")
        else:
            self._border = None if self.is_border else []
            self._say("")

    def cant_tell(self) -> None:
        """Answer that nobody can tell the class: the point is left out, and counted."""
        self._answer(CANT_TELL)

    def _answer(self, answer: str) -> None:
        """Keep an answer, write the file, and go to the next point that has none.

        When all have one, a further key changes none before the user has gone to a point.
        """
        if self._is_at_end:
            self._say("Nothing was changed. To change an answer go to its point first (P, N).")
            return
        self._given.append((self.point, self.answers.get(self.point, "")))
        self.count = self.count.answered(self.point, answer, self.operator)
        self._border = None
        following = self._next_open()
        self._is_at_end = following is None
        self.point = self.point if following is None else following
        self.write()

    def _next_open(self) -> int | None:
        """Return the next point without an answer, from the current one on and round."""
        place = self._numbers.index(self.point)
        answers = self.answers
        order = self._numbers[place:] + self._numbers[:place]
        return next((number for number in order if number not in answers), None)

    def undo(self) -> None:
        """Take the last answer back, and go to its point; of a border, leave it first."""
        if self.is_border:
            self.leave_border()
            return
        if self._given:
            point, before = self._given.pop()
        elif (last := self._last_answered()) is not None:  # given before the program was closed
            point, before = last, ""
        else:
            self._say("There is no answer to take back.")
            return
        self.count = self.count.answered(point, before, self.operator)
        self.point, self._is_at_end = point, False
        self.write()

    def leave_border(self) -> None:
        """Ask for one class again, after a border was begun."""
        self._border = None
        self._say("")

    def _last_answered(self) -> int | None:
        answers, points = self.answers, self.count.points
        if not answers:
            return None
        times = dict(zip(points["point"], points[f"time_{self.operator}"], strict=True))
        return max(answers, key=lambda number: str(times[number]))

    # ---- points -------------------------------------------------------------------------

    def step(self, by: int) -> None:
        """Go to the next point, or the one before, whether it has an answer or not."""
        place = self._numbers.index(self.point)
        self._is_at_end = False
        self.point = self._numbers[(place + by) % len(self._numbers)]
        self._border = None
        self._say("")

    # ---- file ---------------------------------------------------------------------------

    def write(self) -> None:
        """Write the file; if that fails the answers are kept, and the next one tries again."""
        try:
            self.count.write(self.path)
        except FractosegError as error:
            self.is_saved = False
            self._say(f"Not saved: {error} What you answered is kept, and saved with the next.")
        else:
            self.is_saved = True
            self._say("")

    def _say(self, problem: str) -> None:
        self.problem = problem
        self.changed.emit()


def said(answer: str) -> str:
    """Return an answer in words."""
    if answer == CANT_TELL:
        return "can't tell"
    return " and ".join(answer.split(BORDER))
