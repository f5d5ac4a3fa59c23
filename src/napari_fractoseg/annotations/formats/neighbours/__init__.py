"""Annotation files of other programs, which are read and never written.

`coco_dataset`, `labelme`, `pascal_voc` and `imagej` have a kind of file each and give a document
in VIA's words, with coordinates in pixel edges; `filled` makes regions of masks that files hold.
For *annotation file, region, attribute, mask* see ``docs/reference/glossary.md``.
"""
