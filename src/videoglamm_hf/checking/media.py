"""What is wrong between a sample and its video, as the model will see it; and what videos have in common.

Shapes: n sampled frames.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from ..clip_sources import open_clip, read_image, sample_clip
from ..errors import VideoGlammError
from ..frame_sampling import FrameSampling, tower_frame_indices
from ..media_files import media_errors
from .finding import WARNING, Finding
from .objects import ObjectFacts
from .records import Record

# Side of the grid whose horizontal differences are a frame's fingerprint (dHash: 64 bits).
_GRID = 8
# A frame with fewer differences than this is all but of one colour: it tells nothing about what it shows.
_FLAT = 8
# Frames of a video that are compared.
_COMPARED = 4


@dataclass(frozen=True)
class MediaFacts:
    """What one look at a video told.

    Attributes:
        seen: Numbers of the frames that the towers see.
        total: Its frames.
        hashes: uint64 `[n]`, fingerprints of a few frames, without those that show nothing.
    """

    seen: tuple[int, ...]
    total: int
    hashes: np.ndarray


def look_at_media(
    record: Record, sampling: FrameSampling, num_tower_frames: int, shown: int
) -> tuple[MediaFacts, np.ndarray, int] | None:
    """Opens a sample's video or picture: what it told, one of its frames (uint8 `[H, W, 3]`), and that one's number;
    None if it cannot be read ([`validate_jsonl`] says why).

    Args:
        record: The sample.
        sampling: What the model takes of a video.
        num_tower_frames: How many of these frames the towers see.
        shown: Number of the frame to keep.
    """
    try:
        with media_errors(record.media[0]):
            if record.kind == "image":
                picture = read_image(record.media[0])
                return MediaFacts((0,), 1, _hashes([picture])), picture, 0
            with open_clip(record.media[0] if len(record.media) == 1 else list(record.media)) as clip:
                taken = sample_clip(clip, sampling).indices
                seen = sorted({taken[i] for i in tower_frame_indices(len(taken), num_tower_frames)})
                compared = sorted({taken[i] for i in np.linspace(0, len(taken) - 1, _COMPARED).astype(int)})
                kept = min(shown, len(clip) - 1)
                wanted = sorted({*compared, kept})
                frames = dict(zip(wanted, clip.frames(wanted), strict=True))
                hashes = _hashes([frames[index] for index in compared])
                return MediaFacts(tuple(seen), len(clip), hashes), frames[kept], kept
    except VideoGlammError:
        return None


def sampling_findings(record: Record, objects: Sequence[ObjectFacts], media: MediaFacts) -> Iterator[Finding]:
    """Objects that show only where the towers do not look."""
    if record.kind != "video":
        return
    for number, (named, own) in enumerate(zip(record.objects, objects, strict=True)):
        if not own.seen:
            continue
        first, last = (record.mask_frames[own.seen[place]] for place in (0, -1))
        if not any(first <= frame <= last for frame in media.seen):
            called = named.phrase or f"object {number + 1}"
            yield Finding(
                WARNING,
                "object between sampled frames",
                record.name,
                f"{called!r} shows in frames {first} to {last} of {media.total}; the model is asked with frames "
                f"{_listed(media.seen)}",
                "the answer is decided by these frames alone, so it is asked about something it cannot have seen",
                "cut the video around the object, or sample more densely (`fps` of the processor)",
            )


def _hashes(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Fingerprints of pictures that show something, uint64 `[n]`."""
    found: list[Any] = []
    for picture in pictures:
        grid = np.asarray(Image.fromarray(picture).convert("L").resize((_GRID + 1, _GRID), Image.Resampling.BOX), int)
        steps = np.diff(grid, axis=1)
        if (np.abs(steps) > 1).sum() >= _FLAT:
            found.append(np.packbits(steps > 0).view(np.uint64)[0])
    return np.array(found, np.uint64)


def _listed(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:8]))
    return shown if len(numbers) <= 8 else f"{shown}, ... ({len(numbers)} in all)"
