"""Measuring of label files."""

import json

import imageio.v3 as iio
import numpy as np
import pandas as pd
import pytest
import tifffile

from napari_fractoseg.classes import DEFAULT_SCHEME, ClassScheme
from napari_fractoseg.errors import FractosegError, ImageError, OptionError
from napari_fractoseg.jobs import drain
from napari_fractoseg.measurement.files import find_label_files, measure_files_job
from napari_fractoseg.models.registry import find_model, weights_digest
from napari_fractoseg.results.record import LabelRecord, labels_digest
from napari_fractoseg.results.tiff import write_tiff


@pytest.fixture
def folder(tmp_path):
    """Labels of three images of two specimens: 50, 25 and 100 % intergranular."""
    folder = tmp_path / "labels"
    folder.mkdir()
    for name, rows in (("s1_a", [1, 1, 2, 2]), ("s1_b", [1, 2, 2, 2]), ("s2_a", [1, 1, 1, 3])):
        labels = np.repeat(np.array(rows, np.uint8)[:, None], 8, axis=1)
        record = LabelRecord("m", "0", name, DEFAULT_SCHEME, labels_digest(labels))
        write_tiff(folder / f"{name}_labels.tif", labels, scheme=DEFAULT_SCHEME, record=record)
    iio.imwrite(folder / "s1_a_overlay.png", np.zeros((4, 8, 3), np.uint8))
    return folder


def test_a_folder_of_results_is_measured(folder):
    found = drain(measure_files_job(find_label_files([folder])))
    assert found.files["image"].tolist() == ["s1_a", "s1_b", "s2_a"]
    assert found.files["model"].tolist() == ["m"] * 3
    estimate = found.measurement.estimate("intergranular").sampling
    assert (estimate.n, estimate.unit) == (3, "images")
    assert estimate.mean == pytest.approx((0.5 + 0.25 + 1) / 3)


def test_specimens_are_the_observations(folder):
    found = drain(measure_files_job(find_label_files([folder]), group_by=r"^(s\d)_"))
    estimate = found.measurement.estimate("intergranular").sampling
    assert (estimate.n, estimate.unit) == (2, "specimens")
    assert estimate.mean == pytest.approx((0.375 + 1) / 2)


def test_a_bad_file_is_a_row_and_the_others_count(folder, tmp_path):
    (folder / "s3_a_labels.tif").write_bytes(b"no image")
    found = drain(measure_files_job(find_label_files([folder])))
    assert found.failed["image"].tolist() == ["s3_a"]
    assert found.measurement.estimate("intergranular").sampling.n == 3
    written = found.write(tmp_path / "out")
    assert {path.name for path in written} == {
        "fractions.csv", "fields.csv", "groups.csv", "files.csv", "measurement.json",
    }  # fmt: skip
    fields = pd.read_csv(tmp_path / "out" / "fields.csv")
    assert fields["area_px_intergranular"].tolist() == [16, 8, 24]
    figures = json.loads((tmp_path / "out" / "measurement.json").read_text())
    assert figures["n_images"] == 3
    assert [row["error"] == "" for row in figures["files"]] == [True, True, True, False]
    with pytest.raises(FractosegError, match=r"fractions\.csv"):
        found.write(tmp_path / "out")


def test_other_classes_are_not_mixed(folder):
    other = ClassScheme("other", DEFAULT_SCHEME.classes[:2])
    labels = np.ones((4, 8), np.uint8)
    record = LabelRecord("m", "0", "z", other, labels_digest(labels))
    write_tiff(folder / "z_labels.tif", labels, scheme=other, record=record)
    found = drain(measure_files_job(find_label_files([folder])))
    (row,) = found.failed.itertuples()
    assert row.image == "z"
    assert "Measure it apart" in row.error


def test_two_files_of_one_name_are_refused(folder, tmp_path):
    other = tmp_path / "s1_a.png"
    iio.imwrite(other, np.ones((4, 8), np.uint8))
    with pytest.raises(ImageError, match="both of an image 's1_a'"):
        find_label_files([folder, other])


def test_excluded_areas_and_fields_of_a_file(tmp_path):
    labels = np.ones((8, 8), np.uint8)
    labels[:, 4:] = 2
    tifffile.imwrite(tmp_path / "a.tif", labels)
    bar = np.zeros((8, 8), np.uint8)
    bar[:, :2] = 1
    iio.imwrite(tmp_path / "bar.png", bar)
    job = measure_files_job(
        [tmp_path / "a.tif"], fields="grid:4px", exclude=tmp_path / "bar.png"
    )  # fmt: skip
    found = drain(job).measurement
    assert found.areas.excluded_px == 16
    assert found.estimate("intergranular").sampling.unit == "fields"
    assert found.estimate("intergranular").pooled == pytest.approx(16 / 48)


def test_micrometres_need_a_pixel_size(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.ones((8, 8), np.uint8))
    found = drain(measure_files_job([tmp_path / "a.tif"], fields="grid:2um"))
    assert found.measurement is None
    assert "pixel" in found.files["error"][0]
    found = drain(measure_files_job([tmp_path / "a.tif"], fields="grid:2um", pixel_size_um=0.5))
    assert len(found.measurement.fields) == 4
    with pytest.raises(OptionError, match="not understood"):
        drain(measure_files_job([tmp_path / "a.tif"], fields="nine"))


def test_the_error_of_the_model_is_said_only_of_labels_that_nobody_changed(tmp_path):
    labels = np.ones((4, 8), np.uint8)
    digest = weights_digest(find_model("default"))
    record = LabelRecord(
        "fracture modes", digest, "a", DEFAULT_SCHEME, labels_digest(labels), model="default"
    )
    write_tiff(tmp_path / "a.tif", labels, scheme=DEFAULT_SCHEME, record=record)
    found = drain(measure_files_job([tmp_path / "a.tif"])).measurement
    assert any("Model's error on unseen images: ± " in caveat for caveat in found.caveats)
    labels[0, 0] = 2
    write_tiff(tmp_path / "b.tif", labels, scheme=DEFAULT_SCHEME, record=record)
    found = drain(measure_files_job([tmp_path / "a.tif", tmp_path / "b.tif"])).measurement
    assert any("How wrong the labels are is not known" in caveat for caveat in found.caveats)
