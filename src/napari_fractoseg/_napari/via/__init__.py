"""VIA files in napari: reader, writer, and the dock "Open annotations".

`reader` and `writer` are what napari calls; `dock` asks for what a file leaves open, with
`class_table`. `layers`, `shape_data`, `shape_regions` and `documents` turn annotations into
layers and back, `source_dialog` asks for annotated images to learn from.
For *annotation file, region, attribute, class* see ``docs/reference/glossary.md``.
"""
