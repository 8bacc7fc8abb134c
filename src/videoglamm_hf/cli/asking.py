"""One question about one clip, and the folder its answer is written to."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm
from transformers.generation.streamers import BaseStreamer

from ..clip import SampledClip
from ..clip_sources import open_clip, sample_clip
from ..frame_sampling import tower_frame_indices
from ..grounded_answer import GroundedAnswer
from ..grounding_frames import CHUNK_FRAMES
from ..output_files import check_output, explained_writes, replacing_folder
from ..player.document import player_document
from ..player.page import player_page
from ..player.view import picture_url
from ..processing_videoglamm import VideoGlammProcessor
from ..render.contact_sheet import contact_sheet
from ..render.overlay_video import render_video
from ..render.video_encoding import write_mp4
from .answer_file import answer_document, note_of
from .rle_masks import RleMasks
from .wording import with_sureness

# Kind of the output folder.
ANSWER = "answer"
# Frames that the preview may choose from.
_PREVIEW_FRAMES = 8
# Frames of the page, which holds them all.
_PAGE_FRAMES = 48


class _TokenProgress(BaseStreamer):
    """Counts generated tokens; the first call of a streamer is the prompt."""

    def __init__(self, shown: bool) -> None:
        self.bar = tqdm(desc="answering", unit="token", leave=False, disable=None if shown else True)
        self.seen_prompt = False

    def put(self, value: torch.Tensor) -> None:
        self.bar.update(int(self.seen_prompt))
        self.seen_prompt = True

    def end(self) -> None:
        self.bar.close()


class _FrameProgress:
    """Counts frames with masks, from the first one on: until then, words are counted."""

    def __init__(self, total: int, shown: bool) -> None:
        self.bar: tqdm | None = None
        self.total, self.shown = total, shown

    def update(self, _: Any = None) -> None:
        if self.bar is None:
            self.bar = tqdm(
                desc="segmenting", total=self.total, unit="frame", leave=False, disable=None if self.shown else True
            )
        self.bar.update()

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


def every_frame(processor: VideoGlammProcessor, video: Any, *, part: bool = False, **options: Any) -> SampledClip:
    """A video whose every frame gets masks, while the towers see what they would see of it otherwise.

    Frames are decoded when they are needed: close the clip at the end.

    Args:
        video: What [`~clip_sources.open_clip`] takes.
        part: Whether only frames between `start_time` and `end_time` get masks.
        options: Fields of [`FrameSampling`] to change for the towers.

    Raises:
        InputError: An option cannot be used.
        MediaError: The video cannot be read.
    """
    videos = processor.video_processor
    clip = open_clip(video, decoder=videos.decoder)
    try:
        seen = sample_clip(clip, videos.sampling, **options).indices
        every = {"fps": None, "num_frames": None, "max_frames": None}
        shown = sample_clip(clip, videos.sampling, **options | every).indices if part else range(len(clip))
    except BaseException:
        clip.close()
        raise
    towers = [seen[i] for i in tower_frame_indices(len(seen), videos.num_tower_frames)]
    return SampledClip(clip, shown, towers)


def ask(
    model: Any,
    processor: VideoGlammProcessor,
    clip: SampledClip,
    question: str,
    *,
    max_new_tokens: int,
    seed: int | None = None,
    progress: bool = True,
    bounded: bool = False,
    tracking: dict[str, Any] | None = None,
    **generate_options: Any,
) -> GroundedAnswer:
    """One question about one clip, with a progress bar for words and then one for masks on a terminal, unless
    `progress` is false.

    Args:
        bounded: Keep frames and masks of a long clip out of memory: frames are decoded when they are needed, and the
            answer's masks are [`RleMasks`].
        tracking: Options of `iter_masks`: `mask_mode`, `prompt_frame`, `num_anchors`, `max_objects_per_batch`.

    Raises:
        InputError: If the question cannot be asked.
    """
    messages = [
        {
            "role": "user",
            "content": [{"type": "video", "video": clip}, {"type": "text", "text": question}],
        }
    ]
    inputs = processor.apply_chat_template(
        messages, tokenize=True, add_generation_prompt=True, return_dict=True, return_tensors="pt", lazy=bounded
    )
    if seed is not None:
        torch.manual_seed(seed)
    tracking = tracking or {}
    inputs = inputs.to(model.device)
    frames, sizes = inputs["grounding_frames"], inputs["original_sizes"]
    if bounded:
        inputs["grounding_frames"] = [frames[0][:0]]
    counter = _FrameProgress(len(clip), progress)
    try:
        output = model.generate(
            **inputs,
            max_new_tokens=max_new_tokens,
            do_sample=seed is not None,
            streamer=_TokenProgress(progress),
            mask_callback=counter.update,
            **tracking,
            **generate_options,
        )
        answer = processor.post_process_grounded_generation(output)[0]
        if not bounded:
            return answer
        shape = (len(answer.masks), len(clip), *map(int, sizes[0]))
        masks, scores, ious = RleMasks(shape), torch.zeros(shape[:2]), torch.zeros(shape[:2])
        for frame in model.iter_masks(output.prompt_embeddings, frames, sizes, **tracking):
            masks[:, frame.frame_index] = frame.masks.numpy()
            scores[:, frame.frame_index] = frame.object_scores
            ious[:, frame.frame_index] = frame.iou_scores
            counter.update()
        sure, presence = _how_sure(model, output, scores, ious, tracking.get("mask_mode"))
        return replace(
            answer,
            masks=masks,
            object_scores=scores,
            iou_scores=ious,
            probabilities=sure,
            presence_probability=presence,
        )
    finally:
        counter.close()


def _how_sure(
    model: Any, output: Any, scores: torch.Tensor, ious: torch.Tensor, mask_mode: str | None
) -> tuple[torch.Tensor | None, float | None]:
    """Probabilities of an answer whose masks were decoded afterwards."""
    if output.word_log_probs is None:
        return None, None
    log_probs = output.word_log_probs[0]
    tokens = output.sequences[0, output.prompt_length :][: len(log_probs)].cpu()
    return model.answer_probabilities(tokens, log_probs, scores, ious, mask_mode)


def write_answer(
    output: Path,
    clip: SampledClip,
    answer: GroundedAnswer,
    settings: dict[str, Any],
    *,
    overwrite: bool = False,
    progress: bool = True,
    legend: bool = True,
    like_source: bool = False,
) -> None:
    """Writes `answer.json`, `overlay.mp4`, `preview.png` and `preview.html`; the folder appears only when all are
    complete.

    Args:
        legend: Whether the overlay says below the frames which colour is which phrase.
        like_source: Whether the overlay plays as the source does, of whose every frame there are masks: the same size,
            the same times, and the sound as it is.

    Raises:
        OutputError: If the folder cannot be written, or has contents and may not be replaced.
    """
    check_output(output, overwrite=overwrite, kind=ANSWER)
    labels = with_sureness(answer.labels, answer.probabilities)
    left_out = f"\n{note_of(answer)}" if answer.left_out else ""
    masks = answer.masks if hasattr(answer.masks, "rles") else answer.masks.numpy()
    with replacing_folder(output, ANSWER, overwrite=overwrite) as folder:
        document = json.dumps(answer_document(clip, answer, settings), indent=1, ensure_ascii=False)
        with explained_writes(output):
            # A byte of a path that is no text is written as JSON's own escape, and read back as what it was.
            (folder / "answer.json").write_text(document, encoding="utf-8", errors="backslashreplace")
        rendered = render_video(clip_frames(clip), masks, labels, legend=legend, enlarge=not like_source)
        shown = tqdm(
            rendered,
            desc="writing overlay.mp4",
            total=len(clip),
            unit="frame",
            leave=False,
            disable=None if progress else True,
        )
        source = clip.clip
        like = {"tick": source.tick, "start": source.start, "sound": source.path} if like_source else {}
        write_mp4(folder / "overlay.mp4", shown, seconds=clip.seconds, duration=clip.duration, **like)
        places = np.linspace(0, len(clip) - 1, min(_PREVIEW_FRAMES, len(clip))).round().astype(int).tolist()
        sheet = contact_sheet(
            np.concatenate([clip.frames([place]) for place in places]),
            np.stack([masks[:, place] for place in places], axis=1),
            labels,
            timestamps=[clip.seconds[place] for place in places],
            title=f"{settings['question']}\n{answer.text}{left_out}",
        )
        with explained_writes(output / "preview.png"):
            sheet.save(folder / "preview.png")
        _write_page(folder / "preview.html", clip, answer, settings["question"])


def _write_page(path: Path, clip: SampledClip, answer: GroundedAnswer, question: str) -> None:
    """The answer as a page: frames with masks, phrases that light their objects; of a long clip some of the frames."""
    places = np.linspace(0, len(clip) - 1, min(_PAGE_FRAMES, len(clip))).round().astype(int).tolist()
    shown = replace(
        answer,
        masks=torch.stack([torch.as_tensor(answer.masks[:, place]) for place in places], dim=1),
        object_scores=answer.object_scores[:, places],
        timestamps=[clip.seconds[place] for place in places],
    )
    frames = [picture_url(clip.frames([place])[0]) for place in places]
    with explained_writes(path):
        page = player_page(player_document(shown, frames, clip.size, title=question))
        path.write_text(page, encoding="utf-8", errors="backslashreplace")


def clip_frames(clip: SampledClip) -> Iterator[np.ndarray]:
    """All frames with masks, some at a time."""
    for start in range(0, len(clip), CHUNK_FRAMES):
        yield from clip.frames(range(start, min(start + CHUNK_FRAMES, len(clip))))
