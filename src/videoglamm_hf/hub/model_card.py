"""The model card: the template filled with what the folder says about itself, or the folder's own card kept."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
import yaml
from huggingface_hub import ModelCard, ModelCardData
from safetensors import safe_open

from ..configuration_videoglamm import PUBLISHED_SPATIAL_CONFIG, PUBLISHED_TEXT_CONFIG, VideoGlammConfig
from ..conversion.checkpoint_reader import read_json
from ..errors import CheckpointError
from ..modeling_videoglamm import VideoGlammForGroundedGeneration
from .json_files import check_values, is_local_path

DEFAULT_LICENSE = "apache-2.0"
_TAGS = ["videoglamm", "video", "segmentation", "grounding"]
# peft and transformers leave forms with this in them; nobody has written such a card.
_UNFILLED = "[More Information Needed]"


def card_of_model(folder: Path, repo: str, license: str | None) -> str:
    """A card made of the configuration, and of `metrics.json` if there is one.

    Raises:
        CheckpointError: If the configuration builds no model.
    """
    try:
        config = VideoGlammConfig.from_pretrained(folder)
        with torch.device("meta"):
            model = VideoGlammForGroundedGeneration(config)
    except Exception as error:
        raise CheckpointError(f"{folder}/config.json builds no model: {error}") from error
    return _render(
        "model_card.md",
        _metadata(None, license),
        repo=repo,
        parts=_parts(config, model),
        parameters=_count(model.num_parameters()),
        precision=_precision(config),
        metrics=_metrics(folder),
        **_limits(config),
    )


def card_of_adapter(folder: Path, repo: str, base: str, license: str | None) -> str:
    """A card made of `adapter_config.json` and the adapter's tensors."""
    config = read_json(folder / "adapter_config.json")
    with safe_open(folder / "adapter_model.safetensors", framework="pt") as file:
        trained = sum(torch.Size(file.get_slice(name).get_shape()).numel() for name in file.keys())  # noqa: SIM118
    return _render(
        "adapter_card.md",
        _metadata(base, license),
        repo=repo,
        base=base,
        kind=config.get("peft_type", "adapter"),
        rank=config.get("r"),
        alpha=config.get("lora_alpha"),
        whole=config.get("modules_to_save") or [],
        parameters=_count(trained),
        metrics=_metrics(folder),
        processor=(folder / "processor_config.json").is_file(),
    )


def kept_card(path: Path, base: str | None, license: str | None) -> str | None:
    """A card that somebody wrote, its text untouched and what its metadata lacks added; None if there is none.

    Raises:
        CheckpointError: If it cannot be read.
    """
    if not path.is_file():
        return None
    try:
        text = path.read_text(encoding="utf-8")
        if _UNFILLED in text:
            return None
        card = ModelCard(text, ignore_metadata_errors=False)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise CheckpointError(f"The metadata of {path} cannot be read: {error}") from error
    given = {key: value for key, value in card.data.to_dict().items() if value}
    # What a Trainer was started from may be a folder of its machine.
    if base is not None or is_local_path(str(given.get("base_model", ""))):
        given.pop("base_model", None)
    check_values(f"The metadata of {path.name}", given)
    card.data = ModelCardData(**{**_metadata(base, license).to_dict(), **given})
    return str(card)


def _metadata(base: str | None, license: str | None) -> ModelCardData:
    library = {"library_name": "transformers"} if base is None else {"library_name": "peft", "base_model": base}
    return ModelCardData(
        license=license or DEFAULT_LICENSE, pipeline_tag="video-text-to-text", tags=list(_TAGS), **library
    )


def _render(template: str, metadata: ModelCardData, **facts: Any) -> str:
    text = files(__package__).joinpath(template).read_text(encoding="utf-8")
    return str(ModelCard.from_template(metadata, template_str=text, **facts))


