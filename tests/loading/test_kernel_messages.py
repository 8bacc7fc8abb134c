"""Noise of bitsandbytes: held back where no 4 bits are used, told where they are; nothing else is."""

import logging

import videoglamm_hf.tuning
from videoglamm_hf.loading.kernel_messages import hold_kernel_messages
from videoglamm_hf.loading.models import load_model
from videoglamm_hf.toy import TINY_MODEL

LOGGER = logging.getLogger("bitsandbytes.backends.cpu.ops")
NOISE = "Failed to load CPU gemm_4bit_forward from kernels-community: %s. Please make sure you already"


def test_only_noise_about_what_is_not_used_is_held_back(caplog):
    assert videoglamm_hf.tuning.tune is not None
    hold_kernel_messages()
    caplog.clear()
    LOGGER.warning(NOISE, "no kernels")
    LOGGER.warning("Failed to load something else: %s", "it")
    load_model(str(TINY_MODEL), device="cpu")
    assert [record.getMessage() for record in caplog.records if record.name == LOGGER.name] == [
        "Failed to load something else: it"
    ]
    caplog.clear()
    load_model(str(TINY_MODEL), "float32", "cpu", "nf4")
    told = [record.getMessage() for record in caplog.records if "gemm_4bit_forward" in record.getMessage()]
    assert NOISE % "no kernels" in told
    # From then on nothing is held back.
    LOGGER.warning(NOISE, "again")
    assert caplog.records[-1].getMessage() == NOISE % "again"
