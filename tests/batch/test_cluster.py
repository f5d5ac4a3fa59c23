"""Processes of Dask: the same result as in one process, also when one of them is killed."""

from __future__ import annotations

import asyncio
import concurrent.futures
import ipaddress
import os
import signal
import urllib.error
import urllib.request
from contextlib import closing
from dataclasses import replace

import distributed
import numpy as np
import psutil
import pytest
import torch
import zarr

from napari_fractoseg import batch
from napari_fractoseg.batch.cluster import dask_workers, local_workers, tls_security
from napari_fractoseg.batch.executors import Unit, Units, result_of, work_through
from napari_fractoseg.errors import ClusterError
from napari_fractoseg.jobs import drain
from napari_fractoseg.models.card import Inference

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # sockets of killed processes
]

SHAPE = (2, 1200, 1100)
"""Four blocks a plane: they begin at multiples of 1024 px with the model here."""


@pytest.fixture(scope="module")
def settings(tiny_model, tmp_path_factory):
    inference = Inference(reductions=(1, 2), halo_px=64)
    folder = tiny_model.with_card(inference=inference).save(tmp_path_factory.mktemp("m") / "model")
    return batch.SegmentSettings(folder, device="cpu", tile_px=512, confidence=True, flips=False)


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    data = np.random.default_rng(0).integers(0, 255, SHAPE, dtype=np.uint8)
    data[1, 700:] //= 3  # each plane has levels of its own
    path = tmp_path_factory.mktemp("image") / "stack.zarr"
    zarr.create_array(path, data=data, chunks=(1, 512, 512), dimension_names=("z", "y", "x"))
    return path


@pytest.fixture(scope="module")
def workers():
    with local_workers(2) as two:
        yield two


@pytest.fixture(scope="module")
def expected(image, settings, workers, tmp_path_factory):
    """Labels and confidence of one process that has as many threads as one of the two.

    Sums depend on the number of threads in their last digit.
    """
    out, before = tmp_path_factory.mktemp("one"), torch.get_num_threads()
    (n_threads,) = set(distributed.get_client().nthreads().values())
    torch.set_num_threads(n_threads)
    drain(batch.run(batch.plan([image], out, settings)))
    torch.set_num_threads(before)
    return results(out)


def results(out):
    return [
        zarr.open_group(out / f"stack_{kind}.zarr", mode="r")["0"][...]
        for kind in ("labels", "confidence")
    ]


def assert_same(found, expected):
    for array, wanted in zip(found, expected, strict=True):
        np.testing.assert_array_equal(array, wanted)


def processes():
    """Return the process of each worker."""
    return distributed.get_client().run(os.getpid)


def test_two_processes_write_what_one_does(image, settings, expected, workers, tmp_path):
    tasks = batch.plan([image], tmp_path / "two", settings)
    seen = [(p.done, p.total) for p in batch.run(tasks, workers)]
    assert seen == sorted(seen)
    assert_same(results(tmp_path / "two"), expected)


def test_a_worker_that_is_killed_costs_nothing_but_time(
    image, settings, expected, workers, tmp_path
):
    out, killed = tmp_path / "two", 0
    journals = out / ".stack_labels.zarr.part" / "journals"
    for _ in batch.run(batch.plan([image], out, settings), workers):
        if not killed and journals.is_dir() and any(p.stat().st_size for p in journals.iterdir()):
            killed = next(iter(processes().values()))
            os.kill(killed, signal.SIGTERM if os.name == "nt" else signal.SIGKILL)
    assert killed
    assert_same(results(out), expected)


def test_a_scheduler_elsewhere_is_used_and_files_are_spread(settings, workers, tmp_path):
    """Two ordinary images and a zarr, one of whose planes shows nothing."""
    import imageio.v3 as iio

    images = tmp_path / "images"
    images.mkdir()
    noise = np.random.default_rng(1).integers(0, 255, (2, 90, 120), dtype=np.uint8)
    for name, plane in zip("ab", noise, strict=True):
        iio.imwrite(images / f"{name}.png", plane)
    noise[1] = 9
    zarr.create_array(images / "c.zarr", data=noise, dimension_names=("z", "y", "x"))
    here = drain(batch.run(batch.plan([images], tmp_path / "here", settings)))
    client = distributed.get_client()
    with dask_workers(client.scheduler.address, client.security) as two:
        assert two.count() == 2
        there = drain(batch.run(batch.plan([images], tmp_path / "there", settings), two))
    assert [r.status for r in there.results] == ["done"] * 3
    assert there.fractions.equals(here.fractions)
    assert there.results[2].notes == here.results[2].notes
    assert "plane 2 of 2" in there.results[2].notes[0]


def test_tiles_are_chosen_for_the_workers(image, settings, workers, tmp_path):
    tasks = batch.plan([image], tmp_path / "two", replace(settings, tile_px=None, confidence=False))
    report = drain(batch.run(tasks, workers))
    assert report.results[0].status == "done"
    assert report.results[0].tile_px >= 1024


def test_a_block_that_fails_is_the_image_that_failed(settings, workers, tmp_path):
    data = np.random.default_rng(0).integers(0, 255, (4096, 512), dtype=np.uint8)
    image = tmp_path / "stack.zarr"
    zarr.create_array(image, data=data, chunks=(512, 512), dimension_names=("y", "x"))
    job = batch.run(batch.plan([image], tmp_path / "two", settings), workers)
    while "1 blocks done" not in next(job).message:
        pass
    chunk = image / "c" / "7" / "0"  # of the last of four blocks, of which two have begun
    assert chunk.is_file()
    chunk.write_bytes(b"damaged")
    report = drain(job)
    assert report.results[0].status == "failed"
    assert not (tmp_path / "two" / "stack_labels.zarr").exists()


