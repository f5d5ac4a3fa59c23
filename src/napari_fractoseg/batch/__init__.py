"""Segmentation of many files, or of large ones: a plan (list of tasks), and a run of it.

Tasks can be pickled, so any ``concurrent.futures.Executor`` runs them: this
process by default, a pool of processes (start method ``spawn``: PyTorch does
not survive ``fork``), or the workers of Dask, on this machine (`local_workers`)
or a cluster (`dask_workers`). An image on disk that is written block by block is
shared among the workers. A file that fails is a row of the report, not the end
of the run.

For *plane, tile, run, uncertainty* see ``docs/reference/glossary.md``.
"""

import lazy_loader

# The names are those of `__init__.pyi`; the command line shows its help without loading PyTorch.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
