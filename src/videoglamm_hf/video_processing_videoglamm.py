"""Videos to tensors: which frames are taken, and the three pixel streams made of them.

Shapes: V videos, F tower frames, T frames of one video.
"""

import itertools
import math
import numbers
from collections.abc import Sequence
from typing import Any

import torch
from transformers import BatchFeature

# Not from the top, where it is a stand-in unless torchvision is installed; nothing of it is needed here.
from transformers.video_processing_utils import BaseVideoProcessor, VideosKwargs

from .clip import ArrayClip, Clip, SampledClip
from .clip_sources import open_clip, sample_clip
from .configuration_videoglamm import AUTO_MAP
from .errors import InputError
from .explained_loading import ExplainedLoadingMixin
from .frame_sampling import SAMPLING_OPTIONS, FrameSampling, tower_frame_indices
from .grounding_frames import LazyGroundingFrames
from .image_streams import grounding_stream, spatial_stream, temporal_stream
from .media_files import holds_file
from .options import (
    BOOKKEEPING,
    MAX_FRAMES,
    check_decoder,
    check_names,
    check_return_tensors,
    check_side,
    check_switches,
    check_whole_number,
    converted,
)

# What `preprocess` takes beside the videos.
VIDEO_OPTIONS = (*SAMPLING_OPTIONS, "do_sample_frames", "video_metadata", "decoder", "lazy", "return_metadata")
# Fields of transformers' `VideoMetadata`.
_METADATA = ("total_num_frames", "fps", "width", "height", "duration", "video_backend", "frames_indices")


class VideoGlammVideosKwargs(VideosKwargs, total=False):
    """Options of [`VideoGlammVideoProcessor`], which `from_pretrained` may change."""

    num_tower_frames: int
    spatial_image_size: int
    temporal_image_size: int
    grounding_image_size: int
    fps: float | None
    max_frames: int | None
    decoder: str


OWN_OPTIONS = (*(set(VideoGlammVideosKwargs.__annotations__) - set(VideosKwargs.__annotations__)), "fps")


