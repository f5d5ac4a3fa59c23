"""Facets of the planes of many images: one table, and their sizes, in little memory."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from napari_fractoseg.errors import OptionError
from napari_fractoseg.files import draft_of
from napari_fractoseg.measurement.facets import Facets
from napari_fractoseg.measurement.sizes import size_distributions
from napari_fractoseg.measurement.tables import csv_text

__all__ = ["FacetSettings", "FacetTables"]

SIZES = ("equivalent_diameter", "area")
"""Sizes whose distributions are measured."""
_KEPT = ("class_value", "class_name", "touches_border", "weight")


@dataclass(frozen=True)
class FacetSettings:
    """How facets are measured; see `facets`.

    Parameters
    ----------
    min_area_px : int
        Smaller regions are left out of the table, and counted.
    connectivity : {1, 2}
        1: pixels that share an edge are connected; 2: those that share a corner as well.
    weights : bool
        Whether facets have the weights of Miles and Lantuéjoul.
    """

    min_area_px: int = 1
    connectivity: int = 1
    weights: bool = False

    def __str__(self) -> str:
        shared = "an edge" if self.connectivity == 1 else "an edge or a corner"
        weights = ", weights of Miles and Lantuéjoul" if self.weights else ""
        return f"pixels that share {shared}, of at least {self.min_area_px} px{weights}"


class FacetTables:
    """Tables of facets of many planes, one after the other.

    What is written is kept as compressed text, and of each facet what its size statistics take,
    so that a folder of a thousand images fits into memory.

    Parameters
    ----------
    settings : FacetSettings
        How the facets were measured.

    Attributes
    ----------
    facets : list of Facets
        Facets of each plane, with the columns of their sizes only.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_fractoseg.classes import DEFAULT_SCHEME
    >>> from napari_fractoseg.measurement.facet_tables import FacetTables
    >>> from napari_fractoseg.measurement.facets import facets
    >>> tables = FacetTables()
    >>> tables.add(facets(np.array([[1, 1, 2]]), DEFAULT_SCHEME), image="s17", plane=1)
    >>> tables.n_facets, tables.n_border
    (2, 2)
    """

    def __init__(self, settings: FacetSettings | None = None) -> None:
        self.settings = settings or FacetSettings()
        self.facets: list[Facets] = []
        self._texts: list[bytes] = []
        self._columns: dict[str, None] = {}

    def add(self, found: Facets, *, image: str, plane: int, specimen: str = "") -> None:
        """Add the facets of a plane.

        Parameters
        ----------
        found : Facets
            Facets of the plane.
        image : str
            Name of the image.
        plane : int
            Number of the plane, from 1.
        specimen : str
            Specimen of the image; empty if it is not known.
        """
        table = found.table.copy(deep=False)
        for name, value in (("specimen", specimen), ("plane", plane), ("image", image)):
            table.insert(0, name, value)
        self._columns |= dict.fromkeys(table.columns)
        self._texts.append(zlib.compress(csv_text(table).encode()))
        sizes = [f"{size}_{end}" for size in SIZES for end in ("px", "um", "um2")]
        kept = [name for name in (*_KEPT, *sizes) if name in table]
        self.facets.append(replace(found, table=table[kept], regions=None))

    @property
    def n_facets(self) -> int:
        """Number of all facets."""
        return sum(len(found.table) for found in self.facets)

    @property
    def n_border(self) -> int:
        """Number of facets that touch the border or the excluded area."""
        return sum(found.n_border for found in self.facets)

    def sizes(self) -> pd.DataFrame:
        """Return the size distributions of all facets, as `size_distributions`, of each size.

        Raises
        ------
        OptionError
            If there is no facet, or if some images have a pixel size and some have none.
        """
        found = [plane for plane in self.facets if len(plane.table)]
        if not found:
            raise OptionError("There is no facet whose size could be measured.")
        tables = [size_distributions(found, size) for size in SIZES]
        return pd.concat(tables, ignore_index=True)

    def write(self, path: Path, *, overwrite: bool = False) -> Path:
        """Write the facets of all planes as one CSV file, a row for each.

        Where some images have a pixel size and some have none, it has columns for both.

        Parameters
        ----------
        path : Path
            File to write.
        overwrite : bool
            Whether a file of that name is replaced.
        """
        with draft_of(path, overwrite=overwrite) as draft, draft.open("wb") as file:
            for text in self._written():
                file.write(text)
        return path

    def _written(self) -> Iterator[bytes]:
        header = csv_text(pd.DataFrame(columns=list(self._columns))).encode()
        yield header
        for compressed in self._texts:
            text = zlib.decompress(compressed)
            if not text.startswith(header):
                table = pd.read_csv(io.BytesIO(text), dtype=str, keep_default_na=False)
                table = table.reindex(columns=list(self._columns), fill_value="")
                text = table.to_csv(index=False, lineterminator="\n").encode()
            yield text[len(header) :]
