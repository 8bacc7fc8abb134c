"""What transformers names differently from one version to another, 5.17 up: the only place that looks."""

import copy
from dataclasses import fields
from typing import Any

from transformers.modeling_outputs import BaseModelOutputWithPast

# The language model's keys and values, as argument and as output: renamed in 5.24.
CACHE_NAMES = ("cache", "past_key_values")
CACHE = next(field.name for field in fields(BaseModelOutputWithPast) if field.name in CACHE_NAMES)


def generate_options(pipeline: Any, given: dict[str, Any] | None) -> dict[str, Any]:
    """What a pipeline passes to `generate`: what its caller gave, and what it adds to that.

    Args:
        pipeline: A `transformers.Pipeline` that generates.
        given: Options of the call.
    """
    given = dict(given or {})
    prepare = getattr(pipeline, "_prepare_generate_kwargs", None)
    if prepare:
        return prepare(given)
    if "generation_config" in given:
        return given
    # Before 5.24 a pipeline keeps one configuration with everything in it, and `generate` warns of options beside it.
    configuration = copy.deepcopy(pipeline.generation_config)
    rest = configuration.update(**given)
    if "max_length" not in given and configuration.max_new_tokens is not None:
        configuration.max_length = None
    return {"generation_config": configuration, **rest}
