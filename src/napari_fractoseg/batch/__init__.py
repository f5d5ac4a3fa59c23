"""Many files: a plan, which is a list of tasks made of paths, and a run of it.

Tasks can be pickled, so any ``concurrent.futures.Executor`` runs them: this
process by default, a pool of processes (start method ``spawn``: PyTorch does
not survive ``fork``), or the workers of Dask, on this machine (`local_workers`)
or a cluster (`dask_workers`). An image on disk that is written block by block is
shared among the workers. A file that fails is a row of the report, not the end
of the run.
"""

from napari_fractoseg.batch.cluster import dask_workers, local_workers
from napari_fractoseg.batch.executors import Workers
from napari_fractoseg.batch.report import BatchReport, FileResult, SegmentSettings
from napari_fractoseg.batch.running import run, segment_file
from napari_fractoseg.batch.tasks import SegmentTask, plan

__all__ = [
    "BatchReport",
    "FileResult",
    "SegmentSettings",
    "SegmentTask",
    "Workers",
    "dask_workers",
    "local_workers",
    "plan",
    "run",
    "segment_file",
]
