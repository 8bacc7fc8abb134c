"""Whether a generation configuration, as a model folder holds it, or options of `generate` can be used."""

import copy
import math
from typing import Any

from .errors import InputError
from .options import check_names, is_json_integer

# Whole numbers, with the least that each may be.
_COUNTS = {
    "max_length": 0,
    "max_new_tokens": 1,
    "min_length": 0,
    "min_new_tokens": 0,
    "num_beams": 1,
    "num_return_sequences": 1,
    "top_k": 0,
    "no_repeat_ngram_size": 0,
    "encoder_no_repeat_ngram_size": 0,
    "prompt_lookup_num_tokens": 1,
    "prefill_chunk_size": 1,
}
_NUMBERS = (
    "temperature",
    "top_p",
    "min_p",
    "top_h",
    "typical_p",
    "epsilon_cutoff",
    "eta_cutoff",
    "repetition_penalty",
    "encoder_repetition_penalty",
    "length_penalty",
    "guidance_scale",
    "max_time",
)
_SWITCHES = (
    "do_sample",
    "use_cache",
    "output_scores",
    "output_logits",
    "return_dict_in_generate",
    "remove_invalid_values",
)
_TOKENS = ("bos_token_id", "pad_token_id", "eos_token_id", "decoder_start_token_id")
# Models are not asked for more than a library can count.
_MOST = 2**31


# What `generate` takes of words beside the fields of its configuration.
_BESIDE = (
    *("generation_config", "logits_processor", "stopping_criteria", "prefix_allowed_tokens_fn", "assistant_model"),
    *("streamer", "synced_gpus", "negative_prompt_ids", "negative_prompt_attention_mask", "custom_generate"),
)

# What processors of logits refuse when the first token is generated; most of them are made where it is sampled only.
_POSITIVE = ("temperature", "repetition_penalty", "encoder_repetition_penalty")
_SHARES = ("top_p", "min_p", "top_h", "typical_p", "epsilon_cutoff", "eta_cutoff")
_ALWAYS = ("repetition_penalty", "encoder_repetition_penalty")


def check_generate_options(config: Any, options: dict[str, Any]) -> None:
    """Raises InputError for the first option of `generate` that cannot be, before anything is generated.

    Args:
        config: The model's `GenerationConfig`.
        options: What is to be said beside inputs; options of masks are none of them.
    """
    fields = [name for name in vars(config) if not name.startswith("_")]
    check_names(options, (*fields, *_BESIDE), "of generate")
    own = copy.deepcopy(config)
    for name in set(options) & set(fields):
        setattr(own, name, options[name])
    check_generation_config(own, "")
    for name in (*_POSITIVE, *_SHARES):
        value, of_sampling = getattr(own, name, None), name not in _ALWAYS
        if value is None or (of_sampling and not own.do_sample):
            continue
        if name in _POSITIVE and value <= 0:
            raise InputError(f"{name} is {value!r:.80}, and must be above 0.")
        if name in _SHARES and not 0 <= value <= 1:
            raise InputError(f"{name} is {value!r:.80}, and must be from 0 to 1.")
    try:
        own.validate()
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"The options of generate cannot be used: {error}") from error


def check_generation_config(config: Any, where: str = " of generation_config.json") -> None:
    """Raises InputError for the first field of a `GenerationConfig` that cannot be; the message names it.

    Args:
        config: As transformers read it; it looks at few of the fields itself.
        where: What stands behind the field's name.
    """

    def refuse(name: str, wanted: str) -> None:
        raise InputError(f"{name}{where} is {getattr(config, name)!r:.80}, and must be {wanted}.")

    for name, least in _COUNTS.items():
        if (value := getattr(config, name, None)) is not None and not _is_whole(value, least):
            refuse(name, f"a whole number from {least}")
    for name in _NUMBERS:
        value = getattr(config, name, None)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < math.inf:
            refuse(name, "a finite number")
    for name in _SWITCHES:
        if (value := getattr(config, name, None)) is not None and not isinstance(value, bool):
            refuse(name, "true or false")
    for name in _TOKENS:
        value = getattr(config, name, None)
        several = value if isinstance(value, (list, tuple)) and name == "eos_token_id" else [value]
        if value is not None and not (several and all(_is_whole(one, 0) for one in several)):
            refuse(name, "the id of a token" + (", or a list of some" if name == "eos_token_id" else ""))


def _is_whole(value: Any, least: int) -> bool:
    return is_json_integer(value) and least <= value < _MOST
