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


def compare(path: Path, image_size: int) -> dict[str, Any]:
    """First question from the file, second from kept features, with a pixel decoder of this image size."""
    model, processor = tiny_model(image_size)

    def ask(video: Any, question: str, **options: Any) -> tuple[Any, Any]:
        content = [{"type": "video", "video": video}, {"type": "text", "text": question}]
        inputs = processor.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=True, add_generation_prompt=True
        ).to(model.device)
        forced = [ForceTokens({3: model.config.seg_token_id}, inputs["input_ids"].shape[1])]
        return model.generate(**inputs, max_new_tokens=8, do_sample=False, logits_processor=forced, **options), inputs

    _, inputs = ask(path, "Can you segment the red disc?", return_masks=False)
    assert len(inputs["grounding_frames"][0]) == 16
    (encoded,) = model.encode_videos(**inputs, read_prompt=True)
    result = {}
    for name, options in KINDS.items():
        first, second, ratio = paired(
            lambda o=options: ask(path, "Can you segment the red disc?", **o),
            lambda o=options: ask(encoded, "And can you segment the blue one?", **o),
            runs=5,
        )
        result[name] = {
            "first seconds": round(first, 3),
            "second seconds": round(second, 3),
            "second / first": round(1 / ratio, 3),
        }
    return result


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        write_mp4(path, frames(160, 360, 640), fps=10)
        return {f"{size} px": compare(path, size) for size in (256, 96)}


if __name__ == "__main__":
    benchmark_main("second question", run)
