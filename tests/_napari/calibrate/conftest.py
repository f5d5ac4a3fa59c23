"""Images with the tags of microscopes, opened as napari does."""

from __future__ import annotations

import pytest

import sem_files as made


@pytest.fixture
def zeiss(tmp_path):
    """A file whose pixels are 200 nm wide, printed with 96 dots per inch."""
    return made.write_tiff(tmp_path / "zeiss.tif", {made.ZEISS: made.ZEISS_TEXT})


@pytest.fixture
def plain(tmp_path):
    """A file that says no pixel size, printed with 96 dots per inch."""
    return made.write_tiff(tmp_path / "plain.tif")


@pytest.fixture
def opened(viewer):
    """Open a file as napari's own reader does, or with a scale in micrometres of another one."""

    def open_file(path, um=None):
        (layer,) = viewer.open(str(path), plugin="napari")
        if um is not None:
            layer.scale, layer.units = (um, um), ("um", "um")
        return layer

    return open_file
