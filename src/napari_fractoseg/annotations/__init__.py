"""Annotations: VIA documents, and label images made from them.

The names are those of ``__init__.pyi``. They are loaded when they are first used, so that the
command line can describe the options of annotations without waiting for numpy.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
