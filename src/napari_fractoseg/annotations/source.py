"""An annotation file with its images and classes: the one way in, whoever asks.

The napari reader, the docks, ``fractoseg convert``, training and evaluation find the same
image for the same name, and the same class for the same region.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from napari_fractoseg.annotations.class_mapping import ClassMapping, map_classes
from napari_fractoseg.annotations.document import AnnotatedImage, ViaDocument
from napari_fractoseg.annotations.image_lookup import FoundImages, ImageLookup
from napari_fractoseg.annotations.options import STRICT, AnnotationOptions
from napari_fractoseg.annotations.stacks import Assembly, assemble
from napari_fractoseg.annotations.via import read_via
from napari_fractoseg.classes import ClassScheme
from napari_fractoseg.jobs import Job, Progress

__all__ = ["AnnotationSource"]


@dataclass(frozen=True)
class AnnotationSource:
    """A document of annotations, with the images it is about and the classes of its regions.

    Parameters
    ----------
    document : ViaDocument
        Read from a file, or traced from masks.
    lookup : ImageLookup
        Where the images are.
    options : AnnotationOptions
        Which class a region is of, and what is left out.
    """

    document: ViaDocument
    lookup: ImageLookup
    options: AnnotationOptions = STRICT

    @classmethod
    def open_job(
        cls,
        path: Path,
        folder: Path,
        options: AnnotationOptions,
        *,
        follow_links: bool = False,
    ) -> Job[AnnotationSource]:
        """Read a VIA file and look for images.

        Parameters
        ----------
        path : Path
            The file.
        folder : Path
            Where the images are.
        options : AnnotationOptions
            See the class.
        follow_links : bool
            See `ImageLookup.scan`.

        Yields
        ------
        Progress
            Before each of the two steps: both may lie on a slow disk.

        Returns
        -------
        AnnotationSource

        Raises
        ------
        AnnotationError
            If the file cannot be read; unless they are left out, if a region is damaged.
        """
        yield Progress(0, 2, f"reading {path.name}")
        document = read_via(path, strict=not options.skip_damaged)
        yield Progress(1, 2, f"looking for images in {folder}")
        return cls(document, ImageLookup.scan(folder, follow_links=follow_links), options)

    @property
    def annotated(self) -> tuple[AnnotatedImage, ...]:
        """The images that have regions."""
        return tuple(image for image in self.document if image.regions)

    @cached_property
    def images(self) -> FoundImages:
        """The annotated images with their files."""
        return self.lookup.find_all(self.annotated)

    @cached_property
    def assembly(self) -> Assembly:
        """The annotated images, grouped by the shape and type of their files."""
        return assemble(self.images)

    def mapping(self, scheme: ClassScheme) -> ClassMapping:
        """Tell which value of which attribute is which class.

        Parameters
        ----------
        scheme : ClassScheme
            The classes that are known.

        Raises
        ------
        AnnotationError
            If that cannot be told; see `map_classes`.
        """
        options = self.options
        return map_classes(
            self.document,
            scheme,
            attribute=options.attribute,
            values={"": None} if options.skip_unclassified else None,
            new_classes=options.new_classes,
            several=options.several,
        )

    def summary(self) -> str:
        """Say what is in the file and which of its images were found, a line for each matter."""
        counts = self.document.shape_counts()
        shapes = ", ".join(f"{kind} {n}" for kind, n in counts.items()) or "no region"
        total = len(self.annotated)
        lines = (
            f"{self.document.flavour.label}, images: {len(self.document)}; {shapes}",
            f"{total - len(self.assembly.missing)} of {total} annotated images found",
            *self.document.notes,
            *self.assembly.notes,
        )
        return "\n".join(lines)
