"""Conversion: annotations from one version of VIA to another, to COCO, and from and to masks."""
