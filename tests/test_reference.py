"""The pages that are made of the program are up to date."""

import runpy
from pathlib import Path

import typer

import napari_fractoseg as nf
from napari_fractoseg.cli.app import app

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "reference"


def test_the_page_of_the_training_plan_is_that_of_the_code():
    make = runpy.run_path(str(ROOT / "scripts" / "reference.py"))["training_plan"]
    assert (FOLDER / "training-plan.md").read_text(encoding="utf-8") == make()


def test_the_page_of_the_python_names_has_all_of_them():
    make = runpy.run_path(str(ROOT / "scripts" / "reference.py"))["api"]
    page = (FOLDER / "api.md").read_text(encoding="utf-8")
    assert page == make()
    named = {line.rsplit(".", 1)[-1] for line in page.splitlines() if line.startswith("::: ")}
    assert set(nf.__all__) - {"__version__"} <= named


def test_the_page_of_the_command_line_has_each_option_with_its_text():
    page = " ".join((FOLDER / "command-line.md").read_text(encoding="utf-8").split())
    for name, command in typer.main.get_command(app).commands.items():
        if hasattr(command, "commands"):
            continue
        for parameter in command.params:
            text = " ".join((getattr(parameter, "help", None) or "").split())
            assert text in page, f"{name} {parameter.name}: python scripts/reference.py"
            for flag in parameter.opts:
                assert not flag.startswith("--") or flag in page, (name, flag)
