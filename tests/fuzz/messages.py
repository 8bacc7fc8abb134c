"""Messages, options and arrays that no processor should be given, for `apply_chat_template` and for calls."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import AutoProcessor

from tests.fuzz.hostile import value

TEXTS = (
    "What moves?",
    "",
    " \n",
    "[SEG]",
    "<video>",
    "<image>\nHi",
    "<|end|>",
    "\ud800",
    "\x00",
    "word " * 3000,
    "▁" * 40,
)
ROLES = ("user", "assistant", "system", "tool", "", None, 3, ["user"])
OPTIONS = (
    "padding",
    "padding_side",
    "truncation",
    "max_length",
    "return_tensors",
    "fps",
    "num_frames",
    "max_frames",
    "start_time",
    "end_time",
    "do_sample_frames",
    "video_metadata",
    "decoder",
    "lazy",
    "return_metadata",
    "text_kwargs",
    "images_kwargs",
    "videos_kwargs",
    "common_kwargs",
    "audio_kwargs",
    "load_audio_from_video",
    "unknown",
)
TEMPLATE_OPTIONS = (
    "chat_template",
    "tools",
    "documents",
    "add_generation_prompt",
    "continue_final_message",
    "return_assistant_tokens_mask",
    "tokenize",
    "return_dict",
    "processor_kwargs",
)
GOOD_OPTIONS: dict[str, tuple[Any, ...]] = {
    "padding": (True, False, "longest", "max_length"),
    "padding_side": ("left", "right"),
    "max_length": (1, 5, 5000),
    "return_tensors": ("pt", "np", None),
    "fps": (1, 0.5, 30.0, 1e-9, 1e9, 1e308),
    "num_frames": (1, 2, 10**9),
    "start_time": (0, 0.5, 100),
    "end_time": (0.1, 1e9),
    "decoder": ("av", "decord"),
    "chat_template": (
        "{{ messages[0].content[0].text }}",
        "{{ 1 / 0 }}",
        "{% for %}",
        "{{ unknown.x.y }}",
        "default",
        "x",
    ),
    "tools": ([{"type": "function"}], []),
}


def array(rng: random.Random, dims: int) -> Any:
    """An array or tensor of a shape and dtype that may not do."""
    shape = [
        rng.choice((0, 1, 2, 3, 3, 3, 4, 5, 20)) for _ in range(rng.choice((dims, dims, dims, dims - 1, dims + 1, 0)))
    ]
    if rng.random() < 0.5 and len(shape) == dims:
        shape[-1] = 3
    dtype = rng.choice(
        ("uint8", "uint8", "uint8", "float32", "float64", "int64", "bool", "complex64", "object", "U3", "float16")
    )
    made = np.zeros(shape, dtype)
    if dtype.startswith("float") and rng.random() < 0.3:
        made = made + rng.choice((np.nan, np.inf, 0.5, 255.0, -1))
    if rng.random() < 0.2:
        made = made[..., ::-1] if made.ndim else made
    if rng.random() < 0.4 and made.dtype.kind in "buif":
        tensor = torch.from_numpy(np.array(made))
        return rng.choice(
            (tensor, tensor.to(torch.bfloat16), tensor.to_sparse() if tensor.ndim else tensor, tensor.to("meta"))
        )
    return made


def visual(rng: random.Random) -> Any:
    """Something in the place of a video or picture."""
    choice = rng.randrange(9)
    if choice < 3:
        return array(rng, 4)
    if choice == 3:
        return array(rng, 3)
    if choice == 4:
        return [array(rng, 3) for _ in range(rng.randrange(4))]
    if choice == 5:
        return rng.choice(
            (
                Image.new(rng.choice(("RGB", "L", "P", "RGBA", "1", "I;16", "F", "CMYK")), (5, 4)),
                Image.new("RGB", (0, 5)),
            )
        )
    if choice == 6:
        return rng.choice(
            (
                "none.mp4",
                "/",
                "",
                "data:,",
                "data:image/png;base64,AAAA",
                "ftp://x/y",
                "\x00",
                b"bytes",
                "http://[::1",
                Path("none"),
                "/dev/null",
                "~",
                "x" * 5000,
            )
        )
    if choice == 7:
        return rng.choice(
            (
                np.zeros((2, 20, 30, 3), np.uint8),
                np.zeros((20, 30, 3), np.uint8),
                object(),
                iter([]),
                {1, 2},
                range(3),
                lambda: 1,
            )
        )
    return value(rng)


def part(rng: random.Random) -> Any:
    kind = rng.choice(("text", "text", "video", "video", "image", "image_url", "video_url", "audio", None, 3))
    if rng.random() < 0.08:
        return value(rng)
    made: dict[Any, Any] = {"type": kind}
    if kind == "text":
        made["text"] = rng.choice(TEXTS) if rng.random() < 0.9 else value(rng)
    elif isinstance(kind, str):
        made[rng.choice((kind, kind, kind, "path", "url", "source"))] = visual(rng)
        if kind.endswith("_url") and rng.random() < 0.7:
            made[kind] = {"url": visual(rng), **({"detail": "low"} if rng.random() < 0.5 else {})}
    if rng.random() < 0.2:
        name = rng.choice(OPTIONS)
        made[name] = option(rng, name)
    if rng.random() < 0.03:
        made[rng.choice((3, None, ("a",), ""))] = 1
    return made


def message(rng: random.Random) -> Any:
    if rng.random() < 0.05:
        return value(rng)
    content: Any = rng.choice(TEXTS)
    if rng.random() < 0.75:
        content = [part(rng) for _ in range(rng.randrange(1, 4))]
        if rng.random() < 0.6:
            content.append({"type": "text", "text": "What moves?"})
    elif rng.random() < 0.2:
        content = value(rng)
    made = {"role": rng.choice(ROLES[:2] if rng.random() < 0.85 else ROLES), "content": content}
    if rng.random() < 0.05:
        made[rng.choice(("name", "tool_calls", 5))] = value(rng)
    return made


def conversation(rng: random.Random) -> Any:
    if rng.random() < 0.03:
        return value(rng)
    made = [message(rng) for _ in range(rng.choice((1, 1, 1, 2, 3)))]
    if made and isinstance(made[0], dict) and rng.random() < 0.8:
        made[0]["role"] = "user"
    return made


def option(rng: random.Random, name: str) -> Any:
    if name in GOOD_OPTIONS and rng.random() < 0.4:
        return rng.choice(GOOD_OPTIONS[name])
    if name.endswith("kwargs") and rng.random() < 0.7:
        inner = rng.choice(OPTIONS)
        return {inner: value(rng)}
    if name == "video_metadata" and rng.random() < 0.8:
        keys = ("fps", "frames_indices", "total_num_frames", "duration", "wrong", 3)
        made = {rng.choice(keys): rng.choice((value(rng), 2, [0, 1], [0.5, 1], np.arange(2), "ab")) for _ in range(2)}
        return rng.choice((made, [made], [made, made]))
    if rng.random() < 0.2:
        return rng.choice(
            (np.float32(2), np.int64(2), np.array([1, 2]), torch.tensor(2), torch.tensor([1.0, 2]), object())
        )
    return value(rng)


def shown(made: Any) -> str:
    text = " ".join(repr(made).split())
    return text if len(text) < 300 else text[:300] + "..."


CLIP = np.arange(2 * 20 * 30 * 3, dtype=np.int64).astype(np.uint8).reshape(2, 20, 30, 3)


def nearly_good(rng: random.Random) -> tuple[list[Any], dict[str, Any]]:
    """A conversation that would do but for one thing, and options."""
    kind = rng.choice(("video", "video", "image"))
    shown_part: dict[str, Any] = {"type": kind, kind: CLIP if kind == "video" else CLIP[0]}
    words: dict[str, Any] = {"type": "text", "text": "What moves?"}
    turn: dict[str, Any] = {"role": "user", "content": [shown_part, words]}
    options: dict[str, Any] = {}
    way = rng.randrange(8)
    if way == 0:
        shown_part[kind] = visual(rng)
    elif way == 1:
        name = rng.choice(OPTIONS)
        shown_part[name] = option(rng, name)
    elif way <= 4:
        for name in rng.sample(OPTIONS, rng.choice((1, 1, 2))):
            options[name] = option(rng, name)
    elif way == 5:
        words["text"] = rng.choice(TEXTS)
    elif way == 6:
        turn["content"].insert(rng.randrange(3), part(rng))
    made = [turn]
    if way == 7:
        made += [{"role": "assistant", "content": "A disc [SEG]."}, message(rng)]
    return made, options


class Messages:
    """Cases about the processor of a valid model folder."""

    def __init__(self, model: Path) -> None:
        self.processor = AutoProcessor.from_pretrained(model)

    def case(self, rng: random.Random, folder: Path) -> tuple[str, Callable[[], Any]]:
        names = rng.sample(OPTIONS, rng.choice((0, 0, 0, 1, 2)))
        options = {name: option(rng, name) for name in names}
        if rng.random() < 0.7:
            given: Any = conversation(rng)
            if rng.random() < 0.6:
                given, options = nearly_good(rng)
            if rng.random() < 0.15:
                given = [given, conversation(rng)]
            names = rng.sample(TEMPLATE_OPTIONS, rng.choice((0, 0, 1)))
            template: dict[str, Any] = {"tokenize": True, "add_generation_prompt": True}
            template |= {name: option(rng, name) for name in names}
            return (
                f"apply_chat_template({shown(given)}, {template!r:.200}, {options!r:.200})",
                lambda: self.processor.apply_chat_template(given, **{**options, **template}),
            )
        called = {
            "text": rng.choice((*TEXTS, ["Hi", "Hi"], ["<video>\nHi"], [], [3], value(rng))),
            "videos": rng.choice((None, visual(rng), [visual(rng)], [visual(rng), visual(rng)], [[visual(rng)], []])),
            "images": rng.choice((None, None, visual(rng), [visual(rng)], [[visual(rng)], [visual(rng)]])),
        }
        if rng.random() < 0.5:
            call = rng.choice(("processor", "image_processor", "video_processor"))
            visuals = called["images"] if call == "image_processor" else called["videos"]
            if call != "processor":
                own = {name: made for name, made in options.items() if not name.endswith("kwargs")}
                return f"{call}.preprocess({shown(visuals)}, {own!r:.200})", lambda: getattr(
                    self.processor, call
                ).preprocess(visuals, **own)
        return f"processor({shown(called)}, {options!r:.200})", lambda: self.processor(**{**called, **options})
