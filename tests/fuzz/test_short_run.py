"""A short seeded run of every fuzzer: whatever is wrong with an input, the error is ours. `make fuzz` runs long."""

import os

import numpy as np
import pytest

from tests.fuzz import runner
from tests.fuzz.fuzzers import FUZZERS
from tests.fuzz.runner import run
from videoglamm_hf import InputError

SEED = 15
CASES = {"models": 24, "messages": 250, "annotations": 400, "training": 40}


@pytest.mark.parametrize("name", FUZZERS)
def test_no_hostile_input_gives_a_raw_error(name, light_tiny):
    make, _ = FUZZERS[name]
    report = run(name, make(light_tiny), SEED, count=CASES[name])
    assert report.cases == CASES[name]
    assert not report.offences, "\n".join(report.offences)
    # Cases that all end the same way would test nothing.
    assert report.kinds["refused"] and report.kinds["answered"]


class Faulty:
    """Raises, hangs, dies, fills the memory, refuses, answers; in this order."""

    def case(self, rng, folder):
        number = int(rng.number)
        actions = [_raise, _hang, _die, _fill, _refuse, lambda: None]
        return f"case {number}", actions[number]


def _raise():
    raise KeyError("raw")


def _hang():
    while True:
        pass


def _die():
    os._exit(3)


def _fill():
    np.ones(2**40, np.uint8)


def _refuse():
    raise InputError("this is said on purpose")


def test_the_runner_counts_what_it_is_for(monkeypatch):
    monkeypatch.setattr(runner, "CASE_SECONDS", 1)

    class Numbered(runner.random.Random):
        def __init__(self, recipe):
            super().__init__(recipe)
            self.number = recipe.split()[-1]

    monkeypatch.setattr(runner.random, "Random", Numbered)
    report = run("faulty", Faulty(), 0, count=6)
    assert dict(report.kinds) == dict.fromkeys(("raw", "hang", "died", "memory", "refused", "answered"), 1)
    assert [offence.split(": ")[1] for offence in report.offences] == ["raw", "hang", "died", "memory"]
