"""Where the padding of prompts is: in front, for words to follow."""

from collections.abc import Sequence
from typing import Any

import torch

from .errors import InputError
from .transformers_versions import CACHE_NAMES

# What else goes by the places of the tokens.
_PLACED = ("inputs_embeds", "position_ids", "token_type_ids", *CACHE_NAMES)


def padded_on_the_left(
    input_ids: torch.Tensor, kwargs: dict[str, Any], pad: int | None, ends: int | Sequence[int] | None
) -> tuple[torch.Tensor, dict[str, Any]]:
    """Prompts with padding behind the words with that padding moved to their front.

    Args:
        input_ids: int64 `[B, L]`.
        kwargs: Of `generate`. Without an `attention_mask`, padding is told by the pad token.
        pad, ends: That token, and those that end answers, where they are known.

    Returns:
        Prompts and options, as they were if nothing is to be moved.

    Raises:
        InputError: If something else given goes by the places of the tokens, or padding may be words.
    """
    mask = kwargs.get("attention_mask")
    if mask is None:
        mask = _told_by_token(input_ids, pad, ends)
    if not torch.is_tensor(mask) or mask.shape != input_ids.shape or not mask.shape[1] or bool(mask[:, -1].all()):
        return input_ids, kwargs
    for name in _PLACED:
        if kwargs.get(name) is not None:
            raise InputError(
                f"attention_mask has padding after the words, which {name} goes by; pad on the left "
                "(padding_side='left')."
            )
    length = mask.shape[1]
    behind = mask.ne(0).flip(1).int().argmax(dim=1, keepdim=True)
    places = (torch.arange(length, device=mask.device) - behind) % length
    input_ids = input_ids.gather(1, places.to(input_ids.device))
    return input_ids, kwargs | {"attention_mask": mask.gather(1, places)}


def _told_by_token(input_ids: torch.Tensor, pad: int | None, ends: int | Sequence[int] | None) -> torch.Tensor | None:
    """Which tokens `[B, L]` are words, if prompts end in pad tokens and no mask says so."""
    if pad is None or input_ids.ndim != 2 or not input_ids.shape[1]:
        return None
    padded = (input_ids[:, -1] == pad).nonzero()[:, 0].tolist()
    if not padded:
        return None
    if pad in (ends if isinstance(ends, (list, tuple)) else [ends]):
        raise InputError(
            f"Prompt {padded[0]} ends in token {pad}, which pads and also ends answers; pass the attention_mask the "
            "processor returned, which tells them apart."
        )
    return (input_ids != pad).long()
