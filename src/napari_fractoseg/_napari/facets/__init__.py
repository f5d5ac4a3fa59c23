"""Facets in one click: outlined under the cursor, coarser and finer with the wheel.

`tool` follows the mouse on a labels layer, `finder` has the facets of the planes, `outline` shows
one, and `row` is the choice between brush and facets for the docks. The facets themselves come
from `napari_fractoseg.annotations.facets`.
"""
