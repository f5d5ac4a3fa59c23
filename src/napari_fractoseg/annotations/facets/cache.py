"""Facets of planes that were looked at, kept within an amount of memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from napari_fractoseg.annotations.facets.tree import FacetTree

__all__ = ["TreeCache"]

_Key = TypeVar("_Key")


class TreeCache(Generic[_Key]):
    """Facets of planes that were looked at, within an amount of memory.

    The trees that were not used for longest are forgotten first; the newest always stays.

    Parameters
    ----------
    most_bytes : int
        Memory of all trees.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._trees: dict[_Key, FacetTree] = {}

    def get(self, key: _Key) -> FacetTree | None:
        """Return the facets of a plane, None if they are not there."""
        tree = self._trees.pop(key, None)
        if tree is not None:
            self._trees[key] = tree  # the last is the one used last
        return tree

    def put(self, key: _Key, tree: FacetTree) -> None:
        """Keep the facets of a plane, and forget others if need be."""
        self._trees.pop(key, None)
        self._trees[key] = tree
        while len(self._trees) > 1 and self.memory_bytes > self._most_bytes:
            del self._trees[next(iter(self._trees))]

    def forget(self, is_gone: Callable[[_Key], bool]) -> None:
        """Forget the facets of planes that are gone."""
        self._trees = {key: tree for key, tree in self._trees.items() if not is_gone(key)}

    @property
    def memory_bytes(self) -> int:
        """Bytes of all trees that are kept."""
        return sum(tree.memory_bytes for tree in self._trees.values())
