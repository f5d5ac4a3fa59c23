"""Tries an installed package as a new user does: the command line, the manifest, every dock.

`python scripts/smoke.py`, by the Python that has the package, in an empty folder. It fails where
the package is that of a repository, and not one that was installed. On Linux without a screen it
needs Xvfb and PyVirtualDisplay.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from contextlib import ExitStack
from pathlib import Path

import napari_fractoseg

NAME = "napari-fractoseg"
RESULTS = (
    "synthetic_labels.tif",
    "synthetic_overlay.png",
    "fractions.csv",
    "run.json",
)


def main() -> None:
    """Try one thing after the other; say which fails."""
    package = Path(napari_fractoseg.__file__).parent
    if not package.is_relative_to(sysconfig.get_path("purelib")):
        sys.exit(f"{package} is not installed: build the wheel and install it first.")
    print(f"{NAME} {napari_fractoseg.__version__} in {package}")
    for arguments in (["--help"], ["doctor"], ["models", "list"], ["demo", "--device", "cpu"]):
        _run("fractoseg", *arguments)
    missing = [name for name in RESULTS if not (Path("fractoseg-demo") / name).is_file()]
    if missing:
        sys.exit(f"the demo wrote no {', '.join(missing)}")
    _run("npe2", "validate", NAME)
    with ExitStack() as screen:
        if sys.platform == "linux" and not os.environ.get("DISPLAY"):
            from pyvirtualdisplay import Display

            screen.enter_context(Display(visible=False, size=(1366, 768)))
        _open_docks()
    print("all that was tried works")


def _open_docks() -> None:
    """Open a sample and every dock of the manifest in a window of napari."""
    import napari
    import npe2
    from qtpy.QtWidgets import QApplication

    from napari_fractoseg._napari import jobs

    manifest = npe2.PluginManager.instance()
    manifest.discover()
    viewer = napari.Viewer()
    viewer.open_sample(NAME, "synthetic_image")
    for widget in manifest.get_manifest(NAME).contributions.widgets or []:
        viewer.window.add_plugin_dock_widget(NAME, widget.display_name)
        print(f"opens: {widget.display_name}")
    if len(viewer.layers) != 2:
        sys.exit(f"the sample has {len(viewer.layers)} layers, and not an image and its labels")
    while jobs.runs_under_way():  # the docks look for devices and pixel sizes
        QApplication.processEvents()
    viewer.close()


def _run(command: str, *arguments: str) -> None:
    """Run a command of this environment."""
    found = shutil.which(command, path=sysconfig.get_path("scripts"))
    if found is None:
        sys.exit(f"{command} is not in {sysconfig.get_path('scripts')}")
    print("$", command, *arguments, flush=True)
    subprocess.run([found, *arguments], check=True)


if __name__ == "__main__":
    main()
