"""Images of others: damaged, harmful or incomplete. Longer: FRACTOSEG_FUZZ=1000 pytest ..."""

import io
import json
import os
import pickle
import socket
from functools import cache

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import example, given, settings
from hypothesis import strategies as st

from napari_fractoseg.errors import ImageError
from napari_fractoseg.images import ChunkWatch, image_shape, memory, read_image, read_stack
from napari_fractoseg.images.reading import read_mask

TRIES = int(os.environ.get("FRACTOSEG_FUZZ", "60"))
LEVELS = np.arange(48 * 40, dtype=np.uint16).reshape(48, 40)


def read_all(path):
    """Read what can be read of an image, and return it; nothing but `ImageError` may come of it."""
    found = []
    for read in (image_shape, read_mask, lambda p: [m.data[...] for m in planes_of(p)]):
        try:
            found.append(read(path))
        except ImageError:
            continue
    return found


def planes_of(path):
    stack = read_image(path)
    return [stack.plane(index) for index in stack.indices()]


# ---- bytes that were changed -------------------------------------------------------------


def as_tiff(**options):
    file = io.BytesIO()
    tifffile.imwrite(file, LEVELS, **options)
    return file.getvalue()


def as_picture(suffix):
    return iio.imwrite("<bytes>", (LEVELS % 251).astype(np.uint8), extension=suffix)


@cache
def files():
    tiffs = {
        "plain.tif": as_tiff(),
        "tiles.tif": as_tiff(tile=(16, 16), compression="deflate"),
        "lzw.tif": as_tiff(compression="lzw", predictor=True, rowsperstrip=7),
        "imagej.tif": as_tiff(imagej=True, metadata={"axes": "YX", "Labels": ["SE"]}),
        "ome.tif": as_tiff(ome=True, metadata={"axes": "YX"}, photometric="miniswhite"),
    }
    return {**tiffs, **{f"a{suffix}": as_picture(suffix) for suffix in (".png", ".jpg", ".bmp")}}


@st.composite
def changed(draw):
    """Name and bytes of an image of which some bytes are others, or the end is missing."""
    name = draw(st.sampled_from(sorted(files())))
    data = bytearray(files()[name])
    # The first bytes are the header, where damage does most.
    place = st.integers(0, min(len(data), 400) - 1) | st.integers(0, len(data) - 1)
    for at, value in draw(st.lists(st.tuples(place, st.integers(0, 255)), max_size=6)):
        data[at] = value
    length = draw(st.just(len(data)) | st.integers(0, len(data)))
    return name, bytes(data[:length])


@settings(max_examples=TRIES)
@given(changed())
def test_changed_bytes_are_read_or_refused(tmp_path_factory, file):
    name, data = file
    path = tmp_path_factory.mktemp("changed") / name
    path.write_bytes(data)
    read_all(path)


# ---- zarr: metadata that were changed -----------------------------------------------------

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([10**9, 10**30, 1.5, float("nan"), "", "pickle", "|O", "<M8[s]", "x" * 300]),
    st.lists(st.integers(-1, 10**6), max_size=4),
    st.dictionaries(st.sampled_from(["id", "name", "configuration"]), st.text(max_size=5)),
)


def put(node, path, value):
    *parents, last = path
    for key in parents:
        node = node[key]
    node[last] = value


def paths_in(node, start=()):
    """Yield the place of each entry in JSON."""
    entries = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in entries:
        yield (*start, key)
        if isinstance(value, dict | list):
            yield from paths_in(value, (*start, key))


@pytest.fixture(scope="module", params=[2, 3])
def ome_zarr(request, tmp_path_factory):
    """An OME-Zarr with axes and a scale, and the names of its files of metadata."""
    folder = tmp_path_factory.mktemp("ome") / "a.zarr"
    group = zarr.create_group(folder, zarr_format=request.param)
    array = group.create_array("0", shape=(48, 40), chunks=(16, 40), dtype="u2")
    array[...] = LEVELS
    axes = [{"name": n, "type": "space", "unit": "micrometer"} for n in "yx"]
    scale = [{"type": "scale", "scale": [0.5, 0.5]}]
    sets = [{"path": "0", "coordinateTransformations": scale}]
    metadata = {"multiscales": [{"version": "0.4", "axes": axes, "datasets": sets}]}
    group.attrs.update(metadata if request.param == 2 else {"ome": {"version": "0.5", **metadata}})
    names = ("zarr.json", "0/zarr.json") if request.param == 3 else (".zattrs", "0/.zarray")
    return folder, names


@settings(max_examples=TRIES)
@given(data=st.data())
def test_changed_metadata_of_zarr_are_read_or_refused(ome_zarr, data):
    folder, names = ome_zarr
    file = folder / data.draw(st.sampled_from(names))
    before = file.read_bytes()
    try:
        node = json.loads(before)
        for path in data.draw(st.lists(st.sampled_from(list(paths_in(node))), max_size=2)):
            try:
                put(node, path, data.draw(ODD))
            except (TypeError, LookupError):  # the first change took its place away
                continue
        file.write_text(json.dumps(node))
        read_all(folder)
    finally:
        file.write_bytes(before)


