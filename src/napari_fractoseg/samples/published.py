"""Published micrographs, fetched from their authors when they are asked for.

They belong to "Toward quantitative fractography using convolutional neural
networks" (arXiv 1908.02242) and lie in the folder ``test_dataset`` of the
repository SteliosTsop/QF-image-segmentation-keras, whose licence is GPL-3.0.
They are not part of napari-fractoseg, which is BSD-3-Clause: nothing is shipped,
each image is fetched from its authors when somebody asks for it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from napari_fractoseg.downloads import cache_folder, fetch_file
from napari_fractoseg.errors import DownloadError

__all__ = ["BASE_URL", "PUBLISHED_IMAGES", "fetch_published"]

# The commit that added the folder; a branch could move and break the hashes.
_COMMIT = "a56044ac49e9558d6bbf0d4d3d0f738dac750613"

BASE_URL = (
    f"https://raw.githubusercontent.com/SteliosTsop/QF-image-segmentation-keras/{_COMMIT}"
    "/test_dataset/"
)
"""Address of the folder with the images, unless ``FRACTOSEG_SAMPLES_URL`` names another one."""

PUBLISHED_IMAGES: Mapping[str, str] = MappingProxyType(
    {
        "s4_10.jpg": "sha256:53ae1b20c817195abe07aae82fe43476d0849476e38c94d30550fbcbd9ef64cd",
        "s4_2.jpg": "sha256:54c47e54114e0c9282d2267d7b8aac4c1f9a57788535ad982b53e75b08514883",
        "s4_4.jpg": "sha256:4c76a7d907d7d820aaf82fa811a14d46b144404d50c23fb5ae2168a67f00b9fb",
        "s4_5.jpg": "sha256:e07b3d9e0981bc4ab8790345dfc5722c529cc58d90f75cd79d599e29f324a240",
        "s4_6.jpg": "sha256:1014e85e08961f0e49d9adae4afc5321b9735e99960f2ffe27076d6aef0f6c65",
        "s4_8.jpg": "sha256:36aa400c3f15de46ff61a8e50a79242341f653aa5480d6a0619fcdce761debbd",
        "t16_4.jpg": "sha256:3039348c872fd4f3fa99101145fc08b1916d835bdd4e84101f4f72bcc24bfe1f",
    }
)
"""File name and hash of each published image that can be fetched, 640 x 640 px each."""


def fetch_published(
    name: str,
    base_url: str | None = None,
    cache: Path | None = None,
    registry: Mapping[str, str] | None = None,
) -> Path:
    """Fetch a published image once, and return where it lies.

    Parameters
    ----------
    name : str
        File name, one of `PUBLISHED_IMAGES`.
    base_url : str, optional
        Folder to fetch from. By default the environment variable
        ``FRACTOSEG_SAMPLES_URL``, else `BASE_URL`.
    cache : Path, optional
        Folder to keep the file in. By default the environment variable
        ``FRACTOSEG_CACHE``, else the user's cache folder.
    registry : mapping of str to str, optional
        File names and hashes, instead of `PUBLISHED_IMAGES`.

    Returns
    -------
    Path
        File in the cache, whose hash was checked.

    Raises
    ------
    DownloadError
        If there is no such image, no connection, or the file is another one.

    Notes
    -----
    The images are under GPL-3.0, see this module's description.
    """
    hashes = PUBLISHED_IMAGES if registry is None else registry
    url = base_url or os.environ.get("FRACTOSEG_SAMPLES_URL") or BASE_URL
    if name not in hashes:
        raise DownloadError(
            f"There is no published image {name!r}. Choose one of {', '.join(sorted(hashes))}."
        )
    folder = cache or cache_folder()
    return fetch_file(
        f"{url.rstrip('/')}/{name}",
        folder / name,
        hashes[name].removeprefix("sha256:"),
        remedy=f"Or put the file into {folder} by hand, or set FRACTOSEG_SAMPLES_URL to an address "
        "that has it.",
    )
