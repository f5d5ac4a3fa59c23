"""Audit of labels by a point count: what a person sees at some points, against the labels.

Points are drawn without regard to what is there, a person says what is under each, and the
fractions and their uncertainty follow, in the manner of ASTM E562.
"""
