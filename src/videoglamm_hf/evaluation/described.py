"""What messages say of something that is not the array it should be."""

from typing import Any

import numpy as np


def described(value: Any) -> str:
    """`float32 [2, 3]` of an array, the type of anything else."""
    return f"{value.dtype} {list(value.shape)}" if isinstance(value, np.ndarray) else type(value).__name__
