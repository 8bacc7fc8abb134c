"""A bar over what takes long."""

from collections.abc import Iterable
from typing import TypeVar

from tqdm.auto import tqdm

_T = TypeVar("_T")


def shown(items: Iterable[_T], what: str, unit: str, progress: bool) -> Iterable[_T]:
    """The items; while they are gone through, a bar is shown if `progress`, and vanishes afterwards."""
    return tqdm(items, desc=what, unit=unit, leave=False, disable=not progress)
