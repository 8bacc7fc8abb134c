"""Teaches the small model a shape it has never seen, from twenty clips, and says what that cost.

    python examples/teach_shape.py --output taught

A cross is drawn into clips of the shapes world, in any of its colours; the word is not in the model's vocabulary, so
that it reads and says `<unk>`. Measured on other clips: masks of crosses before and after, and the questions of old
before and after, none of which may lose more than two points of mean IoU.

What keeps the old is rehearsal, and a low learning rate: beside the clips with crosses, which are there several times,
clips of the old questions, and half as many about what is not there; in the part that is held out, too, so that the
best checkpoint is the best of both. As much is denied of a clip with a cross as is named. Without all this
(`--rehearsed 0 --learning-rate 1e-3`) the model says yes to everything.
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
from videoglamm_hf.evaluation.intervals import bootstrap_interval
from videoglamm_hf.mask_overlap import mask_iou
from videoglamm_hf.render.video_encoding import write_mp4
from videoglamm_hf.toy import TINY_MODEL
from videoglamm_hf.toy.shapes_world import COLOURS, ShapesWorldDataset
from videoglamm_hf.toy.shapes_world.config import PALETTE
from videoglamm_hf.toy.shapes_world.evaluation import evaluate_clips
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


def write_clips(folder: Path, count: int, split: str, seed: int) -> list[dict]:
    """Clips with crosses, as samples; of each the same is asked in several words, and as often about what is not
    there: crosses of other colours, and other shapes."""
    folder.mkdir(parents=True, exist_ok=True)
    world, generator = ShapesWorldDataset(split, "referring", length=count, seed=seed), np.random.default_rng(seed)
    samples = []
    for i in range(count):
        scene = world.scene(i)
        video, masks, colour = with_cross(scene, generator)
        write_mp4(folder / f"{i}.mp4", list(video), fps=4)
        there = {(one.colour, one.shape) for one in scene.objects}
        crosses = [(name, WORD) for name in COLOURS if name != colour]
        others = [pair for pair in scene.config.seen_pairs() if pair not in there]
        absent = [pairs[j] for pairs in (crosses, others) for j in generator.permutation(len(pairs))[:2]]
        grounded = f"It is <p> the {colour} {WORD} </p> [SEG]."
        asked = [(question.format(f"the {colour} {WORD}"), grounded) for question in QUESTIONS]
        for j, (other, shape) in zip(generator.permutation(len(QUESTIONS)), absent, strict=True):
            asked.append((QUESTIONS[j].format(f"the {other} {shape}"), f"There is no {other} {shape}."))
        track = [encode_rle(mask) for mask in masks]
        sample = {
            "video": str((folder / f"{i}.mp4").resolve()),
            "messages": [conversation(*pair) for pair in asked],
            "masks": [[track]] * len(QUESTIONS) + [[]] * len(absent),
            "mask_frames": list(range(len(masks))),
        }
        samples.append(sample)
    return samples


def conversation(question: str, answer: str) -> list[dict]:
    """A question about a video, and its answer."""
    asked = [{"type": "video"}, {"type": "text", "text": question}]
    return [{"role": "user", "content": asked}, {"role": "assistant", "content": [{"type": "text", "text": answer}]}]


def write_old(folder: Path, count: int, seed: int, kind: str | None = None) -> list[dict]:
    """Clips with questions of old, to rehearse; of all kinds if None."""
    folder.mkdir(parents=True, exist_ok=True)
    world = ShapesWorldDataset("train", kind, length=count, seed=seed)
    samples = []
    for i in range(count):
        sample = world[i]
        write_mp4(folder / f"{i}.mp4", list(sample["video"]), fps=4)
        tracks = [[encode_rle(np.asarray(mask, bool)) for mask in track] for track in sample["masks"]]
        kept = {"messages": sample["messages"], "mask_frames": [int(t) for t in sample["mask_frames"]]}
        samples.append({"video": str((folder / f"{i}.mp4").resolve()), "masks": tracks, **kept})
    return samples


def write_data(folder: Path, clips: int, rehearsed: int, repeated: int) -> None:
    """Both parts, a fifth of the clips with crosses and a twelfth of the old ones held out."""
    new, held = write_clips(folder / "new", clips, "train", seed=3), max(1, clips // 5)
    parts = {"train": new[held:] * repeated, "validation": new[:held]}
    # Seeds of their own, or clips about what is absent would be among those of all kinds.
    for name, kind, count, seed in (("old", None, rehearsed, 4), ("absent", "absent", rehearsed // 2, 5)):
        aside = -(-count // 12)
        own = write_old(folder / name, count + aside, seed=seed, kind=kind)
        parts["train"] += own[aside:]
        parts["validation"] += own[:aside]
    for part, samples in parts.items():
        (folder / f"{part}.jsonl").write_text("".join(json.dumps(sample) + "\n" for sample in samples))


def crosses(model: object, processor: object, count: int, seed: int = 777) -> list[float]:
    """IoU of crosses in each of some held-out clips; 0 where the answer names no object."""
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
    return found


def measured(model: object, processor: object, count: int) -> dict[str, list[float]]:
    """Of each clip what the answer is worth: IoU, or whether what is absent is denied in the right words."""
    found = {WORD: crosses(model, processor, count)}
    for (kind, mode), scores in evaluate_clips(model, processor, kinds=OLD, clips=count).items():
        found[f"{kind}, {mode}"] = [float(own.exact) if own.iou is None else own.iou for own in scores]
    return found


def table(before: dict[str, list[float]], after: dict[str, list[float]]) -> list[str]:
    """Means before and after, and the difference in points with its 95 % interval, by drawing clips again."""
    lines = ["| asked about | before | after | points | 95 % |", "|---|---|---|---|---|"]
    for name, own in before.items():
        change = 100 * (np.array(after[name]) - np.array(own))
        low, high = bootstrap_interval(change, [str(i) for i in range(len(change))])
        figures = f"{np.mean(own):.3f} | {np.mean(after[name]):.3f} | {change.mean():+.1f} | {low:+.1f} to {high:+.1f}"
        lines.append(f"| {name} | {figures} |")
    return lines


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder for clips, adapter and figures")
    parser.add_argument("--clips", type=int, default=20, help="a fifth of them is held out (default: 20)")
    parser.add_argument("--measured", type=int, default=100, help="clips of each kind to measure on (default: 100)")
    parser.add_argument("--rehearsed", type=int, default=400, help="clips of old questions beside them (default: 400)")
    parser.add_argument("--repeated", type=int, default=4, help="how often a clip with a cross is there (default: 4)")
    parser.add_argument("--steps", type=int, default=1000, help="most steps (default: 1000)")
    parser.add_argument("--learning-rate", type=float, default=1.5e-4)
    parser.add_argument("--recipe", default="paper")
    options = parser.parse_args(argv)
    logging.set_verbosity_error()

    data = options.output / "data"
    write_data(data, options.clips, options.rehearsed, options.repeated)
    chosen = TuneOptions(
        recipe=options.recipe, learning_rate=options.learning_rate, max_steps=options.steps, max_new_tokens=32
    )
    result = tune(data, str(TINY_MODEL), options.output / "tuned", chosen, progress=True, say=print)
    print(f"trained {result.steps[0]} steps, best after {result.steps[1]}")

    processor = AutoProcessor.from_pretrained(TINY_MODEL)
    figures = {}
    for name in ("before", "after"):
        model = AutoModel.from_pretrained(TINY_MODEL, dtype="float32").eval()
        if name == "after":
            model.forget_calibration("The adapter changes the weights that were calibrated.")
            model = PeftModel.from_pretrained(model, result.adapter).merge_and_unload().eval()
        figures[name] = measured(model, processor, options.measured)
    print("\n".join(table(**figures)))
    (options.output / "figures.json").write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
