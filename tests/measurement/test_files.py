"""Measuring of label files."""

import json

import imageio.v3 as iio
import numpy as np
import pandas as pd
import pytest
import tifffile

from napari_fractoseg.classes import DEFAULT_SCHEME, ClassScheme, FractureClass
from napari_fractoseg.errors import FractosegError, ImageError, OptionError
from napari_fractoseg.files import file_sha256
from napari_fractoseg.jobs import drain
from napari_fractoseg.measurement.facets.boundary import boundary_lengths
from napari_fractoseg.measurement.facets.plane import facets as nf_facets
from napari_fractoseg.measurement.facets.planes import FacetSettings, FacetTables
from napari_fractoseg.measurement.files.inputs import find_label_files, find_micrographs
from napari_fractoseg.measurement.files.job import measure_files_job
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


def test_a_copy_under_another_name_is_told(folder):
    (folder / "copy_labels.tif").write_bytes((folder / "s1_a_labels.tif").read_bytes())
    found = drain(measure_files_job(find_label_files([folder])))
    (caveat,) = [text for text in found.measurement.caveats if "pixel by pixel" in text]
    assert caveat.startswith("The labels of copy, s1_a are the same")
    (folder / "copy_labels.tif").unlink()
    found = drain(measure_files_job(find_label_files([folder])))
    assert "pixel by pixel" not in " ".join(found.measurement.caveats)


def test_labels_in_other_colours_are_of_the_same_classes(folder):
    labels, scheme = np.ones((4, 8), np.uint8), DEFAULT_SCHEME.with_palette("colour-blind-safe")
    write_tiff(folder / "s3_a_labels.tif", labels, scheme=scheme)
    found = drain(measure_files_job(find_label_files([folder])))
    assert found.failed.empty
    estimate = found.measurement.estimate("intergranular").sampling
    assert estimate.mean == pytest.approx((0.5 + 0.25 + 1 + 1) / 4)


def test_classes_beside_masks_are_theirs_unless_others_are_given(tmp_path):
    modes = (FractureClass(1, "dimples", "#112233"), FractureClass(4, "cleavage", "#445566"))
    scheme = ClassScheme("own", modes)
    (tmp_path / "classes.json").write_text(scheme.to_json())
    iio.imwrite(tmp_path / "a.png", np.array([[1, 1, 1, 4]], np.uint8))
    found = drain(measure_files_job(find_label_files([tmp_path])))
    assert found.measurement.estimate("dimples").sampling.mean == 0.75
    other = scheme.renamed(1, "voids")
    found = drain(measure_files_job(find_label_files([tmp_path]), scheme=other))
    assert found.measurement.estimate("voids").sampling.mean == 0.75


def test_masks_with_other_classes_beside_them_are_measured_apart(folder, tmp_path):
    other = tmp_path / "masks"
    other.mkdir()
    (other / "classes.json").write_text(DEFAULT_SCHEME.renamed(1, "dimples").to_json())
    iio.imwrite(other / "b.png", np.ones((4, 8), np.uint8))
    found = drain(measure_files_job(find_label_files([folder, other])))
    assert found.failed["image"].tolist() == ["b"]
    assert "1 dimples" in found.failed["error"].iloc[0]


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


def squares(*edges):
    """Labels of squares of class 1 on class 2, none at the border."""
    labels = np.full((12, 40), 2, np.uint8)
    for k, edge in enumerate(edges):
        labels[2 : 2 + edge, 2 + 8 * k : 2 + 8 * k + edge] = 1
    return labels


def test_facets_of_all_planes_are_one_table(tmp_path):
    paths = []
    for name, labels in (("a", squares(2, 3)), ("b", squares(4))):
        paths.append(tmp_path / f"{name}.tif")
        tifffile.imwrite(paths[-1], labels)
    found = drain(
        measure_files_job(paths, group_by="(.)", pixel_size_um=0.5, facets=FacetSettings(5))
    )
    found.write(tmp_path / "out")
    facets = pd.read_csv(tmp_path / "out" / "facets.csv")
    assert facets[["image", "plane", "specimen", "index", "area_um2"]].values.tolist() == [
        ["a", 1, "a", 1, (480 - 13) * 0.25], ["a", 1, "a", 2, 9 * 0.25],
        ["b", 1, "b", 1, (480 - 16) * 0.25], ["b", 1, "b", 2, 16 * 0.25],
    ]  # fmt: skip
    whole = nf_facets(squares(2, 3), DEFAULT_SCHEME, pixel_size_um=0.5, min_area_px=5).table
    assert facets[facets["image"] == "a"][whole.columns].values.tolist() == whole.values.tolist()
    sizes = pd.read_csv(tmp_path / "out" / "sizes.csv")
    median = sizes[(sizes["statistic"] == "q0.5") & (sizes["size"] == "area_um2")]
    assert median[median["weighting"] == "number"]["value"].tolist()[0] == 9 * 0.25
    boundary = pd.read_csv(tmp_path / "out" / "boundary.csv")
    assert boundary["image"].tolist() == ["a", "b"]
    exact = boundary_lengths(squares(4), DEFAULT_SCHEME, pixel_size_um=0.5)
    assert boundary["length_um"][1] == pytest.approx(exact["length_um"][0])
    settings = json.loads((tmp_path / "out" / "measurement.json").read_text())["settings"]
    assert settings["facets"] == "pixels that share an edge, of at least 5 px"


