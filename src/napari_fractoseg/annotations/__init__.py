"""Annotations: regions drawn in the VGG Image Annotator (VIA), and label images made from them.

`via` reads and writes files as a `document` of images with their regions, in the layouts of
`formats`; `class_mapping` says which class a region is of, `image_lookup` and `stacks` find the
images, `raster` draws regions as labels, `trace` outlines labels as regions. `source` joins
these steps, and `convert` is ``fractoseg convert``.
For *annotation file, region, attribute, mask* see ``docs/reference/glossary.md``.

The names are those of ``__init__.pyi``. They are loaded when they are first used, so that the
command line can describe the options of annotations without waiting for numpy.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
