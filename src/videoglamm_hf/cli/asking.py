"""One question about one clip, and the folder its answer is written to."""

import json
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm
from transformers.generation.streamers import BaseStreamer

from ..clip import SampledClip
from ..data.rle import encode_rle
from ..grounded_answer import GroundedAnswer
from ..output_files import check_output, explained_writes, replacing_folder
from ..processing_videoglamm import VideoGlammProcessor
from ..render.contact_sheet import contact_sheet
from ..render.overlay_video import render_video
from ..render.video_encoding import write_mp4

# Kind of the output folder.
ANSWER = "answer"


class _TokenProgress(BaseStreamer):
    """Counts generated tokens; the first call of a streamer is the prompt."""

    def __init__(self, bar: tqdm) -> None:
        self.bar, self.seen_prompt = bar, False

    def put(self, value: torch.Tensor) -> None:
        self.bar.update(int(self.seen_prompt))
        self.seen_prompt = True

    def end(self) -> None:
        self.bar.close()


def ask(
    model: Any,
    processor: VideoGlammProcessor,
    clip: SampledClip,
    question: str,
    *,
    max_new_tokens: int,
    mask_mode: str | None = None,
    seed: int | None = None,
    progress: bool = True,
    **generate_options: Any,
) -> GroundedAnswer:
    """One question about one clip, with progress bars for words and masks unless `progress` is false.

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
        messages, tokenize=True, add_generation_prompt=True, return_dict=True, return_tensors="pt"
    )
    if seed is not None:
        torch.manual_seed(seed)
    words = tqdm(desc="answering", unit="token", leave=False, disable=not progress)
    frames = tqdm(desc="segmenting", total=len(clip), unit="frame", leave=False, disable=not progress)
    with frames:
        output = model.generate(
            **inputs.to(model.device),
            max_new_tokens=max_new_tokens,
            mask_mode=mask_mode,
            do_sample=seed is not None,
            streamer=_TokenProgress(words),
            mask_callback=lambda _: frames.update(),
            **generate_options,
        )
    return processor.post_process_grounded_generation(output)[0]


def write_answer(
    output: Path,
    clip: SampledClip,
    answer: GroundedAnswer,
    settings: dict[str, Any],
    *,
    overwrite: bool = False,
    progress: bool = True,
) -> None:
    """Writes `answer.json`, `overlay.mp4` and `preview.png`; the folder appears only when all are complete.

    Raises:
        OutputError: If the folder cannot be written, or has contents and may not be replaced.
    """
    check_output(output, overwrite=overwrite, kind=ANSWER)
    masks = answer.masks.numpy()
    with replacing_folder(output, ANSWER, overwrite=overwrite) as folder:
        document = json.dumps(answer_document(clip, answer, settings), indent=1, ensure_ascii=False)
        with explained_writes(output):
            # A byte of a path that is no text is written as JSON's own escape, and read back as what it was.
            (folder / "answer.json").write_text(document, encoding="utf-8", errors="backslashreplace")
        frames = clip.frames(range(len(clip)))
        rendered = render_video(frames, masks, answer.labels)
        shown = tqdm(
            rendered,
            desc="writing overlay.mp4",
            total=len(clip),
            unit="frame",
            leave=False,
            disable=not progress,
        )
        write_mp4(folder / "overlay.mp4", shown, seconds=clip.seconds, duration=clip.duration)
        sheet = contact_sheet(
            frames,
            masks,
            answer.labels,
            timestamps=clip.seconds,
            title=f"{settings['question']}\n{answer.text}",
        )
        with explained_writes(output / "preview.png"):
            sheet.save(folder / "preview.png")


def answer_document(clip: SampledClip, answer: GroundedAnswer, settings: dict[str, Any]) -> dict[str, Any]:
    """What `answer.json` holds: words, phrases with spans, COCO-RLE masks per object and frame, times, settings."""
    objects = [
        {
            "index": index,
            "phrase": answer.labels[index],
            "masks": [encode_rle(mask) for mask in per_frame.numpy()],
            "object_scores": [round(score, 4) for score in answer.object_scores[index].tolist()],
        }
        for index, per_frame in enumerate(answer.masks)
    ]
    return {
        "text": answer.text,
        "raw_text": answer.raw_text,
        "phrases": [
            {"text": p.text, "start": p.start, "end": p.end, "object_index": p.object_index} for p in answer.phrases
        ],
        "objects": objects,
        "timestamps": answer.timestamps,
        "size": dict(zip(("height", "width"), clip.size, strict=True)),
        "pixel_aspect": clip.clip.pixel_aspect,
        "settings": settings,
    }
