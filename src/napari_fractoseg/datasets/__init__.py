"""Labelled images: what teaches and judges a model, from files or from painted layers."""
