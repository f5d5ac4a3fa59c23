r"""Pixel size that napari plugins give SEM files, beside what this one believes of it.

    python -m pip install --no-deps --target build/readers \
        napari-meta-tiff==0.1.1 napari-tiff==0.1.6
    PYTHONPATH=build/readers python benchmarks/sem_readers.py ../shared/data/sem_files

A row for each file: edge of a pixel in nanometres as the file says it (`sem_facts`), as each plugin
sets it as scale of the layer, and what is believed of a layer with that scale. The names of the
readers in these plugins are not public, and may change.
"""

from __future__ import annotations

import argparse
import importlib
import logging
from pathlib import Path

from napari.layers import Image
from napari.layers._source import layer_source

from napari_fractoseg._napari.calibrate.sizes import edges_um, size_of
from napari_fractoseg.images import sem_facts

READERS = {
    "napari-meta-tiff": "napari_meta_tiff._reader",
    "napari-tiff": "napari_tiff.napari_tiff_reader",
}


def opened(module: str, path: Path) -> Image:
    """Open a file with the reader of a plugin, as napari does."""
    read = importlib.import_module(module).napari_get_reader(str(path))
    data, arguments = read(str(path))[0][:2]
    place = {key: arguments[key] for key in ("scale", "units", "rgb") if key in arguments}
    with layer_source(path=str(path)):
        return Image(data, **place)


def nanometres(um: float | None) -> str:
    """Return an edge for the table."""
    return "none" if um is None else f"{1e3 * um:.6g}"


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    logging.disable(logging.CRITICAL)
    heads = [head for name in READERS for head in (name, "believed of it")]
    print("| file | file says | " + " | ".join(heads) + " |")
    print("|---|--:|" + "--:|" * len(heads))
    for path in sorted(folder.glob("*.tif")):
        cells = [path.name, nanometres(sem_facts(path).pixel_size.x_um)]
        for module in READERS.values():
            layer = opened(module, path)
            edges = edges_um(layer)
            cells += [nanometres(None if edges is None else edges[1])]
            cells += [nanometres(size_of(layer).x_um)]
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
