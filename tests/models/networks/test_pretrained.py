"""Weights that encoders begin with, fetched from a local server."""

from __future__ import annotations

import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from safetensors.torch import save_file

from napari_fractoseg.errors import DownloadError, ModelError
from napari_fractoseg.files import file_sha256
from napari_fractoseg.jobs import drain
from napari_fractoseg.models.networks.pretrained import (
    fetch_weights_job,
    fill_encoder,
    find_weights,
)


@pytest.fixture
def hub(web_server, monkeypatch):
    """A server in the place of both, the Hugging Face hub and NASA."""
    monkeypatch.setenv("HF_ENDPOINT", web_server.url)
    monkeypatch.setenv("FRACTOSEG_MICRONET_URL", f"{web_server.url}/micronet")
    return web_server


def publish(hub, published, weights, pointer=None):
    """Put weights where `published` says, as their publishers store them."""
    path = hub.folder / published.url.removeprefix(hub.url + "/")
    path.parent.mkdir(parents=True)
    if path.suffix == ".safetensors":
        save_file(weights, path)
    else:
        torch.save(weights, path)
    if published.pointer_url:
        place = hub.folder / published.pointer_url.removeprefix(hub.url + "/")
        place.parent.mkdir(parents=True)
        size = path.stat().st_size
        text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{file_sha256(path)}\n"
        place.write_text(pointer or f"{text}size {size}\n")
    return path


def resnet18(seed=0):
    """An encoder for colour images with random weights, and its published form."""
    torch.manual_seed(seed)
    encoder = smp.encoders.get_encoder("resnet18", weights=None).eval()
    classifier = {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}
    return encoder, {**encoder.state_dict(), **classifier}


def new_network(encoder="resnet18"):
    return smp.create_model("Unet", encoder, encoder_weights=None, in_channels=1, classes=3).eval()


def assert_sees_alike(network, colour_encoder):
    """A grey image gives the features that it gives with three equal colours."""
    grey = torch.rand(1, 1, 64, 64)
    with torch.no_grad():
        found = network.encoder(grey)
        expected = colour_encoder(grey.expand(-1, 3, -1, -1))
    for one, other in zip(found[1:], expected[1:], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", ["imagenet", "micronet", "imagenet-micronet"])
def test_an_encoder_knows_what_was_published(hub, kind):
    encoder, weights = resnet18()
    published = find_weights("resnet18", kind)
    file = publish(hub, published, weights)
    assert drain(fetch_weights_job(published)) == file_sha256(file)
    network = new_network()
    fill_encoder(network, published)
    assert_sees_alike(network, encoder)


def test_encoders_of_timm_know_it_too(hub):
    torch.manual_seed(0)
    model = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    published = find_weights("tu-tf_efficientnet_lite0", "imagenet")
    publish(hub, published, model.state_dict())
    drain(fetch_weights_job(published))
    network = new_network("tu-tf_efficientnet_lite0")
    fill_encoder(network, published)
    grey = torch.rand(1, 1, 64, 64)
    with torch.no_grad():
        stem = model.bn1(model.conv_stem(grey.expand(-1, 3, -1, -1)))
        found = network.encoder.model.bn1(network.encoder.model.conv_stem(grey))
    torch.testing.assert_close(found, stem, rtol=1e-3, atol=1e-4)
    last = "blocks.6.0.conv_pwl.weight"
    assert torch.equal(network.encoder.model.state_dict()[last], model.state_dict()[last])


def test_weights_are_fetched_once_and_then_without_a_network(hub):
    published = find_weights("resnet18", "imagenet")
    publish(hub, published, resnet18()[1])
    first = drain(fetch_weights_job(published))
    n_asked = len(hub.asked)
    assert drain(fetch_weights_job(published)) == first
    assert len(hub.asked) == n_asked == 2  # the pointer and the file


def test_a_file_other_than_published_is_refused_and_not_kept(hub):
    published = find_weights("resnet18", "imagenet")
    pointer = "oid sha256:" + "0" * 64
    publish(hub, published, resnet18()[1], pointer)
    with pytest.raises(DownloadError, match="is not the expected file"):
        drain(fetch_weights_job(published))
    assert not published.path.exists()


def test_a_hub_without_hashes_is_not_trusted(hub):
    published = find_weights("resnet18", "imagenet")
    publish(hub, published, resnet18()[1], "<html>hello</html>")
    with pytest.raises(DownloadError, match=r"does not name the SHA-256.*<html>hello"):
        drain(fetch_weights_job(published))


def test_what_has_no_published_hash_must_stay_what_it_was(hub):
    published = find_weights("resnet18", "micronet")
    file = publish(hub, published, resnet18()[1])
    drain(fetch_weights_job(published))
    torch.save(resnet18(seed=1)[1], file)
    published.path.unlink()
    with pytest.raises(DownloadError, match="is not the expected file"):
        drain(fetch_weights_job(published))


def test_a_plan_can_name_the_hash(hub):
    published = find_weights("resnet18", "micronet")
    publish(hub, published, resnet18()[1])
    with pytest.raises(DownloadError, match="is not the expected file"):
        drain(fetch_weights_job(published, sha256="0" * 64))


def test_a_file_put_there_by_hand_is_taken(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    published = find_weights("resnet18", "imagenet")
    published.path.parent.mkdir(parents=True)
    save_file(resnet18()[1], published.path)
    assert drain(fetch_weights_job(published)) == file_sha256(published.path)


def test_without_a_network_the_message_says_what_to_do(monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    published = find_weights("resnet18", "imagenet")
    with pytest.raises(DownloadError) as caught:
        drain(fetch_weights_job(published))
    message = str(caught.value)
    for part in ("http://127.0.0.1:9/", "no connection", str(published.path), "random weights"):
        assert part in message


class Harmful:
    def __reduce__(self):
        return print, ("this must never run",)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"conv1.weight": torch.zeros(64, 3, 7, 7)}, "does not hold the weights"),
        ([1, 2], "something else than named tensors"),
        ({"conv1.weight": Harmful()}, "does not hold the weights"),
        ({"conv1.weight": torch.full((1,), float("nan"))}, "NaN"),
    ],
)
def test_files_of_something_else_are_refused_and_nothing_in_them_runs(hub, content, reason, capsys):
    published = find_weights("resnet18", "micronet")
    published.path.parent.mkdir(parents=True)
    torch.save(content, published.path)
    with pytest.raises(ModelError, match=reason):
        fill_encoder(new_network(), published)
    assert "never run" not in capsys.readouterr().out


