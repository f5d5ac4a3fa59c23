"""Dock "Measure fracture modes": fractions with their uncertainty, facets, map, report.

`dock` is its widget, with `labels_list`, `choices` and `plots`; `sources` turns layers into what is
measured, `request` measures it without layers and Qt, `watch` tells when labels have changed since,
and `layers` shows facets and maps. For *plane, field, facet, specimen, excluded area* see
``docs/reference/glossary.md``.
"""
