"""Preparation for importing PyTorch in a process that draws with OpenGL, as napari does."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import threading

__all__ = ["load_torch", "prepare_torch"]

_WAITING = "OMP_WAIT_POLICY"
_lock = threading.Lock()  # the flags belong to the whole process


def prepare_torch() -> None:
    """Make it safe to import PyTorch after napari has opened its window.

    Notes
    -----
    Mesa's OpenGL drivers (software rendering, AMD, remote desktops) load an
    LLVM of their own into the process. triton, which PyTorch's CUDA builds
    import, exports another LLVM, and its start-up code then calls into Mesa's:
    a segmentation fault (triton 3.7 with Mesa 22; the same clash as in
    https://github.com/tensorflow/tensorflow/issues/124205). Bound to its own
    symbols first, triton leaves Mesa's alone.

    PyTorch's threads (OpenMP) wait for one another in a busy loop by default. Where napari draws,
    or another program works, on the same cores, that takes them from the very thread that is
    waited for. So they wait passively, unless the user's environment says how.
    """
    os.environ.setdefault(_WAITING, "passive")  # read when PyTorch is first loaded
    deep_bind = getattr(os, "RTLD_DEEPBIND", 0)  # Linux with glibc only
    with _lock:
        if not deep_bind or "triton" in sys.modules or not importlib.util.find_spec("triton"):
            return
        flags = sys.getdlopenflags()
        sys.setdlopenflags(flags | deep_bind)
        try:
            importlib.import_module("triton")
        except ImportError:
            pass  # PyTorch works without it
        finally:
            sys.setdlopenflags(flags)


def load_torch() -> None:
    """Import what segments an image, which takes seconds; nothing happens if that was done."""
    prepare_torch()
    importlib.import_module("napari_fractoseg.inference.predictor")
