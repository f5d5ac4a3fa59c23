"""What must not be imported where."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import napari_fractoseg

HEAVY = ("torch", "torchvision", "segmentation_models_pytorch", "lightning_fabric")


def modules_after(code):
    """The top-level modules that a fresh interpreter has after running some code."""
    script = f"{code}\nimport sys; print(*sorted({{m.partition('.')[0] for m in sys.modules}}))"
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "code",
    [
        "import napari_fractoseg",
        "from napari_fractoseg import ClassScheme, read_via, list_models, read_image",
        "from napari_fractoseg import synthetic_fracture; synthetic_fracture(1, (32, 32))",
        "from napari_fractoseg.measurement.fractions import class_fractions",
        "import numpy, napari_fractoseg as nf; nf.measure(numpy.ones((4, 4), int))",
        "import napari_fractoseg as nf; nf.adjusted_areas([[9, 1], [1, 9]], [5, 5])",
        "import numpy, napari_fractoseg as nf; nf.plan_points(numpy.ones((4, 4), int), n_points=2)",
        "from napari_fractoseg import PointCount, audit_result, facets",
        "from napari_fractoseg.measurement.facets import boundary, sizes",
        "import napari_fractoseg.reporting.report",
        "import napari_fractoseg._napari.via.reader",
        "import napari_fractoseg._napari.samples",
        "import napari_fractoseg.cli",
        "from npe2 import PluginManifest; PluginManifest.from_distribution('napari-fractoseg')",
    ],
)
def test_torch_is_not_loaded_before_it_is_needed(code):
    assert not modules_after(code).intersection(HEAVY)


@pytest.mark.parametrize(
    ("reader", "function"), [("via.reader", "get_reader"), ("result_reader", "get_labels_reader")]
)
def test_a_file_is_looked_at_without_zarr_and_dask_arrays(tmp_path, reader, function):
    attributes = {"ome": {"multiscales": [{"datasets": [{"path": "0"}], "axes": ["y", "x"]}]}}
    array = {"node_type": "array", "shape": [4, 5]}
    for name, node in (("", {"attributes": attributes}), ("0", array)):
        (tmp_path / "a.zarr" / name).mkdir(exist_ok=True)
        (tmp_path / "a.zarr" / name / "zarr.json").write_text(json.dumps(node))
    code = (
        f"from napari_fractoseg._napari.{reader} import {function} as peek\n"
        f"assert peek({str(tmp_path / 'a.zarr')!r}) is None\n"
        "import sys\n"
        "print(*(m for m in ('zarr', 'dask.array', 'xarray') if m in sys.modules))"
    )
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


@pytest.mark.slow
def test_the_engine_runs_without_napari_and_qt():
    code = "import napari_fractoseg as nf; [getattr(nf, n) for n in nf.__all__]"
    assert not modules_after(code).intersection(("napari", "qtpy", "magicgui", "PyQt6", "PySide6"))


def test_import_contracts():
    root = Path(__file__).parents[1]
    script = "import sys; from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_public_names_exist_and_unknown_ones_do_not():
    for name in napari_fractoseg.__all__:
        assert getattr(napari_fractoseg, name) is not None
    assert "segment" in dir(napari_fractoseg)
    with pytest.raises(AttributeError, match="attribute fracture"):
        _ = napari_fractoseg.fracture
