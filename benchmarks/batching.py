"""Four questions about four videos in one call, against four calls."""

import argparse
from collections.abc import Sequence
from typing import Any

import torch

from common import ForceTokens, benchmark_main, frames, paired, tiny_model

QUESTIONS = ("Can you segment the disc?", "What moves here?", "Where is the blue one?", "And the red one?")


KINDS = {"words and masks": {}, "words only": {"return_masks": False}}


def compare(
    model: Any,
    processor: Any,
    kinds: Sequence[str] = tuple(KINDS),
    tokens: int = 64,
    within: float | None = None,
) -> dict[str, Any]:
    """Both sides for each of some of `KINDS`, with answers of so many tokens."""
    conversations = [
        [
            {
                "role": "user",
                "content": [
                    {"type": "video", "video": frames(8, 90, 160, salt=i % 2)},
                    {"type": "text", "text": question},
                ],
            }
        ]
        for i, question in enumerate(QUESTIONS)
    ]

    def inputs_of(some: list[Any]) -> Any:
        return processor.apply_chat_template(some, tokenize=True, add_generation_prompt=True).to(model.device)

    together = inputs_of(conversations)
    alone = [inputs_of([conversation]) for conversation in conversations]

    def generate(inputs: Any, **options: Any) -> Any:
        forced = [ForceTokens({3: model.config.seg_token_id}, inputs["input_ids"].shape[1])]
        return model.generate(
            **inputs, max_new_tokens=tokens, min_new_tokens=tokens, do_sample=False, logits_processor=forced, **options
        )

    batch = generate(together)
    same = all(
        torch.equal(batch.sequences[i, batch.prompt_length :], one.sequences[0, one.prompt_length :])
        for i, one in enumerate(map(generate, alone))
    )
    result: dict[str, Any] = {"same tokens": same}
    for name in kinds:
        four, one, ratio = paired(
            lambda n=name: [generate(inputs, **KINDS[n]) for inputs in alone],
            lambda n=name: generate(together, **KINDS[n]),
            runs=5,
            warm=True,
            within=within,
        )
        result[name] = {
            "four calls seconds": round(four, 2),
            "one call seconds": round(one, 2),
            "speed-up": round(ratio, 2),
        }
    return result


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    return {f"{size} px": compare(*tiny_model(size)) for size in (256, 96)}


if __name__ == "__main__":
    benchmark_main("batch of four", run)
