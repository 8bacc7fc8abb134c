"""Why an answer ended: it was complete, or it was cut."""

from collections.abc import Iterable
from typing import Any

import torch
from transformers import StoppingCriteria

# What ended an answer: an end token or a stopping criterion, or the limit on its length.
STOP, LENGTH = "stop", "length"


class FinishReasons(StoppingCriteria):
    """Goes along with a call of `generate`, stops nothing, and tells afterwards why each sequence ended."""

    def __init__(self) -> None:
        self.longest: int | None = None
        self.ends: set[int] = set()

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)

    def learn(self, criteria: Iterable[Any]) -> None:
        """Takes note of what ends sequences in this call."""
        for criterion in criteria:
            self.longest = getattr(criterion, "max_length", self.longest)
            ends = getattr(criterion, "eos_token_id", None)
            if ends is not None:
                self.ends |= set(torch.as_tensor(ends).reshape(-1).tolist())

    def of(self, sequences: torch.Tensor, prompt_length: int, pad_token_id: Any) -> list[str | None]:
        """Why each sequence ended: `"stop"`, `"length"`, or None where a decoding method of its own did not ask.

        Args:
            sequences: int64 `[R, L]`, prompts included.
            prompt_length: Tokens of the prompt.
            pad_token_id: What follows sequences that ended before others.
        """
        if self.longest is None:
            return [None] * len(sequences)
        reasons = []
        for row in sequences.tolist():
            generated = row[prompt_length:]
            ended = not self.ends.isdisjoint(generated)
            while generated and generated[-1] == pad_token_id:
                generated.pop()
            reasons.append(STOP if ended or prompt_length + len(generated) < self.longest else LENGTH)
        return reasons
