from dataclasses import replace

import dask.array as da
import numpy as np
import psutil
import pytest
import torch
import zarr

import napari_fractoseg as nf
from napari_fractoseg.errors import ImageError, ModelError, OutOfMemoryError
from napari_fractoseg.images import MicrographStack
from napari_fractoseg.inference.backend import Engine
from napari_fractoseg.inference.memory import bytes_per_px
from napari_fractoseg.inference.predictor import Predictor
from napari_fractoseg.inference.result import RunRecord
from napari_fractoseg.jobs import drain
from napari_fractoseg.models.card import Inference
from napari_fractoseg.models.devices import Device, choose_device
from napari_fractoseg.models.model import SegmentationModel, enlarged, reduced
from napari_fractoseg.tiling import Box, reflected_window

CPU = choose_device("cpu")


def smooth_noise(shape, seed=0):
    """A textured image with all grey levels."""
    from skimage.filters import gaussian

    noise = gaussian(np.random.default_rng(seed).normal(size=shape), 2)
    return np.interp(noise, (noise.min(), noise.max()), (0, 255)).astype(np.uint8)


IMAGE = smooth_noise((150, 210))


def test_labels_have_the_shape_of_the_image_and_the_values_of_the_classes(tiny_model):
    labels = nf.segment(IMAGE, tiny_model, device="cpu")
    assert labels.shape == IMAGE.shape
    assert labels.dtype == np.uint8
    assert set(np.unique(labels)) <= {1, 2, 3}
    assert len(np.unique(labels)) > 1


def test_the_image_is_not_changed(tiny_model):
    before = IMAGE.copy()
    nf.segment(IMAGE, tiny_model, device="cpu")
    np.testing.assert_array_equal(IMAGE, before)


@pytest.mark.parametrize(
    "same",
    [
        IMAGE.astype(np.uint16) * 257,
        IMAGE.astype(np.float32) / 255,
        IMAGE.astype(np.int16) - 100,
        np.stack([IMAGE] * 3, axis=-1),
        np.stack([IMAGE] * 3 + [np.full_like(IMAGE, 255)], axis=-1),
        da.from_array(IMAGE, chunks=64),
        zarr.array(IMAGE),
    ],
    ids=["uint16", "float32", "int16", "rgb", "rgba", "dask", "zarr"],
)
def test_the_same_grey_levels_give_the_same_labels(tiny_model, same):
    expected = nf.segment(IMAGE, tiny_model, device="cpu")
    labels = nf.segment(same, tiny_model, device="cpu", rgb=same.ndim == 3 or None)
    np.testing.assert_array_equal(labels, expected)


def tiled_agreement(model, halo_px, **options):
    image = MicrographStack(smooth_noise((400, 330)))
    model = model.with_card(inference=Inference(halo_px=halo_px))
    whole = drain(Predictor(model, CPU, tile_px=1024).run(image)).labels
    tiled = drain(Predictor(model, CPU, tile_px=128, **options).run(image)).labels
    return (whole == tiled).mean()


@pytest.mark.slow
def test_tiles_give_the_labels_of_the_whole_image(tiny_model):
    # A halo as wide as the network sees makes tiles exact, one by one or in batches.
    assert tiled_agreement(tiny_model, 256) > 0.9999
    assert tiled_agreement(tiny_model, 256, batch_size=3) > 0.9999
    assert tiled_agreement(tiny_model, 0) < 0.99


@pytest.mark.parametrize("shape", [(1, 40), (7, 5), (33, 31), (32, 97)])
def test_tiny_and_odd_sizes(tiny_model, shape):
    assert nf.segment(smooth_noise(shape), tiny_model, device="cpu").shape == shape


def test_confidence_and_margin_are_those_of_the_probabilities(tiny_model):
    image = MicrographStack(IMAGE[:128, :192])  # nothing is mirrored at its border
    predictor = Predictor(tiny_model, CPU, with_confidence=True, with_margin=True)
    prediction = drain(predictor.run(image))
    ranked = np.sort(tiny_model.probabilities(image.plane().normalised()[None, None])[0], axis=0)
    np.testing.assert_allclose(prediction.confidence, ranked[-1], atol=1e-5)
    np.testing.assert_allclose(prediction.margin, ranked[-1] - ranked[-2], atol=1e-5)
    assert prediction.margin.min() < 0.1 < prediction.margin.max()


