import importlib
import subprocess
import sys
from pathlib import Path

import npe2
import pytest

import napari_fractoseg

MANIFEST = Path(napari_fractoseg.__file__).parent / "napari.yaml"


@pytest.fixture(scope="module")
def manifest():
    return npe2.PluginManifest.from_file(MANIFEST)


def test_the_manifest_is_valid_and_its_commands_can_be_imported(manifest):
    manifest.validate_imports()
    for command in manifest.contributions.commands:
        module, _, name = command.python_name.partition(":")
        assert callable(getattr(importlib.import_module(module), name)), command.id


def test_the_manifest_is_found_under_the_name_of_the_package(manifest):
    found = npe2.PluginManifest.from_distribution("napari-fractoseg")
    assert found.name == manifest.name == "napari-fractoseg"


def test_the_manifest_offers_the_widgets_the_samples_the_reader_and_the_writers(manifest):
    offered = manifest.contributions
    names = [
        "Segment fracture modes",
        "Open annotations",
        "Train on corrections",
        "Measure fracture modes",
        "Audit by point count",
        "Pixel size",
    ]
    assert [w.display_name for w in offered.widgets] == names
    assert len(offered.sample_data) == 3
    assert [e for w in offered.writers for e in w.filename_extensions] == [".json", ".json", ".csv"]


def test_docks_are_in_the_menus_where_napari_has_such_tools(manifest):
    menus = {
        menu: [item.command.removeprefix("napari-fractoseg.") for item in items]
        for menu, items in manifest.contributions.menus.items()
    }
    assert menus == {
        "napari/layers/measure": ["measure", "audit", "pixel_size", "size_from_file"],
        "napari/layers/segment": ["segment", "train"],
        "napari/layers/annotate": ["save_back"],
        "napari/file/io_utilities": [
            "open_sem",
            "open_files",
            "open_folder",
            "import_via",
            "save_result",
            "save_back",
        ],
    }


@pytest.mark.parametrize(
    ("name", "is_folder", "command"),
    [
        ("project.json", False, "read_via"),
        ("via_region_data.csv", False, "read_via"),
        ("s17 (2)_csv.csv", False, "read_via"),
        ("Unnamed-VIA Project17Nov2020_09h05m01s_export.csv", False, "read_via"),
        ("s17_3.xml", False, "read_via"),
        ("s17_3.roi", False, "read_via"),
        ("RoiSet.zip", False, "read_via"),
        ("s17_3_RoiSet.zip", False, "read_via"),
        ("images.zip", False, None),
        ("measurements.csv", False, None),
        ("data_export.csv", False, None),
        ("any folder", True, None),
        ("a_labels.zarr", True, None),
        (".zattrs", False, "read_results"),
    ],
)
def test_napari_asks_us_about_few_files_and_no_folders(
    manifest, tmp_path, name, is_folder, command
):
    path = tmp_path / name
    path.mkdir() if is_folder else path.touch()
    plugins = npe2.PluginManager()
    if manifest.name not in plugins:  # npe2 0.10 takes napari 0.10 for one before 0.4, and looks
        plugins.register(manifest)
    found = [r.command for r in plugins.iter_compatible_readers([str(path)])]
    ours = [c for c in found if c.startswith("napari-fractoseg.")]
    assert ours == ([] if command is None else [f"napari-fractoseg.{command}"])


def test_the_report_of_a_run_is_ours_by_its_name(manifest, tmp_path):
    plugins = npe2.PluginManager()
    plugins.register(manifest)
    for name in ("run.json", "s17_run.json"):
        (tmp_path / name).touch()
        found = {r.command for r in plugins.iter_compatible_readers([str(tmp_path / name)])}
        assert found == {"napari-fractoseg.read_via", "napari-fractoseg.read_run"}


@pytest.mark.parametrize(
    "code",
    [
        "import napari_fractoseg",
        "import npe2; npe2.PluginManifest.from_distribution('napari-fractoseg')",
        "from napari_fractoseg._napari.via.reader import get_reader; get_reader('no such.json')",
        "from napari_fractoseg._napari.result_reader import get_labels_reader as g; g('no.zarr')",
        "import napari_fractoseg._napari.open_files",
        "import napari_fractoseg._napari.via.save_back",
        "import napari_fractoseg._napari.save.command",
        "from napari_fractoseg._napari.save.reader import get_run_reader as g; g('run.json')",
        "import napari_fractoseg._napari.segment.dock",
        "import napari_fractoseg._napari.train.dock",
        "import napari_fractoseg._napari.measure.dock",
        "import napari_fractoseg._napari.audit.dock",
        "import napari_fractoseg._napari.calibrate.dock",
        "import napari_fractoseg._napari.calibrate.commands",
    ],
)
def test_nothing_that_opens_at_once_waits_for_torch(code):
    check = f"{code}\nimport sys\nassert 'torch' not in sys.modules, 'torch was imported'"
    subprocess.run([sys.executable, "-c", check], check=True)  # noqa: S603 - our own code
