import pickle

import pytest

from napari_fractoseg.errors import AnnotationError, ImageError


def test_what_would_help_comes_along_from_another_process_and_with_the_place():
    error = pickle.loads(pickle.dumps(ImageError("2 channels.", options=("channel",))))  # noqa: S301
    assert (str(error), error.options) == ("2 channels.", ("channel",))
    moved = AnnotationError("no value.", options=("skip_unclassified",)).at("via.json")
    assert (str(moved), moved.options) == ("via.json: no value.", ("skip_unclassified",))
    with pytest.raises(AnnotationError, match=r"^via\.json: no value\.$"):
        raise moved
