"""Runs the main job on a made video, with a tiny model that needs no download.

    python examples/demo.py [--output DIR]

The weights are given by a formula and were never trained: the converter, the processor, both towers, the
language model and the pixel decoder all do their work, but what they say and show means nothing. The words of
the answer are therefore forced, so that two objects are segmented and tracked.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import torch
from transformers import LogitsProcessor, logging

from videoglamm_hf.commands.asking import ask, write_answer
from videoglamm_hf.commands.loading import load_model, load_processor
from videoglamm_hf.conversion import convert_videoglamm
from videoglamm_hf.video_io import read_clip, write_mp4

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.tiny_checkpoint import frames, write_original  # noqa: E402

QUESTION = "Can you segment the two discs in this video?"
WORDS = "It is <p> red disc </p> [SEG] and <p> blue disc </p> [SEG]."


class Say(LogitsProcessor):
    """Makes the model say given words."""

    def __init__(self, tokens: list[int]) -> None:
        self.tokens, self.step = tokens, 0

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        forced = torch.full_like(scores, -1e9)
        forced[:, self.tokens[self.step]] = 0
        self.step += 1
        return forced


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("demo_output"))
    output = parser.parse_args().output
    logging.set_verbosity_error()
    with tempfile.TemporaryDirectory() as work:
        original, converted, video = Path(work) / "original", Path(work) / "converted", Path(work) / "discs.mp4"
        print("1. writing a tiny checkpoint in the original's layout")
        write_original(original)
        print("2. converting it")
        config = ROOT / "tests" / "fixtures" / "original_tiny" / "config.json"
        convert_videoglamm(original, converted, clip=original / "clip", config=config)
        print("3. making a video")
        write_mp4(video, frames(36, 180, 320), fps=4)
        print(f"4. asking: {QUESTION}")
        processor, model = load_processor(str(converted)), load_model(str(converted))
        end = processor.tokenizer.convert_tokens_to_ids("<|end|>")
        tokens = [*processor.tokenizer(WORDS, add_special_tokens=False).input_ids, end]
        clip = read_clip(video, fps=1.0)
        answer = ask(model, processor, clip, QUESTION, max_new_tokens=len(tokens), logits_processor=[Say(tokens)])
        write_answer(output, clip, answer, {"question": QUESTION, "words": "forced"}, overwrite=True)
    print(f"   {answer.text}  (forced words; the weights are untrained, so the masks mean nothing)")
    print(f"{len(answer.masks)} objects in {len(clip.frames)} frames:")
    for name in ("overlay.mp4", "preview.png", "answer.json"):
        print(f"   {output / name}")


if __name__ == "__main__":
    main()
