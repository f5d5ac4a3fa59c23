"""Fracture classes: the only place where label values meet class channels.

Value 0 is *unlabelled* everywhere and never a class. Background (ambiguous
area, narrow borders) is an ordinary class with its own value, so that it can
be painted; it is only not a fracture mode.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_fractoseg.arrays import value_counts
from napari_fractoseg.errors import ClassSchemeError, translated
from napari_fractoseg.text import listed, printable

__all__ = [
    "DEFAULT_SCHEME",
    "IGNORE_INDEX",
    "PALETTES",
    "UNLABELLED",
    "ClassScheme",
    "FractureClass",
    "class_name",
]

UNLABELLED = 0
"""Label value of unlabelled pixels, about which nothing is said."""

IGNORE_INDEX = -1
"""Channel index that `ClassScheme.to_targets` gives to unlabelled pixels."""

TRANSPARENT = "#00000000"

PALETTES: Mapping[str, tuple[str, ...]] = {
    # Blue and green as in the fracture maps of arXiv 1908.02242.
    "standard": (
        "#2f6bff", "#21c45a", "#ff9f1c", "#e63946", "#b15de6", "#17becf", "#f4d35e", "#8d6e63",
    ),
    # Okabe & Ito, "Color Universal Design" (2008): told apart by colour-blind readers.
    "colour-blind-safe": (
        "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#f0e442", "#999999",
    ),
}  # fmt: skip

_MOST_VALUES = 8
"""Values that are no class, of which an error tells."""
_COLOR = re.compile(r"#[0-9a-f]{6}([0-9a-f]{2})?")


def class_name(text: str) -> str:
    r"""Return text of others, such as a value in a VIA file, as a name that a class can have.

    It is on one line, without outer blanks; control characters become escapes (`printable`).

    Examples
    --------
    >>> from napari_fractoseg.classes import class_name
    >>> print(class_name(" river\nlines \x1b[31m"))
    river lines \x1b[31m
    """
    return re.sub(r"[\t\n]", " ", printable(text)).strip()


@dataclass(frozen=True)
class FractureClass:
    """One class that a pixel can have: a fracture mode or background.

    Parameters
    ----------
    value : int
        Label value, 1-255.
    name : str
        Name shown to users, unique in a scheme; one line without control characters
        (`class_name`).
    color : str
        Colour as ``#rrggbb`` or ``#rrggbbaa``.
    aliases : tuple of str
        Other spellings found in annotation files, such as ``i``.
    description : str
        Text for users that says what the class looks like.
    is_fracture_mode : bool
        Whether the area of the class counts in mode fractions; False for background.
    """

    value: int
    name: str
    color: str
    aliases: tuple[str, ...] = ()
    description: str = ""
    is_fracture_mode: bool = True

    def __post_init__(self) -> None:
        if isinstance(self.value, bool) or not isinstance(self.value, int | np.integer):
            raise ClassSchemeError(
                f"Class {self.name!r}: value {self.value!r} is not a whole number. Use 1 to 255."
            )
        if not 1 <= self.value <= 255:
            raise ClassSchemeError(
                f"Class {self.name!r}: value {self.value} is out of range. Use 1 to 255; "
                "0 means unlabelled."
            )
        if not isinstance(self.name, str) or not self.name.strip():
            raise ClassSchemeError(f"Class {self.value} has no name. Give it one.")
        self._check_text()
        if not isinstance(self.color, str) or not _COLOR.fullmatch(self.color.lower()):
            raise ClassSchemeError(
                f"Class {self.name!r}: colour {self.color!r} is not of the form #rrggbb "
                "or #rrggbbaa."
            )
        if not all(isinstance(text, str) for text in (*self.aliases, self.description)):
            raise ClassSchemeError(f"Class {self.name!r}: aliases and description are texts.")
        object.__setattr__(self, "value", int(self.value))
        object.__setattr__(self, "name", self.name.strip())
        object.__setattr__(self, "color", self.color.lower())
        object.__setattr__(self, "aliases", tuple(self.aliases))

    def _check_text(self) -> None:
        """Refuse names that cannot be shown, and texts of another type."""
        if self.name.strip() != class_name(self.name):
            raise ClassSchemeError(
                f"Class {self.name!r}: its name has line breaks, tabs or control characters. Use "
                f"one line of letters, such as {class_name(self.name)!r}."
            )
        if isinstance(self.aliases, str) or not all(isinstance(a, str) for a in self.aliases):
            raise ClassSchemeError(
                f"Class {self.name!r}: its aliases {self.aliases!r} are not a list of texts."
            )
        if not isinstance(self.description, str):
            raise ClassSchemeError(
                f"Class {self.name!r}: its description {self.description!r} is not a text."
            )
        if not isinstance(self.is_fracture_mode, bool | np.bool_):
            raise ClassSchemeError(
                f"Class {self.name!r}: is_fracture_mode is {self.is_fracture_mode!r}. Use true or "
                "false."
            )

    @property
    def rgba(self) -> tuple[float, float, float, float]:
        """Colour as red, green, blue and alpha, 0-1 each."""
        text = self.color[1:].ljust(8, "f")
        red, green, blue, alpha = (int(text[i : i + 2], 16) / 255 for i in (0, 2, 4, 6))
        return red, green, blue, alpha

    @property
    def is_transparent(self) -> bool:
        """Whether the colour is fully transparent (alpha 0)."""
        return self.rgba[3] == 0

    def answers_to(self, text: str) -> bool:
        """Whether `text` is the name or an alias; case and outer blanks do not count."""
        wanted = text.strip().casefold()
        return any(wanted == known.strip().casefold() for known in (self.name, *self.aliases))


@dataclass(frozen=True)
class ClassScheme:
    """An ordered set of fracture classes.

    The order is that of a model's output channels.

    Parameters
    ----------
    name : str
        What the scheme distinguishes, such as ``fracture modes``.
    classes : tuple of FractureClass
        Classes in channel order, at least one; values and names are unique.

    Examples
    --------
    >>> from napari_fractoseg.classes import DEFAULT_SCHEME
    >>> DEFAULT_SCHEME.names
    ('intergranular', 'transgranular', 'background')
    >>> DEFAULT_SCHEME.find(" T ").name
    'transgranular'
    """

    name: str
    classes: tuple[FractureClass, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(self.classes))
        if not self.classes:
            raise ClassSchemeError(f"Class scheme {self.name!r} has no classes. Add at least one.")
        for what, entries in (("value", self.values), ("name", self._folded_names)):
            twice = sorted({str(e) for e in entries if entries.count(e) > 1})
            if twice:
                raise ClassSchemeError(
                    f"Class scheme {self.name!r}: {what} {', '.join(twice)} is used by more than "
                    f"one class. Give each class its own {what}."
                )

    def __len__(self) -> int:
        return len(self.classes)

    def __iter__(self) -> Iterator[FractureClass]:
        return iter(self.classes)

    @property
    def values(self) -> tuple[int, ...]:
        """Label values of the classes, in channel order."""
        return tuple(c.value for c in self.classes)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes, in channel order."""
        return tuple(c.name for c in self.classes)

    @property
    def _folded_names(self) -> tuple[str, ...]:
        return tuple(c.name.casefold() for c in self.classes)

    @property
    def fracture_modes(self) -> tuple[FractureClass, ...]:
        """Classes that are fracture modes, whose areas make up the mode fractions."""
        return tuple(c for c in self.classes if c.is_fracture_mode)

    def find(self, text: str) -> FractureClass:
        """Return the class that has this name or alias.

        Raises
        ------
        ClassSchemeError
            If no class answers to `text`.
        """
        found = self.get(text)
        if found is None:
            raise ClassSchemeError(
                f"Class {text!r} is not in the scheme: {listed(self.names)}. Rename it, or "
                "add it to the scheme."
            )
        return found

    def get(self, text: str) -> FractureClass | None:
        """Return the class that has this name or alias, or None; names win over aliases.

        Of a text with control characters it is the class that is named as `class_name` says.
        """
        folded = class_name(text).casefold()
        named = [c for c in self.classes if c.name.casefold() == folded]
        return next(iter(named or [c for c in self.classes if c.answers_to(text)]), None)

    def by_value(self, value: int) -> FractureClass:
        """Return the class with this label value.

        Raises
        ------
        ClassSchemeError
            If there is no such class.
        """
        for fracture_class in self.classes:
            if fracture_class.value == value:
                return fracture_class
        raise ClassSchemeError(
            f"Label value {value} is not in the scheme; its values are {listed(self.values)}."
        )

    def is_like(self, other: ClassScheme) -> bool:
        """Whether the same label values mean the same classes; colours and order do not count.

        Parameters
        ----------
        other : ClassScheme
            Scheme to compare with.

        Examples
        --------
        >>> from napari_fractoseg.classes import DEFAULT_SCHEME
        >>> DEFAULT_SCHEME.is_like(DEFAULT_SCHEME.recoloured(1, "#ffffff"))
        True
        >>> DEFAULT_SCHEME.is_like(DEFAULT_SCHEME.renamed(1, "dimples"))
        False
        """
        one, two = (
            {c.value: (c.name.casefold(), bool(c.is_fracture_mode)) for c in scheme}
            for scheme in (self, other)
        )
        return one == two

    def with_names(self, names: Iterable[str]) -> ClassScheme:
        """Return a scheme that also has classes of these names.

        Names that a class already answers to add nothing. New classes get the
        next free values and colours, and names that can be shown (`class_name`).
        """
        scheme = self
        for name in names:
            if scheme.get(name) is None:
                value = next((v for v in range(1, 256) if v not in scheme.values), None)
                if value is None:
                    raise ClassSchemeError(f"No value is free for class {name!r}: 255 are in use.")
                new = FractureClass(value, class_name(name), scheme._free_color())
                scheme = replace(scheme, classes=(*scheme.classes, new))
        return scheme

    def with_class(self, name: str, value: int) -> ClassScheme:
        """Return a scheme that also has a class of this name and label value, in a free colour.

        Raises
        ------
        ClassSchemeError
            If the name or the value is used already, or is not possible.
        """
        new = FractureClass(value, class_name(name), self._free_color())
        return replace(self, classes=(*self.classes, new))

    def renamed(self, value: int, name: str) -> ClassScheme:
        """Return the scheme with another name for a class, which still answers to the old one.

        Raises
        ------
        ClassSchemeError
            If there is no such class, or another class has the name.
        """
        old = self.by_value(value)
        aliases = tuple(dict.fromkeys((*old.aliases, old.name)))
        return self._with(replace(old, name=class_name(name), aliases=aliases))

    def recoloured(self, value: int, color: str) -> ClassScheme:
        """Return the scheme with another colour, as ``#rrggbb``, for the class of a value."""
        return self._with(replace(self.by_value(value), color=color))

    def _with(self, changed: FractureClass) -> ClassScheme:
        classes = (changed if c.value == changed.value else c for c in self)
        return replace(self, classes=tuple(classes))

    def without(self, value: int) -> ClassScheme:
        """Return the scheme without the class of a label value.

        Raises
        ------
        ClassSchemeError
            If there is no such class, or no other one.
        """
        gone = self.by_value(value)
        if len(self) == 1:
            raise ClassSchemeError(
                f"Class {gone.name!r} is the only one and cannot be removed. Rename it, or add "
                "another class first."
            )
        return replace(self, classes=tuple(c for c in self if c is not gone))

    def changed_like(self, edited: ClassScheme) -> ClassScheme:
        """Return the scheme with what a user changed in a copy of it.

        Classes are those of `edited`, with their names and colours. Classes of the scheme that
        are missing there follow: a model goes on to give their values.

        Parameters
        ----------
        edited : ClassScheme
            Copy of the scheme in which classes were renamed, recoloured, added or removed.
        """
        theirs = {c.value: c for c in edited}
        names = set(map(str.casefold, edited.names))
        kept = [
            replace(c, name=f"{c.name} ({c.value})") if c.name.casefold() in names else c
            for c in self
            if c.value not in theirs
        ]
        return replace(self, classes=(*edited, *kept))

    def joined(self, other: ClassScheme) -> ClassScheme:
        """Return a scheme that also has the classes of another, with their colours.

        Classes that are known by name or alias add nothing; values that are
        taken are replaced by the next free ones.
        """
        scheme = self
        for fracture_class in other:
            if scheme.get(fracture_class.name) is None:
                new = scheme.with_names([fracture_class.name]).classes[-1]
                value = fracture_class.value
                if value in scheme.values:
                    value = new.value
                added = replace(fracture_class, value=value)
                scheme = replace(scheme, classes=(*scheme.classes, added))
        return scheme

    def _free_color(self) -> str:
        used = {c.color for c in self.classes}
        palette = PALETTES["standard"]
        return next((c for c in palette if c not in used), palette[len(self) % len(palette)])

    def with_palette(self, palette: str | Sequence[str]) -> ClassScheme:
        """Return the scheme in other colours; transparent classes stay transparent.

        Parameters
        ----------
        palette : str or sequence of str
            Name of a palette in `PALETTES`, or colours as ``#rrggbb``.
        """
        if isinstance(palette, str):
            if palette not in PALETTES:
                raise ClassSchemeError(
                    f"Palette {palette!r} is not known; there are {listed(sorted(PALETTES))}."
                )
            palette = PALETTES[palette]
        recoloured, used = [], 0
        for fracture_class in self.classes:
            if fracture_class.is_transparent:
                recoloured.append(fracture_class)
            else:
                recoloured.append(replace(fracture_class, color=palette[used % len(palette)]))
                used += 1
        return replace(self, classes=tuple(recoloured))

    def with_colors_of(self, other: ClassScheme) -> ClassScheme:
        """Return the scheme with the colours of the classes of the same names in `other`."""
        colors = {c.name.casefold(): c.color for c in other}
        recoloured = (replace(c, color=colors.get(c.name.casefold(), c.color)) for c in self)
        return replace(self, classes=tuple(recoloured))

    def in_palette(self, palette: str | None, original: ClassScheme) -> ClassScheme:
        """Return the scheme in the colours of a palette, or None for those of `original`."""
        return self.with_palette(palette) if palette else self.with_colors_of(original)

    def check_labels(self, labels: npt.NDArray[Any]) -> None:
        """Raise unless every value of `labels` is 0 or that of a class.

        Raises
        ------
        ClassSchemeError
            If there are other values; lists them with their pixel counts.
        """
        if labels.dtype.kind not in "iub":
            raise ClassSchemeError(
                f"Labels are of type {labels.dtype}; they must be whole numbers. Convert them "
                "with astype('uint8')."
            )
        self.check_counts(value_counts(labels))

    def check_counts(self, counts: Mapping[int, int]) -> None:
        """Raise unless every label value that was counted is 0 or that of a class.

        Parameters
        ----------
        counts : mapping of int to int
            Label value -> number of pixels.

        Raises
        ------
        ClassSchemeError
            If there are other values; lists them with their pixel counts.
        """
        unknown = {
            value: n
            for value, n in counts.items()
            if value != UNLABELLED and value not in self.values
        }
        if unknown:
            named = [f"{value} ({n} px)" for value, n in unknown.items()]
            if len(named) > _MOST_VALUES:
                named = [*named[:_MOST_VALUES], f"{len(named) - _MOST_VALUES} more"]
            found = listed(named)
            known = listed(f"{c.value} {c.name}" for c in self)
            raise ClassSchemeError(
                f"Labels hold values that are no class: {found}. The scheme {self.name!r} has "
                f"{known}; relabel them or add classes."
            )

    def to_targets(self, labels: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """Turn label values into channel indices.

        Parameters
        ----------
        labels : ndarray of int, any shape
            Label values; 0 is unlabelled.

        Returns
        -------
        ndarray of int64, same shape
            Channel indices; unlabelled pixels are `IGNORE_INDEX`.

        Raises
        ------
        ClassSchemeError
            If a value belongs to no class.
        """
        labels = np.asarray(labels)
        self.check_labels(labels)
        table = np.full(256, IGNORE_INDEX, dtype=np.int64)
        table[list(self.values)] = np.arange(len(self))
        targets: npt.NDArray[np.int64] = table[labels.astype(np.uint8)]
        return targets

    def to_labels(self, indices: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        """Turn channel indices into label values; `IGNORE_INDEX` becomes 0.

        Parameters
        ----------
        indices : ndarray of int, any shape
            Channel indices, each below ``len(self)``, or `IGNORE_INDEX`.

        Returns
        -------
        ndarray of uint8, same shape
            Label values; 0 where the index is `IGNORE_INDEX`.
        """
        table = np.array([*self.values, UNLABELLED], dtype=np.uint8)
        labels: npt.NDArray[np.uint8] = table[np.asarray(indices).astype(np.intp)]
        return labels

    def to_dict(self) -> dict[str, Any]:
        """Return the scheme as plain JSON types."""
        return {"name": self.name, "classes": [asdict(c) for c in self.classes]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ClassScheme:
        """Return the scheme that `to_dict` turned into plain JSON types.

        Raises
        ------
        ClassSchemeError
            If keys are missing or unknown, or values do not fit.
        """
        with translated(ClassSchemeError, "This is no class scheme"):
            classes = tuple(FractureClass(**entry) for entry in data["classes"])
            return cls(class_name(data["name"]), classes)

    def to_json(self) -> str:
        """Return the scheme as JSON text."""
        return json.dumps(self.to_dict(), indent=2)

    @classmethod
    def from_json(cls, text: str) -> ClassScheme:
        """Return the scheme that `to_json` turned into text.

        Raises
        ------
        ClassSchemeError
            If the text is no class scheme.
        """
        with translated(ClassSchemeError, "This is no class scheme"):
            data = json.loads(text)
        if not isinstance(data, dict):
            raise ClassSchemeError(
                f"This is no class scheme: {type(data).__name__} instead of object."
            )
        return cls.from_dict(data)


DEFAULT_SCHEME = ClassScheme(
    "fracture modes",
    (
        FractureClass(
            1,
            "intergranular",
            PALETTES["standard"][0],
            ("i", "inter", "ig"),
            "Broken along the grain boundaries: smooth facets, crystal-like edges.",
        ),
        FractureClass(
            2,
            "transgranular",
            PALETTES["standard"][1],
            ("t", "trans", "tg"),
            "Broken through the grains: river lines, steps, rough cleavage.",
        ),
        FractureClass(
            3,
            "background",
            TRANSPARENT,
            ("b", "bg", "ambiguous"),
            "Neither can be told: narrow borders, debris, deep shadow.",
            is_fracture_mode=False,
        ),
    ),
)
"""Default classes: intergranular 1, transgranular 2, background 3."""
