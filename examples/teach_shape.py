"""Teaches the small model a shape it has never seen, from twenty clips, and says what that cost.

    python examples/teach_shape.py --output taught

A cross is drawn into clips of the shapes world, in any of its colours; the word is not in the model's vocabulary, so
that it reads and says `<unk>`. Measured on other clips: masks of crosses before and after, and the questions of old
before and after, none of which may lose more than two points of mean IoU. What keeps them is rehearsal: clips of the
old questions beside the new ones. Without it (`--rehearsed 0`) the model says yes to everything.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from peft import PeftModel
from tqdm.auto import tqdm
from transformers import AutoModel, AutoProcessor, logging

from videoglamm_hf.data.rle import encode_rle
from videoglamm_hf.mask_overlap import mask_iou
from videoglamm_hf.render.video_encoding import write_mp4
from videoglamm_hf.toy import TINY_MODEL
from videoglamm_hf.toy.shapes_world import COLOURS, ShapesWorldDataset
from videoglamm_hf.toy.shapes_world.config import PALETTE
from videoglamm_hf.toy.shapes_world.evaluation import evaluate
from videoglamm_hf.tuning import TuneOptions, tune

WORD = "cross"
QUESTIONS = ("Please segment {}.", "Where is {}?", "Can you segment {}?", "Show me {}.")
# Questions of old that are asked before and after.
OLD = ("referring", "same_shape", "present", "absent", "size", "attribute")


def with_cross(scene: object, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray, str]:
    """A scene's clip with a cross that moves over it, its masks bool `[T, H, W]`, and its colour."""
    taken = {one.colour for one in scene.objects}
    colour = str(generator.choice([name for name in COLOURS if name not in taken]))
    video = scene.video.copy()
    count, side = len(video), video.shape[1]
    start, end = generator.uniform(0.25, 0.75, (2, 2)) * side
    half, arm = generator.uniform(0.15, 0.2) * side, 0.35
    y, x = np.mgrid[:side, :side]
    masks = np.zeros(video.shape[:3], bool)
    for t in range(count):
        centre = start + (end - start) * t / max(1, count - 1)
        dx, dy = np.abs(x - centre[0]) / half, np.abs(y - centre[1]) / half
        masks[t] = ((dx <= arm) & (dy <= 1)) | ((dy <= arm) & (dx <= 1))
        video[t][masks[t]] = PALETTE[colour]
    return video, masks, colour


def write_clips(folder: Path, count: int, split: str, seed: int) -> Path:
    """Clips with crosses; of each the same is asked in several words, and about a cross that is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    world, generator = ShapesWorldDataset(split, "referring", length=count, seed=seed), np.random.default_rng(seed)
    with (folder / "samples.jsonl").open("w") as file:
        for i in range(count):
            video, masks, colour = with_cross(world.scene(i), generator)
            write_mp4(folder / f"{i}.mp4", list(video), fps=4)
            other = str(generator.choice([name for name in COLOURS if name != colour]))
            grounded = f"It is <p> the {colour} {WORD} </p> [SEG]."
            asked = [(question.format(f"the {colour} {WORD}"), grounded) for question in QUESTIONS]
            asked.append((QUESTIONS[0].format(f"the {other} {WORD}"), f"There is no {other} {WORD}."))
            track = [encode_rle(mask) for mask in masks]
            sample = {
                "video": f"{i}.mp4",
                "messages": [conversation(*pair) for pair in asked],
                "masks": [[track]] * len(QUESTIONS) + [[]],
                "mask_frames": list(range(len(masks))),
            }
            file.write(json.dumps(sample) + "\n")
    return folder


def conversation(question: str, answer: str) -> list[dict]:
    """A question about a video, and its answer."""
    asked = [{"type": "video"}, {"type": "text", "text": question}]
    return [{"role": "user", "content": asked}, {"role": "assistant", "content": [{"type": "text", "text": answer}]}]


def write_old(folder: Path, count: int, seed: int) -> Path:
    """Clips with questions of old, to rehearse."""
    folder.mkdir(parents=True, exist_ok=True)
    world = ShapesWorldDataset("train", None, length=count, seed=seed)
    path = folder / "samples.jsonl"
    with path.open("w") as file:
        for i in range(count):
            sample = world[i]
            write_mp4(folder / f"{i}.mp4", list(sample["video"]), fps=4)
            tracks = [[encode_rle(np.asarray(mask, bool)) for mask in track] for track in sample["masks"]]
            kept = {"messages": sample["messages"], "mask_frames": [int(t) for t in sample["mask_frames"]]}
            file.write(json.dumps({"video": f"{i}.mp4", "masks": tracks, **kept}) + "\n")
    return path


def crosses(model: object, processor: object, count: int, seed: int = 777) -> float:
    """Mean IoU of crosses in held-out clips; 0 where the answer names no object."""
    world, generator = (
        ShapesWorldDataset("held_out", "referring", length=count, seed=seed),
        np.random.default_rng(seed),
    )
    found = []
    for i in tqdm(range(count), desc="crosses", leave=False):
        video, masks, colour = with_cross(world.scene(i), generator)
        question = {"type": "text", "text": f"Please segment the {colour} {WORD}."}
        messages = [{"role": "user", "content": [{"type": "video", "video": video}, question]}]
        inputs = processor.apply_chat_template(messages, tokenize=True, add_generation_prompt=True)
        output = model.generate(**inputs, max_new_tokens=32)
        own = output.masks[0][0].numpy() if len(output.masks[0]) else np.zeros_like(masks)
        found.append(float(mask_iou(own, masks).mean()))
    return float(np.mean(found))


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder for clips, adapter and figures")
    parser.add_argument("--clips", type=int, default=20, help="a fifth of them is held out (default: 20)")
    parser.add_argument("--measured", type=int, default=60, help="clips of each kind to measure on (default: 60)")
    parser.add_argument("--rehearsed", type=int, default=200, help="clips of old questions beside them (default: 200)")
    parser.add_argument("--steps", type=int, default=1200, help="most steps (default: 1200)")
    parser.add_argument("--learning-rate", type=float, default=5e-4)
    parser.add_argument("--recipe", default="paper")
    options = parser.parse_args(argv)
    logging.set_verbosity_error()

    data = write_clips(options.output / "data", options.clips, "train", seed=3)
    chosen = TuneOptions(
        recipe=options.recipe, learning_rate=options.learning_rate, max_steps=options.steps, max_new_tokens=32
    )
    old = [write_old(options.output / "old", options.rehearsed, seed=4)] if options.rehearsed else []
    result = tune(data, str(TINY_MODEL), options.output / "tuned", chosen, edits=old, progress=True, say=print)
    print(f"trained {result.steps[0]} steps, best after {result.steps[1]}")

    processor = AutoProcessor.from_pretrained(TINY_MODEL)
    figures = {}
    for name in ("before", "after"):
        model = AutoModel.from_pretrained(TINY_MODEL, dtype="float32").eval()
        if name == "after":
            model = PeftModel.from_pretrained(model, result.adapter).merge_and_unload().eval()
        scores = evaluate(model, processor, kinds=OLD, clips=options.measured)
        figures[name] = {WORD: crosses(model, processor, options.measured)} | {
            f"{score.kind}, {score.mask_mode}": score.exact if score.mean_iou is None else score.mean_iou
            for score in scores
        }
    print(f"{'':<24}{'before':>8}{'after':>8}")
    for name, before in figures["before"].items():
        print(f"{name:<24}{before:>8.3f}{figures['after'][name]:>8.3f}")
    (options.output / "figures.json").write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
