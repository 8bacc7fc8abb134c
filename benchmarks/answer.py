"""Words: cached, towers once, against the cache off and everything recomputed for every token.

The other side is an honest stand-in for the original, which runs `generate(use_cache=False)` and passes the video
at every step: the same model and weights, but every new token runs both towers and the whole prompt again (the
original also makes one extra pass that only counts inserted tokens; that pass is included).
"""

import argparse
from typing import Any

import torch

from common import benchmark_main, frames, median_seconds, seconds, tiny_model


@torch.no_grad()
def recompute_everything(model: Any, inputs: dict[str, Any], num_tokens: int) -> torch.Tensor:
    """Greedy words the original's way."""
    names = ("pixel_values_videos", "temporal_pixel_values_videos")
    pixels = {name: inputs[name] for name in names}
    ids = inputs["input_ids"]
    model(input_ids=ids, **pixels, use_cache=False)
    for _ in range(num_tokens):
        logits = model(input_ids=ids, **pixels, use_cache=False).logits[:, -1]
        ids = torch.cat([ids, logits.argmax(-1, keepdim=True)], dim=1)
    return ids


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    model, processor = tiny_model()
    content = [{"type": "video", "video": frames(8, 90, 160)}, {"type": "text", "text": "Can you segment the disc?"}]
    inputs = processor.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=True, add_generation_prompt=True
    ).to(model.device)

    def answer(num_tokens: int) -> torch.Tensor:
        return model.generate(
            **inputs, max_new_tokens=num_tokens, min_new_tokens=num_tokens, do_sample=False, return_masks=False
        )

    result: dict[str, Any] = {}
    for num_tokens in (16, 64):
        same = torch.equal(answer(num_tokens), recompute_everything(model, inputs, num_tokens))
        ours = median_seconds(lambda n=num_tokens: answer(n))
        # One run: it is the mean of as many equal steps as there are tokens.
        theirs = seconds(lambda n=num_tokens: recompute_everything(model, inputs, n))
        result[f"{num_tokens} tokens"] = {
            "seconds": round(ours, 3),
            "seconds recomputing": round(theirs, 2),
            "speed-up": round(theirs / ours, 1),
            "same tokens": same,
        }
    first = median_seconds(lambda: answer(1))
    long = median_seconds(lambda: answer(129))
    slope = (long - first) / 128
    result["first token seconds"] = round(first, 3)
    result["seconds per further token"] = round(slope, 5)
    result["slope / first token"] = round(slope / first, 4)
    return result


if __name__ == "__main__":
    benchmark_main("answer", run)
