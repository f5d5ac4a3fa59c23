"""Report on a measurement."""

import base64
import datetime
from html.parser import HTMLParser

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from napari_fractoseg.classes import DEFAULT_SCHEME, ClassScheme, FractureClass, class_name
from napari_fractoseg.errors import OptionError, OutputExistsError
from napari_fractoseg.files import file_sha256
from napari_fractoseg.measurement.facets.plane import facets
from napari_fractoseg.measurement.files.measured import FilesMeasured, Picture
from napari_fractoseg.measurement.measure import measure
from napari_fractoseg.measurement.texts import FractionError
from napari_fractoseg.models.card import ModelCard
from napari_fractoseg.models.registry import find_model
from napari_fractoseg.reporting.models_used import ModelUsed, models_used
from napari_fractoseg.reporting.report import Report
from napari_fractoseg.reporting.wording import methods_text, reported_items
from napari_fractoseg.results.record import LabelRecord
from napari_fractoseg.text import printable

DAY = datetime.date(2026, 5, 4)
IMAGES = {
    "s1_a": np.array([[1, 1, 1, 2], [1, 1, 2, 2]]),
    "s1_b": np.array([[1, 2, 2, 2], [2, 2, 2, 3]]),
    "s2_a": np.array([[1, 1, 1, 1], [1, 1, 1, 0]]),
}
VOID = {"meta", "img", "link", "br", "input"}
HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\"' onload='alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "</style></title></details><base href=//x>",
    "a \u202etxt.exe \x1b[31m \udcff",
    "$\\frac{",
    "断面 \U0001f642",
)


