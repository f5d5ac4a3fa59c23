"""A VIA file with the images beside it."""

from __future__ import annotations

from pathlib import Path

from napari_fractoseg.annotations.document import ViaDocument
from napari_fractoseg.annotations.image_lookup import ImageFolder
from napari_fractoseg.annotations.stacks import Assembly, assemble
from napari_fractoseg.annotations.via import read_via
from napari_fractoseg.jobs import Job, Progress

__all__ = ["description", "open_job"]


def open_job(path: Path, folder: Path) -> Job[tuple[ViaDocument, Assembly]]:
    """Read a VIA file and look for its annotated images.

    Parameters
    ----------
    path : Path
        The file; its damaged regions are kept, not drawn, and counted.
    folder : Path
        Where the images are; nothing outside it is opened.

    Yields
    ------
    Progress
        Before each of the two steps: both may lie on a slow disk.

    Returns
    -------
    document : ViaDocument
    assembly : Assembly
        Of the images that have regions.
    """
    yield Progress(0, 2, f"reading {path.name}")
    document = read_via(path, strict=False)
    yield Progress(1, 2, f"looking for images in {folder}")
    annotated = [image for image in document if image.regions]
    return document, assemble(annotated, ImageFolder.scan(folder))


def description(document: ViaDocument, assembly: Assembly) -> str:
    """Say what is in a file and which of its images were found, a line for each matter."""
    counts = document.shape_counts()
    shapes = ", ".join(f"{kind} {n}" for kind, n in counts.items()) or "no region"
    found = sum(len(stack.images) for stack in assembly.stacks)
    total = found + len(assembly.missing)
    lines = (
        f"{document.flavour.label}, images: {len(document)}; {shapes}",
        f"{found} of {total} annotated images found",
        *document.notes,
        *assembly.notes,
    )
    return "\n".join(lines)
