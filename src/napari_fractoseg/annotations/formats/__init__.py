"""Formats of annotation files: each flavour of VIA, COCO, and folders of masks."""
