import imageio.v3 as iio
import numpy as np
import pytest

from napari_fractoseg.annotations import AnnotatedImage, Region, ViaDocument, write_via
from napari_fractoseg.annotations.options import LENIENT, STRICT, AnnotationOptions
from napari_fractoseg.annotations.source import AnnotationSource
from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.errors import AnnotationError, OptionError
from napari_fractoseg.jobs import drain
from napari_fractoseg.options import option_field

RECT = {"name": "rect", "x": 0, "y": 0, "width": 2, "height": 2}


def region(**attributes):
    return Region(RECT, attributes)


@pytest.fixture
def opened(tmp_path):
    """Open a VIA file of ``a.png`` with some regions, beside ``a.png`` and ``a.tif``."""
    for name in ("a.png", "a.tif"):
        iio.imwrite(tmp_path / name, np.zeros((4, 5), np.uint8))

    def opened(*regions, options=STRICT, name="a.png"):
        document = ViaDocument((AnnotatedImage(name, regions), AnnotatedImage("bare.png")))
        write_via(document, tmp_path / "via.json", overwrite=True)
        return drain(AnnotationSource.open_job(tmp_path / "via.json", tmp_path, options))

    return opened


def test_the_file_of_the_very_name_counts(opened, tmp_path):
    source = opened(region(mode="i"))
    ((image, path),) = source.images.found
    assert (image.filename, path) == ("a.png", tmp_path.resolve() / "a.png")
    assert source.images.notes == ()
    tied = opened(region(mode="i"), name="a.jpg").images
    assert tied.found == ()
    assert tied.notes == (
        "1 image fits several files: a.jpg (a.png, a.tif); name the image folder, or rename all "
        "files but one.",
    )


def test_strict_options_refuse_what_lenient_ones_leave_out_and_count(opened):
    regions = region(mode="i"), region(mode=""), region(mode={"t": True, "i": True})
    for options, message in (
        (STRICT, "region 1: attribute 'mode' has no value"),
        (AnnotationOptions(skip_unclassified=True), "region 2: the ticked options"),
    ):
        source = opened(*regions, options=options)
        with pytest.raises(AnnotationError, match=message):
            source.mapping(DEFAULT_SCHEME).notes(source.annotated)
    source = opened(*regions, options=LENIENT)
    assert source.mapping(DEFAULT_SCHEME).notes(source.annotated) == (
        "1 region has several ticks; the first class counts.",
        "1 region without a class is left out of the labels.",
    )


def test_unknown_values_are_new_classes_if_wanted(opened):
    with pytest.raises(AnnotationError, match="'dimples' 1"):
        opened(region(mode="dimples")).mapping(DEFAULT_SCHEME)
    wanted = AnnotationOptions(new_classes=True)
    mapping = opened(region(mode="dimples"), options=wanted).mapping(DEFAULT_SCHEME)
    assert mapping.scheme.names == (*DEFAULT_SCHEME.names, "dimples")


def test_the_attribute_can_be_chosen(opened):
    both = region(first="i", second="t")
    with pytest.raises(AnnotationError, match="each of"):
        opened(both).mapping(DEFAULT_SCHEME)
    mapping = opened(both, options=AnnotationOptions("second")).mapping(DEFAULT_SCHEME)
    assert mapping.class_of(both, "").name == "transgranular"


def test_regions_without_an_attribute_may_all_be_of_one_class(opened):
    with pytest.raises(AnnotationError, match="say which class all regions are") as caught:
        opened(region(), region()).mapping(DEFAULT_SCHEME)
    assert caught.value.options == ("all_as",)
    source = opened(region(), region(), options=AnnotationOptions(all_as="transgranular"))
    mapping = source.mapping(DEFAULT_SCHEME)
    (image,) = source.annotated
    assert [mapping.class_of(r, "").name for r in image.regions] == ["transgranular"] * 2


def test_all_regions_may_be_of_one_class_whatever_they_say(opened):
    source = opened(region(name="old"), region(note="x"), options=AnnotationOptions(all_as="i"))
    assert [r.attributes for r in source.annotated[0].regions] == [
        {"name": "old", "class": "i"},
        {"note": "x", "class": "i"},
    ]
    chosen = AnnotationOptions(attribute="name", all_as="i")
    source = opened(region(name="old"), options=chosen)
    assert source.annotated[0].regions[0].attributes == {"name": "i"}


def test_all_regions_cannot_be_of_a_class_that_is_not_known(opened):
    with pytest.raises(AnnotationError, match="not in the scheme .* 'intregranular' 1"):
        opened(region(), options=AnnotationOptions(all_as="intregranular")).mapping(DEFAULT_SCHEME)


def test_damaged_regions_are_refused_or_counted(opened):
    damaged = Region({"name": "blob"}, {"mode": "i"})
    with pytest.raises(AnnotationError, match=r"'a\.png', region 0: shape 'blob'"):
        opened(damaged)
    source = opened(damaged, region(mode="i"), options=AnnotationOptions(skip_damaged=True))
    assert source.document.notes[0].startswith("1 damaged regions are left out")


def test_options_are_described_and_checked():
    assert option_field(AnnotationOptions, "skip_unclassified").description.startswith(
        "Leave regions without a"
    )
    assert AnnotationOptions(**LENIENT.to_dict()) == LENIENT
    with pytest.raises(OptionError, match="several is 'all'.*'error' or 'first'"):
        AnnotationOptions(several="all")
