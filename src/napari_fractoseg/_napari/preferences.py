"""What a user prefers in the docks: one way to read and keep it.

napari 0.9 has settings of plugins (``configurations`` in the manifest): it shows them under
*File > Preferences*, and saves them. Before that a file of ours keeps them.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import napari.settings
import platformdirs
import pydantic.dataclasses
from pydantic import Field, TypeAdapter, ValidationError

from napari_fractoseg.files import read_json_object, write_bytes

__all__ = ["AS_THE_MODEL_SAYS", "GROUP", "Preferences", "keep_preferences", "preferences"]

AS_THE_MODEL_SAYS = "as the model says"
"""Choice of no palette."""
GROUP = "docks"
"""Key of the preferences among the configurations in the manifest."""
_PLUGIN = "napari-fractoseg"


@pydantic.dataclasses.dataclass(frozen=True)
class Preferences:
    """What is chosen when a dock opens."""

    model: Annotated[
        str,
        Field(title="Model", description="Name of the model to segment with: default, or yours."),
    ] = "default"
    device: Annotated[
        Literal["auto", "cpu", "cuda", "mps"],
        Field(title="Device", description="Where models run; auto: a GPU, if there is one."),
    ] = "auto"
    palette: Annotated[
        Literal["as the model says", "standard", "colour-blind-safe"],
        Field(title="Colours", description="Colours of the classes of a result."),
    ] = "as the model says"
    folder: Annotated[
        str,
        Field(
            title="Save to zarr",
            description="Folder that results are written into while they are made; empty: they "
            "are in memory until you save them.",
        ),
    ] = ""


_PREFERENCES: TypeAdapter[Preferences] = TypeAdapter(Preferences)


def preferences() -> Preferences:
    """Return what the user prefers; the defaults for what cannot be read."""
    group = _of_napari()
    kept = read_json_object(_file()) if group is None else group.model_dump()
    try:
        return _PREFERENCES.validate_python(kept or {})
    except ValidationError:  # written by another version, or by hand
        return Preferences()


def keep_preferences(wanted: Preferences) -> None:
    """Keep what the user prefers for all later docks, also after a restart.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    group = _of_napari()
    if group is None:
        path = _file()
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, json.dumps(asdict(wanted), indent=2).encode(), overwrite=True)
        return
    for name, value in asdict(wanted).items():
        setattr(group, name, value)  # napari saves it


def _of_napari() -> Any:
    """Return the group among napari's settings of plugins; None where it has none."""
    get = getattr(napari.settings, "get_plugin_settings", None)
    return None if get is None else getattr(get().get(_PLUGIN), GROUP, None)


def _file() -> Path:
    return platformdirs.user_config_path(_PLUGIN) / "preferences.json"
