"""Tiles: geometry only."""

from napari_fractoseg.tiling.canvas import Canvas
from napari_fractoseg.tiling.tiles import Box, Tile, Tiler, grid

__all__ = ["Box", "Canvas", "Tile", "Tiler", "grid"]
