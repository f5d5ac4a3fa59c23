"""Documents of each flavour as hypothesis makes them, in the form that VIA itself writes."""

from __future__ import annotations

from hypothesis import strategies as st

from napari_fractoseg.annotations import AnnotatedImage, Flavour, Region, ViaDocument
from napari_fractoseg.annotations.conversion.flavours import in_flavour

coordinates = st.one_of(
    st.integers(-5, 3000), st.floats(-5, 3000, allow_nan=False).map(lambda x: round(x, 3))
)
sizes = st.one_of(st.integers(0, 10**9), st.just(-1))
texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=12)
values = st.one_of(
    texts,
    st.just('said "so",\nand left'),
    st.dictionaries(texts.filter(bool), st.booleans(), max_size=3),
    st.integers(0, 9),
)
attributes = st.dictionaries(texts, values, max_size=3)


def _record(name, **fields):
    return st.fixed_dictionaries({"name": st.just(name), **fields})


def _ring(minimum):
    points = st.lists(st.tuples(coordinates, coordinates), min_size=minimum, max_size=6)
    return points.filter(lambda p: p[0] != p[-1])


def _points(name, minimum):
    return _ring(minimum).map(
        lambda p: {
            "name": name,
            "all_points_x": [x for x, _ in p],
            "all_points_y": [y for _, y in p],
        }
    )


radii = st.integers(0, 500)
shapes = st.one_of(
    _record("rect", x=coordinates, y=coordinates, width=radii, height=radii),
    _record("circle", cx=coordinates, cy=coordinates, r=radii),
    _record("ellipse", cx=coordinates, cy=coordinates, rx=radii, ry=radii, theta=st.floats(-3, 3)),
    _points("polygon", 3),
    _points("polyline", 2),
    _record("point", cx=coordinates, cy=coordinates),
)
regions = st.builds(Region, shapes, attributes)
filenames = st.one_of(
    st.text("abcé _-./", min_size=1, max_size=12),
    st.just("C:\\x\\a.png"),
    st.just("https://e/x.jpg"),
)


def documents(flavour: Flavour):
    """Return documents of a flavour, with unknown keys where it can hold them."""
    is_csv = flavour in (Flavour.VIA1_CSV, Flavour.VIA2_CSV)
    extras = st.just({}) if is_csv else st.dictionaries(st.just("note"), texts, max_size=1)
    images = st.builds(
        AnnotatedImage,
        filenames,
        st.lists(
            regions if is_csv else st.builds(Region, shapes, attributes, extras), max_size=3
        ).map(tuple),
        sizes if is_csv else st.one_of(sizes, sizes.map(str), st.none()),
        attributes,
        st.just("") if is_csv else st.one_of(st.just(""), texts.filter(bool)),
        extras,
    )

    beside = st.just({}) if is_csv else st.dictionaries(st.just("\0beside"), texts, max_size=1)

    def build(images, extras):
        entries = {image.image_key: image for image in images}
        document = ViaDocument(tuple(entries.values()), Flavour.VIA2, extras=extras)
        return _canonical(in_flavour(document, flavour))

    return st.builds(build, st.lists(images, max_size=3), beside)


def _canonical(document: ViaDocument) -> ViaDocument:
    """Drop keys that are what VIA would make anyway, as reading does."""
    images = tuple(
        AnnotatedImage(
            i.filename,
            i.regions,
            i.size,
            i.attributes,
            "" if i.key == AnnotatedImage(i.filename, size=i.size).image_key else i.key,
            i.extras,
        )
        for i in document
    )
    return document.with_images(images)
