"""Audits of label files."""

import json

import imageio.v3 as iio
import numpy as np
import pandas as pd
import pytest

from napari_fractoseg.audit.files import audit_files_job, audit_of, plan_files_job
from napari_fractoseg.audit.plan import plan_points
from napari_fractoseg.classes import DEFAULT_SCHEME, ClassScheme
from napari_fractoseg.errors import ClassSchemeError, ImageError, OptionError
from napari_fractoseg.jobs import drain
from napari_fractoseg.results.record import LabelRecord, labels_digest
from napari_fractoseg.results.tiff import write_tiff


@pytest.fixture
def files(tmp_path):
    """Labels of six images, of which the last two have a record."""
    rng = np.random.default_rng(0)
    paths = []
    for number in range(6):
        labels = rng.integers(1, 4, (20, 30)).astype(np.uint8)
        paths.append(tmp_path / f"s{number}_labels.{'png' if number < 4 else 'tif'}")
        if number < 4:
            iio.imwrite(paths[-1], labels)
        else:
            record = LabelRecord("m", "0", f"s{number}", DEFAULT_SCHEME, labels_digest(labels))
            write_tiff(paths[-1], labels, scheme=DEFAULT_SCHEME, record=record)
    return paths


def answered_as_labelled(count, operator="Ada"):
    for point in count.points.itertuples():
        count = count.answered(point.point, point.stratum, operator)
    return count


@pytest.mark.parametrize("design", ["grid", "stratified", "random"])
def test_points_of_files_are_those_of_their_labels(files, design):
    count = drain(plan_files_job(files, n_points=40, design=design, seed=3))
    labels = {f"s{n}": iio.imread(path) for n, path in enumerate(files)}
    assert count.is_same_plan(plan_points(labels, n_points=40, design=design, seed=3))


def test_labels_that_were_changed_since_are_audited_as_they_are_now(files):
    count = answered_as_labelled(drain(plan_files_job(files, n_points=60, design="random", seed=1)))
    audit = drain(audit_files_job(count, files))
    assert audit.results[0].adjusted.overall.value == 1
    on_first = int((count.points["image"] == "s0").sum())
    iio.imwrite(files[0], np.zeros((20, 30), np.uint8))
    found = drain(audit_files_job(count, files)).results[0]
    assert found.confusion.loc["(no label)"].sum() == on_first > 0


def test_labels_of_points_must_be_there_and_of_the_same_classes(files):
    count = answered_as_labelled(drain(plan_files_job(files, n_points=60, design="random", seed=1)))
    with pytest.raises(ImageError, match="no labels of s2, where points are"):
        drain(audit_files_job(count, files[:2] + files[3:]))
    other = ClassScheme("other", DEFAULT_SCHEME.classes[:2])
    with pytest.raises(ClassSchemeError, match=r"for the classes 1 intergranular, .* 3 background"):
        drain(audit_files_job(count, files[:4] + files[4:], scheme=other))


def test_a_file_that_cannot_be_read_is_named(files):
    files[1].write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"s1_labels\.png"):
        drain(plan_files_job(files, n_points=60))


def test_the_excluded_area_is_that_of_all_images(files, tmp_path):
    bar = np.zeros((20, 30), np.uint8)
    bar[15:] = 255
    iio.imwrite(tmp_path / "bar.png", bar)
    count = drain(plan_files_job(files, n_points=60, exclude=tmp_path / "bar.png"))
    assert count.points["row_px"].max() < 15
    assert count.excluded_px == 6 * 5 * 30


def test_several_operators_are_compared():
    count = answered_as_labelled(plan_points(np.eye(8, dtype=int) + 1, n_points=8, design="random"))
    with pytest.raises(OptionError, match=r"'Ben' gave no answer; there are those of Ada"):
        audit_of(count, operator="Ben")
    count = answered_as_labelled(answered_as_labelled(count, "Ben"), "Cy")
    audit = audit_of(count.answered(1, "background", "Cy"), operator="Cy")
    assert [result.operator for result in audit.results] == ["Cy", "Ada", "Ben"]
    assert [(one, two) for one, two, _ in audit.agreements] == [
        ("Cy", "Ada"), ("Cy", "Ben"), ("Ada", "Ben"),
    ]  # fmt: skip
    assert [found.agreement for *_, found in audit.agreements] == [7 / 8, 7 / 8, 1]
    figures = json.loads(json.dumps(audit.to_dict(), allow_nan=False))
    assert figures["operator"] == "Cy"
    assert "Ada and Ben: Cohen's kappa" in figures["sentence"]
    assert [each["operator"] for each in figures["other_operators"]] == ["Ada", "Ben"]


def test_without_answers_there_is_no_audit():
    count = plan_points(np.ones((4, 4), int), n_points=2).answered(1, "i", "Ada")
    with pytest.raises(OptionError, match="No point has an answer yet"):
        audit_of(count.answered(1, "", "Ada"))


def test_the_table_is_written_so_that_spreadsheets_compute_nothing(tmp_path):
    count = answered_as_labelled(plan_points(np.ones((4, 4), int), n_points=4), "=1+1")
    table = pd.read_csv(audit_of(count).write(tmp_path))
    assert set(table["operator"]) == {"'=1+1"}
    assert table["by_hand"][0] == table["corrected"][0] == 1
