"""Training: from labelled images to a new or fine-tuned model.

`fit` is the entry; `plan` and `presets` say how a network is trained, `loop` and `state` train
it step by step with the patches of `data`, and `checkpoint` keeps what an interrupted run needs
to go on. `active_learning` finds the places to paint next.
For *training plan, preset, step, held-out pixels, checkpoint, model card, parent* see
``docs/reference/glossary.md``.
"""
