"""Videos that load at once, made of the small model's world."""

from dataclasses import dataclass
from pathlib import Path

from ..render.video_encoding import write_mp4
from ..toy.shapes_world import demo_clip

# Clips that training never saw, and which the small model answers well.
_SEEDS = {28: "caption", 5: "referring"}


@dataclass(frozen=True)
class Example:
    """A video and a question about it.

    Attributes:
        name: What a person reads.
        question: What to ask.
        file: The video.
    """

    name: str
    question: str
    file: Path


def made_examples(folder: Path) -> list[Example]:
    """Writes the examples of the small model."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for seed, kind in _SEEDS.items():
        made = demo_clip(seed)
        question = made["messages"][made["kind"].index(kind)][0]["content"][1]["text"]
        file = folder / f"shapes_{seed}.mp4"
        if not file.exists():
            write_mp4(file, made["video"], fps=4)
        found.append(Example(f"shapes {seed}", question, file))
    return found
