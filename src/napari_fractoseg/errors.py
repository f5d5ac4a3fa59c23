"""Errors that napari-fractoseg raises on purpose.

Each message says what is wrong, shows the value, and says what to do, in words
that fit a window, a script and the command line alike. None derives from
``RuntimeError``: Qt workers swallow those (see ``docs/decisions/0002-long-work.md``).
"""

from __future__ import annotations

from typing import Self

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
    "OutputExistsError",
    "TrainingError",
    "UnexpectedError",
]


class FractosegError(Exception):
    """Base of every error that napari-fractoseg raises on purpose.

    Parameters
    ----------
    message : str
        What is wrong, the value, and what to do.
    options : tuple of str
        Parameters that would help, such as ``"channel"``, or with their value, such as
        ``"several=first"``. They are no part of the message: the command line adds the
        options of that name, of those that the running command has.
    """

    def __init__(self, message: str = "", *, options: tuple[str, ...] = ()) -> None:
        super().__init__(message)
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


class OutputExistsError(FractosegError):
    """A result would overwrite a file that is already there."""


class UnexpectedError(FractosegError):
    """An unexpected error of another library, wrapped so that Qt does not swallow it."""


class ClusterError(FractosegError):
    """Worker processes cannot be reached, or died."""
