"""Prompts that are called by their text: which text is about which video or picture."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from .errors import InputError
from .image_processing_videoglamm import flat_images
from .messages import IMAGE_TOKEN, VIDEO_TOKEN, is_list
from .prompting import Piece, PromptEncoder
from .video_processing_videoglamm import is_one_video, video_list

# Messages to `(text, role, is_answer)` triples.
Render = Callable[[list[dict[str, Any]]], list[tuple[str, str | None, bool]]]
_PLACEHOLDER = re.compile(rf"\s*<({IMAGE_TOKEN[1:-1]}|{VIDEO_TOKEN[1:-1]})>\s*")


def read_texts(
    texts: Sequence[str], queues: list[dict[str, list]], encoder: PromptEncoder, render: Render
) -> tuple[list[list[Piece]], list[dict[str, Any] | None]]:
    """The pieces of every prompt, and the visual it is about as part of a message or None.

    Args:
        texts: Rendered prompts, or bare questions, which become user turns.
        queues: From [`visuals_of_texts`]; what a text takes is gone.
        encoder: Splits prompts.
        render: Makes the prompt of a bare question.

    Raises:
        InputError: If placeholders and visuals do not match.
    """
    opening = encoder.pieces(render([{"role": "user", "content": [{"type": "text", "text": "?"}]}]))[0].text
    prompts, visuals = [], []
    for i, (text, queue) in enumerate(zip(texts, queues, strict=True)):
        if text.startswith(opening):
            pieces = encoder.pieces([(text, None, False)])
            kinds = [p.text.strip("<>") for p in pieces if p.is_token and p.text in (IMAGE_TOKEN, VIDEO_TOKEN)]
        else:
            kinds, question = _bare_question(text, queue, i)
            content = [{"type": kind} for kind in kinds] + [{"type": "text", "text": question}]
            pieces = encoder.pieces(render([{"role": "user", "content": content}]))
        if len(kinds) > 1:
            raise InputError(f"Text {i} has {len(kinds)} videos or pictures; at most one is supported.")
        for kind in kinds:
            if not queue[kind]:
                raise InputError(f"Text {i} has a <{kind}> placeholder but no {kind} is left for it.")
        visuals.append({"type": kinds[0], "source": queue[kinds[0]].pop(0)} if kinds else None)
        prompts.append(pieces)
    # Texts may share a queue.
    left = {kind: sum(map(len, {id(q[kind]): q[kind] for q in queues}.values())) for kind in ("video", "image")}
    if any(left.values()):
        raise InputError(f"More videos or pictures than placeholders in the texts: {left} left over.")
    return prompts, visuals


def _bare_question(text: str, queue: dict[str, list], index: int) -> tuple[list[str], str]:
    """What a question is about, and its words; it may begin with the placeholder of what it is about."""
    placeholder = _PLACEHOLDER.match(text)
    question = text[placeholder.end() :] if placeholder else text
    if not question.strip():
        raise InputError(f"Text {index}: the question is empty.")
    kinds = [placeholder[1]] if placeholder else [kind for kind, own in queue.items() if own]
    if len(kinds) > 1:
        raise InputError(
            f"Text {index} could be about a video or a picture; begin it with <video> or <image>, or give a list of "
            "each with a list for every text."
        )
    return kinds, question


def visuals_of_texts(images: Any, videos: Any, count: int) -> list[dict[str, list]]:
    """For each of `count` texts, the videos and pictures it may be about, by kind.

    A list with a list for every text says which are whose; of any other, all texts share what there is.
    """
    of_texts = {
        "video": _nested(videos, count, video_list, is_one_video),
        "image": _nested(images, count, flat_images, lambda _: False),
    }
    return [{kind: lists[i] for kind, lists in of_texts.items()} for i in range(count)]


def _nested(visuals: Any, count: int, flat: Callable[[Any], list], is_one: Callable[[Any], bool]) -> list[list]:
    """A list for each text, or one list that all of them share."""
    if not is_list(visuals) or len(visuals) != count:
        return [flat(visuals)] * count
    if not any(one is None or (is_list(one) and not (one and is_one(one))) for one in visuals):
        return [flat(visuals)] * count
    return [[] if is_list(one) and not one else flat(one) for one in visuals]
