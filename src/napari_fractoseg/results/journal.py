"""Journal of the tiles of a result that are written, by which a killed run is resumed."""

from __future__ import annotations

from pathlib import Path

from napari_fractoseg.tiling import Box

__all__ = ["TileJournal"]


class TileJournal:
    """Set of the tiles that are written, kept in a text file that survives a killed process.

    Parameters
    ----------
    path : Path
        Text file with a line for each tile; it is made where it is missing. A last line that
        was cut off does not count.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        complete = text[: text.rfind("\n") + 1]
        path.write_text(complete, encoding="utf-8")
        self._written = set(complete.splitlines())

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
