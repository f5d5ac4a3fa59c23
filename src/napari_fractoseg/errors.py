"""Errors that napari-fractoseg raises on purpose.

Each message says what is wrong, shows the value, and says what to do, in words
that fit a window, a script and the command line alike. None derives from
``RuntimeError``: Qt workers swallow those (see ``docs/decisions/0002-long-work.md``).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from napari_fractoseg.text import printable

__all__ = [
    "AnnotationError",
    "ClassSchemeError",
    "ClusterError",
    "DeviceError",
    "DownloadError",
    "FractosegError",
    "ImageError",
    "ModelError",
    "OptionError",
    "OutOfMemoryError",
    "OutputError",
    "OutputExistsError",
    "TrainingError",
    "UnexpectedError",
    "reason_of",
    "translated",
]

_LONGEST_REASON = 300


class FractosegError(Exception):
    """Base of every error that napari-fractoseg raises on purpose.

    Parameters
    ----------
    message : str
        What is wrong, the value, and what to do. Unprintable characters, such as those in
        names of foreign files, are escaped (`text.printable`).
    options : tuple of str
        Parameters that would help, such as ``"channel"``, or with their value, such as
        ``"several=first"``. They are no part of the message: the command line adds the
        options of that name, of those that the running command has.
    """

    def __init__(self, message: str = "", *, options: tuple[str, ...] = ()) -> None:
        super().__init__(printable(message))
        self.options = options

    def at(self, place: object) -> Self:
        """Return the error with the place, such as a file, in front of its message."""
        return type(self)(f"{place}: {self}", options=self.options)


class ImageError(FractosegError):
    """An image cannot be read or segmented as it is."""


class ClassSchemeError(FractosegError):
    """Names, values or colours of classes are wrong or do not fit together."""


class AnnotationError(FractosegError):
    """An annotation file or one of its regions cannot be used."""


class ModelError(FractosegError):
    """A model folder is missing, damaged or not that of a model."""


class TrainingError(FractosegError):
    """Training data or training plan do not allow training."""


class DeviceError(FractosegError):
    """The device that was asked for cannot be used."""


class OutOfMemoryError(DeviceError):
    """The device or the computer has too little memory for the work."""


class OptionError(FractosegError):
    """The value of an option is out of range or not one of its choices."""


class DownloadError(FractosegError):
    """A file could not be fetched, or is not the file that was expected."""


class OutputError(FractosegError):
    """A result cannot be written where it should be, such as on a full disk."""


class OutputExistsError(OutputError):
    """A result would overwrite a file that is already there."""


class UnexpectedError(FractosegError):
    """An unexpected error of another library, wrapped so that Qt does not swallow it."""


class ClusterError(FractosegError):
    """Worker processes cannot be reached, or died."""


@contextmanager
def translated(kind: type[FractosegError], what: str, remedy: str = "") -> Iterator[None]:
    """Raise whatever goes wrong in the block as one error of ours: the boundary of a kind of file.

    Damaged files of others make libraries raise nearly anything, up to ``ZeroDivisionError``
    and ``MemoryError``.

    Parameters
    ----------
    kind : type of FractosegError
        Error to raise. Those of ours that the block raises stay as they are.
    what : str
        Beginning of the message, such as "a.tif cannot be read as an image"; a colon and the
        reason (`reason_of`) follow.
    remedy : str
        Sentence that says what the user can do.

    Raises
    ------
    FractosegError
        Of type `kind`, with the first error as its cause.

    Examples
    --------
    >>> from napari_fractoseg.errors import ImageError, translated
    >>> with translated(ImageError, "a.tif cannot be read", "Export it again."):
    ...     1 / 0
    Traceback (most recent call last):
    ...
    napari_fractoseg.errors.ImageError: a.tif cannot be read: division by zero. Export it again.
    """
    try:
        yield
    except FractosegError:
        raise
    except Exception as error:
        raise kind(f"{what}: {reason_of(error)}. {remedy}".rstrip()) from error


def reason_of(error: BaseException) -> str:
    r"""Return why something failed, on one line without a full stop at its end.

    Examples
    --------
    >>> from napari_fractoseg.errors import reason_of
    >>> reason_of(ValueError("no\n number.")), reason_of(MemoryError()), reason_of(EOFError())
    ('no number', 'it takes more memory than there is', 'EOFError')
    """
    if isinstance(error, MemoryError):
        return "it takes more memory than there is"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, KeyError):
        return f"there is no {error}"[:_LONGEST_REASON]
    text = " ".join(str(error).split())
    return text[:_LONGEST_REASON].rstrip(".") or type(error).__name__
