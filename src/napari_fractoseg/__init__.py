"""Segment, learn and measure fracture modes in SEM micrographs.

The public names are those of ``__init__.pyi``. They are loaded when they are first used, so that
importing the package, reading the plugin manifest or opening an annotation file does not wait for
PyTorch.
"""

import importlib.metadata

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ += ["__version__"]

try:
    __version__ = importlib.metadata.version("napari-fractoseg")
except importlib.metadata.PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"
