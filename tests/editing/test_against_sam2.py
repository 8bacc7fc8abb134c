"""Clicks, boxes and masks on any frames: the masks of transformers' SAM 2 session given the same."""

import numpy as np
import pytest
import torch
from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

from tests.tiny_checkpoint import frames
from videoglamm_hf.image_streams import grounding_stream, normalize_grounding_frames
from videoglamm_hf.region_prompts import RegionPrompt, region_prompt
from videoglamm_hf.retracking import SaidOfObject, retrack
from videoglamm_hf.tracking import TrackingOptions

SIDE, NUM_FRAMES, SIZE = 256, 9, (48, 64)
BRUSH = np.zeros(SIZE, bool)
BRUSH[10:30, 20:50] = True


@pytest.fixture(scope="module")
def resized() -> torch.Tensor:
    return grounding_stream(frames(NUM_FRAMES, *SIZE), SIDE)


def _as_points(points=(), labels=None, box=None) -> dict[str, torch.Tensor]:
    """What `Sam2VideoProcessor` makes of clicks and a box (it needs torchvision): in pixels of the square."""
    labels = labels or [1] * len(points)
    corners = [] if box is None else [box[:2], box[2:]]
    scaled = [[x * (SIDE / SIZE[1]), y * (SIDE / SIZE[0])] for x, y in [*corners, *points]]
    numbers = [2, 3][: len(corners)] + labels
    return {"point_coords": torch.tensor([[scaled]]), "point_labels": torch.tensor([[numbers]], dtype=torch.int32)}


def _resized(mask: torch.Tensor) -> torch.Tensor:
    """As `process_new_mask_for_video_frame` does."""
    mask = torch.nn.functional.interpolate(mask, (SIDE, SIDE), mode="bilinear", align_corners=False, antialias=True)
    return (mask >= 0.5).float()


def theirs(decoder, resized: torch.Tensor, said: dict[int, dict]) -> dict[int, torch.Tensor]:
    """Low-resolution logits of transformers' session: what is said of frames, then forward and backward."""

    def started() -> Sam2VideoInferenceSession:
        pixels = normalize_grounding_frames(resized, SIDE, torch.float32)
        session = Sam2VideoInferenceSession(
            video=pixels, video_height=SIZE[0], video_width=SIZE[1], dtype=torch.float32
        )
        index = session.obj_id_to_idx(1)
        for t, own in said.items():
            session.obj_with_new_inputs = [1]
            if "mask" in own or "absent" in own:
                mask = torch.from_numpy(own.get("mask", np.zeros(SIZE, bool))).float()[None, None]
                session.add_mask_inputs(index, t, _resized(mask))
            else:
                session.add_point_inputs(index, t, _as_points(**own))
            decoder(session, frame_idx=t)
        return session

    first, found = min(said), {}
    for backward in (True, False):
        # A session that turns around would look at what it saw on the other way.
        outputs = decoder.propagate_in_video_iterator(started(), start_frame_idx=first, reverse=backward)
        found |= {output.frame_idx: output.pred_masks[0, 0].clone() for output in outputs}
    return found


CASES = {
    "click": {4: {"points": [(20, 30)]}},
    "clicks": {0: {"points": [(20, 30), (40.5, 10.25), (3, 3)], "labels": [1, 1, 0]}},
    "two frames": {2: {"points": [(20, 30)]}, 6: {"points": [(50, 40), (10, 10)], "labels": [1, 0]}},
    "later frame first": {6: {"points": [(50, 40)]}, 1: {"points": [(22, 31)]}},
    "box": {3: {"box": (10, 5, 40.5, 30)}},
    "box and click": {3: {"box": (10, 5, 40, 30), "points": [(20, 20)], "labels": [0]}},
    "mask": {2: {"mask": BRUSH}},
    "mask and click": {1: {"mask": BRUSH}, 5: {"points": [(30, 20)]}},
    "gone in between": {0: {"points": [(20, 30)]}, 4: {"absent": True}},
}


@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_masks_are_those_of_transformers_session(model, resized, case):
    decoder, said = model.pixel_decoder, CASES[case]
    expected = theirs(decoder, resized, said)
    prompts: dict[int, RegionPrompt] = {t: region_prompt(SIZE, f"frame {t}", **own) for t, own in said.items()}
    steps = list(retrack(decoder, resized, SIZE, [SaidOfObject(1, prompts, lambda t: None)], TrackingOptions()))
    found = {step.frame_index: step.logits[0] for step in steps}
    assert sorted(found) == sorted(expected) == list(range(NUM_FRAMES))
    for t, logits in expected.items():
        close = 1e-4 if t in said else 2e-2
        assert (logits - found[t]).abs().max() < close, (t, float((logits - found[t]).abs().max()))
        assert ((logits > 0) != (found[t] > 0)).float().mean() < 5e-4
