"""What is learned of scores, and how it is measured."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from videoglamm_hf.calibration.asking import Observations, Observed
from videoglamm_hf.calibration.calibrating import fit_all
from videoglamm_hf.calibration.fitting import fit_logistic, held_out_predictions, predicted
from videoglamm_hf.calibration.measuring import abstaining, brier_score, calibration_error, ranking, reliability
from videoglamm_hf.errors import InputError

SHARES = st.floats(0, 1)


def drawn(count: int = 2000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features of which the first tells, the second tells nothing, the third is turned round."""
    stream = np.random.default_rng(seed)
    features = stream.normal(0, 2, (count, 3))
    z = 1.5 * features[:, 0] - 0.8 * features[:, 2] - 0.5
    return features, stream.random(count) < 1 / (1 + np.exp(-z))


def test_it_finds_what_made_the_data():
    features, right = drawn()
    fit = fit_logistic(features[:, :1], right, ["tells"])
    alone = fit_logistic(features, right, ["tells", "nothing", "turned"])
    # A feature that would speak against is not used at all.
    assert alone.coefficients[2] == 0 and alone.coefficients[1] == pytest.approx(0, abs=0.1)
    assert alone.coefficients[0] == pytest.approx(fit.coefficients[0], abs=0.05) and fit.coefficients[0] > 0.7
    assert calibration_error(predicted(fit, features[:, :1]), right) < 0.05


@settings(max_examples=30)
@given(arrays(float, (12, 2), elements=st.floats(-8, 8)), arrays(bool, 12))
def test_any_data_give_probabilities_that_never_fall(features, right):
    fit = fit_logistic(features, right, ["a", "b"])
    assert all(np.isfinite(fit.coefficients)) and all(own >= 0 for own in fit.coefficients)
    low, high = predicted(fit, features), predicted(fit, features + 1)
    assert ((low > 0) & (low < 1) & (high >= low - 1e-12)).all()


def test_a_video_is_never_measured_by_what_was_learned_of_it():
    features, right = drawn(60)
    videos = [f"clip{i // 3}" for i in range(60)]
    before = held_out_predictions(features, right, videos, "abc")
    # Turning all that is true of one video round changes nothing that is said of it.
    own = np.array([video == "clip7" for video in videos])
    after = held_out_predictions(features, right ^ own, videos, "abc")
    assert (after[own] == before[own]).all() and (after[~own] != before[~own]).any()
    assert (held_out_predictions(features, right, videos, "abc") == before).all()


def test_figures_of_known_probabilities():
    right = np.array([True, True, False, False])
    sure = np.array([0.95, 0.95, 0.05, 0.05])
    assert calibration_error(sure, right) == pytest.approx(0.05) and brier_score(sure, right) == pytest.approx(0.0025)
    assert ranking(sure, right) == 1 and ranking(1 - sure, right) == 0 and ranking(sure, right | True) is None
    even = np.full(4, 0.5)
    assert calibration_error(even, right) == 0 and brier_score(even, right) == 0.25 and ranking(even, right) == 0.5
    assert abstaining(sure, right, (0.5, 1.0)) == [
        {"below": 0.5, "kept": 2, "right": 2},
        {"below": 1.0, "kept": 0, "right": 0},
    ]


@given(arrays(float, 20, elements=SHARES), arrays(bool, 20))
def test_bins_hold_everything(probabilities, right):
    bins = [own for own in reliability(probabilities, right) if own is not None]
    assert sum(own.count for own in bins) == 20
    assert 0 <= calibration_error(probabilities, right) <= 1 and 0 <= brier_score(probabilities, right) <= 1


def seen(right: list[bool], videos: int = 10) -> Observed:
    """Observations of one mask mode; scores tell what is right more often than not."""
    stream = np.random.default_rng(0)
    observed = Observed.of(["video"])
    observed.questions = len(right)
    for number, own in enumerate(right):
        features = (stream.normal(0, 1, 4) + own).tolist()
        observed.objects["video"].add(features, 0.9, own, f"clip{number % videos}", "x")
        observed.sentences["video"].add(features, 0.9, True, f"clip{number % videos}", "x")
    return observed


def test_everything_together_and_few_data_are_said_to_be_few():
    calibration, notes = fit_all(seen([True, False] * 15), {"heads": "x"}, "validation.jsonl")
    measured = calibration.measured["video"]["objects"]
    assert measured["count"] == 30 and measured["right"] == 15 and measured["videos"] == 10
    assert measured["after"]["calibration_error"] < measured["before"]["calibration_error"] == pytest.approx(0.4)
    assert calibration.mask_modes["video"].sentences is None
    assert any("few" in note and "30" in note for note in notes)
    assert any("30 of 30 true answers show an object" in note for note in notes)
    assert not any("few" in note for note in fit_all(seen([True, False] * 60), {"heads": "x"}, "d")[1])


@pytest.mark.parametrize(
    "observed, says",
    [
        (seen([]), "names no object"),
        (seen([True] * 30), "30 of 30 masks are right"),
        (seen([False] * 30), "30 of 30 masks are wrong"),
        (seen([True] * 29 + [False]), "29 of 30 masks are right"),
        (seen([True, False] * 3), "there are 6 objects"),
        (seen([True, False] * 15, videos=1), "one video"),
    ],
)
def test_what_cannot_tell_is_refused_with_the_reason(observed, says):
    with pytest.raises(InputError, match=says):
        fit_all(observed, {"heads": "x"}, "validation.jsonl")


def test_numbers_that_are_none_are_refused_by_name():
    with pytest.raises(InputError, match="clip3: some of the model's scores are NaN"):
        Observations().add([0.0, float("nan")], 0.5, True, "v", "clip3")
