"""Many files: a plan, which is a list of tasks made of paths, and a run of it.

Tasks can be pickled, so any ``concurrent.futures.Executor`` runs them: in this
process by default, a pool of processes (start method ``spawn``: PyTorch does
not survive ``fork``), or ``distributed.Client(...).get_executor()`` on a Dask
cluster. A file that fails is a row of the report, not the end of the run.
"""

from napari_fractoseg.batch.report import BatchReport, FileResult, SegmentSettings
from napari_fractoseg.batch.running import run, segment_file
from napari_fractoseg.batch.tasks import SegmentTask, plan

__all__ = [
    "BatchReport",
    "FileResult",
    "SegmentSettings",
    "SegmentTask",
    "plan",
    "run",
    "segment_file",
]
