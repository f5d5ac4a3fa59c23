"""Evaluation: how well a model's labels agree with reference labels.

The reference is what people annotated. For *class, fracture mode, unlabelled, prediction* see
``docs/reference/glossary.md``.
"""
