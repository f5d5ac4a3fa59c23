"""Dock "Audit by point count": what is under each point, told by a person who does not see labels.

For *point count, class, plane, kappa* see ``docs/reference/glossary.md``.
"""
