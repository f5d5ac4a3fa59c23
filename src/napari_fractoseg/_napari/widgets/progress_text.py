"""How far a run is, in words."""

from __future__ import annotations

from dataclasses import replace

from napari_fractoseg.jobs import Progress, duration_text

__all__ = ["progress_text", "share_text"]


def share_text(progress: Progress, remaining_s: float | None) -> str:
    """Say shortly how far a run is: ``40 % · 2 min left``."""
    shown = replace(progress, message="") if progress.total else progress
    return progress_text(shown, remaining_s)


def progress_text(progress: Progress, remaining_s: float | None) -> str:
    """Say how far a run is: ``plane 12 of 34, tile 3 of 9 · 40 s left``."""
    if progress.total == 0:
        return f"{progress.message} …"
    parts = [progress.message or f"{progress.done / progress.total:.0%}".replace("%", " %")]
    if remaining_s is not None and progress.done < progress.total:
        parts.append(f"{duration_text(remaining_s)} left")
    return " · ".join(parts)
