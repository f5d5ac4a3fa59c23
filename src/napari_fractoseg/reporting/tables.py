"""Tables of a report: cells as texts, long ones folded and cut."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import PurePath
from typing import Any

import pandas as pd

from napari_fractoseg.measurement.estimates import ClassEstimate, Measurement
from napari_fractoseg.measurement.texts import percent_text

__all__ = [
    "NO_FIGURE",
    "ReportTable",
    "boundary_table",
    "estimates_table",
    "fields_table",
    "files_table",
    "fraction_text",
    "groups_table",
    "interval_text",
    "number_text",
    "sizes_table",
]

MOST_ROWS = 1000
"""Rows of a table beyond which the rest is in the CSV file only."""
FOLDED_ROWS = 15
"""Rows beyond which a table is folded."""
_STATISTICS = ("mean", "q0.1", "q0.5", "q0.9")
"""Statistics of sizes that are shown, where they were measured."""
NO_FIGURE = "-"
"""What stands for a number that is not known."""
_NUMBER = re.compile(r"-|[<>]? ?[\d.e+-]+(\u00a0%)?")


@dataclass(frozen=True)
class ReportTable:
    """Table of texts.

    Parameters
    ----------
    title : str
        What it shows.
    columns : tuple of str
        Headings.
    rows : tuple of tuple of str
        Cells.
    n_rows : int
        Number of all rows, of which `rows` may be the first ones.
    file : str
        CSV file that has all of them; empty if there is none.
    note : str
        Sentences below it.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    n_rows: int
    file: str = ""
    note: str = ""

    @cached_property
    def is_number(self) -> tuple[bool, ...]:
        """Whether the cells of each column are numbers, which stand at the right."""
        return tuple(
            bool(self.rows) and all(_NUMBER.fullmatch(cell) for cell in column)
            for column in zip(*self.rows, strict=True)
        ) or (False,) * len(self.columns)

    @property
    def is_folded(self) -> bool:
        """Whether only the title is seen at first."""
        return self.n_rows > FOLDED_ROWS

    @property
    def n_more(self) -> int:
        """Number of rows that are left out."""
        return self.n_rows - len(self.rows)

    def without_constants(self) -> ReportTable:
        """Return the table without columns that say the same in each row; a note says it once."""
        cells = list(zip(*self.rows, strict=True))
        same = [len(self.rows) > 1 and len(set(column)) == 1 for column in cells]
        if not any(same) or self.n_more:
            return self
        said = [
            f"{name} {column[0]}"
            for name, column, is_same in zip(self.columns, cells, same, strict=True)
            if is_same
        ]
        kept = [number for number, is_same in enumerate(same) if not is_same]
        rows = tuple(tuple(row[number] for number in kept) for row in self.rows)
        note = f"In all rows: {', '.join(said)}. {self.note}".strip()
        return replace(self, columns=tuple(self.columns[k] for k in kept), rows=rows, note=note)

    @classmethod
    def of(
        cls, title: str, columns: Mapping[str, Sequence[Any]], *, file: str = "", note: str = ""
    ) -> ReportTable:
        """Return a table of columns of texts and numbers."""
        cells = [[_text(cell) for cell in values[:MOST_ROWS]] for values in columns.values()]
        n_rows = max((len(values) for values in columns.values()), default=0)
        rows = tuple(zip(*cells, strict=True))
        return cls(title, tuple(columns), rows, n_rows, file, note)


def _text(cell: Any) -> str:
    if isinstance(cell, str):
        return cell.replace(" %", "\u00a0%").replace(" to ", "\u00a0to\u00a0") or NO_FIGURE
    if isinstance(cell, float):
        return number_text(cell)
    return NO_FIGURE if cell is None or cell is pd.NA else str(cell)


def number_text(value: float | None, digits: int = 4) -> str:
    """Return a number with as many digits as matter; a dash where it is not known."""
    if value is None or math.isnan(value):
        return NO_FIGURE
    rounded = float(f"{value:.{digits}g}")
    return f"{rounded:.0f}" if abs(rounded) >= 10 ** (digits - 1) else f"{rounded:.{digits}g}"


def _percents(fractions: Sequence[float], decimals: int = 1) -> list[str]:
    return [NO_FIGURE if math.isnan(f) else percent_text(float(f), decimals) for f in fractions]


