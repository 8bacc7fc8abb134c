"""Fingerprints of frames compared."""

import numpy as np

# Bits in which two pictures of the same thing may differ.
NEAR = 5


def near_pairs(first: np.ndarray, second: np.ndarray) -> int:
    """How many of the first fingerprints are within `NEAR` bits of one of the second."""
    if not len(first) or not len(second):
        return 0
    different = np.bitwise_count(first[:, None] ^ second[None])
    return int((different.min(1) <= NEAR).sum())
