"""What trains: the paper's choice and three others, on any language model.

Source: section 4 of the paper and the original's `train.py` (reference section 7): LoRA (r 8, alpha 16, dropout
0.05) on the language model's attention inputs; fully trained are its head and embeddings, the [SEG] projection and
the mask decoder. Both towers, the image encoder and the memory stay frozen.
"""

from typing import Any

from torch import nn

from ..errors import InputError

RECIPES = ("paper", "lora", "projectors", "full")
# Inputs of attention by the names that language models give them: fused, or query and value.
_ATTENTION_INPUTS = ("qkv_proj", "q_proj", "v_proj", "query_key_value", "c_attn", "Wqkv")
# Kept with the mask decoder, but applied in the (frozen) image encoder.
_ENCODER_CONVOLUTIONS = ("conv_s0", "conv_s1")


def trainable_modules(model: nn.Module, recipe: str = "paper") -> list[str]:
    """Freezes everything but what a recipe trains.

    Args:
        model: A [`VideoGlammForGroundedGeneration`].
        recipe: `"paper"`: the language model's head and embeddings, the [SEG] projection and the mask decoder (the
            attention trains through [`lora_config`]); `"lora"`: the [SEG] projection only, beside LoRA;
            `"projectors"`: both V->L projectors and the [SEG] projection; `"full"`: everything.

    Returns:
        Names of the modules that train in full.

    Raises:
        InputError: If there is no such recipe.
    """
    names = _module_names(model, recipe)
    model.requires_grad_(recipe == "full")
    for name in names:
        model.get_submodule(name).requires_grad_(True)
    return names


def lora_config(model: nn.Module, r: int = 8, alpha: int = 16, dropout: float = 0.05, recipe: str = "paper") -> Any:
    """A `peft.LoraConfig` for `peft.get_peft_model(model, lora_config(model))`.

    Adapters go on the query and value inputs of the language model's attention, or on their fused projection (the
    original's `q_proj,v_proj` hits Phi-3's `qkv_proj`). The recipe's modules are trained and saved in full with them.

    Args:
        model: A [`VideoGlammForGroundedGeneration`] with any language model.
        r, alpha, dropout: Of LoRA; the paper's by default.
        recipe: `"paper"`, `"lora"` or `"projectors"`; see [`trainable_modules`].

    Raises:
        InputError: If the recipe has no use for LoRA, or the attention's inputs are not recognised.
    """
    from peft import LoraConfig

    if recipe == "full":
        raise InputError("The recipe 'full' trains everything; LoRA has nothing to add. Use trainable_modules.")
    found = {name.rsplit(".", 1)[-1] for name, _ in model.model.language_model.named_modules()}
    targets = [name for name in _ATTENTION_INPUTS if name in found]
    if not targets:
        raise InputError(
            f"The language model {type(model.model.language_model).__name__} has none of the attention inputs "
            f"{_ATTENTION_INPUTS}; make a peft.LoraConfig with its own target_modules."
        )
    return LoraConfig(
        r=r,
        lora_alpha=alpha,
        lora_dropout=dropout,
        bias="none",
        target_modules=rf".*language_model\..*\.({'|'.join(targets)})",
        modules_to_save=_module_names(model, recipe),
    )


def _module_names(model: nn.Module, recipe: str) -> list[str]:
    if recipe not in RECIPES:
        raise InputError(f"There is no recipe {recipe!r}; the recipes are {RECIPES}.")
    if recipe == "full":
        return [name for name, _ in model.named_children()]
    if recipe == "lora":
        return ["seg_projection"]
    if recipe == "projectors":
        return ["model.spatial_projector", "model.temporal_projector", "seg_projection"]
    config = model.config
    unused = {
        *_ENCODER_CONVOLUTIONS,
        *(() if config.iou_loss_weight else ("iou_prediction_head",)),
        *(() if config.object_score_loss_weight else ("pred_obj_score_head",)),
    }
    decoder = model.pixel_decoder.mask_decoder
    parts = []
    for name, part in decoder.named_children():
        if name not in unused:
            # peft saves modules, but no lists of them.
            parts += [f"{name}.{i}" for i in range(len(part))] if isinstance(part, nn.ModuleList) else [name]
    embeddings = next(name for name, part in model.named_modules() if part is model.get_input_embeddings())
    return ["lm_head", embeddings, "seg_projection", *(f"pixel_decoder.mask_decoder.{part}" for part in parts)]
