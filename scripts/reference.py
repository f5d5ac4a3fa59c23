"""Make the pages under docs/reference that are made of the program itself.

``python scripts/reference.py`` writes command-line.md, of the commands' own help,
training-plan.md, of the fields of a training plan, and api.md, of the public names; with
``--check`` it writes nothing and fails if they are not up to date.
"""

from __future__ import annotations

import ast
import html
import subprocess
import sys
from pathlib import Path

from napari_fractoseg.options import OptionField, option_fields
from napari_fractoseg.training.plan import TrainingPlan
from napari_fractoseg.training.presets import FINE_TUNING, NEW_NETWORK

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "reference"
ROOMS = {
    "images": "Images",
    "samples": "Samples",
    "models": "Models",
    "inference": "Segment",
    "classes": "Classes",
    "annotations": "Annotations",
    "training": "Train",
    "evaluation": "Evaluate",
    "measurement": "Measure",
    "audit": "Point counts",
    "jobs": "Long work",
    "errors": "Errors",
}
"""Headings of the page of the public names, in their order, by the room that a name comes from."""
FURTHER = (
    "reporting.report.Report",
    "batch.plan",
    "batch.run",
    "batch.SegmentSettings",
    "batch.BatchReport",
    "batch.dask_workers",
    "batch.local_workers",
    "batch.tls_security",
    "images.read_stack",
    "images.sem_facts",
    "images.find_info_bar",
    "annotations.facets.facet_tree",
    "measurement.facets.sizes.size_distributions",
    "measurement.facets.boundary.boundary_lengths",
    "measurement.local_fractions.local_fractions",
    "models.model.SegmentationModel",
    "inference.result.Prediction",
    "measurement.estimates.Measurement",
    "measurement.facets.plane.Facets",
    "evaluation.evaluate.Evaluation",
    "evaluation.adjusted_areas.AdjustedAreas",
    "audit.result.AuditResult",
    "annotations.document.ViaDocument",
    "images.excluded.ExcludedArea",
    "jobs.Progress",
)
"""Names that the how-to pages import from their rooms, and classes of what is returned."""
_MADE = "<!-- Made by scripts/reference.py; change the texts in the code. -->\n\n"


def command_line() -> str:
    """Return the help of all commands in Markdown, as typer writes it."""
    words = ["-m", "typer", "napari_fractoseg.cli.app", "utils", "docs", "--name", "fractoseg"]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True)
    return _MADE + html.unescape(done.stdout).rstrip() + "\n"


def training_plan() -> str:
    """Return a table of the fields of a training plan."""
    lines = [
        f"{_MADE}# Training plan",
        "",
        "What `fractoseg train --plan FILE` reads (JSON), what `nf.TrainingPlan` takes, and what",
        "is written on the card of a model. How a plan is completed",
        "tells [Train without a window](../how-to/train-without-a-window.md).",
        "",
        "The presets are columns of their own where they differ from the default.",
        "",
        "| field | values | default | fine-tuning | new network | meaning |",
        "|---|---|---|---|---|---|",
    ]
    for field in option_fields(TrainingPlan).values():
        presets = (getattr(plan, field.name) for plan in (FINE_TUNING, NEW_NETWORK))
        cells = (
            f"`{field.name}`",
            _values(field),
            _code(field.default),
            *("" if value == field.default else _code(value) for value in presets),
            field.description,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def api() -> str:
    """Return the page of the public names, which mkdocstrings fills with their docstrings."""
    stub = ast.parse((ROOT / "src" / "napari_fractoseg" / "__init__.pyi").read_text("utf-8"))
    names: dict[str, list[str]] = {room: [] for room in ROOMS}
    for node in stub.body:
        if isinstance(node, ast.ImportFrom) and node.module:
            room = node.module.split(".")[0]
            names[room] += [f"{node.module}.{alias.name}" for alias in node.names]
    lines = [
        f"{_MADE}# Python",
        "",
        "`import napari_fractoseg as nf` has the public names as `nf.segment`, `nf.measure` and so",
        "on. The built site shows their docstrings here; `help(nf.segment)` shows the same. How",
        "they go together is told by [Segment from Python](../how-to/use-from-python.md).",
    ]
    for room, heading in ROOMS.items():
        lines += ["", f"## {heading}"]
        for path in names[room]:
            lines += ["", f"::: napari_fractoseg.{path}"]
    lines += ["", "## Further names", "", "These are imported from the module before their name."]
    for path in FURTHER:
        lines += ["", f"::: napari_fractoseg.{path}", "    options:"]
        lines += ["      show_root_full_path: true"]
    return "\n".join(lines) + "\n"


def _code(value: object) -> str:
    return f"`{value}`" if value not in ("", None, ()) else "none"


def _values(field: OptionField) -> str:
    if field.choices:
        return ", ".join(f"`{choice}`" for choice in field.choices)
    ends = (("from", field.lowest), ("to", field.highest))
    bounds = " ".join(f"{word} {end:g}" for word, end in ends if end is not None)
    return " ".join(filter(None, (field.type_text, bounds)))


PAGES = {"command-line.md": command_line, "training-plan.md": training_plan, "api.md": api}


def main() -> None:
    """Write the pages, or check them."""
    is_check = "--check" in sys.argv[1:]
    for name, make in PAGES.items():
        path, text = FOLDER / name, make()
        if is_check and (not path.exists() or path.read_text(encoding="utf-8") != text):
            sys.exit(f"{path} is not up to date: python scripts/reference.py")
        if not is_check:
            path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
