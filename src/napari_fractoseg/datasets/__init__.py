"""Labelled images that teach and judge a model, from files or from painted layers.

`dataset` holds images with their labels, `sources` reads them from folders and annotation
files, `supervision` says which painted pixels may be learnt from, and `export` writes a folder
that the command line can train on.
For *supervision, correction, checked area, held-out pixels* see ``docs/reference/glossary.md``.
"""
