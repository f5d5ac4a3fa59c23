"""Search for the image files that annotations are about, the same for everybody who asks.

File names in an annotation file are data of unknown origin: they are compared
with what is in the folder, and never opened as paths.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PureWindowsPath
from urllib.parse import unquote, urlsplit

from napari_fractoseg.annotations.document import AnnotatedImage
from napari_fractoseg.files import resolved
from napari_fractoseg.images.reading import IMAGE_SUFFIXES
from napari_fractoseg.text import counted

__all__ = ["EMBEDDED", "UNNAMED", "FoundImages", "ImageLookup", "name_parts"]

EMBEDDED = "embedded"
"""Extra of an annotated image that says that the annotation file holds a copy of it."""

UNNAMED = "unnamed"
"""Extra of an annotated image that its annotation file does not name; it is called after it."""

MAX_DEPTH = 3
MAX_FILES = 20_000
"""Most files that are looked at: an annotation file in a home folder must not search the disk."""


def name_parts(filename: str) -> tuple[str, ...]:
    r"""Return the folder names and the file name in VIA's name of an image: name, path or URL.

    Examples
    --------
    >>> from napari_fractoseg.annotations.image_lookup import name_parts
    >>> name_parts("C:\\images\\a.png")
    ('images', 'a.png')
    >>> name_parts("https://example.org/x/a%20b.png?size=2")
    ('x', 'a b.png')
    """
    if filename.startswith(("http://", "https://", "file://", "www.")):
        with suppress(ValueError):  # such as "http://[x/a.png", which is no URL
            filename = unquote(urlsplit(filename).path)
    path = PureWindowsPath(filename)
    return tuple(part for part in path.parts if part not in (path.anchor, "..", "."))


@dataclass(frozen=True)
class FoundImages:
    """Result of a search for the files of annotated images.

    Parameters
    ----------
    found : tuple of (AnnotatedImage, Path)
        Images with their files, in the order in which they were asked for.
    missing : tuple of AnnotatedImage
        Images of which there is no file, or no single best one.
    notes : tuple of str
        Sentences on how many images are missing, with their names.
    """

    found: tuple[tuple[AnnotatedImage, Path], ...]
    missing: tuple[AnnotatedImage, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class ImageLookup:
    """Image files of a folder and its subfolders, among which those of annotations are found.

    Parameters
    ----------
    root : Path
        Folder that was searched; files outside it count only where links were followed.
    paths : tuple of Path
        Image files, nearest folders first.
    is_complete : bool
        False if there were too many files or folders to look at.
    """

    root: Path
    paths: tuple[Path, ...]
    is_complete: bool = True

    @classmethod
    def scan(
        cls, root: Path, *, without: Path | None = None, follow_links: bool = False
    ) -> ImageLookup:
        """List the image files of a folder, down to three levels of subfolders and 20 000 files.

        Parameters
        ----------
        root : Path
            Folder to search.
        without : Path, optional
            Subfolder to leave out, as it holds masks instead of images.
        follow_links : bool
            Whether links to files outside the folder count. They should only if somebody
            named the folder: beside a file from elsewhere, a link can lead anywhere.
        """
        root = resolved(root)
        skipped = None if without is None else resolved(without)
        paths: list[Path] = []
        n_files = 0
        for folder, names in _walk(root, skipped):
            n_files += len(names)
            paths += [folder / n for n in names if _is_image(folder / n, root, follow_links)]
            if n_files > MAX_FILES:
                return cls(root, tuple(paths), is_complete=False)
        return cls(root, tuple(paths))

    def find_all(self, images: Sequence[AnnotatedImage], *, most_names: int = 5) -> FoundImages:
        """Return the files of annotated images.

        Parameters
        ----------
        images : sequence of AnnotatedImage
            Image entries of a VIA file.
        most_names : int
            Largest number of images that a note names.
        """
        candidates = [(image, self.candidates(image)) for image in images]
        found = tuple((image, paths[0]) for image, paths in candidates if len(paths) == 1)
        missing = tuple(image for image, paths in candidates if len(paths) != 1)
        unknown = [image.filename for image, paths in candidates if not paths]
        tied = [
            f"{image.filename} ({self.listed(paths)})"
            for image, paths in candidates
            if len(paths) > 1
        ]
        notes = []
        if unknown:
            notes.append(
                f"{len(unknown)} of {len(images)} images not found in {self.root}: "
                f"{_listed(unknown, most_names)}"
            )
        if any(image.extras.get(EMBEDDED) for image, paths in candidates if not paths):
            notes.append(
                "Copies of images inside annotation files are not read; LabelMe's "
                "labelme_export_json writes them as files."
            )
        if tied:
            notes.append(
                f"{counted(len(tied), 'image fits', 'images fit')} several files: "
                f"{_listed(tied, most_names)}; name the image folder, or rename all files but one."
            )
        if not self.is_complete:
            notes.append(f"{self.root} holds too many files to search; name the image folder.")
        return FoundImages(found, missing, tuple(notes))

    def find(self, image: AnnotatedImage) -> Path | None:
        """Return the file of an annotated image, None if there is none, or no single best one.

        It is the file of that name; where there are several, the one whose
        folders fit the name best, then the one that has the size that VIA
        noted, then the nearest. Failing that, it is a file of the same stem
        with another suffix; of an image without a name, the only file.
        """
        found = self.candidates(image)
        return found[0] if len(found) == 1 else None

    def candidates(self, image: AnnotatedImage) -> tuple[Path, ...]:
        """Return the files that fit an annotated image best: several if they fit equally well."""
        parts = name_parts(image.filename)
        if not parts:
            return ()
        # A name that is none of a path may look like one: 'C:1.png', or '%20' in a name.
        same = self._by_name.get(image.filename) or self._by_name.get(parts[-1])
        same = same or self._by_stem.get(Path(parts[-1]).stem, [])
        if not same and image.extras.get(UNNAMED) and len(self.paths) == 1:
            return self.paths
        return _best(same, parts, image.size_bytes)

    def with_stem(self, stem: str) -> tuple[Path, ...]:
        """Return the nearest files with a name before the suffix: several if equally near."""
        return _best(self._by_stem.get(stem, []), (stem,))

    def listed(self, paths: Sequence[Path]) -> str:
        """Return the paths of files relative to the folder, with commas, for a message."""
        return ", ".join(path.relative_to(self.root).as_posix() for path in paths)

    @cached_property
    def _by_name(self) -> Mapping[str, list[Path]]:
        return self._grouped(lambda path: path.name)

    @cached_property
    def _by_stem(self) -> Mapping[str, list[Path]]:
        return self._grouped(lambda path: path.stem)

    def _grouped(self, key: Callable[[Path], str]) -> Mapping[str, list[Path]]:
        groups: dict[str, list[Path]] = {}
        for path in self.paths:
            groups.setdefault(key(path), []).append(path)
        return groups


def _best(
    paths: Sequence[Path], parts: tuple[str, ...], size_bytes: int | None = None
) -> tuple[Path, ...]:
    if len(paths) < 2:
        return tuple(paths)
    ranks = [_rank(path, parts, size_bytes) for path in paths]
    best = min(ranks)
    return tuple(path for path, rank in zip(paths, ranks, strict=True) if rank == best)


def _listed(names: Sequence[str], most: int) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def _rank(path: Path, parts: tuple[str, ...], size_bytes: int | None) -> tuple[int, bool, int]:
    """Return how well a file fits a name and a size in bytes; less is better."""
    fitting = 0
    for own, wanted in zip(path.parts[-2::-1], parts[-2::-1], strict=False):
        if own != wanted:
            break
        fitting += 1
    has_size = size_bytes is not None and path.is_file() and path.stat().st_size == size_bytes
    return -fitting, not has_size, len(path.parts)


def _walk(root: Path, skipped: Path | None) -> Iterator[tuple[Path, list[str]]]:
    """Yield folders with the names in them, nearest first; a zarr counts as a file."""
    level = [root]
    for _ in range(MAX_DEPTH + 1):
        deeper: list[Path] = []
        for folder in level:
            try:
                entries = sorted(os.scandir(folder), key=lambda e: e.name)
            except OSError:  # such as a folder that may not be read
                continue
            names = [e.name for e in entries]
            yield folder, names
            deeper += [
                folder / e.name
                for e in entries
                if e.is_dir(follow_symlinks=False)
                and not e.name.startswith(".")
                and Path(e.name).suffix.lower() not in IMAGE_SUFFIXES
                and folder / e.name != skipped
            ]
        level = deeper


def _is_image(path: Path, root: Path, follow_links: bool) -> bool:
    if path.suffix.lower() not in IMAGE_SUFFIXES or path.name.startswith("."):
        return False
    if not (path.is_file() or path.is_dir()):  # a pipe, or a link to itself
        return False
    return follow_links or resolved(path).is_relative_to(root)
