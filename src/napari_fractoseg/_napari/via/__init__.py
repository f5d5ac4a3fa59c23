"""VIA files in napari: reader, writer, and the dock "VIA import"."""
