"""Pixel size of layers: read from their file, typed, or measured on a scale bar.

`sizes` tells the pixel size of a layer with its origin, for all docks; `family` which layers were
made from an image; `give` sets the size of all of them, and takes it back. `row` offers it in the
docks, `dock` is the dock "Pixel size" with `bar` for the line over a scale bar, and `commands` are
those of napari's menus.
"""