def _points(fraction: float) -> str:
    """Return a spread of fractions, in points of percent."""
    return NO_FIGURE if math.isnan(fraction) else f"{100 * fraction:.2f}"


def estimates_table(title: str, estimates: Sequence[ClassEstimate]) -> ReportTable:
    """Return the estimates with their intervals, %RA and fields that are still needed."""
    unit = estimates[0].sampling.unit if estimates else "fields"
    columns: dict[str, list[Any]] = {"class": [e.class_name for e in estimates]}
    shown = [e.sampling.shown for e in estimates]
    columns |= {
        "mean": [fraction_text(e.sampling.mean) for e in estimates],
        f"{_level(estimates)} interval": [interval_text(*limits) for limits in shown],
        "n": [e.sampling.n for e in estimates],
        "s": [_points(e.sampling.s) for e in estimates],
        "t·s/√n": [_points(e.sampling.half_width) for e in estimates],
        "%RA": [number_text(e.sampling.relative_accuracy_percent, 3) for e in estimates],
        "n for 10 %RA": [_whole(e.sampling.fields_needed(10)) for e in estimates],
        "pooled": [fraction_text(e.pooled) for e in estimates],
    }
    if any(not math.isnan(e.within_spread) for e in estimates):
        columns["s within"] = [_points(e.within_spread) for e in estimates]
    if any(e.bootstrap is not None for e in estimates):
        limits = [e.bootstrap or (math.nan, math.nan) for e in estimates]
        columns["block bootstrap"] = [interval_text(*each) for each in limits]
    return ReportTable.of(f"{title} (n: {unit})", columns, file="fractions.csv")


def _level(estimates: Sequence[ClassEstimate]) -> str:
    return f"{100 * estimates[0].sampling.confidence:g} %" if estimates else ""


def _whole(number: int | None) -> str:
    return NO_FIGURE if number is None else str(number)


def fraction_text(fraction: float) -> str:
    """Return a fraction as percent, with two decimals near 0 and 1; a dash if it is not known."""
    if math.isnan(fraction):
        return NO_FIGURE
    return percent_text(fraction, 1 if 0.01 <= fraction <= 0.99 else 2)


def interval_text(low: float, high: float) -> str:
    """Return the interval of a fraction as percent; a dash if there is none."""
    if math.isnan(low):
        return NO_FIGURE
    decimals = 2 if low < 0.01 or high > 0.99 else 1
    return f"{100 * low:.{decimals}f} to {100 * high:.{decimals}f} %"


def groups_table(measurement: Measurement) -> ReportTable:
    """Return the means and spreads of each specimen, or image and plane."""
    groups = measurement.groups()
    kind = "specimen" if "specimen" in groups else "image and plane"
    columns = {c: groups[c].tolist() for c in ("specimen", "image", "plane") if c in groups}
    columns["fields"] = groups["n_fields"].tolist()
    for found in measurement.mode_estimates:
        columns[found.class_name] = _percents(groups[found.column].tolist())
        columns[f"s {found.class_name} (points)"] = [
            _points(s) for s in groups[f"s_{found.column}"].tolist()
        ]
    return ReportTable.of(f"Each {kind}: mean of its fields", columns, file="groups.csv")


def fields_table(measurement: Measurement) -> ReportTable:
    """Return the raw data: areas and fractions of each field."""
    fields = measurement.fields.head(MOST_ROWS)
    keys = ["specimen", "image", "plane", "field"]
    if (fields["specimen"] == "").all():
        keys.remove("specimen")
    columns: dict[str, list[Any]] = {key: fields[key].tolist() for key in keys}
    columns["row, column"] = _pairs(fields, "row", "column", ",\u00a0")
    columns["rows x columns"] = _pairs(fields, "height_px", "width_px", "\u00a0x\u00a0")
    for name in ("analysed_px", "unlabelled_px", "excluded_px"):
        columns[name.replace("_px", " (px)")] = fields[name].tolist()
    areas = [found for found in measurement.estimates if f"area_px_{found.class_name}" in fields]
    for name in dict.fromkeys(found.class_name for found in areas):
        columns[f"{name} (px)"] = fields[f"area_px_{name}"].tolist()
    for found in measurement.mode_estimates:
        columns[f"{found.class_name} (% of modes)"] = _percents(fields[found.column].tolist())
    table = ReportTable.of("Fields: raw data", columns, file="fields.csv")
    return replace(table, n_rows=len(measurement.fields)).without_constants()


