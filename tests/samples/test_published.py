import hashlib
import re
import socket

import pytest

from napari_fractoseg.errors import DownloadError
from napari_fractoseg.samples.published import BASE_URL, PUBLISHED_IMAGES, fetch_published

CONTENT = b"not really a micrograph"
REGISTRY = {"a.jpg": "sha256:" + hashlib.sha256(CONTENT).hexdigest()}


@pytest.fixture
def server(web_server):
    """A web server that holds one file, a.jpg."""
    (web_server.folder / "a.jpg").write_bytes(CONTENT)
    return web_server


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def test_a_file_is_fetched_once_and_then_taken_from_the_cache(server, cache):
    path = fetch_published("a.jpg", server.url, cache, REGISTRY)
    assert path == cache / "a.jpg"
    assert path.read_bytes() == CONTENT
    assert fetch_published("a.jpg", server.url, cache, REGISTRY) == path
    assert server.asked == ["/a.jpg"]


def test_address_and_cache_come_from_the_environment(server, cache, monkeypatch):
    monkeypatch.setenv("FRACTOSEG_SAMPLES_URL", server.url + "/")
    monkeypatch.setenv("FRACTOSEG_CACHE", str(cache))
    assert fetch_published("a.jpg", registry=REGISTRY) == cache / "a.jpg"


def test_a_damaged_file_in_the_cache_is_fetched_again(server, cache):
    fetch_published("a.jpg", server.url, cache, REGISTRY).write_bytes(b"cut off")
    assert fetch_published("a.jpg", server.url, cache, REGISTRY).read_bytes() == CONTENT


def test_another_file_than_expected_is_refused_and_not_kept(server, cache):
    (server.folder / "a.jpg").write_bytes(b"something else")
    message = rf"a\.jpg, fetched from {re.escape(server.url)}/a\.jpg, is not the expected file.*"
    with pytest.raises(DownloadError, match=message + "should not be trusted"):
        fetch_published("a.jpg", server.url, cache, REGISTRY)
    assert list(cache.iterdir()) == []


def test_a_missing_file_is_named_with_address_and_status(server, cache):
    (server.folder / "a.jpg").unlink()
    message = rf"{re.escape(server.url)}/a\.jpg answered 404\. .*FRACTOSEG_SAMPLES_URL"
    with pytest.raises(DownloadError, match=message):
        fetch_published("a.jpg", server.url, cache, REGISTRY)


def test_without_connection_the_message_says_so(cache):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    message = rf"a\.jpg .* from http://127\.0\.0\.1:{port}/a\.jpg: no connection\. Check the net"
    with pytest.raises(DownloadError, match=message):
        fetch_published("a.jpg", f"http://127.0.0.1:{port}", cache, REGISTRY)


def test_a_cache_that_cannot_be_written_is_named(server, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DownloadError, match=r"could not be stored in .*file.*FRACTOSEG_CACHE"):
        fetch_published("a.jpg", server.url, tmp_path / "file" / "cache", REGISTRY)


def test_an_unknown_name_is_answered_with_the_known_ones(cache):
    message = r"no published image 'x\.jpg'\. Choose one of s4_10\.jpg, s4_2\.jpg, .*t16_4\.jpg"
    with pytest.raises(DownloadError, match=message):
        fetch_published("x.jpg", cache=cache)


def test_published_images_have_hashes_and_a_pinned_secure_address():
    assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", h) for h in PUBLISHED_IMAGES.values())
    assert re.match(r"https://raw\.githubusercontent\.com/.*/[0-9a-f]{40}/test_dataset/$", BASE_URL)


@pytest.mark.shared_data
def test_hashes_are_those_of_the_images_kept_beside_the_project(shared_data):
    for name, expected in PUBLISHED_IMAGES.items():
        content = (shared_data / "fracture" / "images" / name).read_bytes()
        assert "sha256:" + hashlib.sha256(content).hexdigest() == expected


@pytest.mark.shared_data
def test_the_real_images_pass_through_a_server_of_their_own(shared_data, cache, web_server):
    content = (shared_data / "fracture" / "images" / "t16_4.jpg").read_bytes()
    (web_server.folder / "t16_4.jpg").write_bytes(content)
    assert fetch_published("t16_4.jpg", web_server.url, cache).read_bytes() == content
