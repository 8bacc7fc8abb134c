"""Made videos with objects: odd sizes, objects that leave and return, that overlap, on some of the frames."""

from pathlib import Path

import numpy as np
from PIL import Image

from videoglamm_hf.data import write_jsonl
from videoglamm_hf.data.rle import decode_rle
from videoglamm_hf.exchange import AnnotatedObject, AnnotatedVideo
from videoglamm_hf.exchange.annotated_video import rle_of
from videoglamm_hf.exchange.media import open_media
from videoglamm_hf.exchange.samples import read_samples, to_sample
from videoglamm_hf.render.video_encoding import write_mp4

SIZE = (31, 47)  # height, width: odd, as some videos are
COUNT = 9
FRAMES = [0, 2, 3, 5, 8]


def frames(count: int = COUNT, size: tuple[int, int] = SIZE) -> np.ndarray:
    """uint8 [T, H, W, 3]"""
    return np.stack([np.full((*size, 3), 20 * i % 256, np.uint8) for i in range(count)])


def write_pictures(folder: Path, count: int = COUNT, size: tuple[int, int] = SIZE, name: str = "{:05d}.jpg") -> Path:
    folder.mkdir(parents=True)
    for i, frame in enumerate(frames(count, size)):
        Image.fromarray(frame).save(folder / name.format(i))
    return folder


def write_video(path: Path, count: int = COUNT, size: tuple[int, int] = (32, 48)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_mp4(path, frames(count, size), fps=5)
    return path


def masks(number: int, size: tuple[int, int], at: list[int]) -> dict[int, np.ndarray]:
    """A blob that moves, is hidden in the third of the frames, and has a hole."""
    found = {}
    rng = np.random.default_rng(number)
    for i, frame in enumerate(at):
        if i == 2 + number % 2:
            continue
        mask = np.zeros(size, bool)
        top, left = 1 + 8 * number, 1 + 3 * i
        mask[top : top + 8, left : left + 11] = rng.random((8, 11)) > 0.3
        mask[top + 3, left + 4] = False
        mask[top, left] = True
        found[frame] = mask
    return found


def made(
    name: str, media_path: Path, *, overlap: bool = True, at: list[int] = FRAMES, count: int = 3
) -> AnnotatedVideo:
    media = open_media(media_path)
    objects = []
    for number in range(count):
        own = masks(number, media.size, at)
        if overlap and number == 2:
            own = {frame: np.roll(mask, -5, axis=0) for frame, mask in own.items()}
        objects.append(AnnotatedObject(f"thing {number}", {frame: rle_of(mask) for frame, mask in own.items()}))
    return AnnotatedVideo(name, media, list(at), objects)


def write_data(folder: Path, videos: list[AnnotatedVideo]) -> Path:
    """A folder of training data, as `import_data` writes it, whose media stay where they are."""
    folder.mkdir(parents=True, exist_ok=True)
    samples = []
    for video in videos:
        for own in video.objects:
            own.phrase = f"the {own.label}"
        media = video.media.file or video.media.pictures[0].parent
        samples.append(to_sample(video, media))
    write_jsonl(folder / "samples.jsonl", samples)
    return folder


def pixels(video: AnnotatedVideo) -> dict[str, dict[int, bytes]]:
    """Of each label its masks by frame, as something that can be compared."""
    return {
        own.label: {frame: np.packbits(decode_rle(mask)).tobytes() for frame, mask in own.masks.items()}
        for own in video.objects
    }


def imported(folder: Path) -> list[AnnotatedVideo]:
    return list(read_samples(folder / "samples.jsonl"))
