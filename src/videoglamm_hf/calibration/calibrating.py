"""A model calibrated: asked about held-out data, how sure its scores make an answer learned, measured and saved."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from .. import __version__
from ..answer_scores import OBJECT_FEATURES, SENTENCE_FEATURES
from ..calibration_file import CALIBRATION_FILE, Calibration, LogisticFit, ModeCalibration, write_calibration
from ..data.jsonl_validation import validate_jsonl
from ..errors import InputError
from ..evaluation.benchmark import first_videos
from ..evaluation.folder import read as read_folder
from ..evaluation.options import Options
from ..fingerprints import weight_fingerprints
from ..loading.models import load_model, load_processor
from ..options import MASK_MODES
from .asking import Observations, Observed, ask_all
from .fitting import fit_logistic, held_out_predictions
from .measuring import abstaining, figures
from .table import parts_of

# From which IoU with the truth on a mask is right.
RIGHT_IOU = 0.5
# Fewer cannot tell anything; with fewer than the others, figures are rough, which is said.
LEAST, LEAST_OF_A_KIND = 10, 2
ENOUGH, ENOUGH_OF_A_KIND = 100, 20
_FILES = ("validation.jsonl", "test.jsonl", "samples.jsonl")


@dataclass
class CalibrationResult:
    """What [`calibrate`] found.

    Attributes:
        calibration: What was written; `calibration.measured` has all figures.
        path: Where.
        notes: What a person should know of it, such as that there were few data.
        failed: Questions that could not be answered, by name, and why.
    """

    calibration: Calibration
    path: Path | None
    notes: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def calibrate(
    data: str | os.PathLike[str],
    model: Any,
    processor: Any = None,
    *,
    output: str | os.PathLike[str] | None = None,
    mask_modes: Sequence[str] = MASK_MODES,
    split: str | None = None,
    limit: int | None = None,
    max_new_tokens: int = 512,
    progress: bool = False,
    **loading: Any,
) -> CalibrationResult:
    """Learns from held-out data how probable it is that an answer is right, and writes that down for the model.

    Of each object: that the IoU of its masks with the truth, over all frames together, is at least 0.5. Of each
    answer: that what was asked about is there at all. Figures are of videos that the fit has not seen (five-fold, by
    video); what is written is fitted to all.

    Args:
        data: A JSONL file (see [`JsonlDataset`]) that the model was not trained on, or a folder: the first of
            `validation.jsonl`, `test.jsonl` and `samples.jsonl` that is there.
        model: Folder or Hub id, or a [`VideoGlammForGroundedGeneration`], which then has the calibration.
        processor: The model's processor; read from its folder if that is given.
        output: File to write; by default `calibration.json` in the model's folder. Of a model that is given itself
            nothing is written without it.
        mask_modes: Modes that masks are decoded in; each has a calibration of its own.
        split: Takes `<split>.jsonl` of a folder.
        limit: Takes the first so many videos.
        max_new_tokens: Longest answer.
        progress: Whether to show a bar.
        loading: `dtype`, `device` and `quantization`, if a folder or Hub id is given.

    Raises:
        InputError: The data have errors, or cannot tell: too few, everything right, everything wrong; nothing is
            written then.
        OutputError: The file cannot be written.
    """
    unknown = [mode for mode in mask_modes if mode not in MASK_MODES]
    if unknown or not mask_modes:
        raise InputError(f"mask_modes is {list(mask_modes)!r:.80}; there are {', '.join(MASK_MODES)}.")
    for name, value in (("limit", limit), ("max_new_tokens", max_new_tokens)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise InputError(f"{name} is {value!r:.40}; it must be a whole number of at least 1.")
    path = _output(model, output)
    file = _data_file(Path(data), split)
    problems = validate_jsonl(file)
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise InputError(f"{problems[0]}{more}; `videoglamm check-data {file}` lists everything.")
    benchmark = read_folder(file, Options())
    items = first_videos(benchmark.items, limit)
    if isinstance(model, (str, os.PathLike)):
        processor = load_processor(os.fspath(model)) if processor is None else processor
        model = load_model(os.fspath(model), **loading)
    elif processor is None:
        raise InputError("Give the processor of the model, too.")
    observed = Observed.of(dict.fromkeys(mask_modes))
    with tqdm(desc="asking", total=len(items), unit="question", disable=not progress) as bar:
        ask_all(
            model,
            processor,
            benchmark,
            items,
            observed,
            iou=RIGHT_IOU,
            max_new_tokens=max_new_tokens,
            done=lambda _: bar.update(),
        )
    if not observed.questions:
        name, reason = next(iter(observed.failed.items()))
        raise InputError(f"{file}: no question could be answered; {name}: {reason}")
    calibration, notes = fit_all(observed, weight_fingerprints(model), file.name)
    if observed.failed:
        notes.append(f"{len(observed.failed)} of {len(items)} questions could not be answered")
    if path is not None:
        write_calibration(calibration, path)
    model.calibration, model.calibration_problem = calibration, None
    return CalibrationResult(calibration, path, notes, dict(observed.failed))


def fit_all(observed: Observed, weights: dict[str, str], data: str) -> tuple[Calibration, list[str]]:
    """The calibration of everything that was seen, with its figures; and what should be said of it.

    Args:
        observed: What was seen.
        weights: Fingerprints of the model's weights.
        data: What the data are called.

    Raises:
        InputError: In no mask mode can anything be told of objects.
    """
    modes, measured, notes, problems = {}, {}, [], {}
    for mode, seen in observed.objects.items():
        problem = _problem(seen, "object")
        if problem:
            problems[mode] = problem
            continue
        objects, own = _fitted(seen, OBJECT_FEATURES)
        measured[mode] = {"objects": own}
        seen = observed.sentences[mode]
        problem, sentences = _problem(seen, "sentence"), None
        if problem is None:
            sentences, measured[mode]["sentences"] = _fitted(seen, SENTENCE_FEATURES)
        else:
            notes.append(f"sentences, {mode}: {problem}; so nothing is said of whether an object is there at all")
        modes[mode] = ModeCalibration(objects, sentences)
    if not modes:
        raise InputError(f"{data} cannot calibrate the model: {next(iter(problems.values()))}.")
    notes += [f"objects, {mode}: {problem}; so this mask mode is left out" for mode, problem in problems.items()]
    notes += [*_few(measured), *_no_better(measured)]
    about = {"data": data, "questions": observed.questions, "failed": len(observed.failed), **measured}
    return Calibration(weights, modes, RIGHT_IOU, about, __version__), notes


def _fitted(seen: Observations, names: Sequence[str]) -> tuple[LogisticFit, dict[str, Any]]:
    """The fit to all, and figures of fits that had not seen the video, beside those of the untuned score."""
    features, right = np.array(seen.features), np.array(seen.right)
    after = held_out_predictions(features, right, seen.videos, names)
    return fit_logistic(features, right, names), {
        "count": len(seen),
        "right": int(right.sum()),
        "videos": len(set(seen.videos)),
        "before": figures(np.array(seen.scores), right),
        "after": figures(after, right),
        "abstain": abstaining(after, right),
    }


def _problem(seen: Observations, noun: str) -> str | None:
    """Why nothing can be learned; None if something can."""
    right, total = sum(seen.right), len(seen)
    if noun == "object" and not total:
        return "the model names no object in any answer"
    if len(set(seen.videos)) < 2:
        return "all is about one video, and what is learned must be measured on another"
    if total < LEAST:
        return f"there are {total} {noun}s, and {LEAST} are the least that can tell anything"
    if min(right, total - right) >= LEAST_OF_A_KIND:
        return None
    if noun == "object":
        words = "right" if total - right < right else "wrong"
        return (
            f"{max(right, total - right)} of {total} masks are {words} (IoU >= {RIGHT_IOU}), and {LEAST_OF_A_KIND} of "
            "each kind are the least that can tell one from the other; add harder or easier questions"
        )
    there = "show an object" if total - right < right else "show none"
    return (
        f"{max(right, total - right)} of {total} true answers {there}, and {LEAST_OF_A_KIND} of each kind are needed"
    )


def _few(measured: dict[str, Any]) -> list[str]:
    """Says it if figures are rough."""
    notes = []
    for noun in ("objects", "sentences"):
        own = [mode[noun] for mode in measured.values() if noun in mode]
        count = min((one["count"] for one in own), default=ENOUGH)
        rarer = min((min(one["right"], one["count"] - one["right"]) for one in own), default=ENOUGH_OF_A_KIND)
        if count < ENOUGH or rarer < ENOUGH_OF_A_KIND:
            notes.append(
                f"{count} {noun} with {rarer} of the rarer kind are few, so that figures and probabilities are rough; "
                f"{ENOUGH} with {ENOUGH_OF_A_KIND} are enough"
            )
    return notes


def _no_better(measured: dict[str, Any]) -> list[str]:
    """Says it where what was learned is no better than the untuned score."""
    return [
        f"{name}: calibrated probabilities are no better than the model's own score (Brier score "
        f"{own['after']['brier_score']:.3f}, before {own['before']['brier_score']:.3f}); more data are needed"
        for name, own in parts_of(measured)
        if own["after"]["brier_score"] >= own["before"]["brier_score"]
    ]


def _data_file(data: Path, split: str | None) -> Path:
    """The JSONL file that is meant."""
    if not data.is_dir():
        if not data.is_file():
            raise InputError(f"{data}: no such file; give a JSONL file or the folder that holds it.")
        return data
    names = (f"{split}.jsonl",) if split else _FILES
    found = next((data / name for name in names if (data / name).is_file()), None)
    if found is None:
        raise InputError(f"{data}: has no {' or '.join(names)}; give a JSONL file, or --split.")
    return found


def _output(model: Any, output: Any) -> Path | None:
    """The file to write."""
    if output is not None:
        path = Path(output)
        return path / CALIBRATION_FILE if path.is_dir() else path
    if not isinstance(model, (str, os.PathLike)):
        return None
    folder = Path(model)
    if not folder.is_dir():
        raise InputError(f"{model} is no folder here, so that nothing can be written into it; give --output FILE.")
    return folder / CALIBRATION_FILE
