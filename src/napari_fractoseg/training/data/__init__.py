"""From labelled images to the patches that a network learns from.

`split` holds pixels out for validation, with the rectangles that `blocks` chooses; `sampler`
draws patches around labelled pixels, `augment` varies them, and `stream` makes them ahead.
For *held-out pixels, step, supervision* see ``docs/reference/glossary.md``.
"""
