"""Point counts: where a person looks, what the person saw there, and the file that keeps it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from napari_fractoseg.audit.point_files import PLACES, point_text, read_points
from napari_fractoseg.classes import ClassScheme, FractureClass, class_name
from napari_fractoseg.errors import (
    ClassSchemeError,
    FractosegError,
    OptionError,
    OutputExistsError,
)
from napari_fractoseg.files import write_bytes
from napari_fractoseg.text import listed

__all__ = [
    "BORDER",
    "CANT_TELL",
    "DESIGNS",
    "Place",
    "PointCount",
    "answer_text",
    "check_class_names",
    "plane_index",
    "plane_text",
]

DESIGNS = ("grid", "stratified", "random")
"""How points can be drawn: a systematic grid with a random start, random points in the area of
each class of the labels, or random points in the whole area."""

BORDER = "|"
"""Sign between the classes of a point on a border, of which each counts half."""

CANT_TELL = "?"
"""Answer of somebody who cannot tell the class; the point is left out, and counted."""


def plane_text(index: tuple[int, ...]) -> str:
    """Return how a table calls a plane of a stack: counted from 1, as the planes of fields are.

    Parameters
    ----------
    index : tuple of int
        Index of the plane on the leading axes.

    Examples
    --------
    >>> from napari_fractoseg.audit.points import plane_index, plane_text
    >>> plane_text((2,)), plane_text((0, 4)), plane_text(())
    ('3', '1 5', '')
    >>> plane_index("3"), plane_index("1 5"), plane_index("")
    ((2,), (0, 4), ())
    """
    return " ".join(str(number + 1) for number in index)


def plane_index(text: str) -> tuple[int, ...]:
    """Return the index of the plane that a table calls so (`plane_text`)."""
    return tuple(int(number) - 1 for number in text.split())


def check_class_names(scheme: ClassScheme) -> None:
    """Raise if the name of a class could be taken for another answer.

    Raises
    ------
    ClassSchemeError
        If a class is called ``?``, or has the sign of a border in its name.
    """
    if wrong := [name for name in scheme.names if BORDER in name or name == CANT_TELL]:
        raise ClassSchemeError(
            f"Classes {listed(wrong)} cannot be answers of a point count, where {BORDER} stands "
            f"for a border and {CANT_TELL} for a point that nobody can tell. Rename them."
        )


def answer_text(answer: str, scheme: ClassScheme) -> str:
    """Return an answer as it is kept, with the names of the classes in the order of the scheme.

    Parameters
    ----------
    answer : str
        Name or alias of a class; two of them with ``|`` between, for a point on their border;
        ``?`` for "can't tell"; or empty, for no answer.
    scheme : ClassScheme
        Classes to choose from.

    Raises
    ------
    OptionError
        If it is none of these.

    Examples
    --------
    >>> from napari_fractoseg.audit.points import answer_text
    >>> from napari_fractoseg.classes import DEFAULT_SCHEME
    >>> answer_text("t | i", DEFAULT_SCHEME)
    'intergranular|transgranular'
    """
    text = answer.strip()
    if text in ("", CANT_TELL):
        return text
    found = {scheme.get(part.strip()) for part in text.split(BORDER)}
    n_parts = text.count(BORDER) + 1
    if None in found or len(found) != n_parts or n_parts > 2:
        raise OptionError(
            f"{answer!r} is no answer. Use a class ({listed(scheme.names)}), two classes with "
            f"{BORDER} between for a point on their border, or {CANT_TELL} for can't tell."
        )
    return BORDER.join(c.name for c in scheme if c in found)


@dataclass(frozen=True)
class Place:
    """Place of a point: a pixel of a plane of an image.

    Parameters
    ----------
    image : str
        Name of the image.
    index : tuple of int
        Index of the plane on the leading axes; empty for an image of one plane.
    row_px, column_px : int
        Row and column of the pixel, counted from 0.
    """

    image: str
    index: tuple[int, ...]
    row_px: int
    column_px: int


@dataclass(frozen=True, eq=False)
class PointCount:
    """Points of an audit, with the answers of those who looked at them.

    Parameters
    ----------
    points : DataFrame
        A row for each point, in the order of visiting: ``point`` (its number, from 1),
        ``image``, ``plane`` (`plane_text`; empty for an image of one plane), ``row_px``,
        ``column_px``, ``stratum`` (class of the labels there when the points were drawn); and
        for each operator ``answer_NAME`` (`answer_text`; empty without an answer) and
        ``time_NAME`` (UTC, ISO 8601).
    scheme : ClassScheme
        Classes to choose from.
    design : str
        How the points were drawn: ``grid``, ``stratified`` or ``random``.
    seed : int
        Seed of the random numbers: the same labels and seed give the same points.
    stratum_px : mapping of str to int
        Class -> its area when the points were drawn, of all classes that had any. Their sum is
        the analysed area.
    spacing_px : float or None
        Distance of the rows and columns of a grid.
    excluded_px, unlabelled_px : int
        Area that was excluded, and area without a label: there are no points in it, and the
        result says nothing of it.

    Examples
    --------
    >>> import numpy as np
    >>> import napari_fractoseg as nf
    >>> count = nf.plan_points(np.full((8, 8), 1), n_points=4, design="random", seed=1)
    >>> count = count.answered(1, "transgranular", "Ada").answered(2, "i|t", "Ada")
    >>> count.next_point("Ada"), count.next_point("Ben")
    (3, 1)
    >>> count.answers("Ada")
    {1: 'transgranular', 2: 'intergranular|transgranular'}
    """

    points: pd.DataFrame
    scheme: ClassScheme
    design: str
    seed: int
    stratum_px: Mapping[str, int]
    spacing_px: float | None = None
    excluded_px: int = 0
    unlabelled_px: int = 0

    def __post_init__(self) -> None:
        check_class_names(self.scheme)
        if self.design not in DESIGNS:
            raise OptionError(f"The design {self.design!r} is not known. Use {listed(DESIGNS)}.")

    def __len__(self) -> int:
        return len(self.points)

    @property
    def operators(self) -> tuple[str, ...]:
        """Names of those who gave answers, in the order in which they began."""
        beginning = "answer_"
        columns = [str(c) for c in self.points if str(c).startswith(beginning)]
        return tuple(column.removeprefix(beginning) for column in columns)

    @property
    def images(self) -> tuple[str, ...]:
        """Names of the images that have points."""
        return tuple(dict.fromkeys(self.points["image"]))

    @property
    def analysed_px(self) -> int:
        """Area that the points stand for."""
        return sum(self.stratum_px.values())

    def place(self, point: int) -> Place:
        """Return where a point is, by its number.

        Raises
        ------
        OptionError
            If there is no such point.
        """
        row = self.points.iloc[self._row(point)]
        where = plane_index(row["plane"])
        return Place(str(row["image"]), where, int(row["row_px"]), int(row["column_px"]))

    def _row(self, point: int) -> int:
        found = (self.points["point"] == point).to_numpy().nonzero()[0]
        if not len(found):
            raise OptionError(
                f"There is no point {point}; the points are numbered {self.points['point'].min()} "
                f"to {self.points['point'].max()}."
            )
        return int(found[0])

    def answers(self, operator: str) -> dict[int, str]:
        """Return the answers of an operator: number of the point -> answer.

        An operator without any answer, such as one who is to begin, has none.
        """
        column = f"answer_{_operator(operator)}"
        if column not in self.points:
            return {}
        pairs = zip(self.points["point"], self.points[column], strict=True)
        return {int(point): str(answer) for point, answer in pairs if answer}

    def next_point(self, operator: str) -> int | None:
        """Return the first point that an operator did not answer; None if all are answered."""
        done = self.answers(operator)
        return next((int(p) for p in self.points["point"] if int(p) not in done), None)

    def classes_at(self, operator: str) -> Iterator[tuple[int, tuple[FractureClass, ...]]]:
        """Yield the points that an operator told, and their class, or both on a border.

        Points that the operator could not tell are left out.
        """
        for point, answer in self.answers(operator).items():
            if answer != CANT_TELL:
                yield point, tuple(self.scheme.find(name) for name in answer.split(BORDER))

    def answered(
        self, point: int, answer: str, operator: str, *, time: datetime | None = None
    ) -> PointCount:
        """Return the point count with an answer.

        Parameters
        ----------
        point : int
            Number of the point.
        answer : str
            Answer, see `answer_text`; empty to take an answer back.
        operator : str
            Name of the person who looked. What cannot be shown of it is escaped.
        time : datetime, optional
            When; by default now.

        Raises
        ------
        OptionError
            If there is no such point, or the answer or the name is not possible.
        """
        name, text, row = _operator(operator), answer_text(answer, self.scheme), self._row(point)
        when = (datetime.now(UTC) if time is None else time).astimezone(UTC)
        points = self.points.copy()
        for title, value in ((f"answer_{name}", text), (f"time_{name}", when.isoformat())):
            values = self.texts(title)
            values[row] = value
            points[title] = pd.Series(values, points.index, dtype=object)
        return replace(self, points=points)

    def is_same_plan(self, other: PointCount) -> bool:
        """Whether another point count has the same points of the same plan, whatever answers."""
        places = [count.points[list(PLACES)].to_numpy().tolist() for count in (self, other)]
        return places[0] == places[1] and self.plan() == other.plan()

    def plan(self) -> dict[str, Any]:
        """Return all but the table as plain JSON types."""
        return {
            "design": self.design,
            "seed": self.seed,
            "spacing_px": self.spacing_px,
            "stratum_px": dict(self.stratum_px),
            "excluded_px": self.excluded_px,
            "unlabelled_px": self.unlabelled_px,
            "scheme": self.scheme.to_dict(),
        }

    def joined(self, other: PointCount) -> PointCount:
        """Return the point count with the answers of both; of two to a point the newer counts.

        Parameters
        ----------
        other : PointCount
            The same points, answered by another person or at another time.

        Raises
        ------
        OptionError
            If the points are not the same.
        """
        if not self.is_same_plan(other):
            raise OptionError(
                "These are two different plans of points, whose answers cannot be joined. Keep "
                "them in files of their own."
            )
        joined = self
        for operator in other.operators:
            joined = joined._with_newer(other, operator)
        return joined

    def _with_newer(self, other: PointCount, operator: str) -> PointCount:
        answer, time = f"answer_{operator}", f"time_{operator}"
        mine, theirs = ([c.texts(answer), c.texts(time)] for c in (self, other))
        is_newer = [
            now > then or (not told and not then)
            for told, then, now in zip(*mine, theirs[1], strict=True)
        ]
        points = self.points.copy()
        for title, own, others in zip((answer, time), mine, theirs, strict=True):
            values = [b if new else a for a, b, new in zip(own, others, is_newer, strict=True)]
            points[title] = pd.Series(values, points.index, dtype=object)
        return replace(self, points=points)

    def texts(self, title: str) -> list[str]:
        """Return a column of answers or times; empty texts if it is not there."""
        return list(self.points[title]) if title in self.points else [""] * len(self.points)

    def write(self, path: Path, *, overwrite: bool = False) -> Path:
        """Write points, answers and plan to one CSV file, all or nothing.

        A file with the same points is brought up to date: answers of others that were written to
        it meanwhile are kept (`joined`).

        Parameters
        ----------
        path : Path
            File to write, which ``pandas.read_csv(path)`` reads: a row for each point. The
            column ``plan`` has the plan as JSON in its first row.
        overwrite : bool
            Whether another file of that name is replaced.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        OutputExistsError
            If there is another file of that name, such as another plan.
        OutputError
            If it cannot be written.
        """
        content = self
        if is_going_on := path.is_file() and not overwrite:
            content = self.joined(self._there(path))
        text = point_text(content.points, self.plan())
        return write_bytes(path, text.encode(), overwrite=overwrite or is_going_on)

    def _there(self, path: Path) -> PointCount:
        try:
            there = PointCount.read(path)
        except (OptionError, ClassSchemeError) as error:
            raise OutputExistsError(
                f"{path} exists already, and is not a file of these points: {error} Choose "
                "another name.",
                options=("overwrite",),
            ) from error
        if not self.is_same_plan(there):
            raise OutputExistsError(
                f"{path} exists already, with {len(there)} points of another plan. Choose another "
                "name, or go on with the points that are there.",
                options=("overwrite",),
            )
        return there

    @classmethod
    def read(cls, path: Path) -> PointCount:
        """Read a file of points (`write`), also one that a spreadsheet program saved again.

        Parameters
        ----------
        path : Path
            CSV file.

        Raises
        ------
        OptionError, ClassSchemeError
            If it is no file of points; says which column, row or value is wrong.
        """
        points, plan = read_points(path)
        scheme = plan.pop("scheme")
        for title in [c for c in points if str(c).startswith("answer_")]:
            points[title] = [
                _checked_answer(path, point, answer, scheme)
                for point, answer in zip(points["point"], points[title], strict=True)
            ]
        try:
            return cls(points, scheme, **plan)
        except FractosegError as error:
            raise error.at(path) from error


def _operator(operator: str) -> str:
    """Return the name of an operator as it is kept: one line that can be shown."""
    name = class_name(operator)
    if not name:
        raise OptionError("The operator has no name. Give the name of the person who looks.")
    return name


def _checked_answer(path: Path, point: object, answer: str, scheme: ClassScheme) -> str:
    try:
        return answer_text(answer, scheme)
    except OptionError as error:
        raise error.at(f"{path}, point {point}") from error
