"""`edit`: an answer's masks to correct by hand."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from .edited_objects import EditedObject, ObjectTrack
from .encoded_video import EncodedVideo
from .errors import InputError
from .fingerprints import fingerprints
from .frame_sampling import spread
from .grounded_answer import GroundedAnswer
from .packed_masks import PackedMasks
from .region_prompts import RegionPrompt
from .tracking import FrameMasks
from .tracking_inputs import check_frames, mask_size
from .tracking_session import UNNAMED, TrackingSession


class EditingMixin:
    """`edit` of [`VideoGlammForGroundedGeneration`]."""

    @torch.no_grad()
    def edit(
        self,
        output: Any = None,
        *,
        answer: GroundedAnswer | None = None,
        encoded_videos: Sequence[EncodedVideo | None] | EncodedVideo | None = None,
        grounding_frames: Sequence[torch.Tensor] | None = None,
        original_sizes: torch.Tensor | Sequence[Sequence[int]] | None = None,
        frame_timestamps: Sequence[Sequence[float]] | None = None,
        sequence_index: int = 0,
        mask_mode: str | None = None,
        prompt_frame: int = 0,
        num_anchors: int = 5,
        max_objects_per_batch: int | None = None,
        mask_callback: Callable[[FrameMasks], None] | None = None,
        **kwargs: Any,
    ) -> TrackingSession:
        r"""
        Opens an answer for corrections: clicks, boxes, masks, further objects (see [`TrackingSession`]).

        Neither towers nor language model run again; with `encoded_videos` whose frame features were kept, nor does
        the image encoder.

        Args:
            output: What `generate` returned with masks; without it, only objects of `answer`, or none.
            answer: The same answer as [`VideoGlammProcessor.post_process_grounded_generation`] made it: its words name
                the objects. Alone, its masks are what is corrected.
            encoded_videos, grounding_frames, original_sizes, frame_timestamps: The sample, as for `generate`.
            sequence_index: Which of the returned sequences.
            mask_mode, prompt_frame, num_anchors: As `generate` had them: in which frames the words are asked. In
                `"framewise"` a correction stays in its frame.
            max_objects_per_batch: Objects the pixel decoder takes at once.
            mask_callback: Called with every frame of every object that is decided again, as soon as it is;
                `sequence_index` is the object's number. What it raises ends the step, and nothing has changed.
            kwargs: What else the processor returned; not needed here.

        Raises:
            InputError: If the sample is missing, or the masks are not of its frames.
        """
        options = self._tracking_options(mask_mode, prompt_frame, num_anchors, max_objects_per_batch)
        row = sequence_index
        encoded = [encoded_videos] if hasattr(encoded_videos, "check_made_by") else encoded_videos
        given = encoded if encoded is not None else grounding_frames
        if given is None or not len(given):
            raise InputError("There is nothing to edit on; pass what the processor returned, or encoded_videos=[...].")
        masks = None if output is None else getattr(output, "masks", None)
        if output is not None and masks is None:
            raise InputError(f"A {type(output).__name__} without masks cannot be edited; pass what generate returned.")
        count = len(given) if masks is None else len(masks)
        if isinstance(row, bool) or not isinstance(row, int) or not 0 <= row < count:
            raise InputError(f"sequence_index is {row!r:.40}; there are {count} sequences, counted from 0.")
        # Several sequences may have been returned for one sample.
        sample = row // max(1, count // len(given))
        video = None if encoded is None else encoded[sample]
        frames, size, times = self._frames_to_edit(video, sample, grounding_frames, original_sizes, frame_timestamps)
        objects = []
        for i, track in enumerate(_tracks(output, answer, row)):
            if track.masks.shape[1:] != (len(frames), *size):
                raise InputError(
                    f"The masks are {list(track.masks.shape[1:])}, and the video {[len(frames), *size]}, as [frames, "
                    "height, width]; pass the sample that was asked about."
                )
            prompt = None if output is None else output.prompt_embeddings[row][i]
            label = UNNAMED.format(i + 1) if answer is None or i >= len(answer.labels) else answer.labels[i]
            start = _start(prompt, track, options, len(frames))
            objects.append(
                EditedObject(i, label, track, start, original=track, framewise=options.mask_mode == "framewise")
            )
        return TrackingSession(self.pixel_decoder, frames, size, times, objects, options, answer, mask_callback)

    def _frames_to_edit(
        self,
        video: EncodedVideo | None,
        sample: int,
        grounding_frames: Sequence[Any] | None,
        original_sizes: Any,
        frame_timestamps: Any,
    ) -> tuple[Any, tuple[int, int], Sequence[float]]:
        """Frames or features, size of the masks and times of one sample."""
        frames = None if video is None else video.frame_features
        if video is not None:
            video.check_made_by(fingerprints(self))
        if frames is None and grounding_frames is not None and sample < len(grounding_frames):
            frames = grounding_frames[sample]
        if frames is None or not len(frames):
            raise InputError(
                f"Sample {sample} has no frames to edit on; pass grounding_frames, or encode it with keep_frames=True."
            )
        check_frames(frames, self.config.grounding_config.image_size, f"grounding_frames of sample {sample}")
        if video is not None:
            return frames, tuple(video.original_size), video.frame_timestamps
        if original_sizes is None or sample >= len(original_sizes):
            raise InputError(f"original_sizes of sample {sample} are missing: pass what the processor returned.")
        size = mask_size(original_sizes[sample], f"original_sizes of sample {sample}")
        return frames, size, list(frame_timestamps[sample]) if frame_timestamps else []


def _tracks(output: Any, answer: GroundedAnswer | None, row: int) -> list[ObjectTrack]:
    """The objects of an output, or of an answer."""
    if output is None and answer is None:
        return []
    source = answer if output is None else output
    masks, scores, ious = source.masks, source.object_scores, source.iou_scores
    if output is not None:
        masks, scores, ious = masks[row], scores[row], None if ious is None else ious[row]
    logits = getattr(output, "mask_logits", None)
    tracks = []
    for i in range(len(masks)):
        own = masks[i : i + 1] if torch.is_tensor(masks) else masks[[i]]
        packed = PackedMasks.zeros(tuple(own.shape))
        packed[:] = own
        known = torch.ones(own.shape[1]) if ious is None else ious[i].float()
        tracks.append(ObjectTrack(packed, scores[i].float(), known, None if logits is None else logits[row][i]))
    return tracks


def _start(
    prompt: torch.Tensor | None, track: ObjectTrack, options: Any, num_frames: int
) -> dict[int, torch.Tensor | RegionPrompt]:
    """In which frames the words were asked, as the mode does; masks without words start where they first show."""
    if options.mask_mode == "anchored":
        frames = spread(0, num_frames - 1, options.num_anchors)
    else:
        frames = [min(options.prompt_frame, num_frames - 1)]
    if prompt is not None:
        return dict.fromkeys(frames, prompt)
    there = track.masks.bits.any(-1)[0].nonzero()[0]
    first = int(there[0]) if len(there) else 0
    return {first: RegionPrompt(mask=track.masks[0, first])}
