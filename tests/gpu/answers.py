"""Questions about held-out clips of the shapes world, answers to them, and how far two sets of answers agree."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from videoglamm_hf.mask_overlap import mask_iou
from videoglamm_hf.toy.shapes_world.dataset import ShapesWorldDataset
from videoglamm_hf.toy.shapes_world.evaluation import EVALUATION_SEED

# One object, several of them, none.
KINDS = ("referring", "caption", "absent")
FLOAT32 = (0.99, 0.999)
# Every model would compile its decoding step anew; what is compiled has tests of its own.
GREEDY = {"max_new_tokens": 48, "do_sample": False, "disable_compile": True}


@dataclass(frozen=True)
class Answers:
    """Words of every answer; its masks, bool `[N, T, H, W]` on the CPU."""

    texts: list[str]
    masks: list[torch.Tensor]

    def first(self, count: int) -> "Answers":
        return Answers(self.texts[:count], self.masks[:count])


@cache
def samples() -> list[dict[str, Any]]:
    """One clip of each kind, as [`ShapesWorldDataset`] gives them."""
    return [next(filter(_is_full, ShapesWorldDataset("held_out", kind, seed=EVALUATION_SEED))) for kind in KINDS]


def _is_full(sample: dict[str, Any]) -> bool:
    return sample["kind"] != "caption" or len(sample["masks"]) > 1


@cache
def clips() -> tuple[list[dict[str, Any]], ...]:
    """A conversation about each clip, up to the question."""
    return tuple(
        [
            {
                "role": "user",
                "content": [
                    {"type": "video", "video": sample["video"]},
                    *(part for part in sample["messages"][0]["content"] if part["type"] == "text"),
                ],
            }
        ]
        for sample in samples()
    )


def inputs_of(model: Any, processor: Any, conversations: Any) -> Any:
    """A batch for a model, on its device."""
    return processor.apply_chat_template(conversations, tokenize=True, add_generation_prompt=True).to(model.device)


def answered(model: Any, processor: Any, conversations: Sequence[Any], **options: Any) -> Answers:
    """Greedy answers, one question at a time."""
    texts, masks = [], []
    for conversation in conversations:
        one = answer(model, processor, [conversation], **options)
        texts += one.texts
        masks += one.masks
    return Answers(texts, masks)


def answer(model: Any, processor: Any, conversations: Sequence[Any], **options: Any) -> Answers:
    """Greedy answers to a batch of questions."""
    inputs = inputs_of(model, processor, list(conversations))
    output = model.generate(**inputs, **GREEDY | options)
    assert all(masks.device.type == "cpu" and masks.dtype == torch.bool for masks in output.masks)
    return Answers([one.raw_text for one in processor.post_process_grounded_generation(output)], output.masks)


def agreement(found: Answers, expected: Answers) -> torch.Tensor:
    """IoU of every mask in every frame; of masks without pixels, 1."""
    pairs = zip(found.masks, expected.masks, strict=True)
    return torch.cat([mask_iou(one, other, empty=1).flatten() for one, other in pairs])
