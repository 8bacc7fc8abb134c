"""Calibrations that say what a test needs, of any model."""

from videoglamm_hf.answer_scores import OBJECT_FEATURES, SENTENCE_FEATURES
from videoglamm_hf.calibration_file import Calibration, LogisticFit, ModeCalibration
from videoglamm_hf.fingerprints import weight_fingerprints
from videoglamm_hf.options import MASK_MODES


def calibration_of(model=None, modes=MASK_MODES, sentences: bool = True, intercept: float = 0.0) -> Calibration:
    objects = LogisticFit(OBJECT_FEATURES, (0.5, 0.25, 0.0, 1.0), intercept)
    of_sentences = LogisticFit(SENTENCE_FEATURES, (1.0, 0.5, 0.0, 0.0), 0.0) if sentences else None
    weights = {"heads": "0" * 16} if model is None else weight_fingerprints(model)
    return Calibration(weights, {mode: ModeCalibration(objects, of_sentences) for mode in modes}, version="0")
