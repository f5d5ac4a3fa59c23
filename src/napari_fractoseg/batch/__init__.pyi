from .cluster import dask_workers, local_workers, tls_security
from .executors import Workers
from .report import BatchReport, FileResult
from .running import run, segment_file
from .settings import SegmentSettings
from .tasks import SegmentTask, plan

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
    "tls_security",
]
