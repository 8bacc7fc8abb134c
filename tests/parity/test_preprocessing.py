"""Case 2: three pixel streams of three frame sizes."""

import numpy as np
import pytest

from tests.tiny_checkpoint import frames
from videoglamm_hf.image_streams import (
    grounding_stream,
    normalize_grounding_frames,
    spatial_stream,
    temporal_stream,
)

pytestmark = pytest.mark.parity
TOLERANCE = 1e-4


def sums(x: np.ndarray) -> np.ndarray:
    x = x.astype(np.float64)
    return np.array([x.sum(), np.abs(x).sum(), (x**2).sum()])


@pytest.mark.parametrize("index", [0, 1, 2])
def test_streams(golden, hold, index):
    case = golden("A_case2_preprocess")
    height, width = case.meta["sizes"][index]
    clip = frames(case.meta["T"], height, width, case.meta["frame_salt"])
    name = f"2 preprocess {height}x{width}"

    temporal = temporal_stream(clip, 224).numpy()
    hold(name, "temporal stream", np.abs(temporal[:, :, ::8, ::8] - case[f"iv{index}"]).max(), TOLERANCE)
    for frame in range(2):
        expected = case[f"iv{index}_sums"][frame]
        hold(name, f"temporal stream, frame {frame}: sums (rel)", relative(sums(temporal[frame]), expected), 1e-6)
    spatial = spatial_stream(clip, 336).numpy()
    hold(name, "spatial stream", np.abs(spatial[..., ::12, ::12] - case[f"clip{index}"]).max(), TOLERANCE)
    hold(name, "spatial stream: sums (rel)", relative(sums(spatial[0]), case[f"clip{index}_sums"][0]), 1e-6)
    hold(name, "picture: sums (rel)", relative(sums(spatial[0]), case[f"image{index}_clip_sums"]), 1e-6)

    for size in (256, 1024):
        resized = grounding_stream(clip[1:2], size)
        assert list(resized.shape[2:]) == case[f"sam{size}_{index}_resize"].tolist()
        pixels = normalize_grounding_frames(resized, size, resized.float().dtype)[0].numpy()
        step = size // 32
        sampled = pixels[:, step // 2 :: step, step // 2 :: step]
        hold(name, f"grounding stream {size}", np.abs(sampled - case[f"sam{size}_{index}"]).max(), TOLERANCE)
        hold(
            name, f"grounding stream {size}: sums (rel)", relative(sums(pixels), case[f"sam{size}_{index}_sums"]), 1e-6
        )


def relative(value: np.ndarray, expected: np.ndarray) -> float:
    return float((np.abs(value - expected) / np.maximum(np.abs(expected), 1)).max())
