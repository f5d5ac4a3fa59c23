import shlex
from pathlib import Path

import numpy as np
import pytest

from napari_fractoseg.annotations.options import AnnotationOptions
from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.datasets.dataset import TrainingPair, TrainingSet
from napari_fractoseg.datasets.export import (
    label_folders,
    training_command,
    write_training_folder,
)
from napari_fractoseg.datasets.sources import read_training_sets
from napari_fractoseg.errors import OutputError, OutputExistsError, TrainingError
from napari_fractoseg.images import Micrograph


def pair(name, seed, value=1, dtype=np.uint8, group=""):
    rng = np.random.default_rng(seed)
    image = (rng.random((20, 30)) * 200).astype(dtype)
    labels = np.where(rng.random((20, 30)) < 0.3, value, 0).astype(np.uint8)
    return TrainingPair(Micrograph(image, name=name), labels, group=group)


def test_what_was_written_is_read_again(tmp_path):
    scheme = DEFAULT_SCHEME.with_names(["dimples"])
    first = pair("s17: plane 1/2", 0, dtype=np.float32, group="s17")
    checked = TrainingPair(first.image, pair("", 1, value=4).labels, group="s17")
    pairs = (first, checked, pair("s17: plane 1?2", 2, 2, np.uint16), pair("..", 3))
    write_training_folder(TrainingSet(pairs, scheme), tmp_path / "run")
    images, labels = zip(*label_folders(tmp_path / "run"), strict=True)
    again = read_training_sets(images, labels)
    assert again.scheme == scheme
    found = {(p.image_digest, p.labels.tobytes(), p.group or p.name) for p in again.pairs}
    assert found == {(p.image_digest, p.labels.tobytes(), p.group or p.name) for p in pairs}
    assert [labels.name for _, labels in label_folders(tmp_path / "run")] == ["labels", "labels_2"]


def test_nothing_is_overwritten(tmp_path):
    training_set = TrainingSet((pair("a", 0),))
    write_training_folder(training_set, tmp_path)
    with pytest.raises(OutputExistsError, match="images exists already"):
        write_training_folder(training_set, tmp_path)


def test_folders_appear_complete_or_not_at_all(tmp_path):
    resource = pytest.importorskip("resource")
    small, large = pair("a", 0), Micrograph(np.ones((500, 500), np.uint8), name="b")
    training_set = TrainingSet((small, TrainingPair(large, np.ones((500, 500), np.uint8))))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))  # as on a full disk
    try:
        with pytest.raises(OutputError, match="cannot be written"):
            write_training_folder(training_set, tmp_path / "run")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list((tmp_path / "run").iterdir()) == []
    write_training_folder(training_set, tmp_path / "run")


def test_names_that_are_not_utf_8_are_written(tmp_path):
    write_training_folder(TrainingSet((pair("5\udcb5m", 0),)), tmp_path)
    (again,) = read_training_sets([tmp_path / "images"], [tmp_path / "labels"]).pairs
    assert (again.name, again.group) == ("5 m", "5\udcb5m")


def test_the_command_names_everything(tmp_path):
    write_training_folder(TrainingSet((pair("a", 0),)), tmp_path / "my run")
    command = training_command(
        tmp_path / "my run", Path("out dir"), plan=Path("plan.json"), start="fracture-modes",
        classes=("intergranular", "own class"), sources=[(Path("more"), Path("via.json"))],
        name="mine",
    )  # fmt: skip
    words = shlex.split(command)
    assert words[:2] == ["fractoseg", "train"]
    assert words.count("--images") == words.count("--labels") == 2
    assert str(tmp_path / "my run" / "labels") in words
    for option, value in {
        "--classes": "intergranular,own class", "--from": "fracture-modes", "-o": "out dir",
        "--name": "mine", "--plan": "plan.json",
    }.items():  # fmt: skip
        assert words[words.index(option) + 1] == value


def test_the_command_has_the_options_of_the_annotations(tmp_path):
    options = AnnotationOptions("mode", several="first", skip_unclassified=True)
    write_training_folder(TrainingSet((pair("a", 0),)), tmp_path)
    command = training_command(
        tmp_path, Path("out"), plan=Path("plan.json"), start=None, classes=("a",),
        annotations=options,
    )  # fmt: skip
    words = shlex.split(command)
    chosen = words[words.index("--attribute") : words.index("-o")]
    assert chosen == ["--attribute", "mode", "--several", "first", "--skip-unclassified"]


def test_groups_that_cannot_be_read_are_named(tmp_path):
    write_training_folder(TrainingSet((pair("a", 0),)), tmp_path)
    (tmp_path / "images" / "groups.json").write_text("[1")
    with pytest.raises(TrainingError, match=r"groups.json is not of the form"):
        read_training_sets([tmp_path / "images"], [tmp_path / "labels"])
