"""Reports on a measurement: figures, and a page that says all of it.

Needs neither napari nor torch. For *plane, field, specimen* see ``docs/reference/glossary.md``.
"""
