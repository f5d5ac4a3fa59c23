"""Results on disk: labels with their record, as OME-Zarr or TIFF, written and read again."""
