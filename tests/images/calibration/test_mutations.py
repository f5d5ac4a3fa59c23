"""Damaged tags and sidecars: an error of ours, no pixel size or a word, never a wrong number."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sem_files as made
from napari_fractoseg.errors import ImageError
from napari_fractoseg.images import sem_facts
from napari_fractoseg.images.calibration.texts import iso_date, length_um, number, voltage_kv
from sem_files import write_tiff

ROOT = Path(__file__).parents[3]
TAGS = {
    "fei": {made.FEI: made.FEI_TEXT},
    "both fei": {made.FEI: made.FEI_TEXT, made.FEI_XML: made.THERMO_XML},
    "thermo xml": {made.FEI_XML: made.THERMO_XML},
    "phenom": {made.FEI_XML: made.PHENOM_XML},
    "zeiss": {made.ZEISS: made.ZEISS_TEXT},
    "tescan": {made.TESCAN: made.TESCAN_TEXT.encode()},
    "hitachi": {made.COMMENT: made.HITACHI_TEXT.partition("\n")[2].encode("utf-16-le")},
}
SIDECARS = {
    "jeol": (".txt", made.JEOL_TEXT),
    "hitachi sidecar": (".txt", made.HITACHI_TEXT),
    "tescan sidecar": (".hdr", made.TESCAN_HDR),
}


def vendor_file(folder, name):
    path = write_tiff(folder / "a.tif", TAGS.get(name, {}))
    if name in SIDECARS:
        ending, text = SIDECARS[name]
        path.with_suffix(ending).write_text(text, encoding="utf-8", newline="")
    return path


@pytest.fixture(scope="module")
def mutants():
    name = "sem_mutants"  # a dataclass looks its module up
    sys.modules[name] = type(sys)(name)
    content = runpy.run_path(str(ROOT / "benchmarks" / "sem_mutants.py"), run_name=name)
    yield content
    del sys.modules[name]


@pytest.mark.parametrize("name", [*TAGS, *SIDECARS])
def test_no_wrong_number_without_a_word(tmp_path, mutants, name):
    path = vendor_file(tmp_path, name)
    assert sem_facts(path).pixel_size_um == pytest.approx(0.2)
    outcomes = [outcome for outcome, _ in mutants["tried"](path, 25, np.random.default_rng(0))]
    assert [o for o in outcomes if o.startswith(mutants["FAILURES"])] == []
    assert "right" in outcomes


@given(st.binary(max_size=300), st.sampled_from([34118, 34680, 34682, 34683, 40092, 50431, 270]))
def test_any_bytes_as_a_tag_give_no_number_or_an_error_of_ours(tmp_path_factory, data, code):
    path = write_tiff(tmp_path_factory.mktemp("any") / "a.tif", {code: data + b"\0"})
    try:
        facts = sem_facts(path)
    except ImageError:
        return
    assert facts.pixel_size_um is None or 1e-6 <= facts.pixel_size_um <= 1e4


@given(st.text(max_size=60))
def test_any_text_is_read_as_a_number_a_length_a_voltage_and_a_date(text):
    for value in (number(text), length_um(text, "nm"), voltage_kv(text)):
        assert value is None or isinstance(value, float)
    assert iso_date(text, text) == "" or iso_date(text, text)[:4].isdecimal()


LONG = 2**21
ENDLESS = {
    "one word": (made.TESCAN, b"a" * LONG),
    "equals": (made.TESCAN, b"a=" * (LONG // 2)),
    "spaces": (made.ZEISS, b"AP_MAG\nMag = 1" + b" " * LONG + b"Y\n"),
    "brackets": (made.FEI, b"[" * LONG),
    "nested": (made.FEI_XML, b"<FeiImage>" * (LONG // 21) + b"</FeiImage>" * (LONG // 21)),
    "open": (made.FEI_XML, b"<FeiImage>" * (LONG // 10)),
    "pixels": (270, b"<OME><Pixels " * (LONG // 13)),
    "lists": (270, b'{"PhysicalSizeX":' + b"[" * LONG),
    "digits": (270, b'{"PhysicalSizeX":' + b"9" * LONG + b"}"),
    "magnification": (made.COMMENT, "Condition=Mag=x".encode("utf-16-le") + b"1\0" * (LONG // 2)),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_long_and_deep_metadata_are_read_in_a_moment(tmp_path, name):
    code, data = ENDLESS[name]
    assert sem_facts(write_tiff(tmp_path / "a.tif", {code: data})).pixel_size_um is None
