"""Pictures of the site: what the small model that ships answers about clips that it was not trained on.

    python docs/site_build/gallery.py FOLDER            # every picture of the gallery, and what was answered
    python docs/site_build/gallery.py docs/assets --readme   # only the picture of the README, docs/assets/answer.webp

Nothing is chosen by how well it comes out: a kind of question shows its first clips, failures among them.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gallery_kinds import KINDS
from PIL import Image
from transformers import logging

from videoglamm_hf.cli.asking import ask
from videoglamm_hf.clip import Clip
from videoglamm_hf.grounded_answer import GroundedAnswer
from videoglamm_hf.loading.models import load_model, load_processor
from videoglamm_hf.render.contact_sheet import contact_sheet
from videoglamm_hf.render.overlay_video import render_video
from videoglamm_hf.toy import TINY_MODEL
from videoglamm_hf.toy.shapes_world import ShapesWorldDataset, demo_clip

CLIPS = 2
_SEED = 2026
_MILLISECONDS = 250


class Asker:
    """The small model, loaded once."""

    def __init__(self) -> None:
        self.processor = load_processor(str(TINY_MODEL))
        self.model = load_model(str(TINY_MODEL), dtype="float32", device="cpu")

    def __call__(self, video: np.ndarray, question: str, **options: Any) -> tuple[Any, GroundedAnswer]:
        clip = self.processor.video_processor.sample(video)
        answer = ask(self.model, self.processor, clip, question, max_new_tokens=64, progress=False, **options)
        return clip, answer


def animation(path: Path, frames: np.ndarray, answer: GroundedAnswer, *, legend: bool = True) -> None:
    """Frames `[T, H, W, 3]` with the masks of an answer, as a picture that moves."""
    shown = list(render_video(frames, answer.masks.numpy(), answer.labels, legend=legend))
    first, *others = [Image.fromarray(frame) for frame in shown]
    first.save(path, save_all=True, append_images=others, duration=_MILLISECONDS, loop=0, quality=70, method=4)


def question_of(sample: dict[str, Any]) -> str:
    """The question of a sample with one conversation."""
    return sample["messages"][0]["content"][1]["text"]


def write_readme_picture(folder: Path) -> None:
    """One clip, asked to be described: words of the answer below it, each object in its colour."""
    made = demo_clip()
    question = made["messages"][made["kind"].index("caption")][0]["content"][1]["text"]
    clip, answer = Asker()(made["video"], question)
    animation(folder / "answer.webp", _frames(clip), answer)
    print(f"{question} -> {answer.text}")


def write_gallery(folder: Path, kinds: Sequence[str] = tuple(KINDS), clips: int = CLIPS) -> None:
    """Writes a picture for each clip of each kind, mask modes side by side, a contact sheet, and `gallery.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    asker, entries = Asker(), []
    for kind in kinds:
        dataset = ShapesWorldDataset("held_out", kind, length=clips, seed=_SEED)
        for number in range(clips):
            sample, name = dataset[number], f"{kind}{number}.webp"
            clip, answer = asker(sample["video"], question_of(sample))
            animation(folder / name, _frames(clip), answer, legend=len(answer.masks) > 0)
            entries.append({"kind": kind, "file": name, "question": question_of(sample), "answer": answer.text})
    made = demo_clip()
    question = made["messages"][made["kind"].index("caption")][0]["content"][1]["text"]
    for mode in ("video", "framewise", "anchored"):
        clip, answer = asker(made["video"], question, tracking={"mask_mode": mode})
        animation(folder / f"mode_{mode}.webp", _frames(clip), answer)
        entries.append({"kind": "mode", "file": f"mode_{mode}.webp", "question": question, "answer": answer.text})
    title = f"{question}\n{answer.text}"
    sheet = contact_sheet(_frames(clip), answer.masks.numpy(), answer.labels, timestamps=clip.seconds, title=title)
    sheet.convert("RGB").save(folder / "sheet.webp", quality=75)
    (folder / "gallery.json").write_text(json.dumps(entries, indent=1), encoding="utf-8")


def _frames(clip: Any) -> np.ndarray:
    source: Clip = clip.clip
    return source.frames(list(clip.indices))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--readme", action="store_true")
    given = parser.parse_args()
    logging.disable_progress_bar()
    write_readme_picture(given.folder) if given.readme else write_gallery(given.folder)
