"""What labels say of where they come from."""

import json

import numpy as np
import pytest
import tifffile
import zarr

from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.images.calibration.written import own_entries
from napari_fractoseg.jobs import drain
from napari_fractoseg.results.label_writer import ZarrLabels
from napari_fractoseg.results.record import (
    LabelRecord,
    Origin,
    labels_digest,
    origin_of,
    read_record,
)
from napari_fractoseg.results.tiff import tiff_job, write_tiff

LABELS = np.array([[1, 2, 3, 0]] * 6, np.uint8)


def record_of(labels):
    return LabelRecord(
        "fracture modes",
        "0123abcd",
        "s17_3",
        DEFAULT_SCHEME.with_palette("colour-blind-safe"),
        labels_digest(labels),
        planes=[[0], [2]],
    )


class TestDigest:
    @pytest.mark.parametrize("dtype", [np.uint16, np.uint32, np.int64, ">u2"])
    def test_the_type_does_not_matter(self, dtype):
        assert labels_digest(LABELS.astype(dtype)) == labels_digest(LABELS)

    def test_axes_of_length_one_do_not_matter(self):
        assert labels_digest(LABELS[None, :, None]) == labels_digest(LABELS)

    def test_values_and_shape_matter(self):
        changed = LABELS.copy()
        changed[5, 3] = 1
        digests = {labels_digest(a) for a in (LABELS, changed, LABELS.reshape(4, 6), LABELS.T)}
        assert len(digests) == 4

    def test_values_are_not_wrapped_around(self):
        large = LABELS.astype(np.int32)
        large[0, 0] += 256
        assert labels_digest(large) == ""
        assert labels_digest(-LABELS.astype(np.int32)) == ""
        assert labels_digest(LABELS.astype(float)) == ""

    @pytest.mark.parametrize("shape", [(2100, 30), (3, 1030, 20)])
    def test_arrays_on_disk_and_views_have_the_hash_of_the_array(self, tmp_path, shape):
        labels = np.random.default_rng(0).integers(0, 4, shape, dtype=np.uint8)
        on_disk = zarr.create_array(tmp_path / "a.zarr", data=labels)
        view = np.repeat(labels, 2, axis=-1)[..., ::2]
        assert labels_digest(on_disk) == labels_digest(view) == labels_digest(labels)


class TestOrigin:
    def test_as_recorded_changed_or_unknown(self):
        record, changed = record_of(LABELS), LABELS.copy()
        changed[0, 0] = 2
        assert origin_of(LABELS.astype(np.uint32), record) is Origin.PREDICTION
        assert origin_of(changed, record) is Origin.CHANGED
        assert origin_of(LABELS, None) is Origin.UNKNOWN
        assert origin_of(LABELS, record.of("")) is Origin.UNKNOWN


class TestFiles:
    def test_a_tiff_keeps_the_record_in_its_description(self, tmp_path):
        record = record_of(LABELS)
        write_tiff(tmp_path / "any name.tif", LABELS, DEFAULT_SCHEME, record)
        assert read_record(tmp_path / "any name.tif") == record
        with tifffile.TiffFile(tmp_path / "any name.tif") as tif:
            assert tif.is_ome
            said = own_entries(tif.pages.first.description)
        assert said["classes"]["2"] == "transgranular"
        assert said["fractoseg"]["model_name"] == "fracture modes"
        np.testing.assert_array_equal(tifffile.imread(tmp_path / "any name.tif"), LABELS)

    def test_a_tiff_that_is_written_tile_by_tile_keeps_it_too(self, tmp_path):
        record = record_of(LABELS)
        drain(tiff_job(tmp_path / "a.tif", LABELS, DEFAULT_SCHEME, record))
        assert read_record(tmp_path / "a.tif") == record

    def test_a_zarr_group_keeps_it_in_its_attributes(self, tmp_path):
        record = record_of(LABELS)
        group = ZarrLabels(tmp_path / "a.zarr", {"shape": [6, 4], "dtype": "uint8"}, anew=True)
        group.array[...] = LABELS
        group.describe("a", tmp_path / "a.tif", DEFAULT_SCHEME, None, record)
        group.finish()
        assert read_record(tmp_path / "a.zarr") == record

    def test_what_another_program_saves_over_it_says_nothing(self, tmp_path):
        write_tiff(tmp_path / "a_labels.tif", LABELS, DEFAULT_SCHEME, record_of(LABELS))
        tifffile.imwrite(tmp_path / "a_labels.tif", LABELS.astype(np.uint32))
        assert read_record(tmp_path / "a_labels.tif") is None

    def test_a_cut_off_file_says_nothing_or_what_it_said(self, tmp_path):
        record = record_of(LABELS)
        write_tiff(tmp_path / "a.tif", LABELS, DEFAULT_SCHEME, record)
        whole, found = (tmp_path / "a.tif").read_bytes(), set()
        for length in range(len(whole)):
            (tmp_path / "cut.tif").write_bytes(whole[:length])
            found.add(read_record(tmp_path / "cut.tif") is None)
            assert read_record(tmp_path / "cut.tif") in (None, record)
        assert True in found

    @pytest.mark.parametrize(
        "description",
        [
            "",
            "ImageJ=1.54\nimages=1",
            '"fractoseg"',
            '{"fractoseg"',
            '{"fractoseg": []}',
            '{"fractoseg": {}}',
            '{"fractoseg": {"scheme": 3, "model_name": 1}}',
            "<OME note='\"fractoseg\"'/>",
        ],
    )
    def test_foreign_descriptions_say_nothing(self, tmp_path, description):
        tifffile.imwrite(tmp_path / "a.tif", LABELS, description=description, metadata=None)
        assert read_record(tmp_path / "a.tif") is None

    def test_a_record_of_a_newer_program_is_not_misunderstood(self):
        said = record_of(LABELS).to_dict()
        assert LabelRecord.from_dict(json.loads(json.dumps(said))) == record_of(LABELS)
        assert LabelRecord.from_dict({**said, "record": 2}) is None
        assert LabelRecord.from_dict({**said, "something new": 1}) == record_of(LABELS)

    def test_what_is_no_label_file_says_nothing(self, tmp_path):
        (tmp_path / "notes.tif").write_text("none")
        for path in (tmp_path, tmp_path / "none.tif", tmp_path / "notes.tif", tmp_path / "a.png"):
            assert read_record(path) is None
