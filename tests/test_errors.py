import pickle

import pytest

from napari_fractoseg.errors import (
    AnnotationError,
    FractosegError,
    ImageError,
    ModelError,
    translated,
)


def test_what_would_help_comes_along_from_another_process_and_with_the_place():
    error = pickle.loads(pickle.dumps(ImageError("2 channels.", options=("channel",))))  # noqa: S301
    assert (str(error), error.options) == ("2 channels.", ("channel",))
    moved = AnnotationError("no value.", options=("skip_unclassified",)).at("via.json")
    assert (str(moved), moved.options) == ("via.json: no value.", ("skip_unclassified",))
    with pytest.raises(AnnotationError, match=r"^via\.json: no value\.$"):
        raise moved


@pytest.mark.parametrize("error", [ZeroDivisionError("by zero"), MemoryError(), RecursionError()])
def test_any_error_of_a_library_becomes_one_of_ours_with_its_cause(error):
    with (
        pytest.raises(ImageError, match=r"^a\.tif is damaged: .+\. Export it again\.$") as raised,
        translated(ImageError, "a.tif is damaged", "Export it again."),
    ):
        raise error
    assert raised.value.__cause__ is error


def test_errors_of_ours_and_interruptions_pass_as_they_are():
    for error in (ModelError("no model"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as raised, translated(ImageError, "a.tif is damaged"):
            raise error
        assert raised.value is error


def test_messages_hold_no_command_for_a_terminal():
    error = FractosegError("grains \x1b]0;owned\x07\nof 5\udcb5m.png")
    assert str(error) == "grains \\x1b]0;owned\\x07\nof 5\\xb5m.png"