@pytest.mark.parametrize("damage", [b"", b"\x00", b"no chunk at all"])
def test_damaged_chunks_are_refused_when_they_are_read(tmp_path, damage):
    array = zarr.create_array(tmp_path / "a.zarr", shape=(48, 40), chunks=(16, 40), dtype="u2")
    array[...] = LEVELS
    pixels = read_image(tmp_path / "a.zarr").data
    (tmp_path / "a.zarr" / "c" / "1" / "0").write_bytes(damage)
    assert pixels[0, 1] == 1
    with pytest.raises(ImageError, match=r"a\.zarr cannot be read"):
        pixels[16:20]


# ---- code of others ------------------------------------------------------------------------


class Harm:
    """Makes a file when it is unpickled."""

    def __init__(self, mark):
        self.mark = str(mark)

    def __reduce__(self):
        return open, (self.mark, "w")


@pytest.mark.parametrize(
    "filters", [[{"id": "pickle", "protocol": 5}], [{"id": "vlen-utf8"}, {"id": "pickle"}], []]
)
@pytest.mark.parametrize("dtype", ["|O", "<u2"])
@pytest.mark.parametrize("read", [read_image, read_mask, image_shape])
def test_no_pickle_of_a_zarr_is_opened(tmp_path, filters, dtype, read):
    mark, folder = tmp_path / "mark", tmp_path / "a.zarr"
    folder.mkdir()
    node = {"zarr_format": 2, "shape": [4, 4], "chunks": [4, 4], "dtype": dtype, "order": "C"}
    node |= {"fill_value": 0, "filters": filters or None, "compressor": None}
    if not filters:
        if dtype != "|O":
            node["compressor"] = {"id": "pickle"}
        else:
            node["fill_value"] = None
    (folder / ".zarray").write_text(json.dumps(node))
    (folder / "0.0").write_bytes(pickle.dumps(Harm(mark)))
    with pytest.raises(ImageError, match="which (are|is) no"):
        np.asarray(read(folder).data[...])
    assert not mark.exists()


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("data_type", "string"),
        ("data_type", {"name": "numpy.datetime64", "configuration": {"unit": "s"}}),
        ("data_type", "complex64"),
        ("codecs", [{"name": "vlen-utf8"}]),
        ("codecs", [{"name": "numcodecs.pickle"}]),
    ],
)
def test_what_is_no_number_is_not_opened(tmp_path, entry, value):
    zarr.create_array(tmp_path / "a.zarr", shape=(4, 4), dtype="u2")
    file = tmp_path / "a.zarr" / "zarr.json"
    file.write_text(json.dumps(json.loads(file.read_bytes()) | {entry: value}))
    with pytest.raises(ImageError, match=r"no grey levels or labels|no codec of numbers"):
        read_image(tmp_path / "a.zarr")


# ---- chunks that are not there -------------------------------------------------------------


def sparse(folder, **options):
    array = zarr.create_array(folder, shape=(64, 48), chunks=(16, 16), dtype="u1", **options)
    array[...] = 7
    return folder


def notes_of(folder, meanwhile=lambda: None):
    watch = ChunkWatch(read_image(folder))
    meanwhile()
    return watch.notes()


@pytest.mark.parametrize(
    "options", [{}, {"zarr_format": 2}, {"shards": (32, 48)}, {"fill_value": 3}]
)
def test_chunks_that_are_not_there_are_counted(tmp_path, options):
    folder = sparse(tmp_path / "a.zarr", **options)
    assert notes_of(folder) == ()
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name[0].isdecimal())
    total = len(files)
    files[0].unlink()
    (note,) = notes_of(folder)
    value = options.get("fill_value", 0)
    assert note.startswith(
        f"1 of {total} chunks of a.zarr are not there; they are taken as grey level {value}."
    )
    (note,) = notes_of(folder, meanwhile=files[1].unlink)
    assert note.startswith(f"1 of {total} chunks of a.zarr were removed while it was read")


def test_of_a_channel_only_its_own_chunks_count(tmp_path):
    array = zarr.create_array(
        tmp_path / "a.zarr",
        shape=(2, 32, 32),
        chunks=(1, 16, 16),
        dtype="u1",
        dimension_names=["c", "y", "x"],
    )
    array[0] = 5
    assert ChunkWatch(read_image(tmp_path / "a.zarr", channel=0)).notes() == ()
    (note,) = ChunkWatch(read_image(tmp_path / "a.zarr", channel=1)).notes()
    assert note.startswith("4 of 4 chunks")


# ---- sizes that no computer has ------------------------------------------------------------


