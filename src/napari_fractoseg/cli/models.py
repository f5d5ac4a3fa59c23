"""Commands ``fractoseg models`` and ``fractoseg doctor``: models, devices, what is installed."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from pathlib import Path
from typing import Annotated

import typer

from napari_fractoseg import __version__
from napari_fractoseg.cli.options import Group, make_console, say, table_of

__all__ = ["doctor", "models_app"]

_PACKAGES = ("torch", "torchvision", "segmentation-models-pytorch", "lightning-fabric",
             "numpy", "scikit-image", "zarr", "napari")  # fmt: skip

models_app = typer.Typer(
    cls=Group, no_args_is_help=True, help="Models that come with the package, and own."
)


@models_app.command("list")
def list_models() -> None:
    """List the models that can be chosen by name."""
    from napari_fractoseg.models.registry import list_models as entries

    rows = [(e.key, e.title, ", ".join(e.card.scheme.names), e.folder) for e in entries()]
    make_console().print(table_of(("name", "title", "classes", "folder"), rows))


@models_app.command("info")
def show_model(
    name: Annotated[str, typer.Argument(help="'default', the name of a model, or a folder.")],
) -> None:
    """Show the card of a model."""
    from napari_fractoseg.models.card import ModelCard
    from napari_fractoseg.models.readme import readme_text
    from napari_fractoseg.models.registry import find_model

    folder = find_model(name)
    say(f"{readme_text(ModelCard.read(folder))}\nFolder: {folder}")


@models_app.command("export")
def export(
    name: Annotated[str, typer.Argument(help="'default', the name of a model, or a folder.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="ZIP", help="The file to write.")],
) -> None:
    """Pack a model, with its card and licence, into one zip file."""
    from napari_fractoseg.models.archive import export_model

    say(f"Written: {export_model(name, out)}")


@models_app.command("import")
def import_(
    path: Annotated[Path, typer.Argument(metavar="ZIP", help="A model from 'models export'.")],
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the model; by default the file's.")
    ] = None,
) -> None:
    """Add a model to the own ones; it is checked first."""
    from napari_fractoseg.models.archive import import_model

    folder = import_model(path, name)
    say(f"Imported {folder}\nNext: fractoseg segment IMAGES -o RESULTS --model {folder.name}")


@models_app.command("remove")
def remove(
    name: Annotated[str, typer.Argument(help="Name of an own model.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete one of the own models."""
    from napari_fractoseg.models.archive import remove_model

    if not yes:
        typer.confirm(f"Delete the model {name}? It cannot be brought back.", abort=True)
    say(f"Removed {remove_model(name)}")


def doctor() -> None:
    """Show versions, devices and models, and what is missing."""
    say(f"fractoseg {__version__}, Python {platform.python_version()}, {sys.platform}")
    rows = [(p, _version_of(p) or "not installed") for p in _PACKAGES]
    bindings = [
        f"{b} {v}" for b in ("PyQt6", "PySide6", "PyQt5", "PySide2") if (v := _version_of(b))
    ]
    rows.append(("Qt binding", ", ".join(bindings) or "none"))
    make_console().print(table_of(("package", "version"), rows))
    if not bindings or not _version_of("napari"):
        say("The napari plugin needs napari with Qt: pip install 'napari-fractoseg[all]'")
    _print_devices()
    from napari_fractoseg.models.registry import list_models as entries
    from napari_fractoseg.models.registry import user_folder

    found = [e.key for e in entries()]
    say(f"Models: {', '.join(found) or 'none'}. Own models are kept in {user_folder()}")


def _print_devices() -> None:
    try:
        from napari_fractoseg.models.devices import list_devices

        devices = list_devices()
    except (ImportError, OSError) as error:  # a broken PyTorch is what a doctor must survive
        say(f"PyTorch cannot be used: {error}", err=True)
        return
    for device in devices:
        say(f"Device {device.name}: {device.label}")
        if device.why_not_gpu:
            say(f"  No GPU is used. {device.why_not_gpu}")


def _version_of(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
