"""Facets of the planes of many images: one table, and their sizes, in little memory."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_fractoseg.classes import ClassScheme
from napari_fractoseg.errors import OptionError
from napari_fractoseg.files import draft_of
from napari_fractoseg.images import MicrographStack
from napari_fractoseg.images.micrograph import LazyPlane
from napari_fractoseg.jobs import Job, as_part
from napari_fractoseg.measurement.facets.boundary import boundary_lengths
from napari_fractoseg.measurement.facets.plane import Facets, facets_job
from napari_fractoseg.measurement.facets.sizes import size_distributions
from napari_fractoseg.measurement.tables import csv_text
from napari_fractoseg.measurement.texts import plane_title
from napari_fractoseg.text import from_spreadsheet

__all__ = [
    "FacetSettings",
    "FacetTables",
    "PlanesFacets",
    "facet_arguments",
    "facets_of_planes_job",
    "plane_of_mask",
    "sizes_of",
]

SIZES = ("equivalent_diameter", "area")
"""Sizes whose distributions are measured."""
_STEPS = 100
"""Steps of the progress for each plane."""
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
    >>> from napari_fractoseg.measurement.facets.planes import FacetTables
    >>> from napari_fractoseg.measurement.facets.plane import facets
    >>> tables = FacetTables()
    >>> tables.add(facets(np.array([[1, 1, 2]]), DEFAULT_SCHEME), image="s17", plane=1)
    >>> tables.n_facets, tables.n_border
    (2, 2)
    """

    def __init__(self, settings: FacetSettings | None = None) -> None:
        self.settings = settings or FacetSettings()
        self.facets: list[Facets] = []
        self._specimens: list[str] = []
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
        self._specimens.append(specimen)

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
        planes = zip(self.facets, self._specimens, strict=True)
        with_facets = [(plane, specimen) for plane, specimen in planes if len(plane.table)]
        if not with_facets:
            raise OptionError("There is no facet whose size could be measured.")
        found, specimens = zip(*with_facets, strict=True)
        tables = [size_distributions(found, size, specimens=specimens) for size in SIZES]
        return pd.concat(tables, ignore_index=True)

    def table(self) -> pd.DataFrame:
        """Return the facets of all planes as one table, as `write` writes it.

        Examples
        --------
        >>> import numpy as np
        >>> from napari_fractoseg.classes import DEFAULT_SCHEME
        >>> from napari_fractoseg.measurement.facets.planes import FacetTables
        >>> from napari_fractoseg.measurement.facets.plane import facets
        >>> tables = FacetTables()
        >>> tables.add(facets(np.array([[1, 1, 2]]), DEFAULT_SCHEME), image="=s17", plane=1)
        >>> tables.table()[["image", "class_name", "area_px"]].to_numpy().tolist()
        [['=s17', 'intergranular', 2], ['=s17', 'transgranular', 1]]
        """
        texts = ("specimen", "image", "class_name")
        table = pd.read_csv(
            io.BytesIO(b"".join(self._written())),
            dtype=dict.fromkeys(texts, str),
            keep_default_na=False,
            na_values={name: [""] for name in self._columns if name not in texts},
        )
        for name in (name for name in texts if name in table):
            table[name] = table[name].map(from_spreadsheet)
        return table

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


def sizes_of(tables: FacetTables | None) -> tuple[pd.DataFrame | None, str]:
    """Return the size distributions of facets, or why there are none."""
    if tables is None:
        return None, "facets were not measured"
    try:
        return tables.sizes(), ""
    except OptionError as error:
        return None, str(error)


@dataclass(frozen=True, eq=False)
class PlanesFacets:
    """Facets and boundaries of the planes of an image.

    Parameters
    ----------
    facets : tuple of Facets
        Facets of each plane.
    boundary : DataFrame
        Lengths of the boundaries between the modes, with ``image`` and ``plane`` (from 1).
    """

    facets: tuple[Facets, ...]
    boundary: pd.DataFrame


def facets_of_planes_job(
    labels: Any,
    scheme: ClassScheme,
    settings: FacetSettings,
    *,
    name: str,
    pixel_size_um: float | None = None,
    exclude: Any = None,
    image: MicrographStack | None = None,
    confidence: MicrographStack | None = None,
) -> Job[PlanesFacets]:
    """Measure the facets of each plane of an image, and the boundaries between the modes.

    Parameters
    ----------
    labels : array of int, shape (..., Y, X)
        Class values of `scheme`, in memory or on disk.
    scheme : ClassScheme
        Classes of the label values.
    settings : FacetSettings
        How facets are measured.
    name : str
        Name of the image.
    pixel_size_um : float, optional
        Edge of a pixel in micrometres.
    exclude : array of shape (Y, X) or that of the labels, optional
        Not zero where nothing is measured.
    image, confidence : MicrographStack, optional
        Grey levels, and how sure the model was, of the shape of the labels.

    Yields
    ------
    Progress
        Planes that are measured.
    """
    shape = tuple(labels.shape)
    indices = list(np.ndindex(shape[:-2]))
    found, boundaries = [], []
    for done, index in enumerate(indices):
        mask = plane_of_mask(exclude, index)
        job = facets_job(
            LazyPlane(labels, index),
            scheme,
            pixel_size_um=pixel_size_um,
            exclude=mask,
            **facet_arguments(settings, index, image, confidence),
        )
        total = _STEPS * len(indices)
        title = plane_title(index, shape)
        found.append((yield from as_part(job, _STEPS * done, total, title, span=_STEPS)))
        boundary = boundary_lengths(
            LazyPlane(labels, index), scheme, pixel_size_um=pixel_size_um, exclude=mask
        )
        boundary.insert(0, "plane", done + 1)
        boundary.insert(0, "image", name)
        boundaries.append(boundary)
    return PlanesFacets(tuple(found), pd.concat(boundaries, ignore_index=True))


def facet_arguments(
    settings: FacetSettings,
    index: tuple[int, ...],
    image: MicrographStack | None = None,
    confidence: MicrographStack | None = None,
) -> dict[str, Any]:
    """Return the arguments of `facets` for a plane: settings, and values that are averaged."""
    values = {"image": image, "confidence": confidence}
    return {
        "connectivity": settings.connectivity,
        "min_area_px": settings.min_area_px,
        "weights": settings.weights,
        **{k: stack.plane(index).data for k, stack in values.items() if stack is not None},
    }


def plane_of_mask(exclude: Any, index: tuple[int, ...]) -> Any:
    """Return the part of an excluded area that is about a plane; None without one."""
    if exclude is None or len(exclude.shape) == 2:
        return exclude
    return LazyPlane(exclude, index)
