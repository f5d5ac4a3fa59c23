"""Fixtures for tests of whole runs."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def model(tmp_path_factory, tiny_model):
    """A model folder with a small network of random weights."""
    return tiny_model.save(tmp_path_factory.mktemp("models") / "tiny", half=True)
