import inspect
import json
import os
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
from roifile import ROI_TYPE, ImagejRoi

import napari_fractoseg as nf
from napari_fractoseg.annotations import (
    AnnotatedImage,
    Flavour,
    Region,
    ViaDocument,
    read_via,
    write_via,
)
from napari_fractoseg.annotations.class_mapping import RESEARCH_MASK_VALUES
from napari_fractoseg.annotations.conversion.convert import ConvertSettings, convert_job
from napari_fractoseg.annotations.formats.via_json import render
from napari_fractoseg.annotations.options import STRICT, AnnotationOptions
from napari_fractoseg.classes import DEFAULT_SCHEME, ClassScheme
from napari_fractoseg.cli.convert import convert as command
from napari_fractoseg.errors import (
    AnnotationError,
    ClassSchemeError,
    OutputError,
    OutputExistsError,
)
from napari_fractoseg.jobs import Progress, drain

# Holes, one in another, pixels that touch at a corner, and the border of the image.
HOLED = """
1111111111
1000000221
1022220221
1020020331
1023020331
1020020003
1022220033
1111111131
"""
DIAGONAL = """
.1.2.3
1.2.3.
.1.2.3
222111
2.2111
222...
.....3
"""


def labels_of(picture):
    rows = picture.replace(".", "0").split()
    return np.array([[int(digit) for digit in row] for row in rows], np.uint8)


def rect(value, x=1, y=1, width=2, height=2):
    shape = {"name": "rect", "x": x, "y": y, "width": width, "height": height}
    return Region(shape, {} if value is None else {"name": value})


def convert(source, out, to=None, **settings):
    chosen = {name: settings.pop(name) for name in STRICT.to_dict() if name in settings}
    settings = ConvertSettings(annotations=AnnotationOptions(**chosen), **settings)
    return drain(convert_job(source, out, to, settings))


def via(folder, *images, flavour=Flavour.VIA2, name="via.json", **options):
    write_via(ViaDocument(images, flavour, **options), folder / name)
    return folder / name


@pytest.fixture
def folder(tmp_path):
    """Images a.png of 8 x 10 and b.jpg of 7 x 6 pixels."""
    folder = tmp_path / "project"
    folder.mkdir()
    iio.imwrite(folder / "a.png", np.zeros((8, 10), np.uint8))
    iio.imwrite(folder / "b.jpg", np.zeros((7, 6, 3), np.uint8))
    return folder


@pytest.fixture
def masks(tmp_path):
    masks = tmp_path / "masks"
    masks.mkdir()
    tifffile.imwrite(masks / "a_labels.tif", labels_of(HOLED))
    iio.imwrite(masks / "b.png", labels_of(DIAGONAL))
    return masks


