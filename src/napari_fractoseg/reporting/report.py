"""Report on a measurement: one HTML file that says all of it and needs nothing else."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import jinja2
import pandas as pd

from napari_fractoseg.classes import DEFAULT_SCHEME, ClassScheme
from napari_fractoseg.errors import OptionError
from napari_fractoseg.files import refuse_existing, write_bytes
from napari_fractoseg.measurement.estimates import ANALYSED, NOT_CHECKED, Measurement
from napari_fractoseg.measurement.facets.plane import Facets
from napari_fractoseg.measurement.facets.sizes import WEIGHTINGS, size_distributions
from napari_fractoseg.measurement.files.measured import FilesMeasured, Picture
from napari_fractoseg.reporting.audit_tables import audit_tables, other_entries
from napari_fractoseg.reporting.figures import draw_fractions, draw_groups, draw_sizes
from napari_fractoseg.reporting.models_used import ModelUsed, models_used
from napari_fractoseg.reporting.pictures import data_uri, drawn, figure_bytes, picture_uri
from napari_fractoseg.reporting.tables import (
    ReportTable,
    boundary_table,
    estimates_table,
    fields_table,
    files_table,
    groups_table,
    sizes_table,
)
from napari_fractoseg.reporting.wording import facet_caveats, methods_text, reported_items
from napari_fractoseg.text import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FIGURES", "FIGURE_FILES", "FIGURE_KINDS", "REPORT", "Report"]

REPORT, FIGURES = "report.html", "figures"
"""Names of the file of a report, and of the folder of its figures."""
FIGURE_KINDS = ("png", "svg", "pdf")
_CAPTIONS = {
    "fractions": "Fraction of each fracture mode: mean with its interval, and what it rests on.",
    "groups": "Fraction in each specimen or image.",
    "sizes": "Cumulative sizes of the facets that do not touch the border, by area and by number.",
}
_CHECKED = (
    "Intervals are of the sampling only. How wrong the labels are, and what the fractions are when "
    "corrected for it, is told by the point count."
)
FIGURE_FILES = tuple(f"{FIGURES}/{name}.{kind}" for name in _CAPTIONS for kind in FIGURE_KINDS)
"""All files of figures that there can be, from the folder of the report."""
_WIDTH = 6.7
"""Width of a figure in inches, that of the text on A4."""


@dataclass(frozen=True, eq=False)
class Report:
    """Report on a measurement.

    Everything but the measurement can be left out; what is not given is not shown. Nothing is
    read from disk.

    Parameters
    ----------
    measurement : Measurement
        Fractions with their uncertainty.
    scheme : ClassScheme
        Classes with their colours.
    files : DataFrame, optional
        Inputs as `FilesMeasured.files` has them; ``image`` and ``sha256`` at least.
    settings : mapping of str to str
        How it was measured, in words.
    facets : sequence of Facets
        Facets of each plane.
    sizes : DataFrame, optional
        Table of `size_distributions`; by default it is made of the facets, if it can be.
    boundary : DataFrame, optional
        Lengths of the boundaries between the modes, with ``image`` and ``plane``.
    models : sequence of ModelUsed
        Models that gave the labels.
    pictures : sequence of Picture
        Small pictures of images with their labels.
    audit : mapping, optional
        Result of a point count as plain JSON types; its ``sentence`` is shown first.
    title : str
        Heading.
    date : date
        The only date in the report; by default today.

    Examples
    --------
    >>> import numpy as np
    >>> import napari_fractoseg as nf
    >>> from napari_fractoseg.reporting.report import Report
    >>> labels = np.array([[1, 1, 2, 2], [1, 2, 2, 3]])
    >>> report = Report(nf.measure(labels, fields="grid:2px"))
    >>> report.html().startswith("<!DOCTYPE html>"), list(report.figures)
    (True, ['fractions'])
    """

    measurement: Measurement
    scheme: ClassScheme = DEFAULT_SCHEME
    files: pd.DataFrame | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    facets: Sequence[Facets] = ()
    sizes: pd.DataFrame | None = None
    boundary: pd.DataFrame | None = None
    models: Sequence[ModelUsed] = ()
    pictures: Sequence[Picture] = ()
    audit: Mapping[str, Any] | None = None
    title: str = "Fractions of the fracture modes"
    date: datetime.date = field(default_factory=datetime.date.today)

    @classmethod
    def of_files(
        cls,
        found: FilesMeasured,
        *,
        audit: Mapping[str, Any] | None = None,
        date: datetime.date | None = None,
    ) -> Report:
        """Return the report on label files that were measured.

        Parameters
        ----------
        found : FilesMeasured
            What came of measuring them.
        audit : mapping, optional
            Result of a point count, as plain JSON types.
        date : date, optional
            The date in the report; by default today.

        Raises
        ------
        OptionError
            If no file could be measured.
        """
        if found.measurement is None:
            raise OptionError("No file could be measured: there is nothing to report.")
        return cls(
            found.measurement,
            found.scheme,
            found.files,
            found.settings,
            () if found.facets is None else found.facets.facets,
            found.sizes,
            found.boundary,
            models_used(found.records),
            found.pictures,
            audit,
            date=datetime.date.today() if date is None else date,
        )

    @property
    def version(self) -> str:
        """Version of the program."""
        from napari_fractoseg import __version__

        return __version__

    @property
    def is_checked(self) -> bool:
        """Whether checked points say how wrong the labels are."""
        return bool(self.audit and self.audit.get("adjusted"))

    @property
    def caveats(self) -> tuple[str, ...]:
        """Sentences that belong beside the numbers."""
        known = (
            _CHECKED if self.is_checked and c == NOT_CHECKED else c
            for c in self.measurement.caveats
        )
        return (*known, *facet_caveats(self))

    @cached_property
    def mode_facets(self) -> tuple[Facets, ...]:
        """Facets of the fracture modes, of each plane that has any."""
        modes = [mode.name for mode in self.scheme.fracture_modes]
        of_modes = (
            replace(f, table=f.table[f.table["class_name"].isin(modes)]) for f in self.facets
        )
        return tuple(found for found in of_modes if len(found.table))

    @cached_property
    def size_distributions(self) -> pd.DataFrame | None:
        """Size distributions of facets of the modes; None where there are none to be had."""
        if self.sizes is not None:
            modes = [mode.name for mode in self.scheme.fracture_modes]
            return self.sizes[self.sizes["class_name"].isin(modes)]
        try:
            return size_distributions(self.mode_facets) if self.mode_facets else None
        except OptionError:  # some planes have a pixel size and some have none
            return None

    @cached_property
    def figures(self) -> dict[str, tuple[float, float]]:
        """Figures that there are, with their widths and heights in inches."""
        rows = len(self.measurement.mode_estimates)
        found = {"fractions": (_WIDTH, 1.3 + 0.55 * rows)} if rows else {}
        groups = self.measurement.groups()
        if rows and len(groups) > 1:
            found["groups"] = (_WIDTH, 1.2 + 0.2 * min(len(groups), 40))
        if self.mode_facets and self.size_distributions is not None:
            found["sizes"] = (_WIDTH, 3.0)
        return found

    def draw(self, name: str, figure: Figure) -> None:
        """Draw one of the figures.

        Parameters
        ----------
        name : str
            Name of a figure in `figures`.
        figure : matplotlib.figure.Figure
            Empty figure to draw into.
        """
        draw: dict[str, Callable[[Figure], None]] = {
            "fractions": self._draw_fractions,
            "groups": self._draw_groups,
            "sizes": self._draw_sizes,
        }
        draw[name](figure)

    def _draw_fractions(self, figure: Figure) -> None:
        axes = figure.subplots()
        draw_fractions(axes, self.measurement, self.scheme)
        figure.legend(loc="outside lower center", ncols=3)

    def _draw_groups(self, figure: Figure) -> None:
        draw_groups(figure.subplots(), self.measurement, self.scheme)
        figure.legend(loc="outside lower center", ncols=3)

    def _draw_sizes(self, figure: Figure) -> None:
        both = figure.subplots(1, len(WEIGHTINGS), sharex=True)
        for axes, weighting in zip(both, reversed(WEIGHTINGS), strict=True):
            sizes = self.size_distributions
            draw_sizes(axes, self.mode_facets, self.scheme, weighting=weighting, sizes=sizes)
        handles = both[0].get_legend_handles_labels()
        if handles[0]:
            figure.legend(*handles, loc="outside lower center", ncols=3)

    def figure(self, name: str, kind: Literal["png", "svg", "pdf"] = "svg") -> bytes:
        """Return a figure as the bytes of a file.

        Parameters
        ----------
        name : str
            Name of a figure in `figures`.
        kind : {"png", "svg", "pdf"}
            Kind of file.
        """
        if name not in self._drawn:
            self._drawn[name] = drawn(lambda figure: self.draw(name, figure), self.figures[name])
        return figure_bytes(self._drawn[name], kind)

    @cached_property
    def _drawn(self) -> dict[str, Figure]:
        return {}

    def write_figures(self, folder: Path, *, overwrite: bool = False) -> list[Path]:
        """Write all figures as PNG, SVG and PDF into a folder.

        Parameters
        ----------
        folder : Path
            Folder, which is made.
        overwrite : bool
            Whether files of these names are replaced.

        Returns
        -------
        list of Path
            Files that were written.
        """
        paths = {(n, kind): folder / f"{n}.{kind}" for n in self.figures for kind in FIGURE_KINDS}
        if not overwrite:
            refuse_existing(*paths.values(), replaceable=True)
        folder.mkdir(parents=True, exist_ok=True)
        return [
            write_bytes(path, self.figure(name, kind), overwrite=overwrite)  # type: ignore[arg-type]
            for (name, kind), path in paths.items()
        ]

    def html(self) -> str:
        """Return the report as one page that needs no other file and runs no program."""
        measurement = self.measurement
        analysed = [found for found in measurement.estimates if found.of == ANALYSED]
        return _template().render(
            report=self,
            caveats=self.caveats,
            methods=methods_text(self),
            items=reported_items(self),
            figures={name: data_uri(self.figure(name), "svg") for name in self.figures},
            captions=_CAPTIONS,
            modes=estimates_table(
                "Of the area that shows a fracture mode", measurement.mode_estimates
            ),
            analysed=estimates_table("Of the analysed area", analysed),
            groups=groups_table(measurement),
            fields=fields_table(measurement),
            files=None if self.files is None else files_table(self.files),
            sizes=self._sizes_table(),
            audit_tables=audit_tables(self.audit or {}),
            audit_entries=other_entries(self.audit or {}),
            boundary=None if self.boundary is None else boundary_table(self.boundary),
            pictures=[
                (picture.name, picture_uri(picture.rgb, is_photograph=picture.shows_image))
                for picture in self.pictures
            ],
        )

    def _sizes_table(self) -> ReportTable | None:
        sizes = self.size_distributions
        return None if sizes is None else sizes_table(sizes)

    def write(self, path: Path, *, overwrite: bool = False) -> Path:
        """Write the report as one HTML file, and return its path.

        Parameters
        ----------
        path : Path
            File to write.
        overwrite : bool
            Whether a file of that name is replaced.
        """
        if not overwrite:
            refuse_existing(path, replaceable=True)
        return write_bytes(path, self.html().encode(), overwrite=overwrite)


@lru_cache(maxsize=1)
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True,
        finalize=_shown,
        loader=jinja2.PackageLoader("napari_fractoseg.reporting"),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("report.html")


def _shown(value: Any) -> Any:
    """Return what a page shows of a value: text of others without what is unprintable."""
    if value is None:
        return "-"
    return value if hasattr(value, "__html__") else printable(value)
