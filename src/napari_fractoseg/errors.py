"""The errors that napari-fractoseg raises on purpose.

Each message says what is wrong, shows the value, and says what to do. None
derives from ``RuntimeError``: Qt workers swallow those (see
``docs/decisions/0002-long-work.md``).
"""

from __future__ import annotations

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
    """Base of every error that napari-fractoseg raises on purpose."""


class ImageError(FractosegError):
    """An image cannot be read or segmented as it is."""


class ClassSchemeError(FractosegError):
    """Class names, values or colours do not fit together."""


class AnnotationError(FractosegError):
    """An annotation file or one of its regions cannot be used."""


class ModelError(FractosegError):
    """A model folder is missing, damaged or not one of ours."""


class TrainingError(FractosegError):
    """The training data or the plan does not allow training."""


class DeviceError(FractosegError):
    """The device that was asked for cannot be used."""


class OutOfMemoryError(DeviceError):
    """The device or the computer has too little memory for the work."""


class OptionError(FractosegError):
    """An option has a value that it cannot have."""


class DownloadError(FractosegError):
    """A file could not be fetched, or is not the file that was expected."""


class OutputExistsError(FractosegError):
    """A result would overwrite a file that is already there."""


class UnexpectedError(FractosegError):
    """Wraps an error of another library so that no window loses it."""


class ClusterError(FractosegError):
    """The processes that should do the work cannot be reached."""