def test_without_a_scheduler_the_error_says_how_to_start_one(monkeypatch):
    from napari_fractoseg.batch import cluster

    monkeypatch.setattr(cluster, "_CONNECT_S", 1)
    with (
        pytest.raises(
            ClusterError, match=r"no Dask scheduler at tcp://127.0.0.1:9.*dask scheduler"
        ),
        dask_workers("tcp://127.0.0.1:9"),
    ):
        pass


def test_workers_that_die_again_and_again_are_a_memory_problem(settings, workers, tmp_path):
    units = Units([Unit(os._exit, (1,))])
    with closing(work_through(workers, units)) as finished:
        _, future = next(item for item in finished if item is not None)
    with pytest.raises(ClusterError, match="memory was full.*smaller tiles") as caught:
        result_of(future)
    assert caught.value.options == ("max_memory_gb", "tile_px")


def test_work_that_was_dropped_is_said():
    future = concurrent.futures.Future()
    future.cancel()
    with pytest.raises(ClusterError, match="scheduler was stopped or restarted"):
        result_of(future)


# ---- who can talk to the processes -----------------------------------------------------------


def listening():
    """Return address and port of all that listens in this process and its children."""
    here = psutil.Process()
    found = set()
    for process in (here, *here.children(recursive=True)):
        found |= {c.laddr for c in process.net_connections(kind="tcp") if c.status == "LISTEN"}
    return sorted(found)


def answer_of(address, security=None, patience_s=3):
    """Return what a Dask process says when it is asked who it is; None if it does not answer."""

    async def ask():
        arguments = {} if security is None else security.get_connection_args("client")
        comm = await distributed.core.connect(address, timeout=2, **arguments)
        try:
            await comm.write({"op": "identity", "reply": True})
            return await comm.read()
        finally:
            comm.abort()

    async def ask_for_a_while():
        try:
            return await asyncio.wait_for(ask(), patience_s)  # a server of web pages waits for more
        except (OSError, TimeoutError):
            return None

    return asyncio.run(ask_for_a_while())


def status_of(address):
    """Return the status with which a server of web pages answers; None if it is none."""
    try:
        with urllib.request.urlopen(f"http://{address}/info/main/workers.html", timeout=2) as page:
            return page.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def test_nobody_else_can_talk_to_the_processes(workers):
    client = distributed.get_client()
    client.wait_for_workers(2)  # other tests kill them
    security = client.security
    found = listening()
    answers = {}
    for host, port in found:
        assert ipaddress.ip_address(host).is_loopback
        assert answer_of(f"tcp://{host}:{port}") is None
        assert answer_of(f"tls://{host}:{port}", distributed.Security.temporary()) is None
        answers[port] = answer_of(f"tls://{host}:{port}", security, patience_s=30)
    kinds = sorted(a["type"] for a in answers.values() if a)
    assert kinds == ["Nanny", "Nanny", "Scheduler", "Worker", "Worker"]
    pages = [f"{host}:{port}" for host, port in found if answers[port] is None]
    assert [status_of(page) for page in pages] == [404] * 3  # Dask always starts such servers


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """Return files of an authority's certificate, and a certificate with its key in one file."""
    made = distributed.Security.temporary()
    folder = tmp_path_factory.mktemp("tls")
    ca_file, cert = folder / "ca.pem", folder / "both.pem"
    ca_file.write_text(made.tls_ca_file)
    cert.write_text(made.tls_client_cert + made.tls_client_key)
    return ca_file, cert


@pytest.fixture(scope="module")
def safe_scheduler(authority):
    ca_file, cert = map(str, authority)
    security = distributed.Security(
        require_encryption=True, tls_ca_file=ca_file, tls_scheduler_cert=cert,
        tls_worker_cert=cert, tls_client_cert=cert,
    )  # fmt: skip
    with distributed.LocalCluster(
        1, threads_per_worker=1, processes=False, security=security, protocol="tls://",
        dashboard_address=None, scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
    ) as cluster:  # fmt: skip
        yield cluster.scheduler_address


def test_a_scheduler_is_reached_by_files_of_tls(safe_scheduler, authority):
    with dask_workers(safe_scheduler, tls_security(*authority)) as one:
        assert one.executor.submit(sum, (1, 2)).result() == 3


def test_certificates_of_another_authority_are_refused(safe_scheduler, monkeypatch):
    from napari_fractoseg.batch import cluster

    monkeypatch.setattr(cluster, "_CONNECT_S", 2)
    for security in (distributed.Security.temporary(), None):
        with (
            pytest.raises(ClusterError, match="refuses the connection.*files of TLS"),
            dask_workers(safe_scheduler, security),
        ):
            pass


def test_files_of_tls_do_not_go_with_an_open_address(authority):
    with (
        pytest.raises(ClusterError, match="tcp://node7:8786 is no address of a scheduler with TLS"),
        dask_workers("tcp://node7:8786", tls_security(*authority)),
    ):
        pass


def test_files_that_are_no_certificates_are_refused(authority, tmp_path):
    ca_file, cert = authority
    other = tmp_path / "notes.txt"
    other.write_text("no certificate")
    for files in [(other, cert), (ca_file, other), (ca_file, cert, other), (tmp_path / "no", cert)]:
        with pytest.raises(ClusterError, match="cannot be used for TLS.*Name PEM files"):
            tls_security(*files)
