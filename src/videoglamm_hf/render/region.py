"""Everything but a region of a video blanked: to ask about it.

VideoGLaMM cannot be shown a region. Neither its prompts nor its towers have a place for one (the original's model code
knows no boxes; GLaMM, for pictures, has a region encoder and was trained with it). To teach it, a region encoder, or
marks drawn into the frames, would have to be trained on questions about regions. What can be done today is to mask the
region and ask: the model then sees nothing else, not even what is around it.
"""

import numpy as np

from ..errors import InputError
from ..frame_arrays import check_video_array

# What OpenAI's CLIP sees as nothing: the mean of its pictures, in 0 to 255.
_BLANK = (123, 117, 104)


def mask_region(video: np.ndarray, masks: np.ndarray, *, margin: float = 0.1) -> np.ndarray:
    """Frames in which only a region is left: `processor` and `generate` take them as any video.

    Args:
        video: uint8 `[T, H, W, 3]`.
        masks: bool `[T, H, W]`, the region in every frame, such as `session.masks[0]`; frames without it become blank.
        margin: How far around the region's box pixels are left, as a share of its longer side.

    Returns:
        uint8 `[T, H, W, 3]`, a new array.

    Raises:
        InputError: They do not fit together, or the region is nowhere.
    """
    frames = check_video_array(np.asarray(video))
    region = np.asarray(masks) != 0
    if region.shape != frames.shape[:3]:
        raise InputError(f"masks have shape {list(region.shape)}; the video's are {list(frames.shape[:3])}")
    if not 0 <= margin <= 10:
        raise InputError(f"margin is {margin}; it is a share of the region's longer side, from 0 to 10")
    if not region.any():
        raise InputError("the region is in no frame; there is nothing to ask about")
    left = np.empty_like(frames)
    left[:] = _BLANK
    for frame, own, target in zip(frames, region, left, strict=True):
        if own.any():
            rows, columns = (np.flatnonzero(own.any(axis)) for axis in (1, 0))
            extra = round(margin * max(np.ptp(rows) + 1, np.ptp(columns) + 1))
            box = tuple(slice(max(0, found[0] - extra), found[-1] + extra + 1) for found in (rows, columns))
            target[box] = frame[box]
    return left
