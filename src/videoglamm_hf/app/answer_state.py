"""An answer on disk, as it was given and as it was corrected since.

`answer.json` is the answer as it was given, `prompts.safetensors` what prompted the pixel decoder; `steps.json` lists
the corrections, those that were taken back included, so that a restart loses neither.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from ..cli.answer_file import answer_content, answer_masks
from ..data.rle import decode_rle
from ..errors import InputError
from ..generation_output import VideoGlammGenerateOutput
from ..grounded_answer import GroundedAnswer, Phrase
from ..output_files import replacing_file
from ..tracking_session import STEPS_KEPT, TrackingSession
from .sessions import read_json, write_json

ANSWER = "answer.json"
CORRECTED = "corrected.json"
_PROMPTS = "prompts.safetensors"
_STEPS = "steps.json"
_MOST_STEPS = 1000
# Of all corrections of an answer; a brushed mask may be a million.
_MOST_CHARACTERS = 2**25
_NAMES = ("correct", "forget", "add", "remove", "merge", "split", "link", "rename")


def save_state(place: Path, document: dict[str, Any], output: VideoGlammGenerateOutput) -> None:
    """Writes an answer as it was given.

    Args:
        place: The question's folder.
        document: What [`answer_document`] made of the answer.
        output: What `generate` returned, of one sequence.
    """
    tensors = {
        "prompt_embeddings": output.prompt_embeddings[0].float().cpu(),
        "object_scores": output.object_scores[0].float().cpu(),
        "iou_scores": output.iou_scores[0].float().cpu(),
    }
    with replacing_file(place / _PROMPTS) as aside:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, aside)
    write_json(place / ANSWER, document)


def current_answer(place: Path) -> Path:
    """`answer.json` as it is now."""
    return place / CORRECTED if (place / CORRECTED).is_file() else place / ANSWER


def save_corrected(place: Path, answer: GroundedAnswer) -> None:
    """Writes an answer as it is now."""
    write_json(place / CORRECTED, read_json(place / ANSWER) | answer_content(answer))


def load_state(place: Path) -> tuple[VideoGlammGenerateOutput, GroundedAnswer]:
    """An answer as it was given: as `generate` returned it, as far as `edit` needs it, and as its words."""
    document, tensors = read_json(place / ANSWER), load_file(place / _PROMPTS)
    masks = torch.from_numpy(answer_masks(document)[0])
    phrases = [Phrase(p["text"], p["start"], p["end"], p["object_index"]) for p in document["phrases"]]
    probabilities = [own["probability"] for own in document["objects"] if "probability" in own]
    answer = GroundedAnswer(
        document["text"],
        document["raw_text"],
        phrases,
        masks,
        tensors["object_scores"],
        document["timestamps"],
        tensors["iou_scores"],
        document["finish_reason"],
        torch.tensor(probabilities) if probabilities else None,
        document.get("presence_probability"),
    )
    output = VideoGlammGenerateOutput(
        sequences=torch.zeros((1, 0), dtype=torch.long),
        masks=[masks],
        object_scores=[tensors["object_scores"]],
        iou_scores=[tensors["iou_scores"]],
        prompt_embeddings=[tensors["prompt_embeddings"]],
    )
    return output, answer


@dataclass
class Steps:
    """Corrections in order, and how many of them count.

    Attributes:
        steps: As [`TrackingSession.log`] has them, masks as COCO RLE.
        at: The first ones, which were not taken back.
    """

    steps: list[dict[str, Any]] = field(default_factory=list)
    at: int = 0

    def take(self, session: TrackingSession, action: Any, step: Any) -> None:
        """Takes a step, or goes one back or forward, in a session that is where these are.

        Raises:
            InputError: The step cannot be taken; nothing has changed.
        """
        if action == "undo":
            if self.at == 0 or not session.undo():
                raise InputError("There is nothing to take back.")
            self.at -= 1
        elif action == "redo":
            if self.at == len(self.steps) or not session.redo():
                raise InputError("There is nothing to do again.")
            self.at += 1
        elif action == "step":
            if self.at >= _MOST_STEPS:
                raise InputError(f"An answer takes {_MOST_STEPS} corrections; ask again to start anew.")
            taken = _step(step)
            if len(json.dumps([*self.steps[: self.at], step])) > _MOST_CHARACTERS:
                raise InputError("The corrections of this answer are too many to keep; ask again to start anew.")
            session.replay([taken])
            self.steps[self.at :] = [step]
            self.at += 1
        else:
            raise InputError(f"There is no action {action!r:.40}; there are step, undo and redo.")

    def replay(self, session: TrackingSession) -> None:
        """Takes all steps in a new session, and goes back as far as they were taken back."""
        session.replay([_step(step) for step in self.steps])
        for _ in range(len(self.steps) - self.at):
            session.undo()

    def save(self, place: Path) -> None:
        write_json(place / _STEPS, {"steps": self.steps, "at": self.at})

    def state(self) -> dict[str, int]:
        """What a page needs to know: how many steps can be taken back and done again."""
        forward = len(self.steps) - self.at
        return {"back": max(0, min(self.at, STEPS_KEPT - forward)), "forward": forward}


def steps_of(place: Path) -> Steps:
    """The corrections of an answer."""
    return Steps(**read_json(place / _STEPS)) if (place / _STEPS).is_file() else Steps()


def _step(given: Any) -> dict[str, Any]:
    """A step as a session takes it, of one from a page.

    Raises:
        InputError: It is none.
    """
    if not isinstance(given, dict) or given.get("step") not in _NAMES:
        raise InputError(f"A correction is one of {', '.join(_NAMES)}.")
    if len(json.dumps(given)) > 2**22:
        raise InputError("This correction is too large.")
    step = dict(given)
    if step["step"] == "correct":
        if not isinstance(step.get("corrections"), list):
            raise InputError("A correction lists what is said of which frames.")
        step["corrections"] = [_with_pixels(one) for one in step["corrections"]]
        return step
    return _with_pixels(step)


def _with_pixels(given: Any) -> dict[str, Any]:
    if isinstance(given, dict) and isinstance(given.get("mask"), dict):
        return given | {"mask": decode_rle(given["mask"])}
    return given