class VideoGlammVideoProcessor(ExplainedLoadingMixin, BaseVideoProcessor):
    r"""
    Frames and pixels of videos, for [`VideoGlammProcessor`].

    Args:
        num_tower_frames: Frames of a video that the towers see.
        spatial_image_size, temporal_image_size, grounding_image_size: Input sides of the spatial tower, the
            temporal tower and the pixel decoder, in pixels.
        fps: Frames per second taken from a video; None takes every frame.
        max_frames: Most frames taken from a video, evenly spread.
        decoder: What decodes video files, `"av"` (faster, see benchmarks/RESULTS.md) or `"decord"`; the frames are
            the same.
    """

    _called = "video processor"
    _auto_class = "AutoVideoProcessor"
    valid_kwargs = VideoGlammVideosKwargs
    model_input_names = [
        "pixel_values_videos",
        "temporal_pixel_values_videos",
        "grounding_frames",
        "original_sizes",
        "frame_timestamps",
    ]

    def __init__(
        self,
        num_tower_frames: int = 16,
        spatial_image_size: int = 336,
        temporal_image_size: int = 224,
        grounding_image_size: int = 1024,
        fps: float | None = 1.0,
        max_frames: int | None = 64,
        decoder: str = "av",
        **kwargs: Any,
    ) -> None:
        check_names([name for name in kwargs if name not in BOOKKEEPING], OWN_OPTIONS, "of the video processor")
        # What the base class adds is about torchvision's resizing, which is not used.
        for name, value in kwargs.items():
            setattr(self, name, value)
        check_whole_number(
            "num_tower_frames", num_tower_frames, 1, f"it must be a whole number from 1 to {MAX_FRAMES}", MAX_FRAMES
        )
        check_side("spatial_image_size", spatial_image_size)
        check_side("temporal_image_size", temporal_image_size)
        check_side("grounding_image_size", grounding_image_size)
        self.num_tower_frames = num_tower_frames
        self.spatial_image_size = spatial_image_size
        self.temporal_image_size = temporal_image_size
        self.grounding_image_size = grounding_image_size
        self.fps = fps
        self.max_frames = max_frames
        self.decoder = check_decoder(decoder)
        FrameSampling(fps=fps, max_frames=max_frames)

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "auto_map": {"AutoVideoProcessor": AUTO_MAP["AutoVideoProcessor"]}}

    @property
    def sampling(self) -> FrameSampling:
        """What is taken of a video unless it is told otherwise."""
        return FrameSampling(fps=self.fps, max_frames=self.max_frames)

    def sample(
        self,
        source: Any,
        *,
        do_sample_frames: bool | None = None,
        video_metadata: Any = None,
        decoder: str | None = None,
        lazy: bool = False,
        **options: Any,
    ) -> SampledClip:
        r"""
        The frames of one video that the model works on.

        Args:
            source: What [`~clip_sources.open_clip`] takes, or a clip.
            do_sample_frames: False takes every frame. By default files and folders are sampled, and frames given one
                by one are taken as they are unless an option says otherwise.
            video_metadata: A dict or `VideoMetadata` that tells `fps` (and `frames_indices`) of frames given one by
                one, which have no times of their own.
            decoder: What decodes video files; the processor's by default.
            lazy: Leave frames undecoded until they are needed. There is then no limit on their number unless
                `max_frames` is given.
            options: Fields of [`FrameSampling`] to change.

        Raises:
            InputError: An option cannot be used.
            MediaError: The video cannot be read.
        """
        check_names(options, SAMPLING_OPTIONS, "of a video")
        check_switches(do_sample_frames=do_sample_frames, lazy=lazy)
        if hasattr(source, "tower_indices"):
            check_seen_already({**options, "do_sample_frames": do_sample_frames, "video_metadata": video_metadata})
            return source
        is_open = hasattr(source, "leaves")
        clip = (
            source
            if is_open
            else open_clip(source, decoder=self.decoder if decoder is None else check_decoder(decoder))
        )
        if video_metadata is not None:
            clip = _with_times(clip, video_metadata)
        sampling = self.sampling
        if do_sample_frames is False:
            if any(options.get(name) is not None for name in ("fps", "num_frames")):
                raise InputError("do_sample_frames=False takes every frame; leave out fps and num_frames.")
            sampling = FrameSampling(fps=None, max_frames=None)
        elif lazy:
            sampling = sampling.changed(max_frames=None)
        if do_sample_frames and clip.is_chosen:
            options = {"fps": self.fps, "max_frames": self.max_frames, **options}
        try:
            sampled = sample_clip(clip, sampling, **options)
            return sampled if lazy else sampled.load()
        finally:
            # What the caller opened, the caller closes.
            if not (lazy or is_open):
                clip.close()

    def preprocess(
        self, videos: Any, return_tensors: str | None = "pt", return_metadata: bool = False, **options: Any
    ) -> BatchFeature:
        r"""
        Args:
            videos: A video or a list of them; one array `[T, H, W, 3]` or one list of frames is one video.
            return_tensors: `"pt"`, `"np"`, or None for lists of arrays.
            return_metadata: Also return `video_metadata`: per video its `fps`, `total_num_frames`, `frames_indices`,
                `height`, `width` and `duration`.
            options: As in [`sample`], for all videos; `video_metadata` may be a list with one for each.

        Returns:
            `pixel_values_videos` float32 `[V, F, 3, 336, 336]`, `temporal_pixel_values_videos` float32
            `[V, F, 3, 224, 224]` and, per video, `grounding_frames` (uint8 `[T, 3, h, w]`), `original_sizes`
            int64 `[V, 2]` (height, width) and `frame_timestamps` (seconds).

        Raises:
            InputError: A video or an option cannot be used.
            MediaError: A video cannot be read.
        """
        check_names(options, VIDEO_OPTIONS, "of the video processor")
        check_return_tensors(return_tensors)
        check_switches(return_metadata=return_metadata)
        videos = video_list(videos)
        if not videos:
            raise InputError("There is no video; give at least one.")
        per_video = metadata_of_each(options.pop("video_metadata", None), len(videos))
        clips = [
            self.sample(video, video_metadata=own, **options) for video, own in zip(videos, per_video, strict=True)
        ]
        outputs = self.streams(clips, lazy=options.get("lazy", False))
        if return_metadata:
            outputs["video_metadata"] = [self.metadata(clip) for clip in clips]
        return BatchFeature(converted(outputs, return_tensors))

    def streams(self, clips: Sequence[SampledClip], lazy: bool = False) -> dict[str, Any]:
        """What [`preprocess`] returns, of clips that are sampled already."""
        streams: dict[str, Any] = {
            "pixel_values_videos": [],
            "temporal_pixel_values_videos": [],
            "grounding_frames": [],
            "original_sizes": [],
            "frame_timestamps": [],
        }
        for clip in clips:
            seen = clip.tower_indices
            if seen is None:
                seen = [clip.indices[i] for i in tower_frame_indices(len(clip), self.num_tower_frames)]
            # Each frame is resized once, however often it is repeated.
            unique = sorted(set(seen))
            rows = torch.tensor([unique.index(i) for i in seen])
            frames = clip.clip.frames(unique)
            streams["pixel_values_videos"].append(spatial_stream(frames, self.spatial_image_size)[rows])
            streams["temporal_pixel_values_videos"].append(temporal_stream(frames, self.temporal_image_size)[rows])
            streams["grounding_frames"].append(self.grounding_frames(clip, lazy))
            streams["original_sizes"].append(frames.shape[1:3])
            streams["frame_timestamps"].append(list(clip.seconds))
        for name in ("pixel_values_videos", "temporal_pixel_values_videos"):
            streams[name] = torch.stack(streams[name])
        streams["original_sizes"] = torch.tensor(streams["original_sizes"], dtype=torch.long)
        return streams

    def metadata(self, clip: SampledClip) -> dict[str, Any]:
        """What is known of a video and what was taken of it, by the names of transformers' `VideoMetadata`."""
        height, width = clip.size
        return {
            "total_num_frames": clip.clip.total,
            "fps": clip.clip.rate,
            "width": width,
            "height": height,
            "duration": clip.clip.duration,
            "frames_indices": clip.numbers,
        }

    def grounding_frames(self, clip: SampledClip, lazy: bool = False) -> torch.Tensor | LazyGroundingFrames:
        """The frames of a clip as the pixel decoder takes them, uint8 `[T, 3, h, w]`."""
        if lazy:
            frames = LazyGroundingFrames(clip, self.grounding_image_size)
            frames.start()
            return frames
        return grounding_stream(clip.frames(range(len(clip))), self.grounding_image_size)


