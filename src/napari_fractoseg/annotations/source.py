"""Annotation file with its images and classes, opened in one way for everybody.

The napari reader, the docks, ``fractoseg convert``, training and evaluation find the same
image for the same name, and the same class for the same region.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from napari_fractoseg.annotations.class_mapping import ClassMapping, map_classes
from napari_fractoseg.annotations.document import UNKNOWN_SIZE, AnnotatedImage, ViaDocument
from napari_fractoseg.annotations.edit import with_one_class
from napari_fractoseg.annotations.image_lookup import UNNAMED, FoundImages, ImageLookup
from napari_fractoseg.annotations.options import STRICT, AnnotationOptions
from napari_fractoseg.annotations.reading import read_annotations
from napari_fractoseg.annotations.stacks import Assembly, assemble
from napari_fractoseg.classes import ClassScheme
from napari_fractoseg.jobs import Job, Progress

__all__ = ["AnnotationSource"]


@dataclass(frozen=True)
class AnnotationSource:
    """Document of annotations, with the images it is about and the classes of its regions.

    Parameters
    ----------
    document : ViaDocument
        Images and regions, read from a file or traced from masks.
    lookup : ImageLookup
        Image files among which those of the document are looked for.
    options : AnnotationOptions
        Choice of the class of a region, and of what is left out.
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
        """Read an annotation file and look for its images.

        Parameters
        ----------
        path : Path
            File to read, or folder of files of one image each: see `read_annotations`.
        folder : Path
            Folder to search for the images.
        options : AnnotationOptions
            Choice of the class of a region, and of what is left out.
        follow_links : bool
            Whether links to files outside the folder count; only for folders that a user named.

        Yields
        ------
        Progress
            Step of two that begins, as both may have to wait for a slow disk.

        Returns
        -------
        AnnotationSource
            Document with the image files of the folder.

        Raises
        ------
        AnnotationError
            If the file cannot be read, or has damaged regions that `options` do not leave out.
        """
        yield Progress(0, 2, f"reading {path.name}")
        document = read_annotations(path, strict=not options.skip_damaged)
        yield Progress(1, 2, f"looking for images in {folder}")
        source = cls(document, ImageLookup.scan(folder, follow_links=follow_links), options)
        return source.with_names().all_as(options.all_as)

    def with_names(self) -> AnnotationSource:
        """Return the source with names of files for images that its document does not name."""

        def named(image: AnnotatedImage) -> AnnotatedImage:
            path = self.lookup.find(image) if image.extras.get(UNNAMED) else None
            if path is None:
                return image
            extras = {k: v for k, v in image.extras.items() if k != UNNAMED}
            size = path.stat().st_size if path.is_file() else UNKNOWN_SIZE
            return replace(image, filename=path.name, size=size, extras=extras)

        return replace(self, document=self.document.with_images([*map(named, self.document)]))

    def all_as(self, class_name: str | None) -> AnnotationSource:
        """Return the source with all its regions of one class, in an attribute that says so.

        Parameters
        ----------
        class_name : str or None
            Name of the class; None leaves the source as it is.
        """
        if class_name is None:
            return self
        document, attribute = with_one_class(self.document, class_name, self.options.attribute)
        options = replace(self.options, attribute=attribute, all_as=class_name)
        return replace(self, document=document, options=options)

    @property
    def annotated(self) -> tuple[AnnotatedImage, ...]:
        """Images of the document that have regions."""
        return tuple(image for image in self.document if image.regions)

    @cached_property
    def images(self) -> FoundImages:
        """Images that have regions, with the files that were found for them."""
        return self.lookup.find_all(self.annotated)

    @cached_property
    def assembly(self) -> Assembly:
        """Images that have regions, grouped by the shape and type of their files."""
        return assemble(self.images)

    def mapping(self, scheme: ClassScheme) -> ClassMapping:
        """Return which value of which attribute is which class.

        Parameters
        ----------
        scheme : ClassScheme
            Classes that are known.

        Raises
        ------
        AnnotationError
            If no attribute or several could hold the class, or values of it are unknown.
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
        """Return lines on what is in the file, which images were found, and what was skipped."""
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
