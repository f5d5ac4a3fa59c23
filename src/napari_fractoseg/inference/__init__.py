"""Inference: images in, labels out."""