def declared_tiff(width, length):
    """TIFF of a few bytes that says it has this size, in one compressed strip."""
    file = io.BytesIO()
    tifffile.imwrite(file, np.zeros((8, 8), np.uint8), compression="zlib", rowsperstrip=8)
    file.seek(0)
    with tifffile.TiffFile(file) as tif:
        places = {t.name: t.valueoffset for t in tif.pages.first.tags}
        size = {"ImageWidth": width, "ImageLength": length, "RowsPerStrip": length}
        data = bytearray(file.getvalue())
        for name, value in size.items():
            entry = places[name]
            n_bytes = 2 if tif.pages.first.tags[name].dtype == 3 else 4
            data[entry : entry + n_bytes] = value.to_bytes(n_bytes, "little")
    return bytes(data)


def declared_png(width, height):
    """PNG of a few bytes that says it has this size."""
    import zlib

    head = b"IHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\0\0\0\0"
    body = b"IDAT" + zlib.compress(b"\0")
    chunks = (head, body, b"IEND")
    parts = ((len(c) - 4).to_bytes(4, "big") + c + zlib.crc32(c).to_bytes(4, "big") for c in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize(
    ("name", "data"),
    [("a.png", declared_png(10**6, 10**6)), ("a.tif", declared_tiff(65535, 65535))],
)
def test_a_size_that_a_file_cannot_have_is_refused(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ImageError, match=r"of memory, but the file has only .* it says is wrong"):
        planes_of(tmp_path / name)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_memory_is_asked_for_before_an_image_takes_it(tmp_path, name, monkeypatch):
    blank = np.zeros((9000, 9000), np.uint8)
    options = {"compression": "zlib", "rowsperstrip": 9000} if name == "a.tif" else {}
    iio.imwrite(tmp_path / name, blank, **options)
    assert read_image(tmp_path / name).shape == (9000, 9000)
    monkeypatch.setattr(memory, "free_memory", lambda: 2**26)
    with pytest.raises(ImageError, match=r"would take \d+ MB of memory, of which 64 MB are free"):
        planes_of(tmp_path / name)


def test_a_chunk_must_fit_into_the_memory(tmp_path):
    zarr.create_array(tmp_path / "a.zarr", shape=(10**9, 10**9), chunks=(10**6, 10**6), dtype="u1")
    with pytest.raises(ImageError, match=r"reading one of its chunks would take 18\d\d\.\d GB"):
        read_image(tmp_path / "a.zarr")


def test_large_pictures_need_no_permission_of_pillow(tmp_path):
    path = tmp_path / "mosaic.png"
    iio.imwrite(path, np.zeros((14_000, 14_000), np.uint8))  # more than Pillow likes
    assert image_shape(path)[0] == (14_000, 14_000)


# ---- several images in one file ------------------------------------------------------------


def test_pages_of_several_sizes_are_not_taken_for_one_image(tmp_path):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as tif:
        tif.write(LEVELS)
        tif.write(LEVELS[:20, :30])
    with pytest.raises(ImageError, match=r"2 images of different .*: 40 x 48 px .*, 30 x 20 px"):
        read_image(path)


def test_a_smaller_copy_is_no_second_image(tmp_path):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as tif:
        tif.write(LEVELS)
        tif.write(LEVELS[::2, ::2], subfiletype=1)
    (plane,) = planes_of(path)
    np.testing.assert_array_equal(plane.data, LEVELS)


# ---- what is no file -----------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.zarr", "a.bmp"])
def test_pipes_are_not_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(ImageError, match="is no file but a pipe or device"):
        read_image(tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_pipes_inside_a_zarr_are_not_waited_for(tmp_path):
    folder = sparse(tmp_path / "a.zarr")
    (folder / "c" / "0" / "0").unlink()
    os.mkfifo(folder / "c" / "0" / "0")
    pixels = read_image(folder).data
    with pytest.raises(ImageError, match="c/0/0 in it is no file but a pipe or device"):
        pixels[...]
    (folder / "zarr.json").unlink()
    os.mkfifo(folder / "zarr.json")
    with pytest.raises(ImageError, match=r"a\.zarr"):
        read_image(folder)


def test_sockets_and_links_to_nowhere_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # names of sockets are short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("a.tif")
        with pytest.raises(ImageError, match="is no file but a pipe or device"):
            read_image("a.tif")
    (tmp_path / "b.tif").symlink_to("b.tif")
    (tmp_path / "c.tif").symlink_to("nowhere.tif")
    for name in ("b.tif", "c.tif"):
        with pytest.raises(ImageError, match="leads nowhere"):
            read_image(name)


def test_a_picture_that_starts_a_program_is_none(tmp_path):
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    with pytest.raises(ImageError, match="damaged, incomplete or no image"):
        read_image(tmp_path / "a.png")


@example(b"")
@settings(max_examples=30)
@given(st.binary(max_size=60))
def test_any_bytes_in_a_folder_of_planes_are_read_or_refused(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("planes")
    (folder / "1.png").write_bytes(files()["a.png"])
    (folder / "2.png").write_bytes(data)
    with pytest.raises(ImageError, match=r"2\.png"):
        read_stack(folder).plane((1,)).data[...]
