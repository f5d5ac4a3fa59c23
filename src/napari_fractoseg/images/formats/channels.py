"""Content of an image file (`Source`), and the choice of one of its channels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from napari_fractoseg.errors import ImageError
from napari_fractoseg.images.axes import Axis
from napari_fractoseg.images.lazy import at_index

__all__ = ["CHANNEL", "Source", "choose_channel", "last_axis_is_colour"]

CHANNEL = "channel"
"""Type of a channel axis, of which one index is chosen."""


@dataclass(frozen=True)
class Source:
    """Content of an image file: its array, and what the file says about it.

    Parameters
    ----------
    data : array
        Values of the file, in memory or on disk.
    rgb : bool
        Whether the last axis holds 3 or 4 colours.
    axes : tuple of Axis or None
        Axis for each dimension of `data`; None if the file does not say.
    channel_names : tuple of str
        Names of the channels; empty if the file does not say.
    pixel_size_um : float or None
        Edge of a pixel in micrometres; None if the file does not say.
    pixel_size_from : str
        Origin of the pixel size in words; empty if it is not known.
    notes : tuple of str
        Sentences for the user on what of the file is not read.
    """

    data: Any
    rgb: bool = False
    axes: tuple[Axis, ...] | None = None
    channel_names: tuple[str, ...] = ()
    pixel_size_um: float | None = None
    pixel_size_from: str = ""
    notes: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis of the array."""
        return tuple(int(n) for n in self.data.shape)

    @property
    def plane_axes(self) -> tuple[Axis, ...] | None:
        """Axes of the array without that of the colours; None if they are not known."""
        return self.axes[:-1] if self.axes and self.rgb else self.axes


def last_axis_is_colour(
    axes: tuple[Axis, ...], shape: tuple[int, ...], channel: int | str | None
) -> bool:
    """Whether the last axis holds colours: 3 or 4 channels of which none was chosen."""
    return axes[-1].type == CHANNEL and shape[-1] in (3, 4) and channel is None


def choose_channel(source: Source, channel: int | str | None, path: Path) -> Source:
    """Return the image of one channel, without its channel axis.

    Parameters
    ----------
    source : Source
        Content of the file.
    channel : int, str or None
        Number of the channel from 0, or its name; None where there is one or none.
    path : Path
        Path of the file, for messages.

    Raises
    ------
    ImageError
        If there are several channels and none is chosen, if there is no channel of this
        number or name, or no channel axis.
    """
    found = [i for i, axis in enumerate(source.plane_axes or ()) if axis.type == CHANNEL]
    several = [i for i in found if source.shape[i] > 1]
    if len(several) > 1:
        names = " and ".join(f"'{(source.axes or ())[i].name}'" for i in several)
        raise ImageError(
            f"{path} has {len(several)} channel axes, {names}, its shape is {_shape(source)}. Save "
            "the channel to look at as an image of its own."
        )
    if channel is None and several:
        raise _not_chosen(source, several[0], path)
    chosen = dict.fromkeys(found, 0)
    if channel is not None:
        axis = (several or found or [-1])[0]
        if axis < 0:
            raise ImageError(_no_channel_axis(source, channel, path))
        chosen[axis] = _index_of(channel, source.shape[axis], source.channel_names, path)
    for axis in reversed(found):
        axes = source.axes or ()
        source = replace(
            source,
            data=at_index(source.data, axis, chosen[axis]),
            axes=(*axes[:axis], *axes[axis + 1 :]),
        )
    return _with_rows_and_columns_last(source, path)


def _not_chosen(source: Source, axis: int, path: Path) -> ImageError:
    n_channels = source.shape[axis]
    names = f": {', '.join(source.channel_names)}" if source.channel_names else ""
    return ImageError(
        f"{path} has {n_channels} channels on the axis '{(source.axes or ())[axis].name}' of its "
        f"shape {_shape(source)}{names}. Choose one by its name or its number, 0 to "
        f"{n_channels - 1}, or save it as an image of its own.",
        options=("channel",),
    )


def _no_channel_axis(source: Source, channel: int | str, path: Path) -> str:
    wanted = f"channel {channel!r} was chosen"
    if source.rgb:
        return (
            f"{path}: {wanted}, but the image has colours, which become grey levels. Leave the "
            "channel out."
        )
    if source.axes is None and len(source.shape) > 2:
        return (
            f"{path}: {wanted}, but the file does not say which axis of its shape {_shape(source)} "
            "holds channels. Name the axes in the file (OME-Zarr, dimension_names, OME-TIFF), or "
            "leave the channel out."
        )
    return f"{path}: {wanted}, but the image has no channel axis. Leave the channel out."


def _index_of(channel: int | str, n_channels: int, names: tuple[str, ...], path: Path) -> int:
    """Return the number of a channel that is given by name, or by its number as int or text."""
    if isinstance(channel, str):
        if (count := names.count(channel)) == 1:
            return names.index(channel)
        if count > 1:
            raise ImageError(
                f"{path}: {count} channels are called '{channel}'. Choose one by its number, "
                f"0 to {n_channels - 1}."
            )
    number = int(channel) if str(channel).isdecimal() else -1
    if not 0 <= number < n_channels:
        listed = f", called {', '.join(names)}" if names else ""
        only = "only 0" if n_channels == 1 else f"0 to {n_channels - 1}"
        raise ImageError(
            f"{path}: there is no channel {channel!r}. Choose one of its {n_channels}: "
            f"{only}{listed}."
        )
    return number


def _with_rows_and_columns_last(source: Source, path: Path) -> Source:
    """Refuse images whose last two axes are not y and x; forget axes with names used twice."""
    names = [axis.name for axis in source.plane_axes or ()]
    if {"y", "x"} <= {*names} and {*names[-2:]} != {"y", "x"}:
        raise ImageError(
            f"{path}: its axes are {', '.join(names)}, but those of an image must be the last "
            "two: ..., y, x. Save it with its axes in this order."
        )
    return replace(source, axes=None) if len({*names}) < len(names) else source


def _shape(source: Source) -> str:
    return " x ".join(map(str, source.shape))
