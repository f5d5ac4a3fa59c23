"""Results on disk: labels and uncertainty as OME-Zarr or TIFF, written and read again.

For *labels, prediction, label record, uncertainty* see ``docs/reference/glossary.md``.
"""
