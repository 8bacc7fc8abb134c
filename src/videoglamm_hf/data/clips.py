"""The frames of a training sample: those the towers see as at inference, and those with masks, decoded once."""

from collections.abc import Sequence
from typing import Any

from ..clip import ArrayClip, SampledClip
from ..clip_sources import open_clip, read_image, sample_clip
from ..errors import InputError
from ..frame_sampling import FrameSampling, tower_frame_indices


def read_training_clip(
    sample: dict[str, Any], mask_frames: Sequence[int], *, num_tower_frames: int, sampling: FrameSampling
) -> SampledClip | None:
    """The video or picture of a sample in memory, with its mask frames as the frames that get masks.

    Args:
        sample: See [`sample`].
        mask_frames: Numbers of the frames with masks in the source video.
        num_tower_frames, sampling: As at inference: the towers see these frames of a video; those of frames given one
            by one are spread over all of them. With 0 tower frames only mask frames are read.

    Returns:
        None for text only.

    Raises:
        InputError: If a mask frame is not in the video.
        MediaError: If the video cannot be read.
    """
    if sample.get("image") is not None:
        picture = ArrayClip(read_image(sample["image"])[None], source="picture")
        return SampledClip(picture, range(min(len(mask_frames), 1)))
    if sample.get("video") is None:
        return None
    with open_clip(sample["video"]) as clip:
        outside = [n for n in mask_frames if not 0 <= n < len(clip)]
        if outside:
            raise InputError(
                f"{clip.source}: it has {len(clip)} frames, so there is no frame {outside[0]} of mask_frames."
            )
        taken = sample_clip(clip, sampling).indices
        seen = [taken[i] for i in tower_frame_indices(len(taken), num_tower_frames)]
        return SampledClip(clip, list(mask_frames), seen).load()
