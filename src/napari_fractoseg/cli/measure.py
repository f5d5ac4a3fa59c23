"""Command ``fractoseg measure``: fractions of the classes with their uncertainty."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_fractoseg.batch.settings import SegmentSettings
from napari_fractoseg.cli.options import (
    LabelClassesOption,
    OptionsOf,
    OverwriteOption,
    command,
    failure_text,
    figure,
    make_console,
    print_notes,
    say,
    table_of,
    watch,
)
from napari_fractoseg.errors import FractosegError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_fractoseg.audit.files import Audit
    from napari_fractoseg.audit.points import PointCount
    from napari_fractoseg.measurement.estimates import Measurement
    from napari_fractoseg.measurement.files.measured import FilesMeasured

__all__ = ["measure", "write_report"]

MOST_PICTURES = 24
"""Number of images that are shown in a report."""


@command
def measure(
    labels: Annotated[
        list[Path],
        typer.Argument(metavar="LABELS...", help="Label images, OME-Zarr labels, and folders."),
    ],
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="DIR", help="Folder for tables and report.")
    ],
    size: Annotated[SegmentSettings, OptionsOf(SegmentSettings, "pixel_size_um")],
    images: Annotated[
        list[Path] | None,
        typer.Option(
            "--images",
            metavar="PATH",
            help="Micrographs, or a folder of them, found by the names of the labels: for pictures "
            "in the report and the mean grey level of facets. Can be given several times.",
        ),
    ] = None,
    fields: Annotated[
        str,
        typer.Option(
            "--fields",
            help="each: a plane is a field; grid:512um or grid:320px: squares of a grid in each; "
            "grid:4x4: as many fields along each side.",
        ),
    ] = "each",
    group_by: Annotated[
        str | None,
        typer.Option(
            "--group-by",
            metavar="PATTERN|CSV",
            help="Specimen of each image: a regular expression with one group, such as "
            "'^(s\\d+)_', or a CSV file with the columns image and specimen.",
        ),
    ] = None,
    exclude: Annotated[
        Path | None,
        typer.Option(
            "--exclude", metavar="MASK", help="Mask, not 0 where nothing is measured in any image."
        ),
    ] = None,
    classes: LabelClassesOption = None,
    points: Annotated[
        Path | None,
        typer.Option(
            "--points",
            metavar="CSV",
            help="Answered points of fractoseg points: fractions by hand, and corrected ones.",
        ),
    ] = None,
    operator: Annotated[
        str,
        typer.Option(
            "--operator",
            metavar="NAME",
            help="Whose answers to the points come first; by default those of who began.",
        ),
    ] = "",
    facets: Annotated[
        bool,
        typer.Option(
            "--facets/--no-facets",
            help="Also measure facets, their sizes and the boundaries: up to a second for each "
            "megapixel, while fractions alone take a fiftieth of that.",
        ),
    ] = True,
    min_facet_px: Annotated[
        int,
        typer.Option(
            "--min-facet-px", min=1, help="Area of the smallest facet in pixels; others count."
        ),
    ] = 1,
    connectivity: Annotated[
        int,
        typer.Option(
            "--connectivity",
            min=1,
            max=2,
            help="1: pixels of a facet share an edge; 2: an edge or a corner.",
        ),
    ] = 1,
    facet_weights: Annotated[
        bool,
        typer.Option(
            "--facet-weights",
            help="Weigh facets for those that touch the border (Miles and Lantuéjoul).",
        ),
    ] = False,
    report: Annotated[
        bool, typer.Option("--report/--no-report", help="Write report.html and figures.")
    ] = True,
    overwrite: OverwriteOption = False,
) -> None:
    """Measure how much of the surface each class takes, with a 95 % interval.

    Writes fractions.csv (estimates and intervals), groups.csv (specimens or images),
    fields.csv, facets.csv, sizes.csv, boundary.csv, files.csv, measurement.json,
    report.html and the folder figures; with --points also audit.csv. A file that
    cannot be measured is reported, the others are measured, and the exit code is 1.
    With --overwrite, files of an earlier measurement that are not written again are
    removed.
    """
    from napari_fractoseg.annotations.formats.masks import read_scheme
    from napari_fractoseg.audit.files import AUDIT, check_audit
    from napari_fractoseg.audit.points import PointCount
    from napari_fractoseg.measurement.facets.planes import FacetSettings
    from napari_fractoseg.measurement.files.inputs import (
        find_label_files,
        find_micrographs,
        refuse_as_inputs,
    )
    from napari_fractoseg.measurement.files.job import measure_files_job
    from napari_fractoseg.measurement.files.measured import (
        refuse_measured,
        refuse_table_of_others,
    )
    from napari_fractoseg.reporting.report import FIGURES, REPORT, Report

    paths = find_label_files(labels)
    refuse_as_inputs(_places(out), (*paths, *(images or ()), group_by, exclude, classes, points))
    also = (*((REPORT, FIGURES) if report else ()), *((AUDIT,) if points else ()))
    refuse_table_of_others(out)
    if not overwrite:
        refuse_measured(out, also)
    count = None if points is None else PointCount.read(points)
    if count is not None:
        check_audit(count, paths, operator)
    job = measure_files_job(
        paths,
        scheme=None if classes is None else read_scheme(classes),
        fields=fields,
        pixel_size_um=size.pixel_size_um,
        group_by=group_by,
        exclude=exclude,
        facets=FacetSettings(min_facet_px, connectivity, facet_weights) if facets else None,
        micrographs=find_micrographs(images) if images else None,
        n_pictures=MOST_PICTURES if report else 0,
    )
    found = watch(job, "measuring")
    if found.measurement is None and any(path.exists() for path in _places(out)):
        _print_files(found)
        say(f"Nothing could be measured. The earlier results in {out} stay as they are.", err=True)
        raise typer.Exit(1)
    audit = None if count is None else _audit(found, count, operator)
    checked = None if audit is None else audit.to_dict()
    written = found.write(
        out, overwrite=overwrite, also=None if checked is None else {"audit": checked}
    )
    if audit is not None:
        written.append(audit.write(out, overwrite=overwrite))
    if found.measurement is not None:
        _print(found.measurement, is_checked=audit is not None and audit.is_corrected)
        if found.facets is not None and found.no_sizes:
            say(f"No sizes of facets: {found.no_sizes}")
        _print_audit(audit)
        if report:
            page = Report.of_files(found, audit=checked)
            written.append(page.write(out / REPORT, overwrite=overwrite))
            written += page.write_figures(out / FIGURES, overwrite=overwrite)
    if overwrite:
        _remove_earlier(out, written)
    _print_files(found)
    names = dict.fromkeys(path.relative_to(out).parts[0] for path in written)
    say(f"Written to {out}: {', '.join(names)}")
    if len(found.failed) or (count is not None and audit is None):
        raise typer.Exit(1)


def _print_files(found: FilesMeasured) -> None:
    """Say which files do not count, and what is to be known of the others."""
    for row in found.failed.itertuples():
        say(failure_text(Path(str(row.file)), str(row.error)), err=True)
    noted = found.files[found.files["note"] != ""]
    print_notes(f"{image}: {note}" for image, note in noted[["image", "note"]].to_numpy().tolist())


def _remove_earlier(out: Path, written: Sequence[Path]) -> None:
    """Remove what an earlier measurement left in a folder and this one did not write again.

    Numbers of two measurements side by side would be taken for those of one.
    """
    from napari_fractoseg.reporting.report import FIGURES

    for path in _places(out):
        if path not in written:
            path.unlink(missing_ok=True)
    with suppress(OSError):  # it is not there, or has figures, or files of others
        (out / FIGURES).rmdir()


def _places(out: Path) -> list[Path]:
    """Return all files that a measurement may write into a folder."""
    from napari_fractoseg.audit.files import AUDIT
    from napari_fractoseg.measurement.files.measured import TABLES
    from napari_fractoseg.reporting.report import FIGURE_FILES, REPORT

    return [out / name for name in (*TABLES, AUDIT, REPORT, *FIGURE_FILES)]


def _audit(found: FilesMeasured, count: PointCount, operator: str) -> Audit | None:
    """Return what points say of the labels; None, and an error line, where they say nothing."""
    from napari_fractoseg.audit.files import audit_files_job

    if found.measurement is None:
        return None
    paths = [Path(path) for path in found.files["file"][found.files["error"] == ""]]
    job = audit_files_job(
        count,
        paths,
        operator=operator,
        scheme=found.scheme,
        fields=found.measurement.fields,
    )
    try:
        return watch(job, "auditing")
    except FractosegError as error:
        say(f"failed: the points: {error}", err=True)
        return None


def _print_audit(audit: Audit | None) -> None:
    if audit is not None:
        say(str(audit))
        for caveat in audit.results[0].caveats:
            say(f"- {caveat}")


def write_report(labels: Path, images: Sequence[Path], path: Path) -> bool:
    """Measure labels and write the report on them, replacing an earlier one.

    Parameters
    ----------
    labels : Path
        Folder of label files, or one of them.
    images : sequence of Path
        Micrographs, and folders of them.
    path : Path
        File of the report.

    Returns
    -------
    bool
        Whether all label files are in it; those that are not are told.
    """
    from napari_fractoseg.measurement.facets.planes import FacetSettings
    from napari_fractoseg.measurement.files.inputs import find_label_files, find_micrographs
    from napari_fractoseg.measurement.files.job import measure_files_job
    from napari_fractoseg.reporting.report import Report

    job = measure_files_job(
        find_label_files([labels]),
        facets=FacetSettings(),
        micrographs=find_micrographs(images),
        n_pictures=MOST_PICTURES,
    )
    found = watch(job, "measuring")
    if found.measurement is not None:
        Report.of_files(found).write(path, overwrite=True)
        say(f"{found.measurement}\nReport: {path}")
    _print_files(found)
    return not len(found.failed)


def _print(measurement: Measurement, *, is_checked: bool) -> None:
    from napari_fractoseg.measurement.estimates import NOT_CHECKED

    columns = ("class", "of", "mean and interval", "%RA", "needed for 10 %RA")
    rows = [
        (
            found.class_name,
            found.of,
            str(found.sampling),
            figure(found.sampling.relative_accuracy_percent),
            found.sampling.fields_needed(10) or "-",
        )
        for found in measurement.estimates
    ]
    make_console().print(table_of(columns, rows))
    say(str(measurement))
    for caveat in measurement.caveats:
        if not (is_checked and caveat == NOT_CHECKED):  # how wrong the labels are follows
            say(f"- {caveat}")
