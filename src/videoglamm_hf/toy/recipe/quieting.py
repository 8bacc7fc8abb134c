"""Frame features made quieter, so that the places of clicks are heard beside them.

From scratch, features grow to several times the size of the encoding of places that the mask decoder adds to them, and
clicks, which are nothing but places, are lost in them. SAM 2 as published has learnt from clicks from the start.
"""

import torch
from torch import nn


@torch.no_grad()
def quiet_features(decoder: nn.Module, factor: float) -> None:
    """Multiplies the image encoder's features by `factor`, and undoes it in whatever reads them.

    Masks stay the same but for what places add: their encodings count as much more as features count less.
    """
    for conv in decoder.vision_encoder.neck.convs:
        _scale(conv, factor)
    masks, memory = decoder.mask_decoder, decoder.memory_attention
    for reader in (masks.conv_s0, masks.conv_s1, decoder.memory_encoder.feature_projection):
        reader.weight.mul_(1 / factor)
    # The first layer sees features as they are; from then on they are normalised.
    first = masks.transformer.layers[0]
    for reader in (first.cross_attn_token_to_image.k_proj, first.cross_attn_token_to_image.v_proj):
        reader.weight.mul_(1 / factor)
    first.cross_attn_image_to_token.q_proj.weight.mul_(1 / factor)
    _scale(first.cross_attn_image_to_token.o_proj, factor)
    for added in (decoder.no_memory_embedding, decoder.prompt_encoder.no_mask_embed.weight):
        added.mul_(factor)
    _scale(decoder.prompt_encoder.mask_embed.conv3, factor)
    # Memory attention adds to features, and normalises them at the end.
    for layer in memory.layers:
        for adding in (layer.self_attn.o_proj, layer.cross_attn_image.o_proj, layer.linear2):
            _scale(adding, factor)
    _scale(memory.layer_norm, factor)


def _scale(module: nn.Module, factor: float) -> None:
    module.weight.mul_(factor)
    module.bias.mul_(factor)