class TestFlavours:
    def test_via_2_by_way_of_via_1_is_the_same(self, folder):
        polygon = {"name": "polygon", "all_points_x": [0, 4, 4], "all_points_y": [0, 0, 4.5]}
        ellipse = {"name": "ellipse", "cx": 3, "cy": 4, "rx": 2, "ry": 1, "theta": 0.5}
        regions = (Region(polygon, {"name": "i"}), Region(ellipse, {"ä": {"x": True}}), rect("t"))
        image = AnnotatedImage("a.png", regions, 12, {"q": "good"})
        source = via(folder, image, AnnotatedImage("none.png"))
        there = convert(source, folder / "via1.json", Flavour.VIA1)
        assert (there.n_images, there.n_regions) == (2, 3)
        assert there.notes == (
            "1 ellipses are turned; VIA 1 shows them upright.",
            "1 region has values that are no texts, such as ticks of checkboxes; VIA 1 shows "
            "texts only.",
        )
        back = convert(folder / "via1.json", folder / "back.json", Flavour.VIA2)
        assert (back.out, back.notes) == (folder / "back.json", ())
        assert (folder / "back.json").read_bytes() == source.read_bytes()

    @pytest.mark.parametrize("flavour", [Flavour.VIA1_CSV, Flavour.VIA2_CSV])
    def test_via_2_by_way_of_csv_is_the_same(self, folder, flavour):
        source = via(folder, AnnotatedImage("a.png", (rect("i"),), 12), AnnotatedImage("b.jpg"))
        convert(source, folder / "via.csv", flavour)
        convert(folder / "via.csv", folder / "back.json", Flavour.VIA2)
        assert (folder / "back.json").read_bytes() == source.read_bytes()

    def test_coco_has_the_size_of_the_images_that_are_found(self, folder):
        tifffile.imwrite(folder / "s.tif", np.zeros((3, 4, 5), np.uint8), photometric="minisblack")
        names = ("a.png", "b.jpg", "gone.png", "s.tif")
        source = via(folder, *(AnnotatedImage(name, (rect("i"),)) for name in names))
        result = convert(source, folder / "coco.json", Flavour.COCO)
        data = json.loads((folder / "coco.json").read_text())
        sides = {i["file_name"]: (i["width"], i["height"]) for i in data["images"]}
        assert sides == {
            "a.png": (10, 8), "b.jpg": (6, 7), "gone.png": (-1, -1), "s.tif": (-1, -1),
        }  # fmt: skip
        assert result.notes == (
            "s.tif has shape (3, 4, 5); only single images are opened.",
            f"1 of 4 images not found in {folder.resolve()}: gone.png",
        )

    def test_coco_keeps_the_sizes_that_are_known(self, folder):
        source = via(folder, AnnotatedImage("a.png", (rect("i"),)))
        convert(source, folder / "coco.json", Flavour.COCO)
        (folder / "a.png").unlink()
        again = convert(folder / "coco.json", folder / "coco2.json", Flavour.COCO)
        assert again.notes == ()
        assert (folder / "coco2.json").read_bytes() == (folder / "coco.json").read_bytes()

    def test_coco_says_how_many_regions_it_holds(self, folder):
        line = Region(
            {"name": "polyline", "all_points_x": [1, 2], "all_points_y": [1, 2]}, {"name": "i"}
        )
        source = via(folder, AnnotatedImage("a.png", (rect("i"), rect(None), line, rect("t"))))
        with pytest.raises(AnnotationError, match="1 region has no value of 'name'") as caught:
            convert(source, folder / "coco.json", Flavour.COCO)
        assert {"all_as", "skip_unclassified"} <= set(caught.value.options)
        result = convert(source, folder / "coco.json", Flavour.COCO, skip_unclassified=True)
        data = json.loads((folder / "coco.json").read_text())
        assert result.n_regions == len(data["annotations"]) == 2
        assert result.notes == (
            "Left out regions without a value of 'name': 1 ('a.png' region 1).",
            "Left out polylines, which COCO does not have: 1 ('a.png' region 2).",
        )

    def test_coco_without_a_region_it_can_hold_has_the_images(self, folder):
        source = via(folder, AnnotatedImage("a.png", (rect(None),)))
        result = convert(source, folder / "coco.json", Flavour.COCO, skip_unclassified=True)
        assert (result.n_images, result.n_regions) == (1, 0)
        assert json.loads((folder / "coco.json").read_text())["annotations"] == []

    @pytest.mark.parametrize("to", [Flavour.COCO, Flavour.VIA2, Flavour.VIA2_PROJECT, None])
    def test_all_regions_may_be_of_one_class(self, folder, to):
        source = via(folder, AnnotatedImage("a.png", (rect(None), rect(None, x=5))))
        out = folder / "out" if to is None else folder / "out.json"
        for unknown in ({"all_as": "ductile"}, {}) if to in (None, Flavour.COCO) else ():
            with pytest.raises(AnnotationError, match=r"via\.json: "):
                convert(source, out, to, **unknown)
        result = convert(source, out, to, all_as="transgranular")
        assert (result.n_images, result.n_regions) == (1, 2)
        if to is None:
            assert set(np.unique(tifffile.imread(out / "a_labels.tif"))) == {0, 2}
        else:
            (image,) = read_via(out)
            assert {tuple(r.attributes.values()) for r in image.regions} == {("transgranular",)}

    def test_one_class_for_all_regions_of_none(self, folder):
        source = via(folder, AnnotatedImage("a.png"))
        result = convert(source, folder / "out.json", Flavour.VIA2_PROJECT, all_as="intergranular")
        assert (result.n_images, result.n_regions) == (1, 0)

    @pytest.mark.shared_data
    def test_a_real_file_without_attributes(self, shared_data, tmp_path):
        name = "umangraval+covid19-instabot__via_export_csv.csv"
        source, out = shared_data / "via_files" / "wild" / name, tmp_path / "coco.json"
        with pytest.raises(AnnotationError, match="41 regions have no value"):
            convert(source, out, Flavour.COCO)
        assert convert(source, out, Flavour.COCO, all_as="intergranular").n_regions == 41
        assert len(json.loads(out.read_text())["annotations"]) == 41

    def test_a_new_project_has_the_name_of_its_file(self, folder, masks):
        source = via(folder, AnnotatedImage("a.png", (rect("i"), rect("i"), rect({"t": True}))))
        for start in (source, masks):
            convert(start, folder / "s17.json", Flavour.VIA2_PROJECT, overwrite=True)
            data = json.loads((folder / "s17.json").read_text())
            assert data["_via_settings"]["project"]["name"] == "s17"
        convert(folder / "s17.json", folder / "s18.json", Flavour.VIA2_PROJECT)
        assert (folder / "s18.json").read_bytes() == (folder / "s17.json").read_bytes()

    def test_csv_says_how_many_regions_it_holds(self, folder):
        blank = Region({}, extras={"region": None}, problem="no region")
        source = via(folder, AnnotatedImage("a.png", (rect("i"), blank)))
        result = convert(source, folder / "via.csv", Flavour.VIA2_CSV, skip_damaged=True)
        assert result.n_regions == len(read_via(folder / "via.csv")[0].regions) == 1
        assert any("1 damaged regions without shape" in note for note in result.notes)

    def test_what_holds_no_image_is_not_converted(self, folder):
        definitions = {"region": {"mode": {"type": "text"}}, "file": {}}
        for flavour, kind in (
            (Flavour.VIA2_ATTRIBUTES, "VIA 2 attributes"),
            (Flavour.VIA2_PROJECT, "VIA 2 project"),
        ):
            text = json.dumps(render(ViaDocument((), flavour, definitions=definitions)))
            (folder / "bare.json").write_text(text)
            for to in (Flavour.VIA2, Flavour.VIA2_PROJECT, Flavour.COCO, None):
                message = rf"bare\.json: there is no image in it \({kind}\)"
                with pytest.raises(AnnotationError, match=message):
                    convert(folder / "bare.json", folder / "out.json", to)
                assert not (folder / "out.json").exists()

    def test_a_project_of_videos_is_not_converted(self, folder):
        file = {"fid": "1", "fname": "a.mp4", "type": 4, "loc": 1, "src": ""}
        video = {"vid": "1", "flg": 0, "z": [1.5], "xy": [2, 0, 0, 5, 5], "av": {}}
        data = {
            "project": {"pid": "x", "vid_list": ["1"]},
            "config": {},
            "attribute": {},
            "file": {"1": file},
            "metadata": {"1_a": video},
            "view": {"1": {"fid_list": ["1"]}},
        }
        (folder / "video.json").write_text(json.dumps(data))
        with pytest.raises(AnnotationError, match=r"no image in it \(VIA 3 project\)"):
            convert(folder / "video.json", folder / "out.json", Flavour.VIA2_PROJECT)
        assert not (folder / "out.json").exists()

    def test_damaged_regions_are_an_error_or_carried_along(self, folder):
        damaged = Region({"name": "square"}, {"name": "i"})
        source = via(folder, AnnotatedImage("a.png", (rect("i"), damaged)))
        with pytest.raises(AnnotationError, match=r"via\.json, image 'a\.png', region 1: shape"):
            convert(source, folder / "out.json", Flavour.VIA1)
        assert not (folder / "out.json").exists()
        result = convert(source, folder / "out.json", Flavour.VIA1, skip_damaged=True)
        assert result.n_regions == 2
        assert result.notes[0].startswith("1 damaged regions are left out")
        assert read_via(folder / "out.json", strict=False)[0].regions[1] == damaged

    @pytest.mark.parametrize("to", [Flavour.VIA1, None])
    def test_nothing_is_overwritten_unasked(self, folder, to):
        source = via(folder, AnnotatedImage("a.png", (rect("i"),)))
        out = folder / "out.json"
        out.write_text("mine")
        with pytest.raises(OutputExistsError, match="or have it replaced") as caught:
            convert(folder / "not even read", out, to)
        assert caught.value.options == ("overwrite",)
        assert out.read_text() == "mine"
        if to:
            convert(source, out, to, overwrite=True)
            assert read_via(out).flavour is to