def test_without_facets_nothing_is_said_of_them(folder, tmp_path):
    found = drain(measure_files_job(find_label_files([folder])))
    assert found.no_sizes == "facets were not measured"
    assert not {path.name for path in found.write(tmp_path / "out")} & {
        "facets.csv", "sizes.csv", "boundary.csv",
    }  # fmt: skip


def test_images_with_and_without_a_pixel_size_share_a_table_but_no_sizes(tmp_path):
    tables = FacetTables()
    for name, size in (("a", None), ("b", 0.5)):
        found = nf_facets(squares(2), DEFAULT_SCHEME, pixel_size_um=size)
        tables.add(found, image=name, plane=1)
    table = pd.read_csv(tables.write(tmp_path / "facets.csv"))
    assert table["area_px"].fillna(-1).tolist() == [476, 4, -1, -1]
    assert table["area_um2"].fillna(-1).tolist() == [-1, -1, 119, 1]
    assert table["image"].tolist() == ["a", "a", "b", "b"]
    with pytest.raises(OptionError, match="some have none"):
        tables.sizes()


def test_micrographs_are_found_by_the_names_of_the_labels(tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    grey = np.arange(480, dtype=np.uint8).reshape(12, 40)
    iio.imwrite(images / "a.png", grey)
    iio.imwrite(images / "b.png", grey[:5])
    for name in ("a", "b", "c"):
        tifffile.imwrite(tmp_path / f"{name}_labels.tif", squares(3))
    job = measure_files_job(
        find_label_files([tmp_path]),
        facets=FacetSettings(),
        micrographs=find_micrographs([images]),
        n_pictures=2,
    )
    found = drain(job)
    assert found.failed.empty
    a, b, c = found.files.itertuples()
    assert (a.micrograph, a.note) == (str(images / "a.png"), "")
    assert a.micrograph_sha256 == file_sha256(images / "a.png")
    assert "40 x 5 px, the labels 40 x 12 px: it is left out" in b.note
    assert c.note == "There is no micrograph of this name."
    assert [(p.name, p.shows_image) for p in found.pictures] == [("a", True), ("c", False)]
    table = pd.read_csv(found.facets.write(tmp_path / "facets.csv"))
    (inside,) = table[(table["image"] == "a") & (table["class_value"] == 1)].itertuples()
    assert inside.mean_grey == grey[2:5, 2:5].mean()
    assert table[table["image"] != "a"]["mean_grey"].isna().all()


def test_planes_of_a_plain_tiff_are_measured(tmp_path):
    planes = np.stack([np.full((6, 8), value, np.uint16) for value in (1, 2, 2)])
    tifffile.imwrite(tmp_path / "a.tif", planes, photometric="minisblack")
    colours = np.zeros((6, 8, 3), np.uint8)
    colours[..., 0] = 9
    tifffile.imwrite(tmp_path / "b.tif", colours, photometric="rgb")
    found = drain(measure_files_job([tmp_path / "a.tif", tmp_path / "b.tif"]))
    fields = found.measurement.fields
    assert fields["plane"].tolist() == [1, 2, 3]
    assert fields["fraction_of_modes_intergranular"].tolist() == [1, 0, 0]
    assert "not colours" in found.files["error"][1]


def test_labels_are_never_taken_for_their_own_micrograph(tmp_path):
    """Labels ``a.png`` lie in a folder of the micrographs, nearer than ``more/a.jpg``."""
    (tmp_path / "more").mkdir()
    iio.imwrite(tmp_path / "a.png", squares(3))
    iio.imwrite(tmp_path / "more" / "a.jpg", np.full((12, 40), 90, np.uint8))
    micrographs = find_micrographs([tmp_path])
    job = measure_files_job([tmp_path / "a.png"], micrographs=micrographs)
    assert drain(job).files["micrograph"].tolist() == [str(tmp_path / "more" / "a.jpg")]


def test_a_micrograph_that_cannot_be_used_is_a_note_and_the_labels_count(tmp_path):
    tifffile.imwrite(tmp_path / "a_labels.tif", squares(3))
    (tmp_path / "images").mkdir()
    grey = np.zeros((12, 40), np.float32)
    grey[0, 0] = np.nan
    tifffile.imwrite(tmp_path / "images" / "a.tif", grey)
    images = find_micrographs([tmp_path / "images"])
    job = measure_files_job(
        [tmp_path / "a_labels.tif"], facets=FacetSettings(), micrographs=images, n_pictures=1
    )
    found = drain(job)
    assert found.failed.empty
    assert "1 of 480 pixels are NaN" in found.files["note"][0]
    assert not found.pictures[0].shows_image


def test_the_confidence_beside_labels_is_averaged_in_facets(tmp_path):
    tifffile.imwrite(tmp_path / "a_labels.tif", squares(2))
    confidence = np.full((12, 40), 0.5, np.float32)
    confidence[2:4, 2:4] = [[0.75, 1], [1, 1]]
    tifffile.imwrite(tmp_path / "a_confidence.tif", confidence)
    found = drain(measure_files_job(find_label_files([tmp_path]), facets=FacetSettings()))
    table = pd.read_csv(found.facets.write(tmp_path / "facets.csv"))
    assert table["mean_confidence"].tolist() == [0.5, 0.9375]


def test_micrographs_that_are_not_there_are_refused(tmp_path):
    with pytest.raises(ImageError, match="does not exist"):
        find_micrographs([tmp_path / "gone"])


def test_planes_of_a_stack_have_facets_of_their_own(tmp_path):
    stack = np.stack([squares(2), squares(3, 3)])
    record = LabelRecord("m", "0", "a", DEFAULT_SCHEME, labels_digest(stack))
    write_tiff(tmp_path / "a.tif", stack, scheme=DEFAULT_SCHEME, record=record)
    found = drain(measure_files_job([tmp_path / "a.tif"], facets=FacetSettings(), n_pictures=1))
    table = pd.read_csv(found.facets.write(tmp_path / "facets.csv"))
    assert table.groupby("plane").size().tolist() == [2, 3]
    assert found.boundary["plane"].tolist() == [1, 2]
    assert [picture.name for picture in found.pictures] == ["a, plane 1 of 2"]
    assert found.files["origin"].tolist() == ["untouched prediction"]


def test_inputs_are_told_with_their_hashes(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", squares(3))
    iio.imwrite(tmp_path / "bar.png", np.zeros((12, 40), np.uint8))
    (tmp_path / "who.csv").write_text("image,specimen\na,s1\n")
    job = measure_files_job(
        [tmp_path / "a.tif"], exclude=tmp_path / "bar.png", group_by=tmp_path / "who.csv"
    )
    found = drain(job)
    assert found.files["sha256"].tolist() == [file_sha256(tmp_path / "a.tif")]
    assert file_sha256(tmp_path / "bar.png") in found.settings["excluded area"]
    assert file_sha256(tmp_path / "who.csv") in found.settings["specimens"]


def test_weights_where_the_analysed_area_is_no_rectangle_are_the_error_of_the_file(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", squares(3))
    bar = np.zeros((12, 40), np.uint8)
    bar[5, 5] = 1
    iio.imwrite(tmp_path / "bar.png", bar)
    job = measure_files_job(
        [tmp_path / "a.tif"], exclude=tmp_path / "bar.png", facets=FacetSettings(weights=True)
    )
    assert "is no rectangle" in drain(job).files["error"][0]


def test_names_of_others_are_no_formulas_in_the_table_of_facets(tmp_path):
    scheme = ClassScheme("a", (FractureClass(1, "=1+1", "#112233"), *DEFAULT_SCHEME.classes[1:]))
    tables = FacetTables()
    tables.add(nf_facets(squares(2), scheme), image="@a", plane=1, specimen="-b")
    text = tables.write(tmp_path / "facets.csv").read_text()
    assert text.splitlines()[2].startswith("'@a,1,'-b,2,1,'=1+1,")