@pytest.mark.parametrize("image", [np.full((40, 50), 128, np.uint8), np.zeros((1, 1))])
def test_an_image_that_shows_nothing_is_left_unlabelled(tiny_model, image):
    with pytest.warns(UserWarning, match="all grey levels are .*; left unlabelled"):
        labels = nf.segment(image, tiny_model, device="cpu")
    assert labels.shape == image.shape
    assert not labels.any()


def test_a_blank_plane_of_a_stack_is_left_unlabelled_and_named(tiny_model):
    stack = np.stack([IMAGE, np.full_like(IMAGE, 7)])
    prediction = drain(Predictor(tiny_model, CPU, with_confidence=True).run(MicrographStack(stack)))
    assert prediction.labels[0].all()
    assert not prediction.labels[1].any()
    assert not prediction.confidence[1].any()
    assert list(prediction.left_out) == [(1,)]
    assert prediction.left_out[1,].reason.startswith("image, plane 2 of 2 (index 1): all grey")


def with_nan(shape, plane):
    stack = np.stack([smooth_noise(shape, s) for s in range(3)]).astype(np.float32)
    stack[plane, 0, 0] = np.nan
    return stack


def test_nan_in_memory_is_refused_with_the_plane_and_the_count(tiny_model):
    with pytest.raises(ImageError, match=r"plane 2 of 3 \(index 1\): 1 of 1600 pixels are NaN"):
        nf.segment(with_nan((40, 40), 1), tiny_model, device="cpu")


def test_a_damaged_plane_of_a_lazy_stack_does_not_cost_the_others(tiny_model):
    stack = with_nan((40, 40), 1)
    lazy = da.from_array(stack, chunks=(1, 40, 40))
    with pytest.warns(UserWarning, match=r"plane 2 of 3 \(index 1\): 1 of 1600"):
        labels = nf.segment(lazy, tiny_model, device="cpu")
    np.testing.assert_array_equal(labels[::2], nf.segment(stack[::2], tiny_model, device="cpu"))
    assert not labels[1].any()
    with pytest.raises(ImageError, match="NaN"):
        nf.segment(lazy[1:2], tiny_model, device="cpu")


def test_colours_are_not_taken_for_planes(tiny_model):
    rgb = np.stack([IMAGE] * 3, axis=-1)
    with pytest.raises(ImageError, match=r"\(150, 210, 3\) may hold colours or pixels"):
        nf.segment(rgb, tiny_model, device="cpu")
    assert nf.segment(rgb, tiny_model, device="cpu", rgb=True).shape == (150, 210)
    assert nf.segment(rgb[:2], tiny_model, device="cpu", rgb=False).shape == (2, 210, 3)


def test_names_and_lists_are_taken(tiny_model, tmp_path):
    folder = tiny_model.save(tmp_path / "tiny")
    small = IMAGE[:40, :50]
    expected = nf.segment(small, tiny_model, device="cpu")
    for model in (folder, str(folder)):
        np.testing.assert_array_equal(nf.segment(small.tolist(), model, device="cpu"), expected)
    with pytest.raises(ModelError, match="'none' is neither"):
        nf.segment(small, "none")


def test_a_plane_has_the_same_labels_alone_and_in_a_stack(tiny_model):
    stack = np.stack([smooth_noise((64, 64), s) * (1 + s) for s in range(4)]).reshape(2, 2, 64, 64)
    labels = nf.segment(stack, tiny_model, device="cpu")
    assert labels.shape == (2, 2, 64, 64)
    for index in np.ndindex(2, 2):
        np.testing.assert_array_equal(
            labels[index], nf.segment(stack[index], tiny_model, device="cpu")
        )


def test_only_chosen_planes_are_labelled(tiny_model):
    stack = MicrographStack(np.stack([smooth_noise((64, 64), s) for s in range(3)]))
    prediction = drain(Predictor(tiny_model, CPU).run(stack, [(1,)]))
    assert [bool(p.any()) for p in prediction.labels] == [False, True, False]


