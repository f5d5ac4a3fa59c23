import json

import pytest

from napari_fractoseg.annotations.formats import sniff
from napari_fractoseg.annotations.formats.sniff import may_be_annotations, names_annotations
from napari_fractoseg.annotations.reading import flavour_of, is_damaged
from napari_fractoseg.annotations.via import read_via
from napari_fractoseg.errors import AnnotationError

ENTRY = {"filename": "ä.png", "size": 1, "regions": [], "file_attributes": {}}
VIA = json.dumps({"ä.png1": ENTRY}, ensure_ascii=False)
REGION = {"shape_attributes": {"name": "point", "cx": 1, "cy": 1}, "region_attributes": {}}


@pytest.fixture
def file(tmp_path):
    def make(content):
        path = tmp_path / "file.json"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return make


def test_large_files_of_others_are_declined_without_parsing_them(file, monkeypatch):
    path = file(json.dumps([{"type": "Feature", "file_name": "a", "regions": []}] * 1000))
    monkeypatch.setattr(json, "loads", None)
    assert flavour_of(path) is None


@pytest.mark.parametrize("content", [b"", b"\x89PNG", b"x,y\n1,2\n", b'{"a": 1}', b"filename,x\n"])
def test_files_without_the_words_cannot_be_via(file, content):
    assert not may_be_annotations(file(content))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_words_are_looked_for_in_every_encoding_that_is_read(file, encoding):
    assert may_be_annotations(file(("\r\n " + VIA).encode(encoding)))


@pytest.mark.parametrize("chunk_bytes", [1, 7, 50])
def test_words_may_lie_across_the_border_of_two_chunks(file, monkeypatch, chunk_bytes):
    monkeypatch.setattr(sniff, "_CHUNK_BYTES", chunk_bytes)
    assert may_be_annotations(file(VIA))
    assert not may_be_annotations(file(VIA.replace("filename", "file_name")))


@pytest.mark.shared_data
def test_every_file_of_via_has_the_words(shared_data):
    for folder in ("from_via_app", "wild"):
        for path in (shared_data / "via_files" / folder).iterdir():
            assert may_be_annotations(path), path.name


@pytest.mark.parametrize(
    "content",
    [
        json.dumps({"a": {**ENTRY, "regions": [REGION]}})[:-5],
        json.dumps({"a": {**ENTRY, "regions": [REGION]}}, ensure_ascii=False).encode("latin-1"),
        b"filename,region_shape_attributes\n\xe4.png,{}\n",
    ],
    ids=["cut off", "latin-1", "latin-1 table"],
)
def test_damaged_files_of_via_are_known_by_their_words(file, content):
    path = file(content)
    assert flavour_of(path) is None
    assert is_damaged(path)
    with pytest.raises(AnnotationError, match=r"file\.json is not (valid JSON|UTF-8 text)"):
        read_via(path)


@pytest.mark.parametrize("content", [VIA, '{"a": ', "x,y\n1,2\n", '{"shape_attributes": 1}'])
def test_other_files_are_no_damaged_ones_of_via(file, content):
    assert not is_damaged(file(content))


def test_files_that_are_not_there(tmp_path):
    for path in (tmp_path / "none.json", tmp_path):
        assert flavour_of(path) is None
        assert not is_damaged(path)
        with pytest.raises(OSError, match=path.name):
            names_annotations(path)