def test_damaged_files_of_the_cache_are_named(hub):
    published = find_weights("resnet18", "imagenet")
    published.path.parent.mkdir(parents=True)
    for content in (b"", b"\xff" * 100, b"PK\x03\x04" + bytes(50)):
        published.path.write_bytes(content)
        with pytest.raises(ModelError, match="damaged or not a safetensors file"):
            fill_encoder(new_network(), published)
    seen = published.path.with_name(f"{published.path.name}.sha256")
    seen.write_bytes(b"\xff\xfe")
    with pytest.raises(DownloadError, match="sha256 is damaged.*Remove it"):
        drain(fetch_weights_job(published))


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.complex64])
def test_weights_of_the_cache_are_real_numbers(hub, dtype):
    published = find_weights("resnet18", "imagenet")
    published.path.parent.mkdir(parents=True)
    weights = resnet18()[1]
    save_file({**weights, "conv1.weight": weights["conv1.weight"].to(dtype)}, published.path)
    with pytest.raises(ModelError, match="'conv1.weight' are of type"):
        fill_encoder(new_network(), published)


@pytest.mark.parametrize(
    ("encoder", "kind"),
    [("tu-resnet18", "micronet"), ("mit_b0", "micronet"), ("no such", "imagenet")],
)
def test_encoders_without_published_weights_are_named(encoder, kind):
    with pytest.raises(ModelError, match=rf"No {kind} weights of encoder '{encoder}'"):
        find_weights(encoder, kind)


def test_public_addresses_are_secure_and_pinned(monkeypatch):
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    monkeypatch.delenv("FRACTOSEG_MICRONET_URL", raising=False)
    assert find_weights("resnet34", "imagenet").url.startswith(
        "https://huggingface.co/smp-hub/resnet34.imagenet/resolve/"
    )
    assert find_weights("resnet50", "micronet").url == (
        "https://nasa-public-data.s3.amazonaws.com/microscopy_segmentation_models/"
        "resnet50_pretrained_microscopynet_v1.1.pth.tar"
    )