def test_confidence_is_the_probability_of_the_chosen_class(tiny_model):
    stack = MicrographStack(IMAGE)
    assert drain(Predictor(tiny_model, CPU).run(stack)).confidence is None
    prediction = drain(Predictor(tiny_model, CPU, with_confidence=True).run(stack))
    assert prediction.confidence.dtype == np.float32
    assert (prediction.confidence > 1 / 3 - 1e-6).all()
    assert (prediction.confidence <= 1).all()
    np.testing.assert_array_equal(prediction.labels, nf.segment(IMAGE, tiny_model, device="cpu"))


def test_segment_returns_the_confidence_when_asked(tiny_model):
    labels, confidence = nf.segment(IMAGE, tiny_model, device="cpu", confidence=True)
    predictor = nf.Predictor(tiny_model, CPU, with_confidence=True)
    expected = nf.drain(predictor.run(nf.MicrographStack(IMAGE)))
    np.testing.assert_array_equal(labels, expected.labels)
    np.testing.assert_array_equal(confidence, expected.confidence)
    assert (confidence > 1 / 3 - 1e-6).all()


def test_stopping_keeps_what_is_finished(tiny_model):
    stack = MicrographStack(np.stack([smooth_noise((130, 130), s) for s in range(3)]))
    labels, record = np.zeros(stack.shape, np.uint8), RunRecord()
    predictor = Predictor(tiny_model, CPU, tile_px=64)
    job = predictor.run_into(stack, labels, record=record)
    n_tiles = len(list(predictor.tiler.tiles((130, 130))))
    for _ in job:
        if record.n_tiles == n_tiles + 1:
            break
    job.close()
    assert labels[0].all()
    assert labels[1].any()
    assert not labels[1].all()
    assert not labels[2].any()


def test_progress_counts_what_the_network_sees_up_to_the_total(tiny_model):
    stack = MicrographStack(np.stack([IMAGE[:100, :100]] * 2))
    seen = list(Predictor(tiny_model, CPU, tile_px=64).run(stack))
    # With their halo all four windows are the whole image: 4 x 4 blocks of 32 x 32 px.
    assert [p.done for p in seen] == list(range(16, 129, 16))
    assert {p.total for p in seen} == {128}
    assert seen[2].message == "plane 1 of 2, tile 4 of 4"
    assert seen[-1].message == "plane 2 of 2"


def test_that_planes_on_disk_are_measured_is_said(tiny_model):
    stack = MicrographStack(zarr.array(np.stack([IMAGE[:64, :64]] * 2)))
    seen = list(Predictor(tiny_model, CPU).run(stack))
    assert [(p.done, p.message) for p in seen if "measuring" in p.message] == [
        (0, "plane 1 of 2, measuring grey levels"),
        (4, "plane 2 of 2, measuring grey levels"),
    ]


def test_each_look_at_a_tile_is_a_step_that_weighs_what_it_costs(tiny_model):
    model = tiny_model.with_card(inference=Inference(reductions=(1, 2), flips=True, halo_px=64))
    seen = list(Predictor(model, CPU).run(MicrographStack(IMAGE)))
    # First 3 x 4 blocks of 32 x 32 px at half the resolution, then 5 x 7, each four times.
    assert [p.done for p in seen] == [12, 24, 36, 48, 83, 118, 153, 188]
    assert {p.total for p in seen} == {188}


