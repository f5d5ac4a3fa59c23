"""Labels and annotations opened by the commands in napari's menus."""

import json

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
from napari._app_model import get_app_model
from napari.layers import Labels
from qtpy.QtWidgets import QFileDialog

from napari_fractoseg._napari.layers import scheme_of
from napari_fractoseg._napari.open_files import open_paths
from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.errors import AnnotationError, ImageError
from napari_fractoseg.results.label_writer import ZarrLabels

pytestmark = pytest.mark.usefixtures("no_job_left")

LABELS = np.array([[1, 2, 3, 0]] * 6, np.uint8)
HEADER = (
    "filename,file_size,file_attributes,region_count,region_id,"
    "region_shape_attributes,region_attributes"
)


@pytest.fixture
def group(tmp_path):
    path = tmp_path / "a_labels.zarr"
    labels = ZarrLabels(path, {"shape": list(LABELS.shape), "dtype": "uint8"}, anew=True)
    labels.array[...] = LABELS
    labels.describe(path.stem, tmp_path / "a.tif", DEFAULT_SCHEME, 0.25, None)
    labels.finish(overwrite=True)
    return path


@pytest.fixture
def mine(tmp_path):
    """A CSV file of VIA with a name that is not VIA's, beside its image."""
    iio.imwrite(tmp_path / "a.png", np.zeros((6, 4), np.uint8))
    shape = '{""name"":""rect"",""x"":1,""y"":2,""width"":2,""height"":3}'
    path = tmp_path / "mine.csv"
    path.write_text(f'{HEADER}\na.png,-1,"{{}}",1,0,"{shape}","{{""name"":""t""}}"\n')
    return path


def test_annotations_with_any_name(viewer, mine):
    layers = open_paths(viewer, [mine])
    assert [layer.name for layer in layers] == ["a", "a · annotation", "a · regions"]
    assert layers[1].data.sum() == 2 * 6
    assert list(viewer.layers) == layers


def test_a_folder_of_labels(viewer, group):
    for path in (group, group / "zarr.json"):
        (layer,) = open_paths(viewer, [path])
        assert isinstance(layer, Labels)
        assert scheme_of(layer) == DEFAULT_SCHEME
        np.testing.assert_array_equal(np.asarray(layer.data), LABELS)


def test_a_label_image_is_labels_and_no_image(viewer, tmp_path):
    tifffile.imwrite(tmp_path / "x_labels.tif", LABELS)
    (layer,) = open_paths(viewer, [tmp_path / "x_labels.tif"])
    assert isinstance(layer, Labels)


def test_what_is_something_else_says_so(viewer, tmp_path):
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    (tmp_path / "folder").mkdir()
    for name in ("other.csv", "folder"):
        with pytest.raises(AnnotationError, match="neither labels nor annotations.*File > Open"):
            open_paths(viewer, [tmp_path / name])
    tifffile.imwrite(tmp_path / "confidence.tif", np.zeros((4, 5), np.float32))
    with pytest.raises(ImageError, match="holds no labels: its values are float32"):
        open_paths(viewer, [tmp_path / "confidence.tif"])
    assert len(viewer.layers) == 0


def test_the_commands_in_the_menu_ask_and_open(viewer, group, mine, monkeypatch):
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_: ([str(mine)], ""))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(group))
    commands = get_app_model().commands
    for name, n_layers in (("open_files", 3), ("open_folder", 4)):
        commands.execute_command(f"napari-fractoseg.{name}").result()
        assert len(viewer.layers) == n_layers
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: "")
    commands.execute_command("napari-fractoseg.open_folder").result()
    assert len(viewer.layers) == 4


def test_napari_opens_a_project_by_itself(viewer, tmp_path):
    entry = {"filename": "b.png", "size": -1, "regions": [], "file_attributes": {}}
    shape = {"name": "rect", "x": 1, "y": 2, "width": 2, "height": 3}
    entry["regions"] = [{"shape_attributes": shape, "region_attributes": {"name": "t"}}]
    (tmp_path / "any name.json").write_text(json.dumps({"b.png-1": entry}))
    (layer,) = viewer.open(str(tmp_path / "any name.json"), plugin=None)
    assert layer.name == "b · regions"
