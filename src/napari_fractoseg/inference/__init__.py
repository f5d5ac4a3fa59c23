"""Inference: from images to class labels, with a trained model.

`predictor` is the entry; the other modules are the steps it is made of: which tiles and scale
levels a plane is computed in (`multiscale`), the model made ready for a device (`backend`),
transfers to and from it (`device_io`), and how much memory there is (`memory`, `result_size`).
For *plane, tile, core, halo, scale level, flips* see ``docs/reference/glossary.md``.
"""
