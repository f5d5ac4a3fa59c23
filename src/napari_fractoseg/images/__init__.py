"""Micrographs: reading of image files, stacks of planes, grey levels and their normalisation.

For *plane, field, specimen* see ``docs/reference/glossary.md``.
"""

from napari_fractoseg.images.axes import Axis
from napari_fractoseg.images.bars.info_bar import InfoBar, find_info_bar
from napari_fractoseg.images.calibration import PixelSize, SemFacts, sem_facts
from napari_fractoseg.images.completeness import ChunkWatch
from napari_fractoseg.images.excluded import ExcludedArea
from napari_fractoseg.images.file_info import FileInfo, file_info
from napari_fractoseg.images.formats.tiff import tiff_description
from napari_fractoseg.images.micrograph import LazyPlane, Micrograph, MicrographStack
from napari_fractoseg.images.normalisation import GreyRange, has_colours, to_grey
from napari_fractoseg.images.reading import (
    LOADED_VALUES,
    TIFF_SUFFIXES,
    find_images,
    image_shape,
    read_image,
    read_mask,
)
from napari_fractoseg.images.stacks import read_stack

__all__ = [
    "LOADED_VALUES",
    "TIFF_SUFFIXES",
    "Axis",
    "ChunkWatch",
    "ExcludedArea",
    "FileInfo",
    "GreyRange",
    "InfoBar",
    "LazyPlane",
    "Micrograph",
    "MicrographStack",
    "PixelSize",
    "SemFacts",
    "file_info",
    "find_images",
    "find_info_bar",
    "has_colours",
    "image_shape",
    "read_image",
    "read_mask",
    "read_stack",
    "sem_facts",
    "tiff_description",
    "to_grey",
]
