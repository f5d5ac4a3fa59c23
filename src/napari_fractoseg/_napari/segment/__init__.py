"""Dock "Segment fracture modes": image layers segmented into labels layers.

`dock` is its widget and `options` its closed fold; `request` and `run` do the segmentation,
`result_arrays` keep its labels, and `result` shows them while they are computed.
For *plane, prediction, tile, uncertainty, run* see ``docs/reference/glossary.md``.
"""
