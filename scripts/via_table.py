"""List VIA files: what kind each is, what it holds, and what is said about it.

    python scripts/via_table.py FOLDER_OR_FILE...
    python scripts/via_table.py --markdown FOLDER_OR_FILE...

Files that are not VIA's are listed as declined.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from napari_fractoseg.annotations.reading import flavour_of
from napari_fractoseg.annotations.via import read_via
from napari_fractoseg.errors import AnnotationError

SUFFIXES = (".json", ".csv")
COLUMNS = ("file", "flavour", "images", "regions", "notes")


def files_in(paths: list[Path]) -> Iterator[Path]:
    """Yield files as they are, and of folders those that may be VIA's by their suffix."""
    for path in paths:
        if path.is_dir():
            yield from sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)
        else:
            yield path


def row_of(path: Path) -> tuple[str, ...]:
    """Return the cells about a file."""
    if flavour_of(path) is None:
        return path.name, "declined", "", "", ""
    try:
        document = read_via(path, strict=False)
    except AnnotationError as error:
        return path.name, "error", "", "", str(error)
    counts = document.shape_counts()
    shapes = ", ".join(f"{kind or 'none'} {n}" for kind, n in counts.items())
    n_regions = sum(counts.values())
    notes = f"{len(document.notes)}: {' '.join(document.notes)}" if document.notes else ""
    regions = f"{n_regions}: {shapes}" if shapes else "0"
    return path.name, document.flavour.value, str(len(document)), regions, notes


def print_markdown(rows: list[tuple[str, ...]]) -> None:
    """Print the table as the documentation has it."""
    for row in (COLUMNS, ("---",) * len(COLUMNS), *rows):
        print("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |")


def print_table(rows: list[tuple[str, ...]]) -> None:
    """Print the table as wide as the terminal."""
    table = Table(*COLUMNS)
    for column in table.columns:
        column.overflow = "fold"
    for row in rows:
        table.add_row(*row)
    width = None if sys.stdout.isatty() else 200
    Console(width=width, markup=False, highlight=False, emoji=False).print(table)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", type=Path, nargs="+", metavar="FOLDER_OR_FILE")
    parser.add_argument("--markdown", action="store_true", help="as in docs/benchmarks.md")
    options = parser.parse_args()
    rows = [row_of(path) for path in files_in(options.paths)]
    (print_markdown if options.markdown else print_table)(rows)
    print(f"\n{len(rows)} files")


if __name__ == "__main__":
    main()
