import json

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile

import sem_files as made
from napari_fractoseg.annotations.class_mapping import RESEARCH_MASK_VALUES
from napari_fractoseg.annotations.options import AnnotationOptions
from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.datasets.dataset import TrainingPair, TrainingSet, merge_training_sets
from napari_fractoseg.datasets.sources import read_training_set, read_training_sets
from napari_fractoseg.datasets.supervision import Corrections, painted_pairs
from napari_fractoseg.errors import AnnotationError, ClassSchemeError, ImageError, TrainingError
from napari_fractoseg.images import ExcludedArea, Micrograph, MicrographStack
from napari_fractoseg.results.label_writer import ZarrLabels
from napari_fractoseg.results.record import LabelRecord, labels_digest
from napari_fractoseg.results.tiff import write_tiff

IMAGE = np.arange(48, dtype=np.uint8).reshape(6, 8)


@pytest.fixture
def folders(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    for name in ("a", "b"):
        iio.imwrite(tmp_path / "images" / f"{name}.png", IMAGE)
    return tmp_path / "images", tmp_path / "labels"


def record_of(labels):
    return LabelRecord("tiny", "0123", "a", DEFAULT_SCHEME, labels_digest(labels))


class TestPredictions:
    """Masks that are what a model said teach a network what it knows."""

    MASK = (IMAGE % 3).astype(np.uint8)

    @pytest.fixture
    def predictions(self, folders):
        images, labels = folders
        write_tiff(labels / "a_labels.tif", self.MASK, DEFAULT_SCHEME, record_of(self.MASK))
        group = ZarrLabels(labels / "b_labels.zarr", {"shape": [6, 8], "dtype": "uint8"}, anew=True)
        group.array[...] = self.MASK
        group.describe("b", images / "b.png", DEFAULT_SCHEME, None, record_of(self.MASK))
        group.finish()
        return folders

    def test_they_are_refused_by_name_with_what_to_do(self, predictions):
        message = (
            r"a_labels.tif, b_labels.zarr: untouched predictions of tiny. The network would "
            r"learn what it said itself. Correct them .* say that they are right"
        )
        with pytest.raises(TrainingError, match=message) as refused:
            read_training_set(*predictions)
        assert refused.value.options == ("predictions_as_truth",)
        with pytest.raises(TrainingError, match="untouched predictions of tiny"):
            read_training_sets([predictions[0]], [predictions[1]])

    def test_values_that_mean_something_else_are_still_predictions(self, predictions):
        with pytest.raises(TrainingError, match="untouched predictions"):
            read_training_set(*predictions, mask_values={1: "dimples", 2: "cleavage"})

    def test_they_are_learnt_from_if_that_is_said(self, predictions):
        training_set = read_training_set(*predictions, predictions_as_truth=True)
        assert training_set.names == ("a", "b")
        np.testing.assert_array_equal(training_set.pairs[0].labels, self.MASK)
        assert training_set.notes == (
            "labels: a_labels.tif, b_labels.zarr: untouched predictions of tiny, taken for truth",
        )

    def test_corrected_ones_are_truth(self, folders):
        changed = self.MASK.copy()
        changed[0, 0] = 3
        for name in ("a", "b"):
            path = folders[1] / f"{name}_labels.tif"
            write_tiff(path, changed, DEFAULT_SCHEME, record_of(self.MASK))
        training_set = read_training_set(*folders)
        assert (training_set.names, training_set.notes) == (("a", "b"), ())


def pair(name, labels):
    labels = np.asarray(labels, np.uint8)
    return TrainingPair(Micrograph(np.zeros(labels.shape), name=name), labels)


def test_masks_are_found_by_name_and_images_without_labels_are_left_out(folders):
    images, labels = folders
    mask = (IMAGE % 3).astype(np.uint8)
    tifffile.imwrite(labels / "b_labels.tif", mask)
    training_set = read_training_set(images, labels)
    assert training_set.names == ("b",)
    np.testing.assert_array_equal(training_set.pairs[0].labels, mask)
    assert training_set.pixel_counts() == {
        "intergranular": 16, "transgranular": 16, "background": 0,
    }  # fmt: skip


def test_the_research_codes_masks_are_mapped_by_name(folders):
    images, labels = folders
    iio.imwrite(labels / "a.png", np.array([[0, 1, 2, 9] * 2] * 6, np.uint8))
    training_set = read_training_set(images, labels, mask_values=RESEARCH_MASK_VALUES)
    np.testing.assert_array_equal(training_set.pairs[0].labels[0, :4], [3, 2, 1, 0])


def test_new_names_make_new_classes(folders):
    images, labels = folders
    iio.imwrite(labels / "a.png", (IMAGE > 20).astype(np.uint8) * 255)
    training_set = read_training_set(images, labels, mask_values={0: "matrix", 255: "dimples"})
    assert training_set.scheme.names[-2:] == ("matrix", "dimples")
    assert training_set.pixel_counts()["dimples"] == 27


def test_unlabelled_pixels_may_be_taken_as_a_class(folders):
    images, labels = folders
    iio.imwrite(labels / "a.png", (IMAGE < 10).astype(np.uint8))
    training_set = read_training_set(images, labels, unlabelled_as="background")
    assert training_set.pixel_counts()["background"] == 38
    with pytest.raises(ClassSchemeError, match="'nothing' is not in the scheme"):
        read_training_set(images, labels, unlabelled_as="nothing")


def test_a_folder_of_labelme_files_beside_the_images(folders):
    images, _ = folders
    shape = {"label": "t", "points": [[0, 0], [4, 6]], "shape_type": "rectangle"}
    for name in ("a", "b"):
        data = {"shapes": [shape], "imagePath": f"{name}.png"}
        (images / f"{name}.json").write_text(json.dumps(data))
    training_set = read_training_set(images, images)
    assert training_set.names == ("a", "b")
    assert training_set.pixel_counts()["transgranular"] == 48


def test_polygons_of_a_via_file(folders, tmp_path):
    images, _ = folders
    rect = {"name": "rect", "x": 0, "y": 0, "width": 4, "height": 6}
    region = {"shape_attributes": rect, "region_attributes": {"mode": "t"}}
    document = {
        key: {"filename": name, "size": -1, "regions": [region], "file_attributes": {}}
        for key, name in (("1", "a.jpg"), ("2", "C:\\lab\\b.png"), ("3", "../c.png"))
    }
    path = tmp_path / "via.json"
    path.write_text(json.dumps(document))
    training_set = read_training_set(images, path)
    assert training_set.names == ("a", "b")
    assert training_set.pixel_counts()["transgranular"] == 48
    assert training_set.notes == (
        f"via.json: 1 of 3 images not found in {images.resolve()}: ../c.png",
    )


def write_via_file(path, **regions):
    """Write a VIA file: image -> the values of its regions, each two columns wide."""
    entries = {}
    for name, values in regions.items():
        shapes = [
            {"name": "rect", "x": 2 * n, "y": 0, "width": 2, "height": 6}
            for n in range(len(values))
        ]
        its = [
            {"shape_attributes": s, "region_attributes": {"mode": v}}
            for s, v in zip(shapes, values, strict=True)
        ]
        entries[name] = {"filename": name, "size": -1, "regions": its, "file_attributes": {}}
    path.write_text(json.dumps(entries))
    return path


def test_the_image_that_the_via_file_names_is_learnt_from(folders, tmp_path):
    images, _ = folders
    tifffile.imwrite(images / "a.tif", IMAGE + 100)
    path = write_via_file(tmp_path / "via.json", **{"a.png": "it"})
    (pair,) = read_training_set(images, path).pairs
    np.testing.assert_array_equal(pair.image.data, IMAGE)
    both = write_via_file(tmp_path / "via.json", **{"a.png": "i", "a.tif": "t"})
    first, second = read_training_set(images, both).pairs
    assert (first.image.data[0, 0], second.image.data[0, 0]) == (0, 100)
    unclear = write_via_file(tmp_path / "via.json", **{"a.jpg": "it", "b.jpg": "it"})
    training_set = read_training_set(images, unclear)
    assert training_set.names == ("b",)
    assert training_set.notes == (
        "via.json: 1 image fits several files: a.jpg (a.png, a.tif); name the image folder, or "
        "rename all files but one.",
    )


def test_a_mask_of_two_images_is_refused_unless_its_name_tells(folders):
    images, labels = folders
    tifffile.imwrite(images / "a.tif", IMAGE + 100)
    mask = (IMAGE % 3).astype(np.uint8)
    tifffile.imwrite(labels / "a_labels.tif", mask)
    with pytest.raises(
        AnnotationError, match=r"a_labels\.tif fits several images in .*: a\.png, a\.tif\. Rename"
    ):
        read_training_set(images, labels)
    (labels / "a_labels.tif").rename(labels / "a.tif")
    (pair,) = read_training_set(images, labels).pairs
    assert pair.image.data[0, 0] == 100


def test_masks_in_a_subfolder_are_not_taken_for_images(folders):
    images, labels = folders
    labels = labels.rename(images / "labels")
    (images / "a.png").rename(images / "a.jpg")
    for name in ("a.png", "z.png"):
        iio.imwrite(labels / name, (IMAGE % 3).astype(np.uint8))
    training_set = read_training_set(images, labels)
    assert training_set.names == ("a",)
    assert training_set.notes == (
        f"labels: 1 of 2 masks have no image of their name in {images}: z.png",
    )


def test_regions_without_a_class_are_refused_or_left_out_and_counted(folders, tmp_path):
    images, _ = folders
    path = write_via_file(tmp_path / "via.json", **{"a.png": ["i", "", "t"]})
    with pytest.raises(
        AnnotationError, match=r"via\.json: image 'a\.png', region 1: .*class left out\.$"
    ) as caught:
        read_training_set(images, path)
    assert caught.value.options == ("skip_unclassified",)
    options = AnnotationOptions(skip_unclassified=True)
    training_set = read_training_set(images, path, annotations=options)
    assert training_set.pairs[0].labels[0].tolist() == [1, 1, 0, 0, 2, 2, 0, 0]
    assert training_set.notes == ("via.json: 1 region without a class is left out of the labels.",)
    # It is not known what they are, so they are no background either.
    filled = read_training_set(images, path, annotations=options, unlabelled_as="background")
    assert filled.pairs[0].labels[0].tolist() == [1, 1, 0, 0, 2, 2, 3, 3]


def test_new_classes_of_a_via_file_are_those_of_the_set(folders, tmp_path):
    images, _ = folders
    path = write_via_file(tmp_path / "via.json", **{"a.png": ["i", "dimples"]})
    with pytest.raises(AnnotationError, match=r"via\.json: .*'dimples' 1"):
        read_training_set(images, path)
    options = AnnotationOptions(new_classes=True)
    training_set = read_training_set(images, path, annotations=options)
    assert training_set.pixel_counts() == {
        "intergranular": 12, "transgranular": 0, "background": 0, "dimples": 12,
    }  # fmt: skip
    assert merge_training_sets([training_set] * 2).with_scheme(training_set.scheme).notes == ()


def test_notes_of_all_sources_are_kept(folders, tmp_path):
    images, labels = folders
    iio.imwrite(labels / "a.png", np.ones((6, 8), np.uint8))
    iio.imwrite(labels / "z.png", np.ones((6, 8), np.uint8))
    path = write_via_file(tmp_path / "via.json", **{"b.png": ["i"], "gone.png": ["i"]})
    joined = read_training_sets([images] * 2, [labels, path])
    assert [note.partition(":")[0] for note in joined.notes] == ["labels", "via.json"]
    assert joined.with_scheme(DEFAULT_SCHEME.with_names(["dimples"])).notes == joined.notes


def test_what_does_not_fit_is_refused_by_name(folders):
    images, labels = folders
    iio.imwrite(labels / "z.png", IMAGE)
    with pytest.raises(TrainingError, match=r"No image in .* has labels in .*1 of 1 masks.*z\.png"):
        read_training_set(images, labels)
    iio.imwrite(labels / "a.png", np.ones((3, 3), np.uint8))
    with pytest.raises(TrainingError, match=r"a: the image has 8 x 6 px, its labels 3 x 3 px"):
        read_training_set(images, labels)
    iio.imwrite(labels / "a.png", np.full((6, 8), 9, np.uint8))
    with pytest.raises(ClassSchemeError, match=r"9 \(48 px\)"):
        read_training_set(images, labels)
    with pytest.raises(AnnotationError, match=r"a\.png: none of the mask values 1 occurs.*has 9\."):
        read_training_set(images, labels, mask_values={1: "intergranular"})


def test_stacks_are_refused(folders):
    images, labels = folders
    tifffile.imwrite(images / "c.tif", np.zeros((2, 6, 8), np.uint8), photometric="minisblack")
    iio.imwrite(labels / "c.png", np.ones((6, 8), np.uint8))
    with pytest.raises(TrainingError, match=r"c\.tif has 2 planes"):
        read_training_set(images, labels)
    with pytest.raises(ImageError, match="not a folder"):
        read_training_set(images / "nowhere", labels)


class TestInfoBar:
    """Labels in the info bar of an image do not teach, and nobody sees it."""

    @pytest.fixture
    def sources(self, tmp_path):
        images, labels = tmp_path / "images", tmp_path / "labels"
        images.mkdir()
        labels.mkdir()
        made.write_tiff(images / "a.tif", {made.FEI: made.FEI_TEXT}, shape=(36, 40))
        iio.imwrite(labels / "a.png", np.ones((36, 40), np.uint8))
        return images, labels

    def test_it_is_found_in_the_file_and_said(self, sources):
        found = read_training_set(*sources, unlabelled_as="background")
        assert found.pixel_counts()["intergranular"] == 30 * 40
        assert found.pixel_counts()["background"] == 0
        (pair,) = found.pairs
        whole = tifffile.imread(sources[0] / "a.tif")
        np.testing.assert_array_equal(
            pair.image.data, np.pad(whole[:30], ((0, 6), (0, 0)), mode="reflect")
        )
        assert found.notes == ("labels: info bar of 1 image left out: a.tif",)

    def test_rows_may_be_given_or_none(self, sources):
        for choice, rows in (("none", 36), ("10", 26), ("0:4", 32)):
            found = read_training_sets([sources[0]], [sources[1]], exclude_bar=choice)
            assert found.pixel_counts()["intergranular"] == rows * 40

    def test_a_mask_of_a_stack_is_that_of_its_plane(self):
        mask = np.zeros((2, 6, 8), bool)
        mask[1, :2] = True
        stack = MicrographStack(
            np.stack([IMAGE, IMAGE]), excluded=ExcludedArea((2, 6, 8), (), mask)
        )
        labels = Corrections(np.ones((2, 6, 8), np.uint8))
        counts = [
            np.count_nonzero(pair.labels) for pair in painted_pairs(stack, labels, DEFAULT_SCHEME)
        ]
        assert counts == [48, 32]


def test_one_class_cannot_be_learnt():
    with pytest.raises(TrainingError, match="intergranular 4 px, transgranular 0 px"):
        TrainingSet((pair("a", np.ones((2, 2))),)).check_teachable()
    with pytest.raises(TrainingError, match="No image with labels"):
        TrainingSet(())


def test_splitting_keeps_images_apart():
    training_set = TrainingSet((pair("a", [[1]]), pair("b", [[2]]), pair("a", [[2]])))
    kept, held_out = training_set.split(["a"])
    assert kept.names == ("b",)
    assert held_out.names == ("a", "a")
    with pytest.raises(TrainingError, match=r"No image named c; there are a, "):
        training_set.split(["c"])
    with pytest.raises(TrainingError, match="leaves 0 images to learn from"):
        training_set.split(["a", "b"])
    assert training_set.without(["a", "b"]) is None


def test_sets_join_by_class_name():
    dimples = DEFAULT_SCHEME.with_names(["dimples"])
    other_values = TrainingSet(
        (pair("b", [[4, 2]]),), type(dimples)("other", tuple(dimples.classes[i] for i in (1, 3)))
    )
    merged = merge_training_sets([TrainingSet((pair("a", [[1, 2]]),)), other_values])
    assert merged.scheme.names == (*DEFAULT_SCHEME.names, "dimples")
    np.testing.assert_array_equal(merged.pairs[1].labels, [[4, 2]])
    with pytest.raises(TrainingError, match="1 pixel is labelled 'dimples'"):
        merged.with_scheme(DEFAULT_SCHEME)


def test_digests_tell_data_apart():
    first, second = pair("a", [[1, 2]]), pair("a", [[2, 1]])
    assert first.digest != second.digest
    assert first.digest == pair("x", [[1, 2]]).digest
    assert list(TrainingSet((first, second)).digests()) == ["a", "a [2]"]


@pytest.mark.shared_data
def test_the_fracture_data(shared_data):
    folder = shared_data / "fracture"
    published = read_training_set(folder / "images", folder / "paper_labels")
    polygons = read_training_set(folder / "images", folder / "via_region_data.json")
    assert published.names == ("s17_3", "t13_4", "u22_2")
    assert len(polygons) == 16
    assert polygons.pixel_counts()["background"] == 0