def _pairs(table: pd.DataFrame, one: str, two: str, between: str) -> list[str]:
    both = zip(table[one].tolist(), table[two].tolist(), strict=True)
    return [f"{a}{between}{b}" for a, b in both]


def files_table(files: pd.DataFrame) -> ReportTable:
    """Return the inputs with their hashes."""
    wanted = {
        "image": "image",
        "file": "labels",
        "sha256": "SHA-256 of the labels",
        "origin": "origin",
        "pixel_size_um": "pixel (µm)",
        "pixel_size_from": "said by",
        "micrograph": "micrograph",
        "micrograph_sha256": "SHA-256 of the micrograph",
        "left_out": "left out",
        "note": "note",
        "error": "not measured",
        "scale_factor": "scale factor",
    }
    columns = {
        title: files[name].tolist()
        for name, title in wanted.items()
        if name in files and (name in ("image", "sha256") or _is_told(files[name]))
    }
    for title in ("labels", "micrograph"):
        columns |= (
            {title: [_file_name(path) for path in columns[title]]} if title in columns else {}
        )
    return ReportTable.of("Files", columns, file="files.csv").without_constants()


def _file_name(path: str) -> str:
    return PurePath(path.replace("\\", "/")).name


def _is_told(column: pd.Series[Any]) -> bool:
    return bool((column.notna() & (column != "")).any())


def sizes_table(sizes: pd.DataFrame, size: str = "equivalent_diameter") -> ReportTable | None:
    """Return the distributions of a size, a row for each class and weighting; None without any."""
    found = sizes[sizes["size"].str.fullmatch(f"{size}_(px|um|um2)")]
    if found.empty:
        return None
    unit = {"px": "px", "um": "µm", "um2": "µm²"}[str(found["size"].iloc[0]).rpartition("_")[2]]
    known = list(dict.fromkeys(found["statistic"]))
    statistics = [name for name in _STATISTICS if name in known] or known
    rows = found.groupby(["class_value", "class_name", "weighting"], sort=False)
    columns: dict[str, list[str]] = {"class": [], "weighed by": [], "facets": [], "at border": []}
    columns |= {_statistic_title(name): [] for name in statistics}
    for (_, name, weighting), row in rows:
        first = row.iloc[0]
        columns["class"].append(str(name))
        columns["weighed by"].append(str(weighting))
        columns["facets"].append(str(first["n_facets"]))
        columns["at border"].append(str(first["n_border"]))
        row = row[row["statistic"].isin(statistics)]
        for statistic, value, low, high in zip(
            row["statistic"], row["value"], row["low"], row["high"], strict=True
        ):
            interval = (
                "" if math.isnan(low) else f" ({number_text(low, 3)} to {number_text(high, 3)})"
            )
            columns[_statistic_title(statistic)].append(f"{number_text(value, 3)}{interval}")
    reasons = dict.fromkeys(
        f"{name}: {reason}"
        for name, reason in zip(found["class_name"], found["reason"], strict=True)
        if reason
    )
    note = f"No interval for {'; '.join(reasons)}." if reasons else ""
    title = f"{size.replace('_', ' ').capitalize()} of facets ({unit})"
    return ReportTable.of(title, columns, file="sizes.csv", note=note)


def _statistic_title(statistic: str) -> str:
    if statistic == "q0.5":
        return "median"
    return f"{100 * float(statistic[1:]):g} %" if statistic.startswith("q") else statistic


def boundary_table(boundary: pd.DataFrame) -> ReportTable:
    """Return the lengths of the boundaries between the modes."""
    columns: dict[str, list[Any]] = {
        name: boundary[name].tolist() for name in ("image", "plane") if name in boundary
    }
    columns["between"] = _pairs(boundary, "class_name_a", "class_name_b", " and ")
    units = {
        "length_px": "length (px)",
        "length_um": "length (µm)",
        "length_per_area_per_px": "length per area (1/px)",
        "length_per_area_per_um": "length per area (1/µm)",
    }
    columns |= {title: boundary[name].tolist() for name, title in units.items() if name in boundary}
    title = "Boundary between the fracture modes"
    return ReportTable.of(title, columns, file="boundary.csv").without_constants()