class TestMasksToVia:
    def test_masks_by_way_of_a_project_are_the_same(self, folder, masks, tmp_path):
        (masks / "classes.json").write_text(DEFAULT_SCHEME.to_json())
        project, out = tmp_path / "project.json", tmp_path / "out"
        there = convert(masks, project, Flavour.VIA2_PROJECT, images=folder)
        assert (there.n_images, there.notes) == (2, ())
        back = convert(project, out, images=folder)
        assert (back.out, back.n_images, back.n_regions) == (out, 2, there.n_regions)
        assert back.notes == ()
        assert sorted(p.name for p in out.iterdir()) == [
            "a_labels.tif", "b_labels.tif", "classes.json",
        ]  # fmt: skip
        for name, picture in (("a", HOLED), ("b", DIAGONAL)):
            labels = tifffile.imread(out / f"{name}_labels.tif")
            assert labels.dtype == np.uint8
            np.testing.assert_array_equal(labels, labels_of(picture))
        assert ClassScheme.from_json((out / "classes.json").read_text()) == DEFAULT_SCHEME

    def test_a_project_has_buttons_for_the_classes_beside_the_masks(self, masks, tmp_path):
        scheme = ClassScheme.from_dict(
            {
                "name": "mine",
                "classes": [
                    {"value": 3, "name": "dimples", "color": "#ffffff"},
                    {"value": 1, "name": "striations", "color": "#000000"},
                    {"value": 2, "name": "cleavage", "color": "#ff0000"},
                ],
            }
        )
        (masks / "classes.json").write_text(scheme.to_json())
        convert(masks, tmp_path / "project.json", Flavour.VIA2_PROJECT, attribute="mode")
        document = read_via(tmp_path / "project.json")
        assert list(document.definition("mode").options) == ["dimples", "striations", "cleavage"]
        values = {r.attributes["mode"] for image in document for r in image.regions}
        assert values == {"dimples", "striations", "cleavage"}
        # The way back, with the scheme, gives the same values again.
        convert(tmp_path / "project.json", tmp_path / "out", images=masks, scheme=scheme)
        np.testing.assert_array_equal(
            tifffile.imread(tmp_path / "out" / "b_labels.tif"), labels_of(DIAGONAL)
        )

    def test_images_give_their_names_and_sizes(self, folder, masks, tmp_path):
        (folder / "b.jpg").unlink()
        result = convert(masks, tmp_path / "via.json", Flavour.VIA2, images=folder)
        a, b = read_via(tmp_path / "via.json")
        assert (a.filename, a.size) == ("a.png", (folder / "a.png").stat().st_size)
        assert (b.filename, b.size) == ("b.png", -1)
        assert "b.png: no image of that name in" in result.notes[0]

    def test_images_are_found_by_their_stem(self, folder, masks, tmp_path):
        convert(masks, tmp_path / "via.json", Flavour.VIA2, images=folder)
        assert [i.filename for i in read_via(tmp_path / "via.json")] == ["a.png", "b.jpg"]

    def test_without_images_they_are_named_after_the_masks(self, masks, tmp_path):
        result = convert(masks, tmp_path / "via.json", Flavour.VIA2)
        assert [i.filename for i in read_via(tmp_path / "via.json")] == ["a.png", "b.png"]
        assert any("name the image folder" in note for note in result.notes)

    def test_research_values_are_mapped_and_said(self, tmp_path):
        masks = tmp_path / "masks"
        masks.mkdir()
        iio.imwrite(masks / "a.png", np.array([[0, 1], [2, 2]], np.uint8))
        result = convert(
            masks, tmp_path / "via.json", Flavour.VIA2, mask_values=RESEARCH_MASK_VALUES
        )
        named = [
            (r.attributes["name"], r.shape["all_points_x"], r.shape["all_points_y"])
            for r in read_via(tmp_path / "via.json")[0].regions
        ]
        assert named == [
            ("background", [0, 1, 1, 0], [0, 0, 1, 1]),
            ("transgranular", [1, 2, 2, 1], [0, 0, 1, 1]),
            ("intergranular", [0, 2, 2, 0], [1, 1, 2, 2]),
        ]
        assert "1 transgranular, 2 intergranular" in result.notes[0]

    def test_other_mask_values_make_classes_and_the_rest_is_left_out(self, masks, tmp_path):
        result = convert(masks, tmp_path / "via.json", Flavour.VIA2, mask_values={3: "dimples"})
        values = {r.attributes["name"] for i in read_via(tmp_path / "via.json") for r in i.regions}
        assert values == {"dimples"}
        assert not any("research" in note for note in result.notes)

    def test_small_regions_can_be_left_out_and_outlines_simplified(self, tmp_path):
        masks = tmp_path / "masks"
        masks.mkdir()
        y, x = np.mgrid[:40, :40]
        disk = ((y - 20) ** 2 + (x - 20) ** 2 < 225).astype(np.uint8)
        disk[0, :2] = 2
        iio.imwrite(masks / "a.png", disk)
        exact = convert(masks, tmp_path / "exact.json", Flavour.VIA2)
        rough = convert(
            masks, tmp_path / "rough.json", Flavour.VIA2, min_area_px=3, tolerance_px=1.5
        )
        assert (exact.n_regions, rough.n_regions) == (2, 1)
        points = [
            len(read_via(tmp_path / f"{name}.json")[0].regions[-1].shape["all_points_x"])
            for name in ("exact", "rough")
        ]
        assert points[1] < points[0] / 3

    def test_progress_after_each_mask(self, masks, tmp_path):
        reports = []
        drain(convert_job(masks, tmp_path / "via.json", Flavour.VIA2), reports.append)
        assert reports == [Progress(1, 2, "image 1 of 2"), Progress(2, 2, "image 2 of 2")]

    def test_classes_that_cannot_be_read_are_named(self, masks, tmp_path):
        (masks / "classes.json").write_text("{")
        with pytest.raises(ClassSchemeError, match=r"classes\.json: This is no class scheme"):
            convert(masks, tmp_path / "via.json", Flavour.VIA2)

    def test_values_that_are_no_class(self, masks, tmp_path):
        iio.imwrite(masks / "c.png", np.full((2, 2), 9, np.uint8))
        with pytest.raises(ClassSchemeError, match=r"9 \(4 px\)"):
            convert(masks, tmp_path / "via.json", Flavour.VIA2)
        assert not (tmp_path / "via.json").exists()


