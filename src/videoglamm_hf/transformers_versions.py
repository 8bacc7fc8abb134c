"""What transformers names differently from one version to another, 5.17 up: the only place that looks."""

from dataclasses import fields

from transformers.modeling_outputs import BaseModelOutputWithPast

# The language model's keys and values, as argument and as output: renamed in 5.24.
CACHE_NAMES = ("cache", "past_key_values")
CACHE = next(field.name for field in fields(BaseModelOutputWithPast) if field.name in CACHE_NAMES)
