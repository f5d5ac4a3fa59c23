import importlib.util
import os
import subprocess
import sys

import pytest

from napari_fractoseg._napari.torch_import import prepare_torch

# Draws with OpenGL, then imports PyTorch the way the dock does.
PROGRAM = """
import pathlib, sys
import napari, numpy
from qtpy.QtCore import QEventLoop, QTimer
viewer = napari.Viewer(show=True)
viewer.add_image(numpy.zeros((8, 8)))
loop = QEventLoop()
QTimer.singleShot(1500, loop.quit)
loop.exec()
if "libLLVM" not in pathlib.Path("/proc/self/maps").read_text():
    print("no Mesa with LLVM")
from napari_fractoseg._napari.torch_import import prepare_torch
prepare_torch()
import torchvision
print("imported")
viewer.close()
"""


@pytest.mark.slow
@pytest.mark.skipif(
    not sys.platform.startswith("linux") or not os.environ.get("DISPLAY"),
    reason="needs an X display",
)
@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="needs triton")
def test_torch_can_be_imported_after_mesa_has_drawn():
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=300, check=False
    )
    if "no Mesa with LLVM" in done.stdout:
        pytest.skip("OpenGL here does not use LLVM")
    assert "imported" in done.stdout, f"{done.returncode}: {done.stderr[-500:]}"


def test_the_loader_flags_are_put_back(monkeypatch):
    flags = sys.getdlopenflags()
    monkeypatch.delitem(sys.modules, "triton", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: True)
    seen = []
    monkeypatch.setattr(
        "importlib.import_module", lambda name: seen.append((name, sys.getdlopenflags()))
    )
    prepare_torch()
    assert sys.getdlopenflags() == flags
    if hasattr(os, "RTLD_DEEPBIND"):
        assert seen == [("triton", flags | os.RTLD_DEEPBIND)]


def test_threads_wait_passively_unless_the_user_says_how(monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    prepare_torch()
    assert os.environ["OMP_WAIT_POLICY"] == "active"
    monkeypatch.delenv("OMP_WAIT_POLICY")
    prepare_torch()
    assert os.environ["OMP_WAIT_POLICY"] == "passive"
