"""Controls that the docks share: choices of image, model and device, run controls, the queue.

For *class, run, queue, model card* see ``docs/reference/glossary.md``.
"""
