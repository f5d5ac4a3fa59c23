"""The napari plugin: the only package that knows napari, Qt and magicgui.

`segment`, `train` and `via` have a dock each, with the controls of `widgets`. `jobs` runs long
work in threads, `layers` turns napari layers into micrographs and labels, `layer_metadata` has
what is kept with a layer, and `corrections` and `origin` say which of its labels may teach.
For *run, queue, prediction, correction, checked area* see ``docs/reference/glossary.md``.
"""
