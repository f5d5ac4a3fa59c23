import imageio.v3 as iio
import numpy as np
import pytest

from napari_fractoseg.annotations import AnnotatedImage
from napari_fractoseg.annotations.image_lookup import ImageLookup, name_parts


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


def put(path, value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    iio.imwrite(path, np.full((4, 5), value, np.uint8))
    return path.resolve()


def find(root, filename, size=-1):
    return ImageLookup.scan(root).find(AnnotatedImage(filename, size=size))


@pytest.mark.parametrize(
    ("filename", "parts"),
    [
        ("a.png", ("a.png",)),
        ("x/a.png", ("x", "a.png")),
        ("/etc/x/a.png", ("etc", "x", "a.png")),
        ("../../a.png", ("a.png",)),
        ("C:\\data\\a.png", ("data", "a.png")),
        ("https://example.org/p/a%20b.png?size=2", ("p", "a b.png")),
        ("", ()),
        ("..", ()),
        ("https://example.org/", ()),
        ("http://[x/a.png", ("http:", "[x", "a.png")),
        ("file://[C:\\x\\a%20b.png", ("file:", "[C:", "x", "a%20b.png")),
    ],
)
def test_names_paths_and_urls(filename, parts):
    assert name_parts(filename) == parts


def test_images_beside_and_in_subfolders(root):
    beside, below = put(root / "a.png"), put(root / "sem" / "day 2" / "b.png")
    assert find(root, "a.png") == beside
    assert find(root, "/home/me/b.png") == below
    assert find(root, "c.png") is None


@pytest.mark.parametrize("name", ["C:1.png", "a\\b.png", "www.a.png?x=1.png"])
def test_a_name_that_looks_like_a_path_is_found_as_it_is(root, name):
    path = put(root / name)
    put(root / "1.png")
    put(root / "b.png")
    assert find(root, name) == path


def test_another_suffix_of_the_same_stem(root):
    path = put(root / "a.tif")
    assert find(root, "a.jpg") == path


def test_the_folders_of_the_name_decide_between_equal_names(root):
    put(root / "one" / "a.png")
    two = put(root / "two" / "a.png")
    assert find(root, "data/two/a.png") == two
    assert find(root, "a.png") is None
    beside = put(root / "a.png")
    assert find(root, "a.png") == beside


def test_the_size_decides_between_equal_names(root):
    put(root / "one" / "a.png")
    two = root / "two" / "a.png"
    two.parent.mkdir()
    iio.imwrite(two, np.arange(200, dtype=np.uint8).reshape(10, 20))
    assert find(root, "a.png", size=two.stat().st_size) == two.resolve()


def test_nothing_outside_is_found(root):
    secret = put(root.parent / "secret.png")
    (root / "link.png").symlink_to(secret)
    (root / "folder").symlink_to(root.parent, target_is_directory=True)
    for name in (str(secret), "../secret.png", "..\\secret.png", "link.png", "folder/secret.png"):
        assert find(root, name) is None


def test_links_out_of_a_folder_count_if_somebody_named_it(root):
    elsewhere = put(root.parent / "elsewhere.png")
    (root / "a.png").symlink_to(elsewhere)
    lookup = ImageLookup.scan(root, follow_links=True)
    assert lookup.find(AnnotatedImage("a.png")) == root.resolve() / "a.png"
    assert find(root, "a.png") is None


def test_a_subfolder_can_be_left_out(root):
    put(root / "masks" / "a.png")
    image = put(root / "a.tif")
    assert ImageLookup.scan(root, without=root / "masks").paths == (image,)


def test_other_files_hidden_ones_and_deep_folders_are_not_searched(root):
    put(root / ".cache" / "a.png")
    put(root / "1" / "2" / "3" / "4" / "b.png")
    (root / "via.json").write_text("{}")
    folder = ImageLookup.scan(root)
    assert folder.paths == ()
    assert folder.is_complete


def test_too_many_files_are_not_searched(root, monkeypatch):
    monkeypatch.setattr("napari_fractoseg.annotations.image_lookup.MAX_FILES", 3)
    for number in range(5):
        put(root / f"{number}.png")
    assert not ImageLookup.scan(root).is_complete


def test_a_name_that_is_no_url_is_a_path(root):
    path = put(root / "a.png")
    assert find(root, "http://[x/a.png") == path


def test_a_size_of_thousands_of_digits_is_none(root):
    path = put(root / "a.png")
    assert find(root, "a.png", size="9" * 5000) == path


def test_all_files_that_fit_equally_well_are_candidates(root):
    one, two = put(root / "train" / "a.png"), put(root / "val" / "a.png")
    put(root / "deep" / "er" / "a.png")
    folder = ImageLookup.scan(root)
    assert folder.candidates(AnnotatedImage("a.png")) == (one, two)
    assert folder.candidates(AnnotatedImage("a.jpg")) == (one, two)
    assert folder.candidates(AnnotatedImage("x/val/a.png")) == (two,)
    assert folder.candidates(AnnotatedImage("b.png")) == ()
    assert folder.candidates(AnnotatedImage("")) == ()


def test_files_are_gone_through_once_for_names_and_once_for_stems(root):
    class Counted(tuple):
        n_iterations = 0

        def __iter__(self):
            Counted.n_iterations += 1
            return super().__iter__()

    paths = tuple(put(root / f"{number}.png") for number in range(3))
    folder = ImageLookup(root, Counted(paths))
    for _ in range(2):
        for number, path in enumerate(paths):
            assert folder.find(AnnotatedImage(f"{number}.png")) == path
            assert folder.find(AnnotatedImage(f"{number}.jpg")) == path
    assert Counted.n_iterations == 2
    assert folder == ImageLookup(root, paths)