class TestViaToMasks:
    @pytest.mark.parametrize(
        ("overlap", "expected"), [("later", 2), ("smaller", 1), ("unlabelled", 0)]
    )
    def test_overlap_rules(self, folder, overlap, expected):
        small, large = rect("i", 1, 1, 1, 2), rect("t", 1, 2, 4, 4)
        source = via(folder, AnnotatedImage("a.png", (small, large)))
        result = convert(source, folder / "out", overlap=overlap)
        labels = tifffile.imread(folder / "out" / "a_labels.tif")
        assert labels.shape == (8, 10)
        assert [labels[1, 1], labels[2, 1], labels[3, 1]] == [1, expected, 2]
        assert np.bincount(labels.ravel()).tolist() == [
            80 - 17 + (not expected), 1 + (expected == 1), 15 + (expected == 2)
        ]  # fmt: skip
        (note,) = result.notes
        assert note.startswith("a.png: Regions of different classes overlap (intergranular / trans")

    def test_the_rest_can_be_background(self, folder):
        source = via(folder, AnnotatedImage("a.png", (rect("i"),)))
        convert(source, folder / "out", unannotated="background")
        labels = tifffile.imread(folder / "out" / "a_labels.tif")
        assert np.bincount(labels.ravel()).tolist() == [0, 4, 0, 76]

    def test_images_without_regions_get_no_mask(self, folder):
        source = via(folder, AnnotatedImage("a.png", (rect("i"),)), AnnotatedImage("b.jpg"))
        result = convert(source, folder / "out")
        assert (result.n_images, result.n_regions) == (1, 1)
        assert not (folder / "out" / "b_labels.tif").exists()

    def test_unknown_classes_are_an_error_or_new_ones(self, folder):
        source = via(folder, AnnotatedImage("a.png", (rect("i"), rect("dimples", 5, 5))))
        with pytest.raises(
            AnnotationError, match=r"via\.json: values of attribute 'name'.*dimples"
        ):
            convert(source, folder / "out")
        assert not (folder / "out").exists()
        convert(source, folder / "out", new_classes=True)
        scheme = ClassScheme.from_json((folder / "out" / "classes.json").read_text())
        assert scheme.names == (*DEFAULT_SCHEME.names, "dimples")
        labels = tifffile.imread(folder / "out" / "a_labels.tif")
        assert labels[5, 5] == scheme.find("dimples").value == 4

    def test_a_region_without_a_class_is_found_before_anything_is_written(self, folder):
        images = AnnotatedImage("a.png", (rect("i"),)), AnnotatedImage("b.jpg", (rect(None),))
        source = via(folder, *images)
        with pytest.raises(
            AnnotationError, match=r"via\.json: image 'b\.jpg', region 0: .*no value"
        ):
            convert(source, folder / "out")
        assert not (folder / "out").exists()

    def test_the_attribute_can_be_named(self, folder):
        region = Region(rect("i").shape, {"first": "i", "second": "t"})
        source = via(folder, AnnotatedImage("a.png", (region,)))
        with pytest.raises(AnnotationError, match="each of"):
            convert(source, folder / "out")
        convert(source, folder / "out", attribute="second")
        assert tifffile.imread(folder / "out" / "a_labels.tif").max() == 2

    def test_missing_images_are_noted_unless_none_is_there(self, folder, tmp_path):
        both = AnnotatedImage("a.png", (rect("i"),)), AnnotatedImage("gone.png", (rect("t"),))
        source = via(folder, *both)
        result = convert(source, folder / "out")
        assert (result.n_images, result.n_regions) == (1, 1)
        assert result.notes == (f"1 of 2 images not found in {folder.resolve()}: gone.png",)
        with pytest.raises(
            AnnotationError, match=r"none of 2 annotated images.*Name the image folder\.$"
        ) as caught:
            convert(source, tmp_path / "out", images=tmp_path / "nowhere")
        assert caught.value.options == ("images",)
        assert not (tmp_path / "out").exists()

    def test_images_elsewhere(self, folder, tmp_path):
        (tmp_path / "annotations").mkdir()
        source = via(tmp_path / "annotations", AnnotatedImage("a.png", (rect("i"),)))
        assert convert(source, tmp_path / "out", images=folder).n_images == 1

    def test_two_images_of_one_name_are_refused_before_anything_is_written(self, folder):
        iio.imwrite(folder / "a.tif", np.zeros((8, 10), np.uint8))
        both = AnnotatedImage("a.png", (rect("i"),)), AnnotatedImage("a.tif", (rect("t"),))
        with pytest.raises(AnnotationError, match=r"several images are called \['a'\].*Rename"):
            convert(via(folder, *both), folder / "out")
        assert not (folder / "out").exists()

    def test_damaged_regions_are_an_error_or_not_drawn(self, folder):
        damaged = Region({"name": "square"}, {"name": "x"})
        source = via(folder, AnnotatedImage("a.png", (damaged, rect("i"))))
        with pytest.raises(AnnotationError, match="or have damaged regions left out") as caught:
            convert(source, folder / "out")
        assert caught.value.options == ("skip_damaged",)
        result = convert(source, folder / "out", skip_damaged=True)
        assert (result.n_images, result.n_regions) == (1, 1)
        assert result.notes[0].startswith("1 damaged regions are left out")

    def test_masks_are_replaced_when_asked(self, folder):
        source = via(folder, AnnotatedImage("a.png", (rect("i"),)))
        convert(source, folder / "out")
        with pytest.raises(OutputExistsError, match="out exists already"):
            convert(source, folder / "out")
        other = via(folder, AnnotatedImage("a.png", (rect("t"),)), name="other.json")
        convert(other, folder / "out", overwrite=True)
        assert tifffile.imread(folder / "out" / "a_labels.tif").max() == 2

    def test_masks_can_be_rewritten_with_other_values(self, folder, masks, tmp_path):
        out = tmp_path / "out"
        convert(masks, out, images=folder, mask_values={1: "t", 2: "i"})
        expected = np.array([0, 2, 1, 0], np.uint8)[labels_of(HOLED)]
        np.testing.assert_array_equal(tifffile.imread(out / "a_labels.tif"), expected)

    def test_own_classes_keep_their_values_there_and_back(self, folder, masks, tmp_path):
        own = DEFAULT_SCHEME.with_names(["dimple"])
        values = {1: "intergranular", 2: "transgranular", 3: "dimple"}
        convert(masks, tmp_path / "p.json", Flavour.VIA2_PROJECT, mask_values=values)
        with pytest.raises(AnnotationError, match=r"p\.json: .*'dimple'"):
            convert(tmp_path / "p.json", tmp_path / "back", images=folder)
        convert(tmp_path / "p.json", tmp_path / "back", images=folder, scheme=own)
        expected = labels_of(HOLED)
        expected[expected == 3] = own.find("dimple").value
        np.testing.assert_array_equal(tifffile.imread(tmp_path / "back" / "a_labels.tif"), expected)
        saved = ClassScheme.from_json((tmp_path / "back" / "classes.json").read_text())
        assert saved == own

    def test_several_ticks_are_an_error_or_the_first_class(self, folder):
        both = Region(rect("i").shape, {"name": {"t": True, "i": True}})
        images = AnnotatedImage("a.png", (both, rect("t", 5, 5))), AnnotatedImage("x.png", (both,))
        source = via(folder, *images)
        with pytest.raises(AnnotationError, match=r"have the first of them taken\.$") as caught:
            convert(source, folder / "out")
        assert caught.value.options == ("several=first",)
        assert not (folder / "out").exists()
        result = convert(source, folder / "out", several="first")
        assert result.notes[1:] == ("1 region has several ticks; the first class counts.",)
        labels = tifffile.imread(folder / "out" / "a_labels.tif")
        assert (labels[1, 1], labels[5, 5]) == (1, 2)

    def test_regions_without_a_class_can_be_left_out(self, folder):
        images = (
            AnnotatedImage("a.png", (rect("i"), rect(None, 5, 5), rect(" "))),
            AnnotatedImage("gone.png", (rect(None),)),
        )
        source = via(folder, *images)
        with pytest.raises(
            AnnotationError, match=r"have regions without a class left out\.$"
        ) as caught:
            convert(source, folder / "out")
        assert caught.value.options == ("skip_unclassified",)
        result = convert(source, folder / "out", skip_unclassified=True)
        assert (result.n_images, result.n_regions) == (1, 1)
        assert result.notes[1:] == ("2 regions without a class are left out of the labels.",)
        labels = tifffile.imread(folder / "out" / "a_labels.tif")
        assert np.bincount(labels.ravel()).tolist() == [76, 4]

    def test_remedies_name_their_options(self, folder):
        region = Region(rect("i").shape, {"one": "i", "two": "t", "three": "dimples"})
        source = via(folder, AnnotatedImage("a.png", (region,)))
        for attribute, message, option in (
            (None, r"Name the attribute that holds the class, or rename", "attribute"),
            ("six", r"Name one of these\.$", "attribute"),
            ("three", r"have new classes made of them\.$", "new_classes"),
        ):
            with pytest.raises(AnnotationError, match=message) as caught:
                convert(source, folder / "out", attribute=attribute)
            assert caught.value.options == (option,)
        for attribute, message in (
            (None, r"or name the attribute\.$"),
            ("six", r"Name one of these\.$"),
        ):
            with pytest.raises(AnnotationError, match=message) as caught:
                convert(source, folder / "coco.json", Flavour.COCO, attribute=attribute)
            assert caught.value.options == ("attribute",)
        convert(source, folder / "coco.json", Flavour.COCO, attribute="two")
        (category,) = json.loads((folder / "coco.json").read_text())["categories"]
        assert (category["supercategory"], category["name"]) == ("two", "t")

    def test_images_that_fit_several_files_are_said(self, folder, masks, tmp_path):
        for part in ("train", "val"):
            (folder / part).mkdir()
            iio.imwrite(folder / part / "a.png", np.zeros((8, 10), np.uint8))
        (folder / "a.png").unlink()
        (tmp_path / "via").mkdir()
        source = via(tmp_path / "via", AnnotatedImage("a.png", (rect("i"),)))
        with pytest.raises(
            AnnotationError,
            match=r"1 image fits several files: a\.png \(train/a\.png, val/a\.png\); name",
        ):
            convert(source, tmp_path / "out", images=folder)
        with pytest.raises(
            AnnotationError, match=r"a_labels\.tif fits several images in .*: train/a\.png, val/a"
        ):
            convert(masks, tmp_path / "via.json", Flavour.VIA2, images=folder)
        assert not (tmp_path / "via.json").exists()

    def test_a_mask_that_fits_two_suffixes_is_refused_unless_its_own_tells(
        self, folder, masks, tmp_path
    ):
        tifffile.imwrite(folder / "b.tif", np.zeros((7, 6), np.uint8))
        with pytest.raises(
            AnnotationError, match=r"b\.png fits several images in .*: b\.jpg, b\.tif\. Rename"
        ):
            convert(masks, tmp_path / "via.json", Flavour.VIA2, images=folder)
        (masks / "b.png").unlink()
        tifffile.imwrite(masks / "b.tif", labels_of(DIAGONAL))
        convert(masks, tmp_path / "via.json", Flavour.VIA2, images=folder)
        assert [i.filename for i in read_via(tmp_path / "via.json")] == ["a.png", "b.tif"]


