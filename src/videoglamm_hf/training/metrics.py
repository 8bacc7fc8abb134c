"""Metrics of predicted masks, for `compute_metrics` of [`VideoGlammTrainer`]."""

from transformers import EvalPrediction

from ..errors import InputError
from ..evaluation.mask_metrics import score_masks
from ..mask_training import IGNORED


def mask_metrics(prediction: EvalPrediction) -> dict[str, float]:
    """How well the masks of the true words agree with the ground truth.

    The words are those of the sample, as in the loss; `eval_miou` and so on, of [`VideoGlammTrainer`], are about
    answers the model generates itself. Not for `batch_eval_metrics`, which hands over a batch at a time.

    Args:
        prediction: As [`VideoGlammTrainer`] hands it over: masks (bool `[N, T, H, W]`) and ground truth (int8, of the
            same shape: 1 object, 0 background, -1 ignored), one per sample.

    Returns:
        `mask_miou`, `mask_j`, `mask_f` and `mask_j_and_f` (see [`GroundingScores`]).

    Raises:
        InputError: If the predictions are no masks, as those of the plain `Trainer`.
    """
    if not isinstance(prediction.predictions, list):
        raise InputError("mask_metrics needs one array of masks per sample; predict with VideoGlammTrainer.")
    # Ignored pixels count as background on both sides.
    predicted = [
        masks & (truth != IGNORED) for masks, truth in zip(prediction.predictions, prediction.label_ids, strict=True)
    ]
    scores = score_masks(predicted, [truth == 1 for truth in prediction.label_ids])
    return {"mask_miou": scores.miou, "mask_j": scores.j, "mask_f": scores.f, "mask_j_and_f": scores.j_and_f}
