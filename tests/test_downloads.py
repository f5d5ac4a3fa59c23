"""Downloads that are watched and stopped; what they check is tested with their users."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from napari_fractoseg.downloads import fetch_file_job
from napari_fractoseg.errors import DownloadError
from napari_fractoseg.jobs import drain

MB = 10**6


class _Trickle(BaseHTTPRequestHandler):
    """Sends 64 kB again and again, slowly, until nobody listens."""

    def log_message(self, *args):
        """Say nothing."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(1000 * MB))
        self.end_headers()
        try:
            while True:
                self.wfile.write(bytes(2**16))
                time.sleep(0.01)
        except OSError:
            self.server.broken_off.set()


@pytest.fixture
def endless():
    with ThreadingHTTPServer(("127.0.0.1", 0), _Trickle) as server:
        server.broken_off = threading.Event()
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_download_says_how_far_it_is_and_can_be_stopped(endless, tmp_path):
    url = f"http://127.0.0.1:{endless.server_port}/weights.bin"
    job = fetch_file_job(url, tmp_path / "weights.bin", None, remedy="Wait.")
    texts = {next(job).message for _ in range(5)}
    assert any(text.endswith(" of 1000 MB") for text in texts)
    job.close()
    assert endless.broken_off.wait(30)
    for thread in threading.enumerate():
        if thread.name.startswith("download"):
            thread.join(30)
    assert list(tmp_path.iterdir()) == []


def test_the_result_is_the_file(web_server, tmp_path):
    content = b"x" * MB
    (web_server.folder / "a").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    job = fetch_file_job(f"{web_server.url}/a", tmp_path / "new" / "a", digest, remedy="Wait.")
    assert drain(job).read_bytes() == content


def test_errors_reach_the_one_who_waits(web_server, tmp_path):
    job = fetch_file_job(f"{web_server.url}/a", tmp_path / "a", None, remedy="Ask for it.")
    with pytest.raises(DownloadError, match=r"a could not be fetched: .* answered 404\. Ask for"):
        drain(job)


def test_what_killed_downloads_left_is_removed_a_day_later(web_server, tmp_path):
    (web_server.folder / "weights.bin").write_bytes(b"x")
    cache = tmp_path / "cache"
    cache.mkdir()
    for name in ("tmp1a_bcdef", "tmp2a_bcdef", "tmp.bin", "other.bin"):
        (cache / name).write_bytes(b"part")
        if name != "tmp2a_bcdef":
            long_ago = time.time() - 25 * 3600
            os.utime(cache / name, (long_ago, long_ago))
    url = f"{web_server.url}/weights.bin"
    drain(fetch_file_job(url, cache / "weights.bin", None, remedy="Wait."))
    assert sorted(p.name for p in cache.iterdir()) == [
        "other.bin", "tmp.bin", "tmp2a_bcdef", "weights.bin",
    ]  # fmt: skip


def test_a_pipe_in_the_cache_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "weights.bin")
    job = fetch_file_job("http://127.0.0.1:9/x", tmp_path / "weights.bin", "0" * 64, remedy="Wait.")
    with pytest.raises(DownloadError, match=r"weights\.bin is a folder or pipe .*Remove it"):
        drain(job)
