"""Dock "Train on corrections": fine-tunes a model on what was painted and annotated.

`dock` is its widget; `learn_from` and `pairs` list what is learnt from, `settings` and `options`
have the choices, `request` and `run` do the training, and `next_steps`, `next_places` and
`unfinished` offer what can be done before or after it.
For *correction, checked area, training plan, held-out pixels* see
``docs/reference/glossary.md``.
"""
