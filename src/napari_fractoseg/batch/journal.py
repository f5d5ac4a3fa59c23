"""Journal of a run: what was begun and finished, on the disk at once, for the case of a kill.

It lies beside ``run.json`` as a hidden file (``.run.jsonl``) while a run goes on. The report
takes it up at the end. What a killed run leaves is read together with the report, and the next
run adds to it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_fractoseg.files import hidden_beside, synced, writing

__all__ = ["JournalledRun", "RunJournal", "journal_path", "read_journal"]


def journal_path(report: Path) -> Path:
    """Return the path of the journal that belongs to a ``run.json``."""
    return hidden_beside(report, "l")


class RunJournal:
    """Journal that a run writes.

    Parameters
    ----------
    path : Path
        File to add to; it is made where it is missing. A last line that was cut off is removed.
    about : mapping
        Content of ``run.json`` for this run, as plain JSON types, without its files.

    Raises
    ------
    OutputError
        If it cannot be written.
    """

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        self._path = path
        with writing(path):
            if path.exists():
                complete = path.read_bytes()
                os.truncate(path, complete.rfind(b"\n") + 1)
        self._add({"run": {**about, "files": []}})
        with writing(path):
            synced(path.parent)

    def begin(self, files: Iterable[Path]) -> None:
        """Note that results of images will be written from now on."""
        self._add({"begun": [path.name for path in files]})

    def finish(self, entry: Mapping[str, Any], fractions: str) -> None:
        """Note that the results of an image are in their places.

        Parameters
        ----------
        entry : mapping
            Entry of the image in ``run.json``.
        fractions : str
            Rows of the image in ``fractions.csv``, with the header.
        """
        self._add({"done": entry, "fractions": fractions})

    def _add(self, event: Mapping[str, Any]) -> None:
        with writing(self._path), self._path.open("a", encoding="utf-8") as file:
            file.write(f"{json.dumps(event)}\n")
            file.flush()
            os.fsync(file.fileno())


@dataclass
class JournalledRun:
    """A run as its journal tells it.

    Parameters
    ----------
    content : dict
        Content of ``run.json`` for the run: only files that are finished.
    fractions : list of str
        Rows of ``fractions.csv`` of each finished file, with the header.
    begun : list of str
        Names of the images whose results were begun, finished or not.
    """

    content: dict[str, Any]
    fractions: list[str] = field(default_factory=list)
    begun: list[str] = field(default_factory=list)


def read_journal(path: Path) -> list[JournalledRun]:
    """Return the runs in a journal, the latest first; none if there is no journal."""
    runs: list[JournalledRun] = []
    for event in _events(path):
        if isinstance(event.get("run"), dict):
            runs.insert(0, JournalledRun(event["run"]))
        elif runs:
            runs[0].begun += map(str, event.get("begun", ()))
            if "done" in event:
                runs[0].content["files"].append(event["done"])
                runs[0].fractions.append(str(event.get("fractions", "")))
    return runs


def _events(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the lines that are whole; those of a disk that lost power may not be."""
    if not path.is_file():
        return
    for line in path.read_bytes().splitlines():
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(event, dict):
            yield event
