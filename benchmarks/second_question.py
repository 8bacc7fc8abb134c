"""A second question about the same video, against the first: nothing is decoded or seen again."""

import argparse
import tempfile
from pathlib import Path
from typing import Any

from common import ForceTokens, benchmark_main, frames, paired, tiny_model
from videoglamm_hf.render.video_encoding import write_mp4

KINDS = {
    "words and masks": {},
    "words and masks, framewise": {"mask_mode": "framewise"},
    "words only": {"return_masks": False},
}
FIRST, SECOND = "Can you segment the red disc?", "And can you segment the blue one?"


def compare(model: Any, processor: Any, path: Path, kind: str, within: float | None = None) -> dict[str, Any]:
    """First question from the file, second from kept features; `kind` is one of `KINDS`."""

    def ask(video: Any, question: str) -> Any:
        content = [{"type": "video", "video": video}, {"type": "text", "text": question}]
        inputs = processor.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=True, add_generation_prompt=True
        ).to(model.device)
        forced = [ForceTokens({3: model.config.seg_token_id}, inputs["input_ids"].shape[1])]
        model.generate(**inputs, max_new_tokens=8, do_sample=False, logits_processor=forced, **KINDS[kind])
        return inputs

    inputs = ask(path, FIRST)
    (encoded,) = model.encode_videos(**inputs, read_prompt=True)
    first, second, ratio = paired(lambda: ask(path, FIRST), lambda: ask(encoded, SECOND), runs=5, within=within)
    return {
        "frames": len(inputs["grounding_frames"][0]),
        "first seconds": round(first, 3),
        "second seconds": round(second, 3),
        "second / first": round(1 / ratio, 3),
    }


def write_video(folder: Path, num_seconds: int = 16) -> Path:
    """A video of 360p; of every second a frame is seen, unless the processor says otherwise."""
    path = folder / "clip.mp4"
    write_mp4(path, frames(10 * num_seconds, 360, 640), fps=10)
    return path


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    result = {}
    with tempfile.TemporaryDirectory() as folder:
        path = write_video(Path(folder))
        for size in (256, 96):
            model, processor = tiny_model(size)
            result[f"{size} px"] = {kind: compare(model, processor, path, kind) for kind in KINDS}
    return result


if __name__ == "__main__":
    benchmark_main("second question", run)