def metadata_of_each(metadata: Any, count: int) -> list[Any]:
    """`video_metadata` of each of `count` videos, from a list or from one for all.

    Raises:
        InputError: The list has another length.
    """
    each = list(metadata) if isinstance(metadata, (list, tuple)) else [metadata] * count
    if len(each) != count:
        raise InputError(f"there are {len(each)} video_metadata for {count} videos")
    return each


def check_seen_already(options: dict[str, Any]) -> None:
    """Raises InputError if one of these options, which say what is taken of a video, is given."""
    given = [
        name for name in (*SAMPLING_OPTIONS, "do_sample_frames", "video_metadata") if options.get(name) is not None
    ]
    if given:
        raise InputError(f"{', '.join(given)} cannot be used: the frames of this video were chosen before.")


def video_list(videos: Any) -> list[Any]:
    """Videos in order, whatever lists they are in."""
    if videos is None:
        return []
    if is_one_video(videos):
        return [videos]
    if getattr(videos, "ndim", 5) < 4:
        raise InputError(f"an array of shape {list(videos.shape)} is no video; give [T, H, W, 3], uint8")
    return [video for inner in videos for video in video_list(inner)]


def is_one_video(videos: Any) -> bool:
    """Whether `videos` is a single video: anything but a list, or a list of frames."""
    if not isinstance(videos, (list, tuple)):
        return getattr(videos, "ndim", 4) != 5
    first = videos[0] if len(videos) else None
    pathlike = (
        isinstance(first, (str, list, tuple))
        or holds_file(first)
        or hasattr(first, "__fspath__")
        or hasattr(first, "seconds")
    )
    return not pathlike and getattr(first, "ndim", 3) == 3


def _with_times(clip: Clip, metadata: Any) -> Clip:
    """Frames given one by one, with the times that their metadata tells."""
    try:
        metadata = dict(metadata)
    except (TypeError, ValueError) as error:
        raise InputError(f"video_metadata is a {type(metadata).__name__}; give a dict or VideoMetadata") from error
    check_names(metadata, _METADATA, "of video_metadata")
    rate = metadata.get("fps")
    if rate is None:
        return clip
    if not clip.is_chosen:
        raise InputError(f"video_metadata cannot be used: {clip.source} has times of its own.")
    if isinstance(rate, bool) or not isinstance(rate, numbers.Real) or not 0 < rate < math.inf:
        raise InputError(f"video_metadata has fps {rate!r}; it must be a positive number")
    indices = metadata.get("frames_indices")
    indices = list(range(len(clip)) if indices is None else indices)
    if len(indices) != len(clip):
        raise InputError(f"video_metadata has {len(indices)} frames_indices for {len(clip)} frames")
    if any(later <= earlier for earlier, later in itertools.pairwise(indices)):
        raise InputError(f"video_metadata has the frames_indices {indices!r:.80}; they must increase")
    seconds = [(i - indices[0]) / rate for i in indices]
    array = clip.frames(range(len(clip)))
    return ArrayClip(array, seconds=seconds, duration=seconds[-1] + 1 / rate, rate=rate, source=clip.source)


__all__ = ["VideoGlammVideoProcessor"]
