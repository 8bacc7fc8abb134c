"""Model folders that lie: a valid tiny one with something wrong, loaded in every way there is, and asked."""

import json
import os
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoModelForImageTextToText,
    AutoProcessor,
)

from tests.fuzz.hostile import as_json, changed, spoilt_text, value
from tests.fuzz.runner import of_theirs
from videoglamm_hf import (
    VideoGlammConfig,
    VideoGlammForGroundedGeneration,
    VideoGlammProcessor,
    VideoGlammVideoProcessor,
)
from videoglamm_hf.cli import main
from videoglamm_hf.loading.models import load_config, load_model, load_processor

WEIGHTS = "model.safetensors"
CLIP = np.zeros((2, 20, 30, 3), np.uint8)
ASKED = [{"role": "user", "content": [{"type": "video", "video": CLIP}, {"type": "text", "text": "What moves?"}]}]
FILES = ("config.json", "processor_config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json")


class ModelFolders:
    """Cases about copies of a model folder.

    Args:
        model: A valid folder; its files are linked, never written.
    """

    def __init__(self, model: Path) -> None:
        self.model = model
        self.files = [path for path in model.iterdir() if path.is_file() and path.suffix != ".py"]
        self.documents = {name: json.loads((model / name).read_text()) for name in FILES}
        with (model / WEIGHTS).open("rb") as file:
            size = struct.unpack("<Q", file.read(8))[0]
            self.header = json.loads(file.read(size))
        self.good_model = load_model(str(model))
        self.good_processor = load_processor(str(model))

    def case(self, rng: random.Random, folder: Path) -> tuple[str, Callable[[], Any]]:
        folder = folder / "model"
        folder.mkdir()
        for path in self.files:
            (folder / path.name).symlink_to(path)
        change = rng.choices(
            (self._document, self._text, self._weights, self._index, self._place), (60, 10, 15, 8, 7)
        )[0]
        said, name = change(rng, folder)
        way = rng.choice(WAYS_OF.get(name, tuple(WAYS)))
        return f"{said}; {way}", lambda: WAYS[way](self, folder)

    def _document(self, rng: random.Random, folder: Path) -> tuple[str, str]:
        name = rng.choices(FILES, (60, 15, 10, 8, 7))[0]
        document, said = changed(rng, self.documents[name])
        _replace(folder / name, as_json(document))
        return f"{name}: {said}", name

    def _text(self, rng: random.Random, folder: Path) -> tuple[str, str]:
        name = rng.choice((*FILES, "chat_template.jinja"))
        data, said = spoilt_text(rng, (self.model / name).read_bytes())
        _replace(folder / name, data)
        return f"{name}: {said}", name

    def _weights(self, rng: random.Random, folder: Path) -> tuple[str, str]:
        """A safetensors file with a header that is not true, and hardly any data."""
        header = json.loads(json.dumps(self.header))
        key = rng.choice([name for name in header if name != "__metadata__"])
        way = rng.randrange(9)
        if way == 0:
            header[key]["shape"] = rng.choice(([10**9, 10**9], [-1], [0], [2**62], ["a"], "a", [1.5], None))
        elif way == 1:
            header[key]["dtype"] = rng.choice(("F64", "X9", 3, None, "BOOL", "I8"))
        elif way == 2:
            header[key]["data_offsets"] = rng.choice(([0, 10**15], [5, 3], [-1, 4], None, [0]))
        elif way == 3:
            del header[key]
        elif way == 4:
            header[key] = value(rng)
        elif way == 5:
            header["__metadata__"] = value(rng)
        elif way == 6:
            header[key + "x"] = header.pop(key)
        text = as_json(header)
        size = len(text)
        if way == 7:
            size = rng.choice((0, 1, 2**63, 2**40, size - 1, size + 10**6))
        if way == 8:
            text, _ = spoilt_text(rng, text)
            size = len(text)
        data = struct.pack("<Q", size) + text
        if rng.random() < 0.7:
            with (self.model / WEIGHTS).open("rb") as file:
                file.seek(8 + struct.unpack("<Q", file.read(8))[0])
                data += file.read()
        _replace(folder / WEIGHTS, data[: rng.choice((None, len(data) // 2)) if way > 6 else None])
        return f"{WEIGHTS}: header {way}, {key}: {header.get(key)!r:.80}", WEIGHTS

    def _index(self, rng: random.Random, folder: Path) -> tuple[str, str]:
        """Shards whose index is not true."""
        names = [name for name in self.header if name != "__metadata__"]
        shard = "model-00001-of-00001.safetensors"
        (folder / WEIGHTS).rename(folder / shard)
        index = {"metadata": {"total_size": 1}, "weight_map": dict.fromkeys(names, shard)}
        if rng.random() < 0.3:
            data, said = spoilt_text(rng, as_json(index))
        else:
            other = rng.choice(("../../../etc/passwd", "none.safetensors", "", None, 3, "config.json", "\0", shard))
            name = rng.choice(names)
            way = rng.randrange(4)
            if way == 0:
                index["weight_map"][name] = other
            elif way == 1:
                index["weight_map"] = value(rng)
            elif way == 2:
                index = rng.choice(({}, {"weight_map": {}}, {"metadata": {}}, [], {"weight_map": [shard]}))
            else:
                index["metadata"] = value(rng)
            data, said = as_json(index), f"index {way}, {name}: {other!r}"
        _replace(folder / f"{WEIGHTS}.index.json", data)
        return f"{WEIGHTS}.index.json: {said}", WEIGHTS

    def _place(self, rng: random.Random, folder: Path) -> tuple[str, str]:
        """Folders, loops and holes in place of files."""
        name = rng.choice((*FILES, WEIGHTS, "chat_template.jinja"))
        path = folder / name
        path.unlink()
        way = rng.choice(("gone", "a folder", "a loop", "nowhere", "a pipe"))
        if way == "a folder":
            path.mkdir()
        elif way == "a loop":
            path.symlink_to(path)
        elif way == "nowhere":
            path.symlink_to(folder / "none")
        elif way == "a pipe":
            os.mkfifo(path)
        return f"{name}: {way}", name

    def ask(self, model: Any, processor: Any) -> None:
        inputs = processor.apply_chat_template(ASKED, tokenize=True, add_generation_prompt=True)
        output = model.generate(**inputs, max_new_tokens=2, do_sample=False)
        processor.post_process_grounded_generation(output)


def _replace(path: Path, data: bytes) -> None:
    path.unlink(missing_ok=True)
    path.write_bytes(data)


def _loaded_config(fuzzer: ModelFolders, folder: Path) -> None:
    of_theirs(lambda: AutoConfig.from_pretrained(folder))


def _own_config(fuzzer: ModelFolders, folder: Path) -> None:
    VideoGlammConfig.from_pretrained(folder)


def _auto_model(fuzzer: ModelFolders, folder: Path) -> None:
    model = of_theirs(lambda: AutoModel.from_pretrained(folder))
    fuzzer.ask(model, fuzzer.good_processor)


def _auto_image_text(fuzzer: ModelFolders, folder: Path) -> None:
    model = of_theirs(lambda: AutoModelForImageTextToText.from_pretrained(folder, dtype="auto"))
    fuzzer.ask(model, fuzzer.good_processor)


def _own_model(fuzzer: ModelFolders, folder: Path) -> None:
    fuzzer.ask(VideoGlammForGroundedGeneration.from_pretrained(folder), fuzzer.good_processor)


def _auto_processor(fuzzer: ModelFolders, folder: Path) -> None:
    fuzzer.ask(fuzzer.good_model, of_theirs(lambda: AutoProcessor.from_pretrained(folder)))


def _own_processor(fuzzer: ModelFolders, folder: Path) -> None:
    fuzzer.ask(fuzzer.good_model, VideoGlammProcessor.from_pretrained(folder))


def _parts(fuzzer: ModelFolders, folder: Path) -> None:
    of_theirs(lambda: AutoImageProcessor.from_pretrained(folder)).preprocess(CLIP[0])
    # AutoVideoProcessor needs torchvision.
    VideoGlammVideoProcessor.from_pretrained(folder).preprocess(CLIP)


def _room(fuzzer: ModelFolders, folder: Path) -> None:
    load_config(str(folder))
    fuzzer.ask(load_model(str(folder)), load_processor(str(folder)))


def _memory(fuzzer: ModelFolders, folder: Path) -> None:
    main(["memory", str(folder)])


WAYS: dict[str, Callable[[ModelFolders, Path], None]] = {
    "AutoConfig": _loaded_config,
    "VideoGlammConfig": _own_config,
    "AutoModel": _auto_model,
    "AutoModelForImageTextToText": _auto_image_text,
    "VideoGlammForGroundedGeneration": _own_model,
    "AutoProcessor": _auto_processor,
    "VideoGlammProcessor": _own_processor,
    "image and video processor": _parts,
    "load_model": _room,
    "videoglamm memory": _memory,
}
_PROCESSORS = ("AutoProcessor", "VideoGlammProcessor", "load_model")
# Ways that read a file; all of them for others.
WAYS_OF = {
    "config.json": tuple(way for way in WAYS if "Processor" not in way and "processor" not in way),
    "processor_config.json": (*_PROCESSORS, "image and video processor"),
    "tokenizer.json": _PROCESSORS,
    "tokenizer_config.json": _PROCESSORS,
    "chat_template.jinja": _PROCESSORS,
    "generation_config.json": ("AutoModel", "load_model"),
    WEIGHTS: ("AutoModel", "VideoGlammForGroundedGeneration", "load_model"),
}
