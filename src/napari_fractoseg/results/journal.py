"""Journal of the tiles of a result that are written, by which a killed run is resumed."""

from __future__ import annotations

import functools
import platform
from collections.abc import Iterable
from pathlib import Path

import psutil

from napari_fractoseg.files import draft_of
from napari_fractoseg.tiling import Box

__all__ = ["TileJournal"]

_START = "start"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class TileJournal:
    """Set of the tiles that are written, kept in a text file that survives a killed process.

    Parameters
    ----------
    path : Path
        Text file with a line for each tile; it is made where it is missing. A last line that
        was cut off does not count.

    Notes
    -----
    What a killed process wrote is kept by the operating system, but not what it had not yet
    brought to the disk when the power fails. Waiting for the disk after each tile would take
    long. So the journal says on which computer, and since which start of it, tiles were
    written: after a restart of that computer they count as missing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        lines = _trusted(text[: text.rfind("\n") + 1].splitlines())
        text = "".join(f"{line}\n" for line in (_this_start(), *lines))
        if path.exists():
            with draft_of(path, overwrite=True) as draft:
                draft.write_text(text, encoding="utf-8")
        else:
            path.write_text(text, encoding="utf-8")
        self._written = set(lines)

    def __contains__(self, tile: tuple[tuple[int, ...], Box]) -> bool:
        return _line(*tile) in self._written

    def __len__(self) -> int:
        return len(self._written)

    def note(self, index: tuple[int, ...], core: Box) -> None:
        """Add a tile: the index of its plane and its core, which is written now."""
        line = _line(index, core)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
        self._written.add(line)


def _line(index: tuple[int, ...], core: Box) -> str:
    return " ".join(map(str, (*index, core.row0, core.row1, core.column0, core.column1)))


def _trusted(lines: Iterable[str]) -> list[str]:
    """Return the tiles that no restart of the computer that wrote them can have lost."""
    this, is_trusted, kept = _this_start(), True, []
    for line in lines:
        if line.startswith(f"{_START} "):
            same_computer = line.split()[:2] == this.split()[:2]
            is_trusted = line == this or not same_computer
        elif is_trusted:
            kept.append(line)
    return kept


@functools.cache
def _this_start() -> str:
    """Return a line that names this computer and when it was started."""
    if _BOOT_ID.is_file():
        number = _BOOT_ID.read_text(encoding="ascii").strip()
    else:
        number = str(round(psutil.boot_time() / 60))  # clocks are set
    return f"{_START} {'-'.join(platform.node().split()) or '-'} {number}"