def _parts(config: VideoGlammConfig, model: torch.nn.Module) -> list[dict[str, str]]:
    """Name, architecture and parameters of every part, and the checkpoint it has the sizes of."""
    spatial, temporal, text = config.spatial_config, config.temporal_config, config.text_config
    decoder, trunk = config.grounding_config, config.grounding_config.vision_config.backbone_config
    published = VideoGlammConfig()
    published_trunk = published.grounding_config.vision_config.backbone_config.to_dict()
    inner = model.model
    rows = [
        (
            "spatial tower",
            f"CLIP ViT, {spatial.num_hidden_layers} layers of width {spatial.hidden_size}, {spatial.image_size} px",
            [inner.spatial_tower],
            _if_same_sizes("CLIP ViT-L/14-336 (MIT)", spatial, PUBLISHED_SPATIAL_CONFIG),
        ),
        (
            "temporal tower",
            f"InternVideo2, {temporal.num_hidden_layers} layers of width {temporal.hidden_size}, "
            f"{temporal.image_size} px, {temporal.num_frames} frames a chunk",
            [inner.temporal_tower],
            _if_same_sizes(
                "InternVideo2-Stage2 1B (see its model card)", temporal, published.temporal_config.to_dict()
            ),
        ),
        (
            "projectors",
            "Linear-GELU-Linear, one per tower",
            [inner.spatial_projector, inner.temporal_projector],
            "",
        ),
        (
            "language model",
            f"{text.model_type}, {text.num_hidden_layers} layers of width {text.hidden_size}, "
            f"{text.vocab_size} tokens",
            [inner.language_model, model.lm_head],
            _if_same_sizes("Phi-3-mini-4k-instruct (MIT)", text, PUBLISHED_TEXT_CONFIG),
        ),
        ("[SEG] projection", "Linear-ReLU-Linear", [model.seg_projection], ""),
        (
            "pixel decoder",
            f"SAM 2 video, {sum(trunk.blocks_per_stage)} blocks from width {trunk.hidden_size}, "
            f"{decoder.image_size} px",
            [model.pixel_decoder],
            _if_same_sizes("SAM 2.0 hiera-large (Apache-2.0)", trunk, published_trunk),
        ),
    ]
    return [
        {"name": name, "what": what, "parameters": _count(_num_parameters(modules)), "sizes_of": known}
        for name, what, modules, known in rows
    ]


def _num_parameters(modules: list[torch.nn.Module]) -> int:
    """Of several modules; parameters that they share count once."""
    return sum({id(p): p.numel() for module in modules for p in module.parameters()}.values())


def _if_same_sizes(name: str, config: Any, published: dict[str, Any]) -> str:
    """`name` if a part has the sizes of the published checkpoint of that name, else nothing."""
    sizes = {
        key: value
        for key, value in published.items()
        if isinstance(value, (int, list)) and not isinstance(value, bool) and not key.endswith("_id")
    }
    # These follow from the use, not from the checkpoint.
    for key in ("vocab_size", "image_size", "sliding_window"):
        sizes.pop(key, None)
    return name if all(getattr(config, key, None) == value for key, value in sizes.items()) else ""


def _precision(config: VideoGlammConfig) -> str:
    quantization = getattr(config, "quantization_config", None)
    if quantization:
        described = quantization if isinstance(quantization, dict) else quantization.to_dict()
        return f"quantised with {described.get('quant_method', 'an unnamed method')}"
    return str(config.dtype or "an unstated precision").removeprefix("torch.")


def _limits(config: VideoGlammConfig) -> dict[str, Any]:
    return {
        "tower_frames": config.num_tower_frames,
        "video_tokens": config.video_seq_length,
        "context": getattr(config.text_config, "max_position_embeddings", None),
        "mask_mode": config.mask_mode,
    }


def _metrics(folder: Path) -> list[dict[str, str]]:
    """`metrics.json` as rows of a table: an object is one row per value, a list one row per object.

    Raises:
        CheckpointError: If it is no JSON.
    """
    path = folder / "metrics.json"
    if not path.is_file():
        return []
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read as JSON ({error}).") from error
    check_values(path.name, value)
    if isinstance(value, dict):
        return [{"what": key, "value": _cell(item)} for key, item in _flat(value)]
    if isinstance(value, list) and all(isinstance(row, dict) for row in value):
        rows = [dict(_flat(row)) for row in value]
        columns = dict.fromkeys(key for row in rows for key in row)
        return [{key: _cell(row.get(key)) for key in columns} for row in rows]
    raise CheckpointError(f"{path} must hold an object of figures, or a list of objects with the same keys.")


def _flat(value: dict[str, Any], place: str = "") -> list[tuple[str, Any]]:
    rows = []
    for key, item in value.items():
        name = f"{place} {key}".strip()
        rows += _flat(item, name) if isinstance(item, dict) else [(name, item)]
    return rows


def _cell(value: Any) -> str:
    """A table cell: floats to four digits, a bar escaped."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value).replace("|", "\\|").replace("\n", " ")


def _count(number: int) -> str:
    """
    >>> _count(5_435_000_000), _count(5_141_070), _count(812)
    ('5.4 billion', '5.1 million', '812')
    """
    for size, name in ((10**9, "billion"), (10**6, "million"), (10**3, "thousand")):
        if number >= size:
            return f"{number / size:.1f} {name}"
    return str(number)
