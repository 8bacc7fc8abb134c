"""Rendered prompts to token ids.

The original tokenises chunk by chunk: the prompt is split where the visual tokens go, and every chunk is tokenised on
its own by a slow SentencePiece tokenizer, so each chunk starts with its own dummy space (original
`mm_utils.tokenizer_image_token`, transformers 4.41 `LlamaTokenizer`). [`PromptEncoder`] gives the same ids from a fast
tokenizer.
"""

import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from .errors import InputError
from .messages import SEG_TOKEN, is_unicode


@dataclass(frozen=True)
class Piece:
    """A stretch of a prompt.

    Attributes:
        text: Its characters.
        is_token: Whether it is one of the tokenizer's added tokens; otherwise it is text, whatever it contains.
        is_answer: Whether it belongs to an assistant turn, its end token included.
    """

    text: str
    is_token: bool
    is_answer: bool


class PromptEncoder:
    """Encodes prompts exactly as the original's slow tokenizer does, from a fast one.

    Args:
        tokenizer: A fast tokenizer; its added tokens are the only special ones.
        absorbing_tokens: Added tokens that swallow the dummy space in front of them. The slow tokenizer drops
            it before the tokens of its special-tokens map only, which differs between Phi-3's revisions.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, absorbing_tokens: Sequence[str]) -> None:
        self.added = {token.content: (i, token) for i, token in tokenizer.added_tokens_decoder.items()}
        self.absorbing = frozenset(absorbing_tokens)
        self.start_ids = tokenizer("").input_ids
        by_length = sorted(self.added, key=len, reverse=True)
        self._token_pattern = re.compile("(" + "|".join(map(re.escape, by_length)) + ")")
        state = json.loads(tokenizer.backend_tokenizer.to_str())
        state["added_tokens"], state["post_processor"] = [], None
        state["padding"] = state["truncation"] = None
        scheme = (state["pre_tokenizer"] or {}).get("prepend_scheme", "never")
        self.has_dummy_space = scheme != "never"
        if self.has_dummy_space:
            state["pre_tokenizer"]["prepend_scheme"] = "never"
        self._plain = Tokenizer.from_str(json.dumps(state))

    def pieces(self, parts: Sequence[tuple[str, str | None, bool]]) -> list[Piece]:
        """Rendered parts to pieces: the template's own tokens everywhere, `[SEG]` also in assistant turns."""
        pieces: list[Piece] = []
        for text, role, is_answer in parts:
            if role is None:
                pieces += self._split(text, self._token_pattern, is_answer)
            elif role == "assistant":
                pieces += self._split(text, re.compile(f"({re.escape(SEG_TOKEN)})"), is_answer)
            else:
                pieces.append(Piece(text, False, is_answer))
        return pieces

    def contains_token(self, text: str) -> bool:
        """Whether a text would be read as containing one of the added tokens."""
        return self._token_pattern.search(text) is not None

    def encode(self, pieces: Sequence[Piece], visual_lengths: dict[str, int]) -> tuple[list[int], list[int]]:
        """Token ids and, for each, 1 if it belongs to an answer.

        Args:
            pieces: The prompt.
            visual_lengths: How many times the placeholder of each visual token is repeated.

        Raises:
            InputError: A text is no Unicode.
        """
        if not all(is_unicode(piece.text) for piece in pieces):
            raise InputError("The prompt holds half a surrogate pair, which no tokenizer reads.")
        ids, answer_mask = list(self.start_ids), [0] * len(self.start_ids)
        chunk: list[Piece] = []
        for piece in [*pieces, None]:
            if piece is not None and not (piece.is_token and piece.text in visual_lengths):
                chunk.append(piece)
                continue
            for new_ids, is_answer in self._encode_chunk(chunk):
                ids += new_ids
                answer_mask += [int(is_answer)] * len(new_ids)
            chunk = []
            if piece is not None:
                count = visual_lengths[piece.text]
                ids += [self.added[piece.text][0]] * count
                answer_mask += [0] * count
        return ids, answer_mask

    def continue_with(self, pieces: Sequence[Piece]) -> list[int]:
        """Token ids of pieces in the middle of a chunk, the first of which is a token: no dummy space."""
        return [i for ids, _ in self._encode_chunk(pieces, starts=False) for i in ids]

    def _split(self, text: str, pattern: re.Pattern, is_answer: bool) -> list[Piece]:
        split = pattern.split(text)
        return [Piece(part, i % 2 == 1, is_answer) for i, part in enumerate(split) if part]

    def _encode_chunk(self, chunk: Sequence[Piece], starts: bool = True) -> list[tuple[list[int], bool]]:
        """`(ids, is_answer)` of every piece of a chunk, the dummy space included in its first piece."""
        merged = _merge_texts(chunk)
        if not merged:
            return []
        if self.has_dummy_space and starts:
            first = merged[0]
            if first.is_token:
                merged.insert(0, _Run(" ", False, first.answer[:1]))
            else:
                merged[0] = _Run(" " + first.text, False, first.answer[:1] + first.answer)
        encoded: list[tuple[list[int], bool]] = []
        strip_left = False
        for i, piece in enumerate(merged):
            following = merged[i + 1] if i + 1 < len(merged) else None
            if piece.is_token:
                token_id, token = self.added[piece.text]
                encoded.append(([token_id], piece.answer[0]))
                strip_left = token.rstrip
                continue
            # The slow tokenizer writes the SentencePiece underline as a space before anything else.
            text = piece.text.replace("▁", " ") if self.has_dummy_space else piece.text
            answer = piece.answer
            if strip_left:
                answer = answer[len(text) - len(text.lstrip()) :]
                text = text.lstrip()
            if following is not None and self.added[following.text][1].lstrip:
                text = text.rstrip()
            strip_left = False
            absorbed = following is not None and following.text in self.absorbing
            if i == 0 and starts and text == " " and self.has_dummy_space and absorbed:
                continue
            tokens = self._plain.encode(text, add_special_tokens=False)
            # A token is the answer's if its last character is.
            whose = [answer[max(end, 1) - 1] for _, end in tokens.offsets]
            for is_answer, group in itertools.groupby(zip(tokens.ids, whose, strict=True), key=lambda pair: pair[1]):
                encoded.append(([i for i, _ in group], is_answer))
        return encoded


@dataclass(frozen=True)
class _Run:
    """A token, or what the tokenizer sees as one text; `answer` says of every character whether it is an answer's."""

    text: str
    is_token: bool
    answer: tuple[bool, ...]


def _merge_texts(pieces: Sequence[Piece]) -> list[_Run]:
    """Adjacent texts are one text to the tokenizer, whoever wrote them."""
    merged: list[_Run] = []
    for piece in pieces:
        answer = (piece.is_answer,) * len(piece.text)
        if merged and not piece.is_token and not merged[-1].is_token:
            merged[-1] = _Run(merged[-1].text + piece.text, False, merged[-1].answer + answer)
        else:
            merged.append(_Run(piece.text, piece.is_token, answer))
    return merged