class TestInPython:
    """`nf.convert`, which takes what ``fractoseg convert`` does."""

    def test_masks_there_and_back(self, tmp_path):
        labels = labels_of(DIAGONAL)
        masks = tmp_path / "masks"
        masks.mkdir()
        iio.imwrite(masks / "a.png", labels)
        there = nf.convert(str(masks), str(tmp_path / "a.json"))
        assert (there.out, there.n_images) == (tmp_path / "a.json", 1)
        assert read_via(there.out).flavour is Flavour.VIA2_PROJECT
        iio.imwrite(tmp_path / "a.png", np.zeros(labels.shape, np.uint8))
        back = nf.convert(there.out, tmp_path / "back", "masks", classes=DEFAULT_SCHEME)
        np.testing.assert_array_equal(tifffile.imread(back.out / "a_labels.tif"), labels)

    def test_classes_and_mask_values_are_taken_as_on_the_command_line(self, tmp_path):
        masks = tmp_path / "masks"
        masks.mkdir()
        iio.imwrite(masks / "a.png", np.array([[1, 1], [2, 2]], np.uint8))
        iio.imwrite(tmp_path / "a.png", np.zeros((2, 2), np.uint8))
        (tmp_path / "classes.json").write_text(DEFAULT_SCHEME.to_json())
        found = {}
        for values in ("research", {1: "intergranular", 2: "background"}):
            out = tmp_path / f"out {len(found)}"
            nf.convert(
                masks, out, "masks", images=str(tmp_path), mask_values=values,
                classes=str(tmp_path / "classes.json"),
            )  # fmt: skip
            found[str(values)] = tifffile.imread(out / "a_labels.tif").tolist()
        assert list(found.values()) == [[[2, 2], [1, 1]], [[1, 1], [3, 3]]]

    def test_the_rest_is_unlabelled_or_a_class(self, folder):
        path = via(folder, AnnotatedImage("a.png", (rect("intergranular"),)))
        nf.convert(path, folder / "one", "masks")
        assert set(np.unique(tifffile.imread(folder / "one" / "a_labels.tif"))) == {0, 1}
        nf.convert(path, folder / "two", "masks", unlabelled="background")
        assert set(np.unique(tifffile.imread(folder / "two" / "a_labels.tif"))) == {1, 3}

    @pytest.mark.parametrize("to", ["via3-csv", "mask", ""])
    def test_other_targets_are_refused_with_those_there_are(self, folder, to):
        path = via(folder, AnnotatedImage("a.png", (rect("intergranular"),)))
        with pytest.raises(
            AnnotationError, match=rf"'{to}' is nothing to .* via2-project, .* coco, masks\."
        ):
            nf.convert(path, folder / "out", to)
        assert not (folder / "out").exists()

    def test_it_takes_all_that_the_command_line_takes(self):
        options = {*inspect.signature(command).parameters}
        assert {*inspect.signature(nf.convert).parameters} == options


