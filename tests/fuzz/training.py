"""Training inputs that do not fit: samples for the collator, and batches for `forward`."""

import copy
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModel, AutoProcessor

from tests.fuzz.hostile import changed, value
from videoglamm_hf.data import VideoGlammDataCollator
from videoglamm_hf.frame_sampling import FrameSampling

SIZE = (20, 30)
CLIP = np.arange(3 * 20 * 30 * 3, dtype=np.uint32).astype(np.uint8).reshape(3, *SIZE, 3)


def good_sample(rng: random.Random) -> dict[str, Any]:
    kind = rng.choice(("video", "video", "image", None))
    mask = np.zeros(SIZE, bool)
    mask[:9] = True
    text = {"type": "text", "text": "What moves?"}
    content = [{"type": kind}, text] if kind else [text]
    answer = "A <p> disc </p> [SEG]." if kind else "Nothing."
    made: dict[str, Any] = {
        "messages": [
            {"role": "user", "content": content},
            {"role": "assistant", "content": [{"type": "text", "text": answer}]},
        ]
    }
    if kind == "video":
        made |= {"video": CLIP, "masks": [[mask, None]], "mask_frames": [0, 2]}
    elif kind == "image":
        made |= {"image": CLIP[0], "masks": [[mask]], "mask_frames": [0]}
    return made


def tensor(rng: random.Random, old: torch.Tensor) -> Any:
    """Something in the place of a tensor of a batch."""
    choice = rng.randrange(14)
    if choice == 0:
        return old[:0]
    if choice == 1:
        return old[:1] if len(old) > 1 else torch.cat([old, old])
    if choice == 2:
        return old[..., :-1]
    if choice == 3:
        return old[None]
    if choice == 4:
        return old.flatten()
    if choice == 5:
        return old.to(rng.choice((torch.float32, torch.float64, torch.int32, torch.int8, torch.bool, torch.float16)))
    if choice == 6 and old.is_floating_point():
        return old * rng.choice((float("nan"), float("inf"), 1e30))
    if choice in (6, 7) and not old.is_floating_point() and old.numel():
        spoilt = old.clone().long()
        spoilt.view(-1)[rng.randrange(spoilt.numel())] = rng.choice(
            (-1, -5, -100, 319, 320, 321, 322, 10**6, 2**40, 2)
        )
        return spoilt
    if choice == 8:
        return old.numpy() if old.dtype != torch.bfloat16 else old
    if choice == 9:
        return old.tolist()
    if choice == 10:
        return None
    if choice == 11:
        return old.to("meta")
    if choice == 12:
        return old.transpose(0, -1)
    return value(rng)


class Training:
    """Cases about the collator and `forward` of a valid tiny model."""

    def __init__(self, model: Path) -> None:
        self.processor = AutoProcessor.from_pretrained(model)
        self.model = AutoModel.from_pretrained(model)
        collate = VideoGlammDataCollator(self.processor, num_mask_frames=None)
        kinds: dict[Any, Any] = {}
        rng = random.Random(0)
        while len(kinds) < 3:
            made = good_sample(rng)
            kinds[next((kind for kind in ("video", "image") if kind in made), None)] = made
        samples = list(kinds.values())
        self.batches = [collate([one]) for one in samples] + [collate(samples)]

    def case(self, rng: random.Random, folder: Path) -> tuple[str, Callable[[], Any]]:
        choice = rng.random()
        if choice < 0.35:
            return self._collated(rng)
        if choice < 0.42:
            return self._options(rng)
        return self._forward(rng)

    def _collated(self, rng: random.Random) -> tuple[str, Callable[[], Any]]:
        made, said = [], []
        for _ in range(rng.randrange(1, 3)):
            own, words = _changed_sample(rng, good_sample(rng))
            made.append(own)
            said.append(words)
        collate = VideoGlammDataCollator(self.processor, num_mask_frames=rng.choice((None, (1, 2))))
        return f"collator: {said}", lambda: self._step(collate(made))

    def _options(self, rng: random.Random) -> tuple[str, Callable[[], Any]]:
        options: dict[str, Any] = {
            "num_mask_frames": rng.choice(
                ((0, 1), (2, 1), (1,), 3, "ab", (1.5, 2), (None, 1), value(rng), [1, 2], (1, 10**9))
            ),
            "sampling": rng.choice(
                (None, value(rng), FrameSampling(num_frames=1), FrameSampling(fps=None, max_frames=1))
            ),
            "skip_broken": rng.choice((True, False)),
        }
        samples = rng.choice(([good_sample(rng)], [], value(rng), [None], [{}]))
        return f"collator {options!r:.200} of {samples!r:.100}", lambda: VideoGlammDataCollator(
            self.processor, **options
        )(samples)

    def _forward(self, rng: random.Random) -> tuple[str, Callable[[], Any]]:
        batch = copy.copy(rng.choice(self.batches))
        said = []
        for _ in range(rng.choice((1, 1, 2))):
            name = rng.choice(list(batch))
            if rng.random() < 0.08:
                del batch[name]
                said.append(f"{name} gone")
            elif isinstance(batch[name], torch.Tensor):
                batch[name] = tensor(rng, batch[name])
                said.append(f"{name} = {_shown(batch[name])}")
            elif isinstance(batch[name], list) and batch[name] and isinstance(batch[name][0], torch.Tensor):
                spoilt = list(batch[name])
                spoilt[0] = tensor(rng, spoilt[0])
                batch[name] = rng.choice((spoilt, spoilt, spoilt[:-1], spoilt * 2, tuple(spoilt), spoilt[0]))
                said.append(f"{name} = {_shown(spoilt[0])} of {_shown(batch[name])}")
            else:
                batch[name] = value(rng)
                said.append(f"{name} = {batch[name]!r:.60}")
            if not batch:
                break
        return f"forward: {'; '.join(said)}", lambda: self._step(batch)

    def _step(self, batch: dict[str, Any]) -> None:
        output = self.model.train()(**batch)
        if output.loss is not None and output.loss.requires_grad:
            output.loss.backward()
        self.model.zero_grad()


def _changed_sample(rng: random.Random, good: dict[str, Any]) -> tuple[Any, str]:
    plain = {key: own for key, own in good.items() if key in ("messages", "mask_frames")}
    made, said = changed(rng, plain) if rng.random() < 0.6 else (plain, "")
    made = {**good, **made}
    for key in plain.keys() - made.keys():
        made.pop(key)
    if rng.random() < 0.5:
        key = rng.choice(("video", "image", "masks", "mask_frames"))
        mask = np.ones(SIZE, bool)
        made[key] = rng.choice(
            (
                value(rng),
                CLIP.astype(np.float32),
                CLIP[:, :0],
                CLIP[0],
                CLIP[:1],
                [[mask]],
                [[mask, mask]],
                [[mask.astype(np.uint8), None]],
                [[mask[:5], None]],
                np.ones((1, 2, *SIZE), bool),
                [[{"size": list(SIZE), "counts": "0"}, None]],
                [[torch.ones(SIZE, dtype=torch.bool), None]],
                torch.from_numpy(CLIP),
                np.array([0, 2]),
                [0, 99],
                None,
            )
        )
        said += f"; {key} = {_shown(made[key])}"
    return made, said


def _shown(made: Any) -> str:
    if isinstance(made, (torch.Tensor, np.ndarray)):
        return f"{type(made).__name__} {made.dtype} {list(made.shape)}"
    return f"{made!r:.80}"
