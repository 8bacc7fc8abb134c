"""Makes a short video of moving shapes, asks the small model that ships two questions about it, shows its answers.

    python examples/demo.py [--output DIR] [--seed N]

Every seed is another video, with a background that training never saw. The default is one that comes out well; others
show its mistakes, most often with two shapes of one kind.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from transformers import logging

from videoglamm_hf.cli.asking import ask, write_answer
from videoglamm_hf.cli.wording import counted
from videoglamm_hf.loading.models import load_model, load_processor
from videoglamm_hf.render.colors import object_colors
from videoglamm_hf.render.terminal import colored_answer
from videoglamm_hf.render.video_encoding import write_mp4
from videoglamm_hf.toy import TINY_MODEL
from videoglamm_hf.toy.shapes_world import demo_clip

KINDS = ("referring", "caption")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("demo_output"))
    parser.add_argument("--seed", type=int, default=28)
    options = parser.parse_args(argv)
    logging.set_verbosity_error()
    logging.disable_progress_bar()

    made = demo_clip(options.seed)
    options.output.mkdir(parents=True, exist_ok=True)
    video = options.output / "shapes.mp4"
    write_mp4(video, made["video"], fps=4)
    print(f"{video}: {', '.join('a {colour} {shape}'.format(**thing) for thing in made['objects'])}")

    processor, model = load_processor(str(TINY_MODEL)), load_model(str(TINY_MODEL), dtype="float32")
    clip = processor.video_processor.sample(video)
    for kind in KINDS:
        question = made["messages"][made["kind"].index(kind)][0]["content"][1]["text"]
        answer = ask(model, processor, clip, question, max_new_tokens=64)
        folder = options.output / kind
        write_answer(folder, clip, answer, {"question": question, "model": "videoglamm_hf.toy.model"}, overwrite=True)
        named = [phrase for phrase in answer.phrases if phrase.object_index is not None]
        colors = object_colors(len(answer.masks))
        words = colored_answer(answer.text, [(p.start, p.end) for p in named], [colors[p.object_index] for p in named])
        print(f"\n  {question}\n  {words}")
        found = f"{counted(len(answer.masks), 'object')} in {counted(len(clip), 'frame')}"
        print(f"  {found}: {folder}/overlay.mp4, {folder}/preview.html")


if __name__ == "__main__":
    main()
