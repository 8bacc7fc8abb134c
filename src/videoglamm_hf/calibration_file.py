"""`calibration.json` of a model's folder: how sure the scores of an answer make one, learned from held-out data.

    {
     "format": "videoglamm-calibration-1",
     "version": "0.1.0",
     "weights": {"language_model": "...", ...},       fingerprints, see `weight_fingerprints`
     "iou": 0.5,                                      from where on a mask is right
     "mask_modes": {"video": {"objects": FIT, "sentences": FIT or null}, ...},
     "measured": {...}                                how it was made, and how good it was
    }

FIT is `{"features": [...], "coefficients": [...], "intercept": 0.1}`: the probability is the logistic function of the
intercept and the coefficients times the features (answer_scores.py). Coefficients are not negative, so a larger score
never makes an answer less sure.
"""

import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .answer_scores import OBJECT_FEATURES, SENTENCE_FEATURES
from .errors import CheckpointError, CheckpointFileError
from .output_files import explained_writes, replacing_file

CALIBRATION_FILE = "calibration.json"
FORMAT = "videoglamm-calibration-1"
# No file of this kind is larger.
_MOST_BYTES = 2**20
_AGAIN = "delete it, or write it anew with `videoglamm calibrate`"


@dataclass(frozen=True)
class LogisticFit:
    """A logistic regression.

    Attributes:
        features: Names of what it takes.
        coefficients: One for each, not negative.
        intercept: Of no feature.
    """

    features: tuple[str, ...]
    coefficients: tuple[float, ...]
    intercept: float

    def probability(self, values: Sequence[float]) -> float:
        """The probability, strictly between 0 and 1, of one row of features."""
        z = self.intercept + sum(c * float(x) for c, x in zip(self.coefficients, values, strict=True))
        z = max(-30.0, min(30.0, z))
        return 1 / (1 + math.exp(-z))


@dataclass(frozen=True)
class ModeCalibration:
    """Of answers whose masks are decoded in one mode.

    Attributes:
        objects: That the mask of an object is right.
        sentences: That what was asked about is there; None if the data could not tell.
    """

    objects: LogisticFit
    sentences: LogisticFit | None = None


@dataclass(frozen=True)
class Calibration:
    """What `calibration.json` holds.

    Attributes:
        weights: Fingerprints of the weights that it was made for.
        mask_modes: By mask mode.
        iou: From which IoU with the truth on a mask is right.
        measured: How it was made, and how good it was.
        version: Of the package that made it.
    """

    weights: dict[str, str]
    mask_modes: dict[str, ModeCalibration]
    iou: float = 0.5
    measured: dict[str, Any] = field(default_factory=dict)
    version: str = ""

    def to_json(self) -> str:
        """The text of the file."""
        members = asdict(self)
        order = ("version", "weights", "iou", "mask_modes", "measured")
        document = {"format": FORMAT, **{name: members[name] for name in order}}
        return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def read_calibration(path: str | os.PathLike[str]) -> Calibration:
    """Reads a `calibration.json`.

    Raises:
        CheckpointFileError: It cannot be read.
        CheckpointError: It is damaged, or another file of that name; the message names the field.
    """
    path = Path(path)
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise CheckpointError(f"{path}: has more than {_MOST_BYTES} bytes, so it is no calibration; {_AGAIN}.")
        text = path.read_bytes().decode("utf-8")
        document = json.loads(text)
    except OSError as error:
        raise CheckpointFileError(f"{path}: cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: is not JSON ({error}); {_AGAIN}.") from error
    found = document.get("format") if isinstance(document, dict) else None
    if found != FORMAT:
        raise CheckpointError(f"{path}: format is {found!r:.60}, not {FORMAT!r}; {_AGAIN}.")
    try:
        return _parsed(document)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise CheckpointError(f"{path}: {reason}; {_AGAIN}.") from error


def write_calibration(calibration: Calibration, path: Path) -> None:
    """Writes a `calibration.json`, whole or not at all; one that is there is replaced.

    Raises:
        OutputError: It cannot be written.
    """
    with explained_writes(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing_file(path) as aside:
            aside.write_text(calibration.to_json(), encoding="utf-8", errors="backslashreplace")


def _parsed(document: dict[str, Any]) -> Calibration:
    weights, modes, iou = document["weights"], document["mask_modes"], document["iou"]
    if not isinstance(weights, dict) or not weights or not all(isinstance(own, str) for own in weights.values()):
        raise ValueError("weights must hold fingerprints by their names")
    if not isinstance(modes, dict) or not modes:
        raise ValueError("mask_modes must hold a calibration for each mask mode")
    if not _is_number(iou) or not 0 < iou <= 1:
        raise ValueError("iou must be a number above 0, at most 1")
    read = {}
    for mode, own in modes.items():
        if not isinstance(own, dict):
            raise ValueError(f"mask_modes.{mode:.20} must be an object")
        objects = _fit(own["objects"], OBJECT_FEATURES, f"mask_modes.{mode:.20}.objects")
        sentences = own.get("sentences")
        if sentences is not None:
            sentences = _fit(sentences, SENTENCE_FEATURES, f"mask_modes.{mode:.20}.sentences")
        read[mode] = ModeCalibration(objects, sentences)
    measured = document.get("measured", {})
    if not isinstance(measured, dict):
        raise ValueError("measured must be an object")
    return Calibration(weights, read, float(iou), measured, str(document.get("version", "")))


def _fit(given: Any, features: tuple[str, ...], where: str) -> LogisticFit:
    if not isinstance(given, dict):
        raise ValueError(f"{where} must be an object")
    if given["features"] != list(features):
        raise ValueError(f"{where}.features are not {', '.join(features)}")
    coefficients, intercept = given["coefficients"], given["intercept"]
    if not isinstance(coefficients, list) or len(coefficients) != len(features):
        raise ValueError(f"{where}.coefficients must be {len(features)} numbers")
    if not all(_is_number(own) and own >= 0 for own in coefficients):
        raise ValueError(f"{where}.coefficients must be numbers that are not negative")
    if not _is_number(intercept):
        raise ValueError(f"{where}.intercept must be a number")
    return LogisticFit(features, tuple(map(float, coefficients)), float(intercept))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