class Page(HTMLParser):
    """Tags with their attributes, and the text, of a page."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text, self.style, self.open = [], "", "", []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        self.text += " " if tag in ("td", "th", "tr") else ""

    def handle_data(self, data):
        if self.open[-1:] == ["style"]:
            self.style += data
        else:
            self.text += data

    @property
    def words(self):
        return " ".join(self.text.split())


def page(report):
    found = Page(report.html())
    assert found.open == []
    return found


def small_report(**more):
    return Report(measure(IMAGES, specimens=r"^(s\d)"), date=DAY, **more)


@pytest.fixture(scope="module")
def small_page():
    """The page of a report with nothing but a measurement, and a picture."""
    picture = Picture("a picture", np.zeros((2, 3, 3), np.uint8))
    return page(small_report(pictures=[picture]))


def test_it_says_the_sentence_the_date_and_what_limits_the_number(small_page):
    report, words = small_report(), small_page.words
    assert str(report.measurement) in words
    assert "n = 2 specimens" in words
    assert "2026-05-04" in words
    for caveat in report.measurement.caveats:
        assert caveat in words
    assert any("projected area" in caveat for caveat in report.caveats)
    assert "compliant" not in words
    assert "in the manner of ASTM E562" in words


def test_it_needs_no_other_file_and_runs_no_program(small_page):
    found = small_page
    tags = {tag for tag, _ in found.tags}
    assert not tags & {"script", "link", "iframe", "object", "embed", "form", "base", "a"}
    sources = [attributes["src"] for tag, attributes in found.tags if tag == "img"]
    assert len(sources) == 3  # fractions, groups, the picture
    assert all(source.startswith("data:image/") for source in sources)
    assert "url(" not in found.style
    (policy,) = (a["content"] for t, a in found.tags if t == "meta" and "http-equiv" in a)
    assert policy.startswith("default-src 'none'")


def test_figures_are_in_it_as_pictures(small_page):
    found = small_page
    (source, *_) = (attributes["src"] for tag, attributes in found.tags if tag == "img")
    kind, _, data = source.partition(",")
    assert kind == "data:image/svg+xml;base64"
    assert b"<svg" in base64.b64decode(data)


def test_the_same_measurement_gives_the_same_bytes(tmp_path):
    report, again = small_report(), small_report()
    path = report.write(tmp_path / "a.html")
    assert path.read_text(encoding="utf-8") == again.html()
    assert report.figure("fractions", "pdf") == again.figure("fractions", "pdf")
    with pytest.raises(OutputExistsError):
        again.write(path)


def test_text_of_others_does_nothing():
    names = [class_name(text) for text in HOSTILE]
    classes = [FractureClass(k + 1, name, "#112233") for k, name in enumerate(names)]
    scheme = ClassScheme(HOSTILE[0], tuple(classes))
    images = {text: IMAGES["s1_a"] + k % 3 for k, text in enumerate(HOSTILE)}
    found = [facets(labels, scheme) for labels in images.values()]
    card = ModelCard(HOSTILE[0], scheme, "Unet", "resnet18", "".join(HOSTILE), licence=HOSTILE[1])
    files = pd.DataFrame({"image": HOSTILE, "file": HOSTILE, "sha256": HOSTILE, "note": HOSTILE})
    report = Report(
        measure(images, scheme, specimens={text: f"{text}!" for text in HOSTILE}),
        scheme,
        files,
        dict(zip(HOSTILE, HOSTILE, strict=True)),
        facets=found,
        models=[ModelUsed(text, text, card) for text in HOSTILE[:2]],
        pictures=[Picture(text, np.zeros((2, 2, 3), np.uint8), False) for text in HOSTILE],
        audit={
            "sentence": "".join(HOSTILE),
            **{text: {text: [text]} for text in HOSTILE},
            "rows": [{text: text for text in HOSTILE}],
            "caveats": HOSTILE,
            "manual": [{"class_name": text, "of": text} for text in HOSTILE],
            "confusion": {"labels": HOSTILE[:1], "by_hand": HOSTILE[:1], "points": [[1]]},
        },
        title="".join(HOSTILE),
        date=DAY,
    )
    html = report.html()
    written = Page(html)
    assert written.open == []
    assert {tag for tag, _ in written.tags} == {
        *("html", "head", "meta", "title", "style", "body", "header", "section", "footer", "div"),
        *("h1", "h2", "h3", "p", "ul", "li", "blockquote", "figure", "figcaption", "img", "pre"),
        *("table", "thead", "tbody", "tr", "th", "td", "bdi", "span", "i", "code", "details"),
        "summary",
    }
    attributes = {key for _, found in written.tags for key in found}
    assert attributes == {
        *("lang", "charset", "http-equiv", "content", "name", "class", "scope", "src", "alt"),
        "style",
    }
    for text in HOSTILE:
        assert printable(text) in written.text
    assert "\u202e" not in html
    assert "\x1b" not in html
    assert html.encode()
    for name in report.figures:
        assert b"<script" not in report.figure(name, "svg")


def test_facets_have_their_sizes_in_it_and_no_grain_size():
    labels = np.zeros((20, 60), int)
    for k in range(12):
        labels[4:8, 2 + 4 * k : 4 + 4 * k + k % 2] = 1
    labels[12, 2] = 3
    found = facets(labels, DEFAULT_SCHEME, pixel_size_um=0.5)
    report = Report(measure(labels, pixel_size_um=0.5), facets=[found], date=DAY)
    assert list(report.figures) == ["fractions", "sizes"]
    words = page(report).words
    assert "Equivalent diameter of facets (µm)" in words
    assert "Their size is no grain size." in words
    assert "12 of 12 facets of the fracture modes are smaller than 20 px" in words
    assert "0 of 12 of the fracture modes touch the border" in words
    assert set(report.size_distributions["class_name"]) == {"intergranular"}


def test_images_with_and_without_a_pixel_size_have_no_common_sizes():
    found = [facets(IMAGES["s1_a"], DEFAULT_SCHEME, pixel_size_um=size) for size in (None, 0.5)]
    report = small_report(facets=found)
    assert report.size_distributions is None
    assert "sizes" not in report.figures
    assert any("Their size is no grain size" in caveat for caveat in report.caveats)


def test_what_the_program_cannot_know_has_a_line_to_fill_in(small_page):
    unknown = [item.name for item in reported_items(small_report()) if not item.text]
    assert len(unknown) == 4
    assert small_page.text.count("not known to the program:") == 4
    text = " ".join(unknown).lower()
    for asked in ("preparation", "orientation", "magnification"):
        assert asked in text
    assert all(name in small_page.words for name in unknown)


def test_the_list_of_e562():
    items = {item.name: item.text for item in reported_items(small_report())}
    assert items["Raw data"] == "3 fields, in the table of fields and fields.csv"
    assert items["Fields on each section"] == "1 to 2 for each specimen"
    assert items["Number of sections"] == "2 specimens, 3 images"
    assert items["Grid of points"].startswith("none: each pixel is counted.")
    assert items["Array of fields and their spacing"] == "whole planes (each of 4 x 2 px)"
    assert items["Estimate and its interval"].startswith("intergranular 69.2 % (95 % interval")
    assert "%RA" in items["% relative accuracy (%RA)"]


def test_the_array_of_fields_of_a_grid():
    report = Report(measure(np.ones((9, 8), int), fields="grid:4px"))
    items = {item.name: item.text for item in reported_items(report)}
    assert items["Array of fields and their spacing"] == (
        "squares of 4 x 4 px in a systematic array from the upper left corner of each plane, edge "
        "to edge; squares that its border would cut are left out (each of 4 x 4 px)"
    )


def test_the_methods_paragraph_of_a_prediction():
    card = ModelCard.read(find_model("default"))
    origins = ["untouched prediction", "untouched prediction", "changed since"]
    report = Report(
        measure(
            IMAGES, specimens=r"^(s\d)", pixel_size_um={"s1_a": 0.09, "s1_b": 0.09, "s2_a": None}
        ),
        files=pd.DataFrame({"image": list(IMAGES), "origin": origins, "error": ""}),
        models=[ModelUsed(card.name, "0123" * 16, card, 3)],
    )
    text = methods_text(report)
    for part in (
        "measured on 3 images of 2 specimens of fracture surfaces with napari-fractoseg",
        "The labels of 2 of 3 images are as the model fracture modes (Unet with "
        "tu-tf_efficientnet_lite0, SHA-256 of its weights 0123012301230123) gave them.",
        "Those of 1 of 3 images were given and corrected by a person.",
        "The pixel size was 0.09 µm, not known or not square of 1 image.",
        "Not part of it are, of the area of all images: classes that are no fracture mode 4.2 %, "
        "unlabelled 4.2 %.",
        "The result is the mean of 2 specimens (of each the mean of its fields) with its 95 % "
        "interval by Student's t with 1 degrees of freedom, in the manner of ASTM E562 and E1245.",
        "the error of the labels was not measured",
    ):
        assert part in text, part


def test_the_methods_paragraph_says_that_alike_fields_widen_the_interval():
    labels = np.full((20, 20), 2)
    labels[:2, :], labels[10:14, :] = 1, 1  # 20 % in the upper fields, 40 % in the lower ones
    text = methods_text(Report(measure(labels, fields="grid:2x2")))
    assert "by Student's t with 3 degrees of freedom" in text
    assert "it is up to 1.22 times as wide as for independent fields" in text
    assert "Wilson" not in text


def test_the_methods_paragraph_says_the_error_of_the_model():
    error = FractionError(0.134, "on unseen images")
    text = methods_text(Report(measure(IMAGES, classification=error)))
    assert "on unseen images, fractions of the model are off by 13 percentage points" in text
    assert "The pixel size is not known" in text


def test_a_point_count_is_told():
    audit = {
        "sentence": "By hand: intergranular 50 %.",
        "n_points": 40,
        "design": "grid",
        "manual": [
            {"class_name": "intergranular", "of": "analysed area", "hits": 4.5, "n_points": 40,
             "value": 0.1125, "low": 0.05, "high": 0.24}
        ],
        "confusion": {"labels": ["a", "b"], "by_hand": ["a"], "points": [[7], [1.5]]},
        "adjusted": {
            "mapped": {"a": 0.5},
            "areas": {"a": {"value": 0.25, "low": 0.2, "high": 0.3}},
            "overall": {"value": None},
        },
        "caveats": ["Points of one image."],
        "operator": "Ada",
        "other_operators": [
            {"operator": "Bo", "manual": [{"class_name": "dimples", "of": "all", "hits": 3}]}
        ],
        "agreement": {"n": 40, "agreement": 0.9, "kappa": 0.74, "low": 0.521, "high": 0.95},
        "operators": [{"first": "Ada", "second": "Bo", "kappa": 0.5}],
        "something": {"new": [1, 2.5]},
    }  # fmt: skip
    words = page(small_report(audit=audit)).words
    for part in (
        "By hand: intergranular 50 %.",
        "intergranular analysed area 4.5 40 11.2 % 5.0 to 24.0 %",
        "labels by hand: a a 7 b 1.5",
        "a 50.0 % 25.0 % (20.0 to 30.0 %) - - -",
        "n points 40",
        "Fractions by hand (Ada)",
        "Fractions by hand (Bo) class of hits points fraction interval dimples all 3 - - -",
        "Ada and labels 40 90.0 % 0.74 0.52 to 0.95 Ada and Bo - - 0.5 -",
        "something new 1, 2.5",
        "Points of one image.",
        "checked at 40 points, grid",
        "is told by the point count.",
    ):
        assert part in words, part
    assert "is not known: check points" not in words


def test_long_tables_are_folded_and_cut():
    labels = np.tile([[1, 2]], (1, 1200))
    html = Report(measure(labels, fields="grid:1px"), date=DAY).html()
    assert "1400 more rows are in fields.csv." in html
    assert "<summary>Fields: raw data" in html


def test_figures_are_written_as_files(tmp_path):
    paths = small_report().write_figures(tmp_path / "figures")
    assert [path.name for path in paths] == [
        "fractions.png", "fractions.svg", "fractions.pdf", "groups.png", "groups.svg", "groups.pdf",
    ]  # fmt: skip
    assert [path.read_bytes()[:4] for path in paths[:3]] == [b"\x89PNG", b"<?xm", b"%PDF"]
    with pytest.raises(OutputExistsError):
        small_report().write_figures(tmp_path / "figures")


def test_the_style_of_the_user_changes_nothing():
    plain = small_report().figure("fractions", "svg")
    with mpl.rc_context({"text.usetex": True, "font.size": 30, "axes.facecolor": "red"}):
        assert small_report().figure("fractions", "svg") == plain


def test_nothing_measured_is_no_report():
    with pytest.raises(OptionError, match="nothing to report"):
        Report.of_files(FilesMeasured(None, pd.DataFrame({"error": []})))


def test_an_image_without_any_fracture_mode_is_reported():
    report = Report(measure(np.zeros((4, 4), int)), date=DAY)
    assert "No area shows a fracture mode" in page(report).words


def test_a_model_with_other_weights_is_not_taken_for_the_one_that_gave_labels():
    record = LabelRecord("fracture modes", "0", "a", DEFAULT_SCHEME, model="default")
    other = LabelRecord("mine", "1", "b", DEFAULT_SCHEME, model="gone")
    mine, fracture = models_used([record, other, other])
    assert (mine.name, mine.n_images, mine.card) == ("mine", 2, None)
    assert (fracture.name, fracture.n_images, fracture.card) == ("fracture modes", 1, None)
    assert "not on this computer" in str(fracture.error)


def test_the_card_of_the_model_is_in_it():
    digest = file_sha256(find_model("default") / "model.safetensors")
    record = LabelRecord("fracture modes", digest, "a", DEFAULT_SCHEME, model="default")
    gone = LabelRecord("other", "1", "b", DEFAULT_SCHEME, model="gone")
    words = page(small_report(models=models_used([record, gone]))).words
    assert "no model with these weights is on this computer" in words
    assert "Model's error on unseen images: ± 12 points" in words
    assert "## Cross-validation" in words
    assert "BSD-3-Clause" in words