class TestInterrupted:
    """Masks of two images, of which one is written when the conversion ends."""

    def begun(self, folder, **settings):
        source = via(folder, *(AnnotatedImage(name, (rect("i"),)) for name in ("a.png", "b.jpg")))
        job = convert_job(source, folder / "masks", None, ConvertSettings(**settings))
        next(p for p in job if p.message == "image 1 of 2")
        return source, job

    def test_a_new_folder_appears_when_it_is_complete(self, folder):
        source, job = self.begun(folder)
        assert not (folder / "masks").exists()
        job.close()
        assert sorted(p.name for p in folder.iterdir()) == ["a.png", "b.jpg", "via.json"]
        convert(source, folder / "masks")
        assert sorted(p.name for p in (folder / "masks").iterdir()) == [
            "a_labels.tif", "b_labels.tif", "classes.json",
        ]  # fmt: skip

    def test_in_an_existing_folder_each_file_is_the_old_or_the_new_one(self, folder):
        images = [AnnotatedImage(name, (rect("t"),)) for name in ("a.png", "b.jpg")]
        masks = folder / "masks"
        convert(via(folder, *images), masks)
        (folder / "via.json").unlink()

        def values():
            found = {p.name: np.unique(tifffile.imread(p)).tolist() for p in masks.glob("*.tif")}
            assert len(list(masks.iterdir())) == 3
            return sorted(found.values())

        assert values() == [[0, 2], [0, 2]]
        source, job = self.begun(folder, overwrite=True)
        job.close()
        assert values() == [[0, 1], [0, 2]]
        convert(source, masks, overwrite=True)
        assert values() == [[0, 1], [0, 1]]

    def test_of_two_conversions_at_once_the_second_is_refused(self, folder):
        source, job = self.begun(folder)
        with pytest.raises(OutputError, match="Another conversion is writing .*masks"):
            convert(source, folder / "masks")
        assert drain(job).n_images == 2

    def test_masks_are_written_into_the_current_folder(self, folder, monkeypatch):
        (folder / "masks").mkdir()
        monkeypatch.chdir(folder / "masks")
        convert(via(folder, AnnotatedImage("a.png", (rect("i"),))), Path(), overwrite=True)
        assert sorted(p.name for p in Path().iterdir()) == ["a_labels.tif", "classes.json"]

    def test_masks_follow_the_umask(self, folder):
        before = os.umask(0o027)
        try:
            convert(via(folder, AnnotatedImage("a.png", (rect("i"),))), folder / "masks")
        finally:
            os.umask(before)
        assert {p.stat().st_mode & 0o777 for p in (folder / "masks").iterdir()} == {0o640}

    def test_a_place_that_cannot_be_written_is_refused_before_anything_is_read(self, folder):
        (folder / "file").touch()
        with pytest.raises(OutputError, match="cannot be written: (Not a directory|File exists)"):
            convert(folder / "none.json", folder / "file" / "masks")


