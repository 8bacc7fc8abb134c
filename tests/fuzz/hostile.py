"""Hostile values, and what can be done to a JSON document."""

import copy
import json
import math
import random
from typing import Any

NUMBERS = (0, -1, 1, 2, 3, 7, -(2**31), 2**31, 2**63, 10**30, 10**9, 65536, 0.5, -0.5, 1e300, 1e-300)
SPECIAL = (float("nan"), float("inf"), float("-inf"))
OTHERS: tuple[Any, ...] = (
    None,
    True,
    False,
    "",
    "a",
    "\x00",
    "💥" * 9,
    "../../etc/passwd",
    "1",
    "gelu",
    "None",
    [],
    {},
    [0],
    [-1],
    [[]],
    [None],
    ["a"],
    [1, 2],
    [1e9, 1e9],
    {"a": 1},
    {"": None},
    {"model_type": "bert"},
    {"model_type": 3},
    {"quant_method": "bitsandbytes"},
    [{"a": [{}]}],
    "x" * 5000,
)


def value(rng: random.Random) -> Any:
    """Anything JSON can hold, and NaN."""
    choice = rng.random()
    if choice < 0.45:
        return rng.choice(NUMBERS)
    if choice < 0.5:
        return rng.choice(SPECIAL)
    if choice < 0.95:
        return copy.deepcopy(rng.choice(OTHERS))
    deep: Any = rng.choice(NUMBERS)
    for _ in range(rng.choice((3, 50))):
        deep = [deep] if rng.random() < 0.5 else {"k": deep}
    return deep


def near(rng: random.Random, old: Any) -> Any:
    """A value of the same type that is nearly right, where there is one."""
    if isinstance(old, bool):
        return not old
    if isinstance(old, int):
        return rng.choice(
            (old + 1, old - 1, old * 2, old // 2, -old, old * 1000, old * 10**9, float(min(old, 2**64)), str(old))
        )
    if isinstance(old, float):
        return rng.choice((-old, old * 1e9, 0.0, 1.0, int(old) if math.isfinite(old) else 0, str(old)))
    if isinstance(old, str):
        return rng.choice((old + "x", old[:-1], old.upper(), [old], old * 50))
    if isinstance(old, list) and old:
        return rng.choice((old[:-1], old + old, old[::-1], old[0], [*old, None], [[*old]], dict.fromkeys("ab", old)))
    return value(rng)


def paths(document: Any, prefix: tuple = ()) -> list[tuple]:
    """Every place in a document, the whole left out."""
    found = []
    items = document.items() if isinstance(document, dict) else enumerate(document)
    for key, inner in items:
        found.append((*prefix, key))
        if isinstance(inner, (dict, list)):
            found += paths(inner, (*prefix, key))
    return found


def changed(rng: random.Random, document: Any, most: int = 2) -> tuple[Any, str]:
    """A document with one or two things changed, and what they are."""
    document, said = copy.deepcopy(document), []
    for _ in range(rng.randint(1, most)):
        places = paths(document)
        if not places:
            break
        path = rng.choice(places)
        parent = document
        for key in path[:-1]:
            parent = parent[key]
        name, what = ".".join(map(str, path)), rng.random()
        if what < 0.1:
            del parent[path[-1]]
            said.append(f"{name} gone")
        elif what < 0.15 and isinstance(parent, dict):
            key = rng.choice(("unknown", "", "_name_or_path", "dtype", "head_dim", "\ud800", "transformers_weights"))
            parent[key] = value(rng)
            said.append(f"{name} beside it {key!r} = {parent[key]!r:.60}")
        else:
            old = parent[path[-1]]
            parent[path[-1]] = near(rng, old) if what < 0.5 else value(rng)
            said.append(f"{name} = {parent[path[-1]]!r:.60}")
    return document, "; ".join(said)


def spoilt_text(rng: random.Random, text: bytes) -> tuple[bytes, str]:
    """The bytes of a text file as no writer leaves them, and how."""
    cut = rng.randrange(len(text)) if text else 0
    ways = {
        "empty": b"",
        "cut short": text[:cut],
        "twice": text + text,
        "UTF-16": text.decode(errors="replace").encode("utf-16"),
        "with a byte order mark": b"\xef\xbb\xbf" + text,
        "zero bytes": b"\0" * 64,
        "no UTF-8": text[:cut] + b"\xff\xfe\x80" + text[cut:],
        "deep": b"[" * 100_000,
        "deep objects": b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
        "a list": b"[1, 2]",
        "a number": b"3",
        "null": b"null",
        "a text": b'"model"',
        "an empty object": b"{}",
        "a number of many digits": b'{"model_type": "videoglamm", "num_tower_frames": ' + b"9" * 10_000 + b"}",
        "a byte changed": text[:cut] + bytes([rng.randrange(256)]) + text[cut + 1 :],
    }
    name = rng.choice(list(ways))
    return ways[name], name


def as_json(document: Any) -> bytes:
    return json.dumps(document).encode()
