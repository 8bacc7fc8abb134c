"""A tiny checkpoint in the original's own layout, and the frames and masks that go with it.

Nothing is random: every tensor is a formula of its original key and shape (NumPy's PCG64 seeded with the
key's CRC), so no weights need to be shipped and any two machines build the same ones, bit by bit. The numbers
that the parity tests compare with were computed by the original implementation on these weights.
"""

import json
import math
import re
import shutil
import zlib
from functools import cache
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

FIXTURES = Path(__file__).parent / "fixtures" / "original_tiny"
# What shapes cannot tell of the tiny model.
TINY_CONFIG = FIXTURES / "config.json"
CLIP_PREFIX = "model.image_vision_tower.vision_tower."

_LAYER_SCALE = re.compile(r"(\.gamma$)|(memory_encoder\.fuser\.layers\.\d+\.weight$)")
_TABLE = re.compile(
    r"((embed_tokens|position_embedding|iou_token|mask_tokens|obj_score_token|point_embeddings\.\d+"
    r"|not_a_point_embed|no_mask_embed)\.weight$)|((class_embedding|cls_token|pos_embed|img_pos_embed"
    r"|clip_pos_embed|clip_img_pos_embed|pos_embed_window|no_mem_embed|no_mem_pos_enc|no_obj_ptr"
    r"|maskmem_tpos_enc)$)"
)
# So that masks depend on [SEG], on memory and on the object, and no argmax is on a knife edge.
_GAINS = (
    (re.compile(r"text_hidden_fcs\.0\.2\.weight$"), 6.0),
    (re.compile(r"memory_encoder\.mask_downsampler\.encoder\.12\.weight$"), 4.0),
    (re.compile(r"iou_prediction_head\.layers\.2\.weight$"), 2.0),
    (re.compile(r"output_hypernetworks_mlps\.0\.layers\.2\.weight$"), 0.4),
)
_OBJECT_PRESENT = re.compile(r"pred_obj_score_head\.layers\.2\.bias$")
_IOU_BIAS = re.compile(r"iou_prediction_head\.layers\.2\.bias$")
_HYPERNET_BIAS = re.compile(r"output_hypernetworks_mlps\.0\.layers\.2\.bias$")
_f32 = np.float32


def weight(key: str, shape: tuple[int, ...], salt: str = "") -> np.ndarray:
    """The float32 tensor of an original key; another `salt` gives another model."""
    generator = np.random.Generator(np.random.PCG64(zlib.crc32((salt + key).encode())))
    value = generator.standard_normal(tuple(shape)).astype(_f32)
    fan_in = _f32(math.sqrt(float(np.prod(shape[1:])))) if len(shape) > 1 else _f32(1)
    for pattern, gain in _GAINS:
        if pattern.search(key):
            return _f32(gain) * (value / fan_in)
    if _OBJECT_PRESENT.search(key):
        return _f32(2) + _f32(0.1) * value
    if _IOU_BIAS.search(key):
        return _f32(0.7) * value + np.array([0, 0.15, 0, 0], _f32)
    if _HYPERNET_BIAS.search(key):
        return _f32(0.4) * (_f32(0.1) * value)
    if key.endswith("positional_encoding_gaussian_matrix"):
        return value
    if _LAYER_SCALE.search(key):
        return _f32(0.5) + _f32(0.1) * value
    if _TABLE.search(key):
        return _f32(0.5) * value
    if value.ndim == 1 and key.endswith(".weight"):
        return _f32(1) + _f32(0.1) * value
    if value.ndim <= 1:
        return _f32(0.1) * value
    return value / fan_in


