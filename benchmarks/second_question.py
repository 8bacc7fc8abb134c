"""A second question about the same video, against the first: nothing is decoded or seen again."""

import argparse
from typing import Any

from common import ForceTokens, benchmark_main, frames, paired, tiny_model
from videoglamm_hf.video_io import read_clip, write_mp4


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    import tempfile
    from pathlib import Path

    model, processor = tiny_model()
    seg = model.config.seg_token_id

    def ask(video: Any, question: str, **options: Any) -> Any:
        content = [{"type": "video", "video": video}, {"type": "text", "text": question}]
        inputs = processor.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=True, add_generation_prompt=True
        ).to(model.device)
        forced = [ForceTokens({3: seg}, inputs["input_ids"].shape[1])]
        return model.generate(**inputs, max_new_tokens=8, do_sample=False, logits_processor=forced, **options), inputs

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        write_mp4(path, frames(160, 360, 640), fps=10)
        assert len(read_clip(path).frames) == 16
        _, inputs = ask(path, "Can you segment the red disc?", return_masks=False)
        features = model.encode_video(**inputs)
        first, second, ratio = paired(
            lambda: ask(path, "Can you segment the red disc?"),
            lambda: ask(features, "And can you segment the blue one?"),
            runs=5,
        )
        words_first, words_second, words_ratio = paired(
            lambda: ask(path, "What moves?", return_masks=False),
            lambda: ask(features, "What else moves?", return_masks=False),
            runs=5,
        )
    return {
        "words and masks": {
            "first seconds": round(first, 3),
            "second seconds": round(second, 3),
            "second / first": round(1 / ratio, 3),
        },
        "words only": {
            "first seconds": round(words_first, 3),
            "second seconds": round(words_second, 3),
            "second / first": round(1 / words_ratio, 3),
        },
    }


if __name__ == "__main__":
    benchmark_main("second question", run)
