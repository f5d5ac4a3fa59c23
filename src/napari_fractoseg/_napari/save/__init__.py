"""Saving of labels layers with all that is known of them, and how they are as before again.

`snapshot` takes what is saved from the layers, `saver` saves it in a thread, `row` is the button in
the Segment dock, and `command` that in napari's menu. `restore` reads what was saved, `reader`
opens it through its ``run.json``, and `restorer` sees to labels that napari itself opened.
For *labels, prediction, correction, stroke* see ``docs/reference/glossary.md``.
"""