@pytest.mark.skipif(os.name == "nt", reason="names are UTF-16 there")
@pytest.mark.parametrize("to", [Flavour.VIA2_PROJECT, Flavour.COCO])
def test_names_that_are_not_utf_8_are_converted(tmp_path, to):
    name = os.fsdecode(b"5\xb5m.png")
    for part in ("masks", "images"):
        (tmp_path / part).mkdir()
        iio.imwrite(tmp_path / "x.png", labels_of(HOLED))
        (tmp_path / "x.png").rename(tmp_path / part / name)
    convert(tmp_path / "masks", tmp_path / "via.json", to, images=tmp_path / "images")
    convert(tmp_path / "via.json", tmp_path / "back", images=tmp_path / "images")
    (back,) = (tmp_path / "back").glob("*.tif")
    assert back.name == os.fsdecode(b"5\xb5m_labels.tif")
    np.testing.assert_array_equal(tifffile.imread(back), labels_of(HOLED))


def test_masks_full_of_small_regions_are_told(tmp_path):
    masks = tmp_path / "masks"
    masks.mkdir()
    speckled = np.zeros((40, 40), np.uint8)
    speckled[::2, ::2] = 1
    tifffile.imwrite(masks / "a_labels.tif", speckled)
    tifffile.imwrite(masks / "b_labels.tif", np.ones((40, 40), np.uint8))
    there = convert(masks, tmp_path / "all.json", Flavour.VIA2)
    assert there.n_regions == 401
    told = "400 regions of 1 mask (a_labels.tif) are smaller than 16 px"
    assert any(note.startswith(told) and "(min_area_px)" in note for note in there.notes)
    fewer = convert(masks, tmp_path / "few.json", Flavour.VIA2, min_area_px=16)
    assert fewer.n_regions == 1
    assert not any("smaller than" in note for note in fewer.notes)


