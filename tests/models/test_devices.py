import pytest
import torch

from napari_fractoseg.errors import DeviceError, OutOfMemoryError
from napari_fractoseg.models.devices import (
    Device,
    choose_device,
    list_devices,
    translate_out_of_memory,
)

CPU = Device("cpu", "CPU (2 threads)")


def test_the_cpu_is_always_there_and_says_why_it_is_the_choice():
    assert choose_device("cpu").kind == "cpu"
    chosen = choose_device("auto")
    if chosen.kind == "cpu":
        assert chosen.why_not_gpu
    assert list_devices()[0] == chosen


def test_one_thread_is_not_called_several():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        assert list_devices()[-1].label == "CPU (1 thread)"
        torch.set_num_threads(2)
        assert list_devices()[-1].label == "CPU (2 threads)"
    finally:
        torch.set_num_threads(before)


def test_an_absent_device_is_refused_with_those_there_are():
    with pytest.raises(DeviceError, match=r"'cuda:99' is not available; there is .*cpu"):
        choose_device("cuda:99")


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        MemoryError(),
        RuntimeError("GET was unable to find an engine to execute this computation"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"
        ),
    ],
)
def test_every_kind_of_out_of_memory_becomes_ours(error):
    with (
        pytest.raises(
            OutOfMemoryError, match="CPU .2 threads. ran out of memory. Use less."
        ) as caught,
        translate_out_of_memory(CPU, "Use less."),
    ):
        raise error
    assert not isinstance(caught.value, RuntimeError)
    assert caught.value.__cause__ is error


def test_a_real_allocation_that_fails_is_translated():
    with pytest.raises(OutOfMemoryError), translate_out_of_memory(CPU, "Use less."):
        torch.empty(2**60, dtype=torch.uint8)


def test_other_errors_pass():
    with pytest.raises(RuntimeError, match="shapes"), translate_out_of_memory(CPU, ""):
        raise RuntimeError("shapes do not match")
