"""What a model knows of how sure it is: `calibration.json` read with it, saved with it, applied to its answers."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers.utils import cached_file

from .answer_scores import least_word_log_probs, object_features, sentence_features
from .calibration_file import CALIBRATION_FILE, Calibration, ModeCalibration, read_calibration, write_calibration
from .errors import CheckpointError
from .fingerprints import weight_fingerprints
from .placement import several_processes

logger = logging.getLogger(__name__)

# Positions whose logits are computed at once.
_POSITIONS = 64
# What of `from_pretrained`'s options says where a file of a model is.
_WHERE = ("cache_dir", "force_download", "proxies", "token", "revision", "local_files_only", "subfolder")


def calibrated_probabilities(
    own: ModeCalibration,
    seg_token_id: int,
    tokens: torch.Tensor,
    word_log_probs: torch.Tensor,
    object_scores: torch.Tensor,
    iou_scores: torch.Tensor,
) -> tuple[torch.Tensor, float | None]:
    """How sure scores make one by a calibration; see [`CalibrationMixin.answer_probabilities`]."""
    words = least_word_log_probs(tokens, word_log_probs, seg_token_id)
    features = object_features(object_scores, iou_scores, words)
    objects = torch.tensor([own.objects.probability(row) for row in features.tolist()], dtype=torch.float32)
    if own.sentences is None:
        return objects, None
    least = float(word_log_probs.amin()) if len(word_log_probs) else 0.0
    return objects, own.sentences.probability(sentence_features(features, least).tolist())


class CalibrationMixin:
    """Probabilities beside answers: that a mask is right, and that what was asked about is there at all.

    Attributes:
        calibration: What [`calibrate`] made, or None: then answers have no probabilities.
        calibration_problem: Why a `calibration.json` that is there is not used; None if there is nothing to say.
    """

    calibration: Calibration | None = None
    calibration_problem: str | None = None

    def load_calibration(self, folder: str | os.PathLike[str], **where: Any) -> None:
        """Takes over the `calibration.json` of a folder or Hub id, if there is one; one that cannot be used is
        ignored with a warning.

        Args:
            folder: Folder or Hub id.
            where: Options of `from_pretrained`, of which those that say where a file is are used.
        """
        self.calibration = self.calibration_problem = None
        where = {name: own for name, own in where.items() if name in _WHERE and own is not None}
        if os.path.isdir(folder):
            path = Path(folder, where.get("subfolder", ""), CALIBRATION_FILE)
            found = path if os.path.lexists(path) else None
        else:
            quiet = dict.fromkeys(("missing_entries", "gated_repo", "connection_errors"), False)
            quiet = {f"_raise_exceptions_for_{name}": own for name, own in quiet.items()}
            # The commit that is known is the model's own: an adapter has others.
            own = os.fspath(folder) == self.config._name_or_path
            commit = getattr(self.config, "_commit_hash", None) if own else None
            try:
                found = cached_file(folder, CALIBRATION_FILE, _commit_hash=commit, **where, **quiet)
            except OSError as error:  # what has no probabilities answers all the same
                self._leave_calibration(f"{folder}: {error}")
                return
        if found is None:
            return
        try:
            self.calibration = read_calibration(found)
        except CheckpointError as error:
            self._leave_calibration(str(error))

    def save_pretrained(self, save_directory: str | os.PathLike[str], *args: Any, **kwargs: Any) -> Any:
        """As in the base class; a calibration of these weights goes along."""
        calibration = self._usable_calibration()
        if calibration is not None and kwargs.get("is_main_process", True) and not os.path.isfile(save_directory):
            # Before the others, which may be uploaded in the same call.
            write_calibration(calibration, Path(save_directory, CALIBRATION_FILE))
        return super().save_pretrained(save_directory, *args, **kwargs)

    def answer_probabilities(
        self,
        tokens: torch.Tensor,
        word_log_probs: torch.Tensor | None,
        object_scores: torch.Tensor,
        iou_scores: torch.Tensor | None,
        mask_mode: str | None = None,
    ) -> tuple[torch.Tensor | None, float | None]:
        """How sure the scores of one answer make one.

        Args:
            tokens: int64 `[n]`, what was generated, up to the token that ended it.
            word_log_probs: float `[n]`, of each token.
            object_scores, iou_scores: float `[N, T]`, as in the output of `generate`.
            mask_mode: How its masks were decoded; None for `config.mask_mode`.

        Returns:
            float32 `[N]`, that the IoU of an object's masks with the truth is at least 0.5, and the probability that
            what was asked about is there at all; None where there is no calibration.
        """
        if self.calibration is None or word_log_probs is None or iou_scores is None:
            return None, None
        own = self.calibration_to_use(mask_mode)
        if own is None:
            return None, None
        seg_token_id = self.config.seg_token_id
        return calibrated_probabilities(own, seg_token_id, tokens, word_log_probs, object_scores, iou_scores)

    def calibration_to_use(self, mask_mode: str | None = None) -> ModeCalibration | None:
        """What is known of answers whose masks are decoded in a mode; None, with one warning if there is a calibration
        that cannot be used."""
        if self.calibration is None:
            return None
        own, problem = self.calibration_for(mask_mode)
        if own is None:
            self._warn_once(problem)
        return own

    def calibration_for(self, mask_mode: str | None = None) -> tuple[ModeCalibration | None, str | None]:
        """What is known of answers whose masks are decoded in a mode; or None, and why there is nothing.

        Args:
            mask_mode: None for `config.mask_mode`.
        """
        calibration = self._usable_calibration()
        if calibration is None:
            return None, self.calibration_problem or f"The model has no {CALIBRATION_FILE}."
        mode = mask_mode or self.config.mask_mode
        if mode not in calibration.mask_modes:
            known = ", ".join(calibration.mask_modes)
            return None, f"{CALIBRATION_FILE} is of masks decoded as {known}, not as {mode}: no probabilities."
        return calibration.mask_modes[mode], None

    def _usable_calibration(self) -> Calibration | None:
        """The calibration, if it is of these weights, which may have been trained since; looked at every time."""
        if self.calibration is None:
            return None
        known = weight_fingerprints(self)
        other = [name for name, own in self.calibration.weights.items() if known.get(name, own) != own]
        if not other:
            return self.calibration
        self._leave_calibration(
            f"{CALIBRATION_FILE} was made for other weights ({', '.join(other)} differ), so it is not used; make it "
            "anew with `videoglamm calibrate`."
        )
        return None

    def forget_calibration(self, reason: str) -> None:
        """Answers have no probabilities from now on, and nothing is warned of: who says so knows.

        Args:
            reason: Why, as a sentence; [`calibration_problem`] says it.
        """
        if self.calibration is not None:
            self.calibration, self.calibration_problem = None, reason
            logger.info(reason)

    def _leave_calibration(self, problem: str) -> None:
        self.calibration, self.calibration_problem = None, problem
        logger.warning(problem)

    def _warn_once(self, words: str) -> None:
        if self.calibration_problem != words:
            self.calibration_problem = words
            logger.warning(words)

    def _word_log_probs(self, output: Any, prompt_length: int, ends: set[int]) -> list[torch.Tensor] | None:
        """Per sequence, float32 `[n]` on the CPU: log probabilities that the language model gives to the tokens it
        generated, up to the first of `ends`; None where a decoding method of its own kept no state for each."""
        generated = output.sequences[:, prompt_length:]
        states, beams = output.hidden_states, output.get("beam_indices")
        if states is None or len(states) < generated.shape[1]:
            return None
        found = []
        for row, tokens in enumerate(generated):
            ended = next((i for i, token in enumerate(tokens.tolist()) if token in ends), None)
            tokens = tokens if ended is None else tokens[: ended + 1]
            places = range(len(tokens))
            sources = [row] * len(tokens) if beams is None else [int(beams[row, i]) for i in places]
            own = [states[i][-1][source, -1] for i, source in zip(places, sources, strict=True)]
            found.append(self._log_probs(own, tokens))
        return found

    def _log_probs(self, states: Sequence[torch.Tensor], tokens: torch.Tensor) -> torch.Tensor:
        # Sharded weights are gathered by all processes as often as by any.
        step = max(len(states), 1) if several_processes() else _POSITIONS
        parts = []
        for start in range(0, len(states), step):
            logits = self.lm_head(torch.stack(list(states[start : start + step]))).float()
            own = tokens[start : start + step, None].to(logits.device)
            parts.append(logits.log_softmax(-1).gather(-1, own)[:, 0])
        return torch.cat(parts).cpu() if parts else torch.zeros(0)
