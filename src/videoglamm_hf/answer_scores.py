"""What a model's own scores say of an answer, as a few numbers that all mean "surer" when they are larger.

Every number is a logit, held within 8 of nought: 0 is even, 2.2 is 90 %. What calibration adds (see
[`Calibration`]) is how much each of them is worth.

Shapes: N objects, T frames, n generated tokens.
"""

from typing import Any

import torch

# By name: what `object_features` and `sentence_features` give, in their order.
OBJECT_FEATURES = ("predicted_iou", "object_score", "share_of_frames", "words")
SENTENCE_FEATURES = ("named", "words", "object_score", "predicted_iou")
# Logits beyond tell no more.
_LIMIT = 8.0


def object_features(object_scores: Any, iou_scores: Any, word_log_probs: Any) -> torch.Tensor:
    """Of each object of an answer.

    Args:
        object_scores: float `[N, T]`, logits of the object being in the frame.
        iou_scores: float `[N, T]`, predicted IoU of its masks.
        word_log_probs: float `[N]`, of the least likely of the words that lead to it, see [`least_word_log_probs`].

    Returns:
        float64 `[N, 4]`: `OBJECT_FEATURES`. Of an object that is in no frame the predicted IoU is the least there is,
        and the object score is that of the frame that comes nearest.
    """
    scores, ious = (torch.as_tensor(own).double() for own in (object_scores, iou_scores))
    there = scores > 0
    found = there.any(-1)
    nowhere = torch.full(found.shape, -_LIMIT, dtype=torch.float64)
    count = there.sum(-1).clamp(min=1)
    mean_iou = _logit((ious * there).sum(-1) / count)
    best = scores.amax(-1) if scores.shape[-1] else nowhere
    score = torch.where(found, (scores * there).sum(-1) / count, best).clamp(-_LIMIT, _LIMIT)
    # Of the frames that it is said not to be in: one that comes and goes is often one that was lost.
    share = _logit(there.double().mean(-1)) if scores.shape[-1] else nowhere
    mean_iou = torch.where(found, mean_iou, nowhere)
    words = _log_odds(torch.as_tensor(word_log_probs).double())
    return torch.stack([mean_iou, score, share, words], dim=-1)


def sentence_features(objects: torch.Tensor, word_log_prob: float) -> torch.Tensor:
    """Of a whole answer: whether what was asked about is there at all.

    Args:
        objects: float64 `[N, 4]`, what [`object_features`] gave.
        word_log_prob: Of the least likely word of the answer.

    Returns:
        float64 `[4]`: `SENTENCE_FEATURES`. Of an answer that names no object, sure words speak against one.
    """
    sure = float(_log_odds(torch.tensor(word_log_prob, dtype=torch.float64)))
    if not len(objects):
        return torch.tensor([-1.0, -sure, 0.0, 0.0], dtype=torch.float64)
    names = OBJECT_FEATURES.index("object_score"), OBJECT_FEATURES.index("predicted_iou")
    return torch.tensor([1.0, sure, *(float(objects[:, i].amax()) for i in names)], dtype=torch.float64)


def least_word_log_probs(tokens: torch.Tensor, log_probs: torch.Tensor, seg_token_id: int) -> torch.Tensor:
    """Log probability of the least likely token that leads to each object: what follows the object before, [SEG] too.

    Args:
        tokens: int64 `[n]`, what was generated.
        log_probs: float `[n]`, of each token.
        seg_token_id: Of [SEG].

    Returns:
        float64 `[N]`.
    """
    least, start = [], 0
    for end in (tokens == seg_token_id).nonzero()[:, 0].tolist():
        least.append(log_probs[start : end + 1].double().amin())
        start = end + 1
    return torch.stack(least) if least else torch.zeros(0, dtype=torch.float64)


def mean_predicted_iou(object_scores: torch.Tensor, iou_scores: torch.Tensor) -> float:
    """The untuned score of an object: the mean predicted IoU, 0 to 1, in the frames that it is in; 0 if in none."""
    present = iou_scores[object_scores > 0]
    return float(present.float().mean().clamp(0, 1)) if len(present) else 0.0


def _logit(share: torch.Tensor) -> torch.Tensor:
    return torch.logit(share.clamp(0, 1), eps=1e-9).clamp(-_LIMIT, _LIMIT)


def _log_odds(log_probs: torch.Tensor) -> torch.Tensor:
    """Logits of probabilities that are near 1 more often than not."""
    return (log_probs - torch.log(-torch.expm1(log_probs.clamp(max=-1e-9)))).clamp(-_LIMIT, _LIMIT)
