"""Facets of a plane at every size, found by their edges: what a click on the plane can mean.

`find` makes a fine partition of the plane into `regions`, and three hierarchies of them (`joining`,
`hierarchy`): in two, for fine and for coarse edges, a region is joined to its neighbour over the
lowest pass between them, those that are least deep first (*dynamics*); in the third, the two
regions whose common border is weakest on average. The first follow closed edges, the last
survives gaps in them. A `tree` offers the regions of all at a point, each a `facet`.
``docs/decisions/0023-facets-in-one-click.md`` has what was tried.
"""

from napari_fractoseg.annotations.facets.cache import TreeCache
from napari_fractoseg.annotations.facets.facet import Facet
from napari_fractoseg.annotations.facets.find import facet_tree, facet_tree_job
from napari_fractoseg.annotations.facets.sizes import RecentSizes
from napari_fractoseg.annotations.facets.tree import FacetTree

__all__ = ["Facet", "FacetTree", "RecentSizes", "TreeCache", "facet_tree", "facet_tree_job"]
