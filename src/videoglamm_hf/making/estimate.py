"""What writing will cost, before anything is asked."""

from collections.abc import Iterable
from dataclasses import dataclass

# Rough, and said so: what tokenisers make of English, and of a sentence with its marks.
CHARACTERS_PER_TOKEN = 4
PICTURE_TOKENS = 800  # of one of 768 pixels; services differ by factors
REPLY_TOKENS, REPLY_TOKENS_PER_OBJECT = 25, 15


@dataclass(frozen=True)
class Estimate:
    """What is left to be done.

    Attributes:
        videos: How many there are in all.
        to_decode: Of how many the pixel decoder makes masks.
        requests: How many are asked about, once each; a reply that cannot be used is asked for again, twice at most.
        tokens_in, tokens_out: About so many are read and written.
        pictures: How many are shown.
        price: Of all tokens; None if no price was given.
    """

    videos: int
    to_decode: int
    requests: int
    tokens_in: int
    tokens_out: int
    pictures: int = 0
    price: float | None = None


def estimated(
    questions: Iterable[tuple[str, int]],
    videos: int,
    to_decode: int,
    pictures: int = 0,
    price_in: float | None = None,
    price_out: float | None = None,
) -> Estimate:
    """An estimate.

    Args:
        questions: What will be asked, and how many objects each is about.
        videos, to_decode: See [`Estimate`].
        pictures: How many go with all questions together.
        price_in, price_out: Of a million tokens read and written.
    """
    asked = [(len(text), objects) for text, objects in questions]
    tokens_in = sum(-(-length // CHARACTERS_PER_TOKEN) for length, _ in asked) + PICTURE_TOKENS * pictures
    tokens_out = sum(REPLY_TOKENS + REPLY_TOKENS_PER_OBJECT * objects for _, objects in asked)
    priced = price_in is not None or price_out is not None
    price = (tokens_in * (price_in or 0) + tokens_out * (price_out or 0)) / 1e6 if priced else None
    return Estimate(videos, to_decode, len(asked), tokens_in, tokens_out, pictures, price)
