"""Downloads of files into a cache: each once, checked by its hash."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pooch
import requests

from napari_fractoseg.errors import DownloadError
from napari_fractoseg.files import sweep_drafts
from napari_fractoseg.jobs import Job, Progress

__all__ = ["cache_folder", "fetch_file", "fetch_file_job"]

_TIMEOUT_S = 30
_LOOK_S = 0.2
_CHUNK = 2**16
_MB = 1e6


def cache_folder() -> Path:
    """Return the folder of downloads: ``FRACTOSEG_CACHE`` if it is set, else the user's cache."""
    return Path(os.environ.get("FRACTOSEG_CACHE") or pooch.os_cache("napari-fractoseg"))


def fetch_file(
    url: str,
    path: Path,
    sha256: str | None,
    *,
    remedy: str,
    on_progress: Callable[[int, int], object] | None = None,
) -> Path:
    """Download a file, unless it is there already.

    Parameters
    ----------
    url : str
        Address of the file.
    path : Path
        Place of the file in the cache. A file there with another hash is replaced.
    sha256 : str or None
        SHA-256 that the file must have; None accepts any file.
    remedy : str
        Sentence that says what a user can do if the address does not work.
    on_progress : callable, optional
        Function of the bytes fetched and the bytes in all (0 where they are not
        known). An error that it raises ends the download.

    Returns
    -------
    Path
        Place of the file (`path`).

    Raises
    ------
    DownloadError
        If there is no connection, if the file has another hash, or if it cannot be stored.
    """
    progress = None if on_progress is None else _Reporter(on_progress)
    responses: list[requests.Response] = []

    def keep(response: requests.Response, **_options: Any) -> None:
        responses.append(response)

    if path.exists() and not path.is_file():
        raise DownloadError(f"{path} is a folder or pipe instead of a file. Remove it.")
    sweep_drafts(path.parent, _is_partial)
    try:
        pooch.retrieve(
            url,
            known_hash=None if sha256 is None else f"sha256:{sha256}",
            fname=path.name,
            path=path.parent,
            downloader=pooch.HTTPDownloader(
                timeout=_TIMEOUT_S,
                progressbar=progress or False,
                chunk_size=_CHUNK,
                hooks={"response": keep},
            ),
        )
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else "no status"
        raise DownloadError(
            f"{path.name} could not be fetched: {url} answered {status}. {remedy}"
        ) from error
    except requests.RequestException as error:
        raise DownloadError(
            f"{path.name} could not be fetched from {url}: {_reason(error)}. Check the network and "
            f"its proxy. {remedy}"
        ) from error
    except ValueError as error:
        # pooch raises this for hashes that differ, and keeps nothing.
        raise DownloadError(
            f"{path.name}, fetched from {url}, is not the expected file: {error} Try again; if it "
            "happens again, the file was replaced there and should not be trusted."
        ) from error
    except OSError as error:
        raise DownloadError(
            f"{path.name} could not be stored in {path.parent}: {error}. Set FRACTOSEG_CACHE to a "
            "folder that can be written."
        ) from error
    finally:
        for response in responses:
            response.close()  # pooch leaves it open after an error
    return path


def _is_partial(path: Path) -> bool:
    """Whether a file of the cache is what pooch fetched until the process was killed."""
    return re.fullmatch("tmp[a-z0-9_]{8}", path.name) is not None and path.is_file()


def fetch_file_job(url: str, path: Path, sha256: str | None, *, remedy: str) -> Job[Path]:
    """Download a file in a thread, as a job that can be stopped; see `fetch_file`.

    Parameters
    ----------
    url : str
        Address of the file.
    path : Path
        Place of the file in the cache.
    sha256 : str or None
        SHA-256 that the file must have; None accepts any file.
    remedy : str
        Sentence that says what a user can do if the address does not work.

    Yields
    ------
    Progress
        About five times a second, 0 of 0 steps, with the megabytes in the message. Closing
        the job ends the download and keeps nothing.

    Returns
    -------
    Path
        Place of the file (`path`).
    """
    state = _State(path.name)
    executor = ThreadPoolExecutor(1, thread_name_prefix="download")
    download = executor.submit(fetch_file, url, path, sha256, remedy=remedy, on_progress=state.note)
    try:
        while True:
            try:
                return download.result(timeout=_LOOK_S)
            except TimeoutError:
                yield Progress(0, 0, state.text)
    finally:
        state.is_wanted = False
        executor.shutdown(wait=False)  # it may be waiting for the network


class _State:
    """State of a download that two threads share: its message, and whether it is still wanted."""

    def __init__(self, name: str) -> None:
        self.is_wanted = True
        self.text = f"fetching {name}"
        self._name = name

    def note(self, done: int, total: int) -> None:
        """Update the message by the bytes fetched, or raise to end the download."""
        if not self.is_wanted:
            raise DownloadError("The download was stopped.")
        size = f" of {total / _MB:.0f}" if total else ""
        self.text = f"fetching {self._name}: {done / _MB:.0f}{size} MB"


class _Reporter:
    """Adapter by which pooch's progress bar calls a function."""

    def __init__(self, on_progress: Callable[[int, int], object]) -> None:
        self.total = 0
        self._done = 0
        self._on_progress = on_progress

    def update(self, count: int) -> None:
        """Add the bytes that were received."""
        self._done += count
        self._on_progress(self._done, self.total)

    def reset(self) -> None:
        """Set the count to 0; pooch does so before it counts all bytes once more at the end."""
        self._done = 0

    def close(self) -> None:
        """Do nothing; part of the interface of a progress bar."""


def _reason(error: requests.RequestException) -> str:
    """Return the cause of a failed request in a few words, for users."""
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        return f"the connection is not secure ({error})"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return str(error)
