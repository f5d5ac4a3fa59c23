import dask.array as da
import numpy as np
import pytest
import torch
import zarr

import napari_fractoseg as nf
from napari_fractoseg.errors import ImageError, OutOfMemoryError
from napari_fractoseg.images import MicrographStack
from napari_fractoseg.inference.predictor import Predictor
from napari_fractoseg.jobs import drain
from napari_fractoseg.models.card import Inference
from napari_fractoseg.models.devices import choose_device
from napari_fractoseg.models.model import SegmentationModel

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
    labels = nf.segment(same, tiny_model, device="cpu", rgb=same.ndim == 3)
    np.testing.assert_array_equal(labels, expected)


def tiled_agreement(model, halo_px, **options):
    image = MicrographStack(smooth_noise((400, 330)))
    model = model.with_card(inference=Inference(halo_px=halo_px))
    whole = drain(Predictor(model, CPU, tile_px=1024).run(image)).labels
    tiled = drain(Predictor(model, CPU, tile_px=128, **options).run(image)).labels
    return (whole == tiled).mean()


def test_tiles_give_the_labels_of_the_whole_image(tiny_model):
    # A halo as wide as the network sees makes tiles exact, one by one or in batches.
    assert tiled_agreement(tiny_model, 256) > 0.9999
    assert tiled_agreement(tiny_model, 256, batch_size=3) > 0.9999
    assert tiled_agreement(tiny_model, 0) < 0.99


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (7, 5), (33, 31), (32, 97)])
def test_tiny_and_odd_sizes(tiny_model, shape):
    assert nf.segment(smooth_noise(shape), tiny_model, device="cpu").shape == shape


def test_a_constant_image_is_labelled(tiny_model):
    labels = nf.segment(np.full((40, 50), 128, np.uint8), tiny_model, device="cpu")
    assert labels.shape == (40, 50)
    assert (labels > 0).all()


def test_nan_is_refused_with_the_plane_and_the_count(tiny_model):
    stack = np.zeros((2, 40, 40), np.float32)
    stack[1, 0, 0] = np.nan
    with pytest.raises(ImageError, match="plane 1: 1 of 1600 pixels are NaN"):
        nf.segment(stack, tiny_model, device="cpu")


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


def test_stopping_keeps_what_is_finished(tiny_model):
    stack = MicrographStack(np.stack([smooth_noise((130, 130), s) for s in range(3)]))
    labels = np.zeros(stack.shape, np.uint8)
    predictor = Predictor(tiny_model, CPU, tile_px=64)
    job = predictor.run_into(stack, labels)
    for progress in job:
        if progress.done == predictor.tiler.count((130, 130)) + 1:
            break
    job.close()
    assert labels[0].all()
    assert labels[1].any()
    assert not labels[1].all()
    assert not labels[2].any()


def test_progress_counts_tiles_up_to_the_total(tiny_model):
    stack = MicrographStack(np.zeros((2, 100, 100), np.uint8))
    seen = list(Predictor(tiny_model, CPU, tile_px=64).run(stack))
    assert [p.done for p in seen] == list(range(1, 9))
    assert {p.total for p in seen} == {8}
    assert seen[-1].message == "plane 2 of 2"


class _Greedy(torch.nn.Module):
    """A network that asks for more memory than any machine has."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, inputs):
        return torch.empty((2**60,), dtype=torch.uint8)


def test_out_of_memory_says_what_to_do(tiny_model):
    model = SegmentationModel(tiny_model.card, _Greedy())
    with pytest.raises(
        OutOfMemoryError, match="CPU.*ran out of memory. Use smaller tiles than 64 px"
    ):
        drain(Predictor(model, CPU, tile_px=64).run(MicrographStack(IMAGE)))


@pytest.mark.gpu
def test_the_gpu_agrees_with_the_cpu(tiny_model):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    on_cpu = nf.segment(IMAGE, tiny_model, device="cpu")
    on_gpu = nf.segment(IMAGE, tiny_model, device="cuda")
    tiny_model.to(torch.device("cpu"))
    assert (on_cpu == on_gpu).mean() > 0.999
