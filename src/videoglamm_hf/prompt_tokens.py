"""A batch of encoded prompts as tensors: cut, checked against the context, padded."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from .errors import InputError
from .options import check_switches, check_whole_number
from .prompting import Piece, PromptEncoder

_PADDINGS = (True, False, None, "longest", "do_not_pad", "max_length")


def token_inputs(
    prompts: Sequence[tuple[list[int], list[int]]],
    tokenizer: PreTrainedTokenizerBase,
    visual_ids: frozenset[int],
    options: dict[str, Any],
    return_answer_masks: bool = False,
) -> dict[str, Any]:
    """Token ids of B prompts and what goes with them.

    Args:
        prompts: Per prompt, its token ids and 1 for each that belongs to an answer.
        tokenizer: Whose padding token, context and truncation side count.
        visual_ids: Ids of visual tokens, which are never cut.
        options: `padding`, `padding_side`, `truncation`, `max_length` and `return_tensors`.
        return_answer_masks: Whether `assistant_masks` are wanted.

    Returns:
        `input_ids`, `attention_mask` and, where wanted, `assistant_masks`: int64 `[B, L]`, or lists.

    Raises:
        InputError: If a prompt exceeds the context, or an option has a value that it cannot have.
    """
    padding, wanted = options["padding"], options["return_tensors"]
    if not isinstance(padding, (bool, str, type(None))) or padding not in _PADDINGS:
        raise InputError(f"padding is {padding!r:.80}; it must be True, False, 'longest' or 'max_length'.")
    if options["max_length"] is not None:
        check_whole_number("max_length", options["max_length"], 1, "it must be a whole number of tokens, at least 1")
    if not isinstance(options["truncation"], str):
        check_switches(truncation=options["truncation"])
    side = tokenizer.padding_side if options["padding_side"] is None else options["padding_side"]
    if not isinstance(side, str) or side not in ("left", "right"):
        raise InputError(f"padding_side is {side!r:.80}; it must be 'left' or 'right'.")
    if options["truncation"]:
        length = options["max_length"] or tokenizer.model_max_length
        keep = slice(-length, None) if tokenizer.truncation_side == "left" else slice(length)
        for i, (ids, _) in enumerate(prompts):
            _check_cut(ids, ids[keep], visual_ids, i)
        prompts = [(ids[keep], answers[keep]) for ids, answers in prompts]
    limit = tokenizer.model_max_length
    check_context([ids for ids, _ in prompts], limit)
    pads = padding in (True, "longest", "max_length")
    if not pads and wanted is not None and len({len(ids) for ids, _ in prompts}) > 1:
        raise InputError("Several texts become one tensor only with padding=True.")
    rows = {
        "input_ids": ([ids for ids, _ in prompts], tokenizer.pad_token_id),
        "attention_mask": ([[1] * len(ids) for ids, _ in prompts], 0),
    }
    if return_answer_masks:
        rows["assistant_masks"] = ([answers for _, answers in prompts], 0)
    if wanted is None and padding != "max_length":
        return {name: values for name, (values, _) in rows.items()}
    longest = max(len(ids) for ids, _ in prompts)
    if padding == "max_length":
        longest = max(longest, options["max_length"] or limit)
    padded = {name: _pad(values, fill, side, longest) for name, (values, fill) in rows.items()}
    return {name: torch.tensor(values) for name, values in padded.items()} if wanted is not None else padded


def check_context(prompts: Sequence[Sequence[int]], limit: int) -> None:
    """Raises InputError if one of these prompts, token ids with visual ones included, has more than `limit` tokens."""
    for i, ids in enumerate(prompts):
        if len(ids) > limit:
            raise InputError(
                f"Sample {i}: the prompt has {len(ids)} tokens (visual ones included), more than the "
                f"context of {limit}; shorten the conversation."
            )


def continued(ids: list[int], encoder: PromptEncoder, pieces: Sequence[Piece]) -> list[int]:
    """Token ids of a conversation that goes on.

    Args:
        ids: What was said so far.
        encoder: Encodes the rest.
        pieces: A rendered conversation; what follows its first answer is the rest.
    """
    last = max(i for i, piece in enumerate(pieces) if piece.is_answer)
    end_id = encoder.added[pieces[last].text][0]
    rest = encoder.continue_with(pieces[last:])
    # The end token of the answer may have been generated already.
    return ids + (rest[1:] if ids[-1] == end_id else rest)


def _check_cut(ids: list[int], kept: list[int], visual_ids: frozenset[int], index: int) -> None:
    if sum(i in visual_ids for i in kept) != sum(i in visual_ids for i in ids):
        raise InputError(
            f"Sample {index}: cutting its prompt of {len(ids)} tokens to {len(kept)} would cut visual tokens; raise "
            "max_length or leave out truncation."
        )


def _pad(rows: Sequence[list[int]], value: int, side: str, length: int) -> list[list[int]]:
    """Rows of one length, padded on one side."""
    fills = ([value] * (length - len(row)) for row in rows)
    return [fill + row if side == "left" else row + fill for fill, row in zip(fills, rows, strict=True)]