def whole_plane(model, image):
    """What each scale level says of the whole plane at once; the mean decides."""
    grey = MicrographStack(image).plane().normalised()
    total = 0
    for scale in model.scale_levels:
        rows, columns = (-(-n // scale.stride_px) * scale.stride_px for n in grey.shape)
        padded = reflected_window(grey, Box(0, rows, 0, columns))
        inputs = reduced(torch.from_numpy(padded)[None, None], scale.reduction)
        seen = enlarged(drain(model.scale_job(inputs, scale)), scale.reduction)
        total = total + seen[0, :, : grey.shape[0], : grey.shape[1]]
    return model.card.scheme.to_labels(total.argmax(dim=0).numpy().astype(np.uint8))


@pytest.mark.slow
@pytest.mark.parametrize("reductions", [(1,), (1, 2), (2, 3), (1, 2, 4)])
@pytest.mark.parametrize("tile_px", [None, 192])
def test_each_look_in_its_own_tiles_gives_the_labels_of_the_whole_plane(
    tiny_model, reductions, tile_px
):
    # A halo as wide as the network sees.
    halo_px = 256 * min(reductions)
    inference = Inference(reductions=reductions, halo_px=halo_px, smoothing_px=1.0)
    model = tiny_model.with_card(inference=inference)
    image = smooth_noise((576, 768))
    labels = drain(Predictor(model, CPU, tile_px=tile_px).run(MicrographStack(image))).labels
    assert (labels == whole_plane(model, image)).mean() > 0.9999


def test_a_coarse_look_has_tiles_and_a_halo_of_its_own(tiny_model):
    model = tiny_model.with_card(inference=Inference(reductions=(2, 6), halo_px=128))
    coarse, fine = Predictor(model, CPU, tile_px=512).engine.levels
    assert (coarse.scale.reduction, fine.scale.reduction) == (6, 2)
    assert (fine.tiler.tile_px, fine.tiler.halo_px) == (512, 128)
    assert (coarse.tiler.tile_px, coarse.tiler.halo_px) == (1536, 384)


def test_a_run_tells_which_planes_are_finished(tiny_model):
    stack = MicrographStack(np.stack([smooth_noise((100, 100), s) for s in range(3)]))
    labels, record = np.zeros(stack.shape, np.uint8), RunRecord()
    job = Predictor(tiny_model, CPU, tile_px=64).run_into(stack, labels, record=record)
    for _ in range(4 + 1):
        next(job)
    job.close()
    assert record.finished == [(0,)]
    assert record.n_tiles == 5
    job = Predictor(tiny_model, CPU, tile_px=64).run_into(stack, labels, record=record)
    for progress in job:
        if progress.done == progress.total:
            break
    job.close()
    assert record.finished[-1] == (2,)


def test_windows_end_where_the_image_ends(tiny_model):
    seen = []
    hook = tiny_model.network.register_forward_pre_hook(lambda _, x: seen.append(x[0].shape[-2:]))
    try:
        nf.segment(IMAGE, tiny_model, device="cpu")
    finally:
        hook.remove()
    assert seen[-1] == (160, 224)


class _Small(torch.nn.Module):
    """A network for which memory runs out above a number of pixels at once."""

    def __init__(self, most_px):
        super().__init__()
        self.most_px = most_px
        self.layer = torch.nn.Conv2d(1, 3, 1)

    def forward(self, inputs):
        if inputs.numel() > self.most_px:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.layer(inputs)


def test_where_memory_runs_out_the_run_goes_on_with_less_and_says_so(tiny_model):
    torch.manual_seed(0)
    card = replace(tiny_model.card, inference=Inference(halo_px=0))
    image = MicrographStack(smooth_noise((512, 640)))
    roomy = SegmentationModel(card, _Small(10**9))
    tight = SegmentationModel(card, _Small(256 * 256))
    tight.network.layer.load_state_dict(roomy.network.layer.state_dict())
    expected = drain(Predictor(roomy, CPU, tile_px=512).run(image))
    assert expected.notes == ()
    predictor = Predictor(tight, CPU, tile_px=512, batch_size=2)
    prediction = drain(predictor.run(image))
    np.testing.assert_array_equal(prediction.labels, expected.labels)
    assert prediction.notes == (
        "Memory ran out. The work went on with fewer tiles at once (1).",
        "Memory ran out. The work went on with tiles of 256 px.",
    )
    assert predictor.tiler.tile_px == 256
    with pytest.warns(UserWarning, match="The work went on with tiles of"):
        nf.segment(image, tight, device="cpu")


def test_at_last_the_cpu_is_used(tiny_model):
    class OnlyOnCpu(_Small):
        def forward(self, inputs):
            if inputs.device.type != "cpu":
                raise torch.OutOfMemoryError("out of memory")
            return self.layer(inputs.abs())

    model = SegmentationModel(tiny_model.card, OnlyOnCpu(0))
    engine = Engine(model, Device("meta", "GPU"), tile_px=128)
    text = engine.reduce_memory(OutOfMemoryError("GPU ran out of memory."))
    assert text == "Memory ran out. The work went on with the CPU's memory."
    assert engine.device.kind == "cpu"
    with pytest.raises(OutOfMemoryError, match="GPU ran out"):
        engine.reduce_memory(OutOfMemoryError("GPU ran out of memory."))


def test_tiles_are_as_large_as_the_memory_allows(tiny_model, monkeypatch):
    sizes = []
    for free in (2**28, 2**31, 2**34):
        memory = psutil.virtual_memory()._replace(available=free)
        monkeypatch.setattr(psutil, "virtual_memory", lambda memory=memory: memory)
        sizes.append(Predictor(tiny_model, CPU).tiler.tile_px)
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1] == 2048
    needed = bytes_per_px(tiny_model) * (sizes[1] + 128) ** 2
    assert needed <= 2**30 < bytes_per_px(tiny_model) * (2 * sizes[1] + 128) ** 2


class _Watched:
    """An array on disk that remembers how much was read at once."""

    def __init__(self, array):
        self.array, self.shape, self.dtype, self.most = array, array.shape, array.dtype, 0

    def __getitem__(self, key):
        block = np.asarray(self.array[key])
        self.most = max(self.most, block.size)
        return block


@pytest.mark.slow
def test_a_large_plane_on_disk_is_read_in_parts_and_labelled_on_disk(
    tiny_model, tmp_path, monkeypatch
):
    monkeypatch.setattr("napari_fractoseg.images.micrograph._LAZY_PX", 10_000)
    monkeypatch.setattr("napari_fractoseg.arrays._BLOCK_PX", 20_000)
    image = smooth_noise((300, 400))
    watched = _Watched(zarr.create_array(tmp_path / "a.zarr", data=image, chunks=(64, 64)))
    labels = zarr.create_array(tmp_path / "b.zarr", shape=image.shape, chunks=(64, 64),
                               dtype="uint8")  # fmt: skip
    drain(Predictor(tiny_model, CPU, tile_px=64).run_into(MicrographStack(watched), labels))
    assert watched.most <= 192 * 192  # a tile with its halo
    expected = drain(Predictor(tiny_model, CPU, tile_px=64).run(MicrographStack(image))).labels
    np.testing.assert_array_equal(labels[...], expected)


class _Overflowing(torch.nn.Module):
    """A network that gives no numbers where the image is brighter than a threshold."""

    def __init__(self, threshold):
        super().__init__()
        self.head = torch.nn.Conv2d(1, 3, 1)
        self.threshold = threshold

    def forward(self, inputs):
        return self.head(inputs) + torch.where(inputs > self.threshold, torch.nan, 0.0)


@pytest.mark.parametrize("threshold", [-9, 1.5])  # from the first tile on; in the last one
def test_a_network_that_gives_no_numbers_labels_nothing_by_the_first_class(tiny_model, threshold):
    image = IMAGE.clip(0, 100)
    image[-10:, -10:] = 255
    card = replace(tiny_model.card, inference=Inference(halo_px=0))
    predictor = Predictor(SegmentationModel(card, _Overflowing(threshold)), CPU, tile_px=64)
    labels = np.zeros(image.shape, np.uint8)
    with pytest.raises(ModelError, match="'tiny' gives no numbers .* on CPU.*Choose another model"):
        drain(predictor.run_into(MicrographStack(image), labels))
    assert not labels[-10:, -10:].any()
    assert labels[:64, :64].any() == (threshold > 0)


def test_weights_that_overflow_are_an_error_with_openvino_too(tiny_model, tmp_path):
    model = nf.load_model(tiny_model.save(tmp_path / "tiny"))
    with torch.no_grad():
        model.network.segmentation_head[0].weight.fill_(3e38)
    predictor = Predictor(model, CPU)
    predictor.engine.expected_cells = 10**6  # as much work as OpenVINO is used for
    with pytest.raises(ModelError, match="gives no numbers"):
        drain(predictor.run(MicrographStack(IMAGE)))


class _Greedy(torch.nn.Module):
    """A network that asks for more memory than any machine has, but for small images."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, inputs):
        if inputs.numel() <= 128 * 128:
            return inputs.expand(-1, 3, -1, -1)
        return torch.empty((2**60,), dtype=torch.uint8)


def test_out_of_memory_says_what_to_do(tiny_model):
    model = SegmentationModel(tiny_model.card, _Greedy())
    with pytest.raises(
        OutOfMemoryError, match="CPU.*ran out of memory. Use smaller tiles than 64 px"
    ):
        drain(Predictor(model, CPU, tile_px=64).run(MicrographStack(IMAGE)))


def at_temperature(model, temperature):
    return model.with_card(
        inference=replace(model.card.inference, reductions=(1, 2), temperature=temperature)
    )


@pytest.mark.parametrize("temperature", [0.05, 2.5, 50])
def test_a_temperature_changes_confidence_and_margin_but_no_label(tiny_model, temperature):
    stack = MicrographStack(IMAGE)
    wanted = {"with_confidence": True, "with_margin": True, "tile_px": 64}
    before = drain(Predictor(at_temperature(tiny_model, 1.0), CPU, **wanted).run(stack))
    after = drain(Predictor(at_temperature(tiny_model, temperature), CPU, **wanted).run(stack))
    np.testing.assert_array_equal(after.labels, before.labels)
    change = after.confidence - before.confidence
    assert (np.sign(change[abs(change) > 1e-6]) == np.sign(1 - temperature)).all()
    assert abs(change).max() > 0.01
    assert (after.margin <= after.confidence + 1e-6).all()
    assert (
        np.sign(after.margin - before.margin)[abs(change) > 1e-3]
        == np.sign(change[abs(change) > 1e-3])
    ).all()


def test_the_probability_of_each_class_is_what_the_model_gives(tiny_model):
    model = at_temperature(tiny_model, 2.5)
    grey = smooth_noise((128, 192))
    stack = MicrographStack(grey)
    labels, confidence = np.zeros(grey.shape, np.uint8), np.zeros(grey.shape, np.float32)
    found = np.zeros((3, *grey.shape), np.float32)
    drain(Predictor(model, CPU).run_into(stack, labels, confidence, probabilities=found))
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-5)
    np.testing.assert_array_equal(found.max(axis=0), confidence)
    np.testing.assert_array_equal(found.argmax(axis=0) + 1, labels)


@pytest.mark.slow
def test_openvino_gives_confidence_at_the_same_temperature(tiny_model, monkeypatch):
    pytest.importorskip("openvino")
    model, stack = at_temperature(tiny_model, 2.5), MicrographStack(IMAGE)
    plain = drain(Predictor(model, CPU, with_confidence=True).run(stack))
    monkeypatch.setattr("napari_fractoseg.inference.backend._OPENVINO_CELLS", 1)
    predictor = Predictor(model, CPU, with_confidence=True)
    fast = drain(predictor.run(stack))
    assert "OpenVINO" in predictor.engine.label
    np.testing.assert_allclose(fast.confidence, plain.confidence, atol=1e-3)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["single", "auto"])
@pytest.mark.parametrize("dtype", ["u1", ">u2", "f4"])
def test_the_gpu_agrees_with_the_cpu(tiny_model, precision, dtype):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    stack = MicrographStack(np.stack([smooth_noise((150, 210), s) for s in range(6)]).astype(dtype))
    model = tiny_model.with_card(inference=Inference(reductions=(1, 2), flips=True, halo_px=32))
    options = {"tile_px": 64, "batch_size": 3, "with_confidence": True, "with_margin": True}
    on_cpu = drain(Predictor(model, CPU, **options).run(stack))
    predictor = Predictor(model, choose_device("cuda"), precision=precision, **options)
    on_gpu = drain(predictor.run(stack))
    # TF32, which is PyTorch's single precision there, has as many digits as half precision.
    assert (on_cpu.labels == on_gpu.labels).mean() > 0.99
    np.testing.assert_allclose(on_gpu.confidence, on_cpu.confidence, atol=0.02)
    np.testing.assert_allclose(on_gpu.margin, on_cpu.margin, atol=0.04)
    assert predictor.engine.label.endswith("in half precision") == (precision == "auto")


@pytest.mark.gpu
def test_a_stopped_run_on_the_gpu_keeps_what_it_has(tiny_model):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    stack = MicrographStack(np.stack([smooth_noise((150, 210), s) for s in range(6)]))
    labels, record = np.zeros(stack.shape, np.uint8), RunRecord()
    predictor = Predictor(tiny_model, choose_device("cuda"), tile_px=64)
    job = predictor.run_into(stack, labels, record=record)
    for _ in range(30):
        next(job)
    job.close()
    assert len(record.finished) >= 1
    assert labels[0].all()
    expected = drain(predictor.run(stack)).labels
    np.testing.assert_array_equal(labels[labels > 0], expected[labels > 0])
