"""Formats of annotation files: each flavour of VIA, COCO, and folders of masks.

`via_json`, `via_csv`, `via3`, `via3_csv`, `coco` and `coco_write` have a layout each, made of
the parts in `csv_rows`, `entries` and `json_text`; `masks` and `mask_folders` have images whose
grey levels are class values; `sniff` tells files that cannot be VIA's.
For *annotation file, region, attribute, mask* see ``docs/reference/glossary.md``.
"""
