"""Instant learning: a readout of frozen features, fitted to what is painted in about a second.

`features` gives what a network sees in a plane, on a coarse grid and in few components;
`regression` fits a linear readout to it; `learning` makes a model of both, like any other.
"""
