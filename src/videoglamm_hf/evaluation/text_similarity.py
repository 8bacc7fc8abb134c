"""How alike two phrases are: by a sentence encoder that the user names, or, without one, by their words."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer

from ..errors import InputError

Similarity = Callable[[Sequence[str], Sequence[str]], np.ndarray]
_MOST_TOKENS = 512


def word_similarity(truths: Sequence[str], predictions: Sequence[str]) -> np.ndarray:
    """Cosine of the counts of words in lower case, float64 `[truths, predictions]`.

    Not what the original compares phrases by: figures by it have names of their own.
    """
    counts = [[Counter(text.lower().split()) for text in texts] for texts in (truths, predictions)]
    return np.array([[_cosine(own, other) for other in counts[1]] for own in counts[0]]).reshape(
        len(truths), len(predictions)
    )


def encoder_similarity(name: str) -> Similarity:
    """Cosine of mean hidden states, as VideoGLaMM's `eval_gcg_metrics.py` takes them of `bert-base-uncased`.

    Args:
        name: Folder or Hub id of an encoder of transformers.

    Raises:
        InputError: It cannot be loaded.
    """
    if not Path(name).exists() and (Path(name).is_absolute() or name.startswith((".", "~")) or name.count("/") > 1):
        raise InputError(f"the text encoder {name}: there is no such folder, and no model of the Hub has such a name")
    try:
        tokenizer, model = AutoTokenizer.from_pretrained(name), AutoModel.from_pretrained(name).eval()
    except (OSError, ValueError, KeyError, ImportError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"the text encoder {name} cannot be loaded: {reason}") from error
    known: dict[str, np.ndarray] = {}

    def similarity(truths: Sequence[str], predictions: Sequence[str]) -> np.ndarray:
        for text in (*truths, *predictions):
            if text not in known:
                known[text] = _embedded(text, tokenizer, model)
        values = [[_vector_cosine(known[own], known[other]) for other in predictions] for own in truths]
        return np.array(values, np.float64).reshape(len(truths), len(predictions))

    return similarity


@torch.inference_mode()
def _embedded(text: str, tokenizer: Any, model: Any) -> np.ndarray:
    inputs = tokenizer(text, return_tensors="pt", max_length=_MOST_TOKENS, truncation=True)
    return model(**inputs).last_hidden_state[0].mean(dim=0).float().numpy()


def _vector_cosine(a: np.ndarray, b: np.ndarray) -> float:
    length = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / length if length else 0.0


def _cosine(a: Counter[str], b: Counter[str]) -> float:
    length = (sum(n * n for n in a.values()) * sum(n * n for n in b.values())) ** 0.5
    return sum(n * b[word] for word, n in a.items()) / length if length else 0.0