def frames(num_frames: int, height: int, width: int, salt: int = 0) -> np.ndarray:
    """uint8 `[T, H, W, 3]`: two moving discs on a gradient, in integer arithmetic."""
    y, x = np.meshgrid(np.arange(height, dtype=np.int64), np.arange(width, dtype=np.int64), indexing="ij")
    output = np.zeros((num_frames, height, width, 3), np.int64)
    large, small = max(min(height, width) // 5, 2), max(min(height, width) // 7, 2)
    for t in range(num_frames):
        stripes = ((x + y + 7 * t + 13 * salt) * 5) % 256
        frame = np.stack([(x * 255) // (width - 1), (y * 255) // (height - 1), stripes], -1)
        cx, cy = (
            (width // 4 + (width * (2 + salt) * t) // 32) % width,
            (height // 3 + (height * t) // 24) % height,
        )
        frame[(x - cx) ** 2 + (y - cy) ** 2 <= large**2] = [220, 40 + 10 * salt, (30 + 20 * t) % 256]
        cx = ((3 * width) // 4 - (width * t) // 20) % width
        cy = ((2 * height) // 3 - (height * (1 + salt) * t) // 40) % height
        frame[(x - cx) ** 2 + (y - cy) ** 2 <= small**2] = [(20 + 15 * t) % 256, 90, 230 - 10 * salt]
        output[t] = frame
    return output.astype(np.uint8)


def gt_masks(num_objects: int, num_frames: int, height: int, width: int, salt: int = 0) -> np.ndarray:
    """float32 `[N, T, H, W]` of 0 and 1: moving boxes."""
    masks = np.zeros((num_objects, num_frames, height, width), _f32)
    for i in range(num_objects):
        for t in range(num_frames):
            y, x = (height * (1 + i + salt)) // 8 + t, (width * (2 + 3 * i)) // 12 + 2 * t
            masks[i, t, y : y + height // 3, x : x + width // 4] = 1
    return masks


def shapes(listing: Path = FIXTURES / "state_dict_tiny.txt") -> dict[str, tuple[int, ...]]:
    """Every key of the original's state dict with its shape."""
    rows = (row.split("\t") for row in listing.read_text().splitlines() if row)
    return {key: tuple(int(n) for n in re.findall(r"\d+", shape)) for key, shape, _ in rows}


def state_dict(salt: str = "") -> dict[str, torch.Tensor]:
    """Every tensor of the tiny original, float32; do not write to them."""
    return dict(_state_dict(salt))


@cache
def _state_dict(salt: str) -> dict[str, torch.Tensor]:
    return {key: torch.from_numpy(np.ascontiguousarray(weight(key, shape, salt))) for key, shape in shapes().items()}


def write_original(
    out: Path, *, salt: str = "", layout: str = "released", shards: int = 2, container: str = "bin"
) -> Path:
    """Writes the tiny checkpoint as the authors' save step leaves it.

    Args:
        out: Folder to write.
        salt: Another salt gives other weights.
        layout: `released`: the CLIP tower is not inside but beside, in a folder `clip` of its own;
            `complete`: every key, CLIP included.
        shards: Number of weight files.
        container: `bin` (pickles) or `safetensors`.

    Returns:
        `out`.
    """
    out.mkdir(parents=True, exist_ok=True)
    state = state_dict(salt)
    if layout == "released":
        clip = {key.removeprefix(CLIP_PREFIX): v for key, v in state.items() if key.startswith(CLIP_PREFIX)}
        state = {key: v for key, v in state.items() if not key.startswith(CLIP_PREFIX)}
        (out / "clip").mkdir(exist_ok=True)
        write_weights(out / "clip", clip, container=container)
        shutil.copy(FIXTURES / "clip_config.json", out / "clip" / "config.json")
        shutil.copy(FIXTURES / "clip_preprocessor_config.json", out / "clip" / "preprocessor_config.json")
    write_weights(out, state, shards=shards, container=container)
    shutil.copy(FIXTURES / "original_config.json", out / "config.json")
    for file in (FIXTURES / "tokenizer").iterdir():
        shutil.copy(file, out / file.name)
    return out


def write_weights(out: Path, state: dict[str, torch.Tensor], *, shards: int = 1, container: str = "bin") -> None:
    """Writes tensors as one file, or as shards with an index."""
    stem, end = ("pytorch_model", ".bin") if container == "bin" else ("model", ".safetensors")
    names, weight_map = list(state), {}
    step = math.ceil(len(names) / shards)
    for i in range(shards):
        name = f"{stem}{end}" if shards == 1 else f"{stem}-{i + 1:05d}-of-{shards:05d}{end}"
        part = {key: state[key] for key in names[i * step : (i + 1) * step]}
        if container == "bin":
            torch.save(part, out / name)
        else:
            save_file(part, out / name, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(part, name)
    if shards > 1:
        index = {"metadata": {}, "weight_map": weight_map}
        (out / f"{stem}{end}.index.json").write_text(json.dumps(index))
