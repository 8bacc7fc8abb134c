"""Files of other tools that lie: what `import_data` and `export_data` should refuse."""

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.exchange import documents
from tests.exchange.made_data import write_pictures
from tests.fuzz.hostile import OTHERS, as_json, changed, spoilt_text
from videoglamm_hf.exchange import export_data, import_data
from videoglamm_hf.exchange.choices import EXPORT_FORMATS, FRAMES_FROM, OBJECTS

_JSON = {
    "coco": documents.instances,
    "ytvos": documents.vis,
    "sam2-json": documents.masklets,
    "label-studio": documents.tasks,
    "label-studio of a video": documents.video_tasks,
    "labelme": documents.labelme_file,
}
_NUMBERS = ("0", "-1", "", "nan", "1e309", "9" * 30, "0.5", "1,2", "a", "\u0662", "12,", ";", "0, 6, 1")


def imported(rng: random.Random, folder: Path) -> tuple[str, Callable[[], Any]]:
    """A spoilt file of annotations, read; and what comes of it written in another format."""
    write_pictures(folder / "clip", count=9, size=documents.SIZE)
    way = rng.randrange(10)
    source = folder / "annotations"
    if way < 6:
        name, make = rng.choice(list(_JSON.items()))
        made, said = changed(rng, make(), rng.randrange(1, 3)) if rng.random() < 0.9 else (make(), "good")
        text = as_json(made)
        source = folder / "annotations.json"
    elif way < 8:
        name, text = "cvat", rng.choice((documents.CVAT_IMAGES, documents.CVAT_VIDEO))
        text, said = _spoilt_attribute(rng, text)
        text = text.encode()
        source = folder / "annotations.xml"
    else:
        name, (text, said) = "png", _picture(rng, folder)
    if rng.random() < 0.15 and way < 8:
        text, said = spoilt_text(rng, text)
    if way < 8:
        source.write_bytes(text)
    options = {
        "format": rng.choice(("auto", name.split(" of ")[0])),
        "video": rng.choice((folder / "clip", folder, folder / "clip", None)),
        "first_frame": rng.choice((None, None, 0, 1)),
        "frame_step": rng.choice((None, None, 1, 2, 10**9)),
        "frames_from": rng.choice((*FRAMES_FROM, "auto", "auto")),
        "objects": rng.choice(OBJECTS),
        "boxes_as_masks": rng.random() < 0.7,
    }
    out = rng.choice(EXPORT_FORMATS)

    def run() -> None:
        import_data(source, folder / "data", **options)
        export_data(folder / "data", folder / "out", format=out)

    return f"{name}: {said}; {options}; to {out}", run


def _spoilt_attribute(rng: random.Random, text: str) -> tuple[str, str]:
    """XML with the value of an attribute or element changed."""
    if rng.random() < 0.1:
        return text, "good"
    places = [match.span(1) for match in re.finditer(r'"([^"]*)"|>([^<\n]+)<', text) if match[1] is not None]
    begin, end = rng.choice(places)
    other = rng.choice(OTHERS)
    value = rng.choice((*_NUMBERS, str(other) if not isinstance(other, str) else other))
    value = value.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")[:200]
    return text[:begin] + value + text[end:], f"{text[begin - 20 : end]!r} -> {value!r:.60}"


def _picture(rng: random.Random, folder: Path) -> tuple[bytes, str]:
    """A PNG of any mode, size and name, damaged or not."""
    numbers = np.random.default_rng(rng.randrange(2**32))
    mode = rng.choice(("1", "L", "P", "RGB", "RGBA", "I;16", "LA", "F-less"))
    size = rng.choice((documents.SIZE, documents.SIZE, documents.SIZE, (5, 5)))
    array = numbers.integers(0, rng.choice((2, 4, 256)), size).astype(np.uint8)
    picture = Image.fromarray(array.astype(np.uint16) * 9 if mode == "I;16" else array)
    if mode == "P":
        picture.putpalette(numbers.integers(0, 256, 768).tolist())
    elif mode in ("1", "RGB", "RGBA", "LA"):
        picture = picture.convert(mode)
    name = rng.choice(("00001", "1", "a", "00001_1", "9", "1_a"))
    (folder / "annotations").mkdir()
    path = folder / "annotations" / f"{name}.png"
    picture.save(path)
    said = f"{mode} {size} {name}"
    if rng.random() < 0.3:
        data = bytearray(path.read_bytes())
        data[rng.randrange(len(data))] = rng.randrange(256)
        path.write_bytes(data[: rng.randrange(len(data))] if rng.random() < 0.3 else data)
        said += ", damaged"
    return b"", said


def answered(rng: random.Random, folder: Path) -> tuple[str, Callable[[], Any]]:
    """A spoilt answer.json, exported."""
    mask = {"size": [12, 16], "counts": documents.instances()["annotations"][1]["segmentation"]["counts"]}
    entry = {"index": 0, "phrase": "ape", "score": 0.5, "object_scores": [1.0], "iou_scores": [1.0], "masks": [mask]}
    answer = {
        **{"format": "videoglamm-answer-2", "version": "0", "model": None, "text": "ape", "raw_text": "ape"},
        **{"finish_reason": "stop", "note": None, "phrases": [], "objects": [entry], "frame_indices": [3]},
        **{"timestamps": [0.1], "size": {"height": 12, "width": 16}, "pixel_aspect": 1.0, "fps": None},
        **{"num_frames": 9, "settings": {"question": "?", "video": "clip"}},
    }
    write_pictures(folder / "clip", count=9, size=documents.SIZE)
    made, said = changed(rng, answer, rng.randrange(1, 3))
    (folder / "answer.json").write_text(json.dumps(made))
    out = rng.choice(EXPORT_FORMATS)
    return f"answer: {said} to {out}", lambda: export_data(folder / "answer.json", folder / "out", format=out)
