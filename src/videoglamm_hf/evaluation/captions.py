"""Captions: what is compared of an answer, and how near it is to the truth in words."""

import contextlib
import functools
import logging
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..errors import InputError, ResourceError
from ..messages import SEG_TOKEN

logger = logging.getLogger(__name__)

FIGURES = ("METEOR", "METEOR_per_sample", "CIDEr", "CIDEr_per_sample", "BLEU_1_to_4", "ROUGE_L")
MOST_CHARACTERS = 2000  # of a caption that VideoGLaMM's script compares

# The tokenizer takes a line for a caption, and each of these ends one.
_LINE_ENDS = re.compile("[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_JAVA = "Java, which runs METEOR and the tokenizer before all caption figures: `apt install default-jre-headless`, or \
`brew install openjdk`"
_LIBRARY = "pycocoevalcap: `pip install 'videoglamm-hf[eval]'`"


def clean_caption(text: str) -> tuple[str, list[str]]:
    """An answer as VideoGLaMM's GCG script compares it.

    Args:
        text: with `<p> phrase </p>` and [SEG].

    Returns:
        The caption without tags and [SEG], single-spaced; the phrases.

    Raises:
        InputError: it is no text.
    """
    if not isinstance(text, str):
        raise InputError(f"a caption must be text, not {type(text).__name__}")
    text = text.replace("\n", "").replace("  ", " ").split("ASSISTANT: ")[-1]
    phrases = [text[start + len("<p>") : end].strip() for start, end in _spans(text, "<p>", "</p>")]
    outside, last = [], 0
    for start, end in _spans(text, "<", ">"):
        outside.append(text[last:start])
        last = end + 1
    caption = "".join([*outside, text[last:]]).replace(SEG_TOKEN, "")
    return " ".join(caption.split()).strip("'").strip(), phrases


def _spans(text: str, opening: str, closing: str) -> Iterator[tuple[int, int]]:
    """Where a tag and the next closing one after it begin, again behind that: what `opening(.*?)closing` finds, but in
    time that grows with the text alone.
    """
    start = text.find(opening)
    while start >= 0 and (end := text.find(closing, start + len(opening))) >= 0:
        yield start, end
        start = text.find(opening, end + len(closing))


def caption_scores(predictions: Sequence[str], references: Sequence[str]) -> dict[str, Any]:
    """How near captions are to the true ones, by pycocoevalcap (extra `eval`), which needs Java.

    Only the first 2000 characters of a caption count, as in VideoGLaMM's script. They go through the tokenizer of the
    Penn Treebank, which drops punctuation; CIDEr weighs words by how many of these references hold them.

    Args:
        predictions, references: cleaned captions (see [`clean_caption`]), one reference each.

    Returns:
        `METEOR`, `CIDEr` and `ROUGE_L` of the set, `BLEU_1_to_4` as a list, and lists `METEOR_per_sample` and
        `CIDEr_per_sample`. Without Java or pycocoevalcap none of them, but `missing`: why, by the figure's name.

    Raises:
        InputError: there are no captions, not as many of both, or one is no text.
        ResourceError: Java was ended while it worked.
    """
    if len(predictions) != len(references) or not len(references):
        raise InputError(f"{len(predictions)} predictions and {len(references)} references; give as many, and some")
    for caption in (*predictions, *references):
        if not isinstance(caption, str):
            raise InputError(f"a caption must be text, not {type(caption).__name__}")
    lacking = _lacking()
    if lacking:
        logger.warning("no figures of captions; install %s", lacking)
        return {"missing": dict.fromkeys(FIGURES, f"needs {lacking}")}
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    # All at once: Java takes longer to start than to tokenize.
    words = _tokenized([*predictions, *references])
    found, truth = (dict(enumerate(words[part])) for part in np.s_[: len(predictions), len(predictions) :])
    meteor, meteors = _meteor(truth, found)
    # pycocoevalcap has no figure for references without a word, and nothing is like them.
    worded = any(reference for (reference,) in truth.values())
    cider, ciders = Cider().compute_score(truth, found) if worded else (0.0, [0.0] * len(truth))
    bleu, _ = Bleu(4).compute_score(truth, found, verbose=0)
    rouge, _ = Rouge().compute_score(truth, found)
    return {
        "METEOR": meteor,
        "METEOR_per_sample": meteors,
        "CIDEr": float(cider),
        "CIDEr_per_sample": [float(value) for value in ciders],
        "BLEU_1_to_4": [float(value) for value in bleu],
        "ROUGE_L": float(rouge),
    }


def _lacking() -> str | None:
    """What must be installed before captions can be scored."""
    try:
        import pycocoevalcap  # noqa: F401
    except ImportError:
        return _LIBRARY
    return None if _java_runs(shutil.which("java")) else _JAVA


@functools.cache
def _java_runs(program: str | None) -> bool:
    # macOS has a program of this name that only says where to get Java.
    return program is not None and subprocess.run([program, "-version"], capture_output=True).returncode == 0


def _tokenized(captions: Sequence[str]) -> list[list[str]]:
    """Words of every caption, separated by spaces, as a list of one text: the form pycocoevalcap takes."""
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    lines = [_LINE_ENDS.sub(" ", caption[:MOST_CHARACTERS]) for caption in captions]
    # The tokenizer loses empty lines at the end.
    said = {number: [{"caption": line}] for number, line in enumerate(lines) if line.strip()}
    with _quiet_programs():
        words = PTBTokenizer().tokenize(said)
    lost = [number for number in said if number not in words]
    if lost:
        raise ResourceError(f"Java's tokenizer ended at {lines[lost[0]]!r:.80}; give it more memory and run again")
    return [words.get(number, [""]) for number in range(len(lines))]


@contextlib.contextmanager
def _quiet_programs() -> Iterator[None]:
    """What programs that are started meanwhile write to the screen is left out: the tokenizer's speed, for one."""
    try:
        screen = os.dup(2)
    except OSError:  # there is none
        yield
        return
    try:
        with open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        os.dup2(screen, 2)
        os.close(screen)


def _meteor(truth: dict[int, list[str]], found: dict[int, list[str]]) -> tuple[float, list[float]]:
    from pycocoevalcap.meteor.meteor import Meteor

    try:
        score, scores = Meteor().compute_score(truth, found)
    except (OSError, ValueError) as error:  # a pipe that is closed, no number
        raise ResourceError(f"METEOR's Java program ended ({error}); it needs 2 GB of memory. Run again") from error
    return float(score), [float(value) for value in scores]
