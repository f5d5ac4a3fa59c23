"""Headers of foreign images that lie: what they say is checked before anything is read."""

from __future__ import annotations

import json
import os
import struct

import numpy as np
import pytest
import tifffile
import zarr

from napari_fractoseg.errors import ImageError
from napari_fractoseg.images import (
    ChunkWatch,
    MicrographStack,
    image_shape,
    read_image,
    read_mask,
)
from napari_fractoseg.results.record import read_record

GREY = np.random.default_rng(0).integers(0, 255, (40, 50), np.uint8)
LAYOUTS = {
    "v2": {"zarr_format": 2},
    "v2 nested": {"zarr_format": 2, "chunk_key_encoding": {"name": "v2", "separator": "/"}},
    "v3": {"zarr_format": 3},
    "v3 dots": {"chunk_key_encoding": {"name": "default", "separator": "."}},
    "v3 as v2": {"chunk_key_encoding": {"name": "v2", "separator": "."}},
}


def tiff(path, data=GREY, **how):
    tifffile.imwrite(path, data, **{"photometric": "minisblack", **how})


def chunk_files(path):
    return sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith((".z", "z")))


def patched(path, tag, value):
    """Overwrite the value of a tag of a TIFF's first page."""
    with tifffile.TiffFile(path) as tif:
        found = tif.pages.first.tags[tag]
        layout = "<H" if found.dtype == tifffile.DATATYPE.SHORT else "<I"
    with path.open("r+b") as file:
        file.seek(found.valueoffset)
        file.write(struct.pack(layout, value))


@pytest.mark.parametrize(("tag", "value"), [("RowsPerStrip", 0), ("ImageLength", 0)])
def test_a_header_that_makes_no_sense_is_refused(tmp_path, tag, value):
    path = tmp_path / "a.tif"
    tiff(path, compression="zlib", rowsperstrip=16)
    patched(path, tag, value)
    for read in (read_image, image_shape, read_mask):
        with pytest.raises(ImageError, match=r"a\.tif|a: the image is empty"):
            read(path)
    assert read_record(path) is None


def old_array(path, chunk=b"", **changes):
    header = {
        "zarr_format": 2, "shape": [4, 5], "chunks": [4, 5], "dtype": "|u1", "compressor": None,
        "fill_value": 0, "filters": None, "order": "C", **changes,
    }  # fmt: skip
    path.mkdir()
    (path / ".zarray").write_text(json.dumps(header))
    (path / "0.0").write_bytes(chunk)
    return path


@pytest.mark.parametrize("name", ["vlen-utf8", "numcodecs.pickle", "my.codec"])
def test_codecs_of_format_3_are_checked_also_inside_shards(tmp_path, name):
    path = tmp_path / "a.zarr"
    zarr.create_array(path, data=GREY, chunks=(20, 25), shards=(40, 50))
    file = path / "zarr.json"
    node = json.loads(file.read_text())
    node["codecs"][0]["configuration"]["codecs"].append({"name": name})
    file.write_text(json.dumps(node))
    with pytest.raises(ImageError, match=rf"packed by '{name}'"):
        read_image(path)


@pytest.mark.parametrize("dtype", ["<c8", "|S4", "<U2", "<M8[ns]", "|V8", [["a", "<i4"]], 3])
def test_values_that_are_no_real_numbers_are_refused(tmp_path, dtype):
    with pytest.raises(ImageError, match="no grey levels or labels. Convert"):
        read_image(old_array(tmp_path / "a.zarr", dtype=dtype))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"shape": [4, -5]}, "shape is"),
        ({"shape": "4, 5"}, "shape is"),
        ({"shape": [4, 5, 6]}, "do not fit together"),
        ({"shape": [10**10, 10**10]}, "none that a computer can hold"),
        ({"chunks": [0, 5]}, "chunks is"),
        ({"chunks": [True, 5]}, "chunks is"),
        ({"fill_value": {"a": 1}}, "fill value is no number"),
        ({"dimension_separator": "//"}, "separator"),
    ],
)
def test_metadata_of_a_zarr_that_make_no_sense_are_refused(tmp_path, changes, reason):
    with pytest.raises(ImageError, match=rf"a\.zarr: its zarr metadata are damaged: .*{reason}"):
        read_image(old_array(tmp_path / "a.zarr", **changes))


def test_the_metadata_that_were_checked_are_those_that_count(tmp_path):
    path = old_array(tmp_path / "a.zarr", bytes(20))
    (path / "zarr.json").write_text("[" * 100_000)  # zarr would take this one
    assert read_image(path).shape == (4, 5)


@pytest.mark.parametrize("outside", ["../other", "/etc", 5, "a/../../other"])
def test_the_arrays_of_a_group_lie_in_it(tmp_path, outside):
    group = zarr.create_group(tmp_path / "a.zarr")
    zarr.create_array(tmp_path / "other", data=GREY)
    group.attrs["ome"] = {"multiscales": [{"datasets": [{"path": outside}]}]}
    with pytest.raises(ImageError, match=r"a\.zarr: its OME-Zarr metadata are damaged"):
        read_image(tmp_path / "a.zarr")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_chunks_are_counted_whatever_their_files_are_called(tmp_path, layout):
    path = tmp_path / "a.zarr"
    zarr.create_array(path, data=GREY + 1, chunks=(16, 16), fill_value=7, **LAYOUTS[layout])
    watch = ChunkWatch(read_image(path))
    assert watch.notes() == ()
    files = chunk_files(path)
    assert len(files) == 12
    for file in files[:2]:
        file.unlink()
    assert watch.notes() == (
        "2 of 12 chunks of a.zarr were removed while it was read, and may have been taken as grey "
        "level 7. Copy the image again and segment it again.",
    )
    (note,) = ChunkWatch(read_image(path)).notes()
    assert note.startswith("2 of 12 chunks of a.zarr are not there; they are taken as grey level 7")
    assert ChunkWatch(MicrographStack(zarr.open_array(path))).notes() == (note,)


@pytest.mark.parametrize("name", ["part.tif", "/etc/passwd", "../other.tif"])
def test_an_ome_tiff_opens_only_files_beside_it(tmp_path, name):
    os.mkfifo(tmp_path / "part.tif")
    path = tmp_path / "a.ome.tif"
    tiff(path, np.stack([GREY] * 2), metadata={"axes": "ZYX"})
    text = tifffile.tiffcomment(path)
    data = f'<TiffData IFD="0" FirstZ="1"><UUID FileName="{name}">urn:uuid:1</UUID></TiffData>'
    start = text.index("<TiffData")
    end = text.index("</Pixels>")
    tifffile.tiffcomment(path, (text[:start] + data + text[end:]).encode())
    with pytest.raises(ImageError, match="which is no file beside it"):
        read_image(path)


def test_entities_in_the_metadata_of_a_tiff_do_not_grow(tmp_path):
    path = tmp_path / "a.ome.tif"
    tiff(path, metadata={"axes": "YX"})
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 11))
    text = f'<?xml version="1.0"?><!DOCTYPE OME [<!ENTITY e0 "0123456789">{entities}]>'
    body = tifffile.tiffcomment(path).split("?>", 1)[1].replace("</OME>", "&e10;</OME>")
    tifffile.tiffcomment(path, (text + body).encode())
    with pytest.raises(ImageError, match=r"a\.ome\.tif"):
        read_image(path)
