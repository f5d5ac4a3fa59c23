import numpy as np
import pytest

from napari_fractoseg.errors import OutOfMemoryError
from napari_fractoseg.images import MicrographStack
from napari_fractoseg.inference.result_size import require_memory, result_bytes

STACK = MicrographStack(np.zeros((4, 100, 100), np.uint8), name="z")


def test_a_result_takes_two_bytes_a_pixel_and_four_more_with_its_confidence():
    assert result_bytes(STACK, 4) == 80_000
    assert result_bytes(STACK, 1, n_uncertainties=1) == 60_000


@pytest.mark.parametrize(("reserved", "free"), [(0, 159_999), (10_000, 170_000)])
def test_more_than_half_of_the_free_memory_is_refused(reserved, free):
    with pytest.raises(OutOfMemoryError, match="z: the result takes .* Advanced > Save to zarr"):
        require_memory(STACK, 4, reserved=reserved, free=free)
    require_memory(STACK, 4, reserved=reserved, free=free + 100_000)
