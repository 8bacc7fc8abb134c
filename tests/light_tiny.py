"""The tiny model made lighter: most of what a model does has nothing to do with how many patches and layers it has."""

from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import AutoProcessor

from videoglamm_hf import VideoGlammConfig, VideoGlammForGroundedGeneration, VideoGlammProcessor

# Patches on a side, of 24 and 16; and after pooling, of 12 and 8.
SPATIAL_PATCHES, TEMPORAL_PATCHES = 6, 4
SPATIAL_POOL, TEMPORAL_POOL = 3, 2
SPATIAL_POSITIONS = "model.spatial_tower.embeddings.position_embedding.weight"
TEMPORAL_POSITIONS = "model.temporal_tower.position_embedding"
# Of 4, which hold half of all weights.
MEMORY_LAYERS = 2


def write_light(folder: Path, output: Path) -> None:
    """Writes a converted model and its processor anew, with smaller inputs of both towers and fewer layers of memory
    attention; any other weight stays."""
    config = VideoGlammConfig.from_pretrained(folder)
    state = load_file(folder / "model.safetensors")
    surplus = range(MEMORY_LAYERS, config.grounding_config.memory_attention_num_layers)
    dropped = tuple(f"pixel_decoder.memory_attention.layers.{i}." for i in surplus)
    state = {name: tensor for name, tensor in state.items() if not name.startswith(dropped)}
    config.grounding_config.memory_attention_num_layers = MEMORY_LAYERS
    state[SPATIAL_POSITIONS] = _thinned(state[SPATIAL_POSITIONS], 1, SPATIAL_PATCHES)
    frames = config.temporal_config.num_frames
    state[TEMPORAL_POSITIONS] = _thinned(state[TEMPORAL_POSITIONS][0], frames, TEMPORAL_PATCHES)[None]
    config.spatial_config.image_size = SPATIAL_PATCHES * config.spatial_config.patch_size
    config.temporal_config.image_size = TEMPORAL_PATCHES * config.temporal_config.patch_size
    config.spatial_pool_size, config.temporal_pool_size = SPATIAL_POOL, TEMPORAL_POOL
    model = VideoGlammForGroundedGeneration.from_pretrained(None, config=config, state_dict=state)
    model.save_pretrained(output)
    whole = AutoProcessor.from_pretrained(folder)
    kept = {name: getattr(whole, name) for name in ("chat_template", "absorbing_tokens", "image_start_end")}
    VideoGlammProcessor.for_config(config, whole.tokenizer, **kept).save_pretrained(output)


def _thinned(positions: torch.Tensor, frames: int, side: int) -> torch.Tensor:
    """Every nth row and column of `[1 + frames * patches, width]`, the class token before them."""
    grid = int(((len(positions) - 1) // frames) ** 0.5)
    step = grid // side
    kept = positions[1:].view(frames, grid, grid, -1)[:, ::step, ::step]
    return torch.cat([positions[:1], kept.flatten(0, 2)])