@pytest.fixture
def labelme(tmp_path):
    """Folder of an image and a LabelMe file with a polygon, a circle and a turned rectangle."""
    folder = tmp_path / "labelme"
    folder.mkdir()
    tifffile.imwrite(folder / "a.tif", np.zeros((40, 50), np.uint8))
    shapes = [
        {"label": "t", "points": [[1, 1], [9, 1], [9, 9]], "shape_type": "polygon"},
        {"label": "i", "points": [[20, 20], [20, 25]], "shape_type": "circle", "group_id": 2},
    ]
    data = {"shapes": shapes, "imagePath": "a.tif", "imageWidth": 50, "imageHeight": 40}
    (folder / "a.json").write_text(json.dumps(data))
    return folder


@pytest.mark.parametrize("name", ["", "a.json"])
def test_a_file_or_folder_of_another_program_becomes_each_kind_of_file(labelme, name):
    source = labelme / name
    out = labelme.parent
    project = convert(source, out / "project.json", Flavour.VIA2_PROJECT)
    assert (project.n_images, project.n_regions) == (1, 2)
    document = read_via(out / "project.json")
    assert document[0].regions[1].attributes == {"label": "i", "group_id": 2}
    assert document[0].extras == {}
    assert list(document.definition("label").options) == ["t", "i"]
    coco = convert(source, out / "coco.json", Flavour.COCO)
    assert coco.notes == ("Regions whose other attributes COCO cannot hold: 1 ('a.tif' region 1).",)
    data = json.loads((out / "coco.json").read_text())
    assert (data["images"][0]["width"], data["images"][0]["height"]) == (50, 40)
    assert [category["name"] for category in data["categories"]] == ["t", "i"]
    masks = convert(source, out / "masks")
    assert masks.n_regions == 2
    labels = tifffile.imread(out / "masks" / "a_labels.tif")
    assert labels.shape == (40, 50)
    assert labels[20, 20] == DEFAULT_SCHEME.find("i").value


def test_shapes_that_other_programs_could_not_say_are_left_out(labelme):
    data = json.loads((labelme / "a.json").read_text())
    data["shapes"].append({"label": "t", "points": [[1, 2]], "shape_type": "cuboid"})
    (labelme / "a.json").write_text(json.dumps(data))
    with pytest.raises(AnnotationError, match="again in LabelMe, or have damaged regions left out"):
        convert(labelme, labelme.parent / "out.json", Flavour.VIA2)
    for to in (Flavour.VIA2, Flavour.VIA3):
        out = labelme.parent / f"{to}.json"
        there = convert(labelme, out, to, skip_damaged=True)
        assert there.n_regions == len(read_via(out)[0].regions) == 2
        assert any("1 damaged regions are left out" in note for note in there.notes)


def test_via_2_by_way_of_via_3_is_the_same(folder):
    polygon = {"name": "polygon", "all_points_x": [0, 4, 4], "all_points_y": [0, 0, 4.5]}
    regions = (Region(polygon, {"name": "i", "seen": {"a": True, "b": True}}), rect("t"), rect("t"))
    image = AnnotatedImage("a.png", regions, attributes={"q": "good"})
    source = via(folder, image, AnnotatedImage("none.png"))
    there = nf.convert(source, folder / "via3.json", "via3")
    assert (there.n_images, there.n_regions, there.notes) == (2, 3, ())
    assert read_via(folder / "via3.json").flavour is Flavour.VIA3
    convert(folder / "via3.json", folder / "back.json", Flavour.VIA2)
    assert read_via(folder / "back.json").images == read_via(source).images


def test_rois_are_given_to_the_only_image(tmp_path):
    tifffile.imwrite(tmp_path / "s17_3.tif", np.zeros((20, 20), np.uint8))
    (tmp_path / "RoiSet.roi").write_bytes(
        ImagejRoi(roitype=ROI_TYPE.RECT, left=2, top=3, right=6, bottom=5, name="t").tobytes()
    )
    source = tmp_path / "RoiSet.roi"
    convert(source, tmp_path / "project.json", Flavour.VIA2_PROJECT)
    (image,) = read_via(tmp_path / "project.json")
    assert image.filename == "s17_3.tif"
    assert image.size == (tmp_path / "s17_3.tif").stat().st_size
    convert(source, tmp_path / "masks")
    assert (tifffile.imread(tmp_path / "masks" / "s17_3_labels.tif") > 0).sum() == 8
    tifffile.imwrite(tmp_path / "other.tif", np.zeros((20, 20), np.uint8))
    with pytest.raises(AnnotationError, match=r"none of 1 annotated images has a file in"):
        convert(source, tmp_path / "more")
