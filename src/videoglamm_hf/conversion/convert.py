"""A checkpoint of the original VideoGLaMM to a folder that transformers loads.

The checkpoint is the release, or a language model (Phi-3, Llama) with adapters and the other parts around it.
"""

import itertools
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm
from transformers import CONFIG_MAPPING, GenerationConfig, PreTrainedTokenizerBase
from transformers.dynamic_module_utils import custom_object_save

from ..chat_templates import LLAMA3_CHAT_TEMPLATE, PHI3_CHAT_TEMPLATE
from ..configuration_videoglamm import VideoGlammConfig
from ..errors import CheckpointError
from ..image_streams import CLIP_MEAN, CLIP_STD
from ..loading.choices import DTYPES
from ..messages import SEG_TOKEN
from ..modeling_videoglamm import VideoGlammForGroundedGeneration
from ..output_files import check_output, explained_writes, replacing_folder
from ..processing_videoglamm import VideoGlammProcessor
from .checkpoint_reader import find_weights, read_json
from .checkpoint_writer import write_safetensors
from .defaults import DEFAULT_ALPHA, PUBLISHED_CLIP
from .original_adapters import Adapter, read_adapter
from .original_config import build_config
from .original_files import keep_original_files
from .original_keys import EMBEDDINGS, Assignment, assign
from .original_parts import Sources, gather_sources, with_new_rows
from .original_tokenizer import add_placeholders, load_original_tokenizer
from .original_weights import (
    VOCABULARY_KEYS,
    check_assignment,
    converted_tensors,
    is_new_in_training,
    untrained_tensors,
)
from .verification import require_verified, target_shapes

PathLike = str | os.PathLike

# The original's conversations, by the language model's type.
CHAT_TEMPLATES = {"phi3": PHI3_CHAT_TEMPLATE, "llama": LLAMA3_CHAT_TEMPLATE}

# Phi-3 and Llama end a turn with one of these, whatever their end-of-sequence token is called.
_END_TOKENS = ("<|end|>", "<|endoftext|>", "<|end_of_text|>", "<|eot_id|>")


def convert_videoglamm(
    checkpoint: PathLike,
    output: PathLike,
    *,
    adapters: Sequence[PathLike] = (),
    lora_alpha: float | None = None,
    untrained_parts: bool = False,
    clip: PathLike | None = None,
    internvideo2: PathLike | None = None,
    sam2: PathLike | None = None,
    config: PathLike | Mapping[str, Any] | None = None,
    dtype: str | torch.dtype | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> Path:
    """Converts an original checkpoint to a folder with weights, configuration, tokenizer and processor.

    Args:
        checkpoint: Folder of the release, or of a language model (Phi-3, Llama) that the parts below are put around:
            pickled or safetensors weights, `config.json`, tokenizer files.
        output: Folder to write. It appears only when complete and verified.
        adapters: What is laid over the checkpoint and its parts, in order: VideoGPT+'s folder, where training starts;
            a training state. LoRA is merged in float32, `W + alpha / r * B A`.
        lora_alpha: LoRA's alpha where an adapter's files do not say it; the original's 16 by default.
        untrained_parts: Give projectors, [SEG] projection and the row of [SEG] new values if no file holds them.
        clip: CLIP's folder or Hub id. Its weights are needed only if the checkpoint does not hold the spatial
            tower. By default a folder `clip` inside the checkpoint, else the published CLIP from the Hub.
        internvideo2: InternVideo2's own file; replaces the checkpoint's temporal tower. Positions for another number
            of frames than that tower's (else the published 4) are interpolated in time.
        sam2: SAM 2's own file; replaces the checkpoint's pixel decoder, its trained mask decoder included.
        config: Any part of a [`VideoGlammConfig`], as a JSON file or a dict.
        dtype: `float32`, `float16` or `bfloat16`; by default that of the checkpoint's embeddings.
        overwrite: Replace an output folder that a conversion wrote; what else lies in it stays.
        progress: Show a progress bar and print a summary.

    Returns:
        The output folder.

    Raises:
        CheckpointError: If the checkpoint or another input is incomplete, contradictory, damaged or unsafe.
        OutputError: If the output cannot be written, or has contents and `overwrite` is not given.
    """
    checkpoint, output = Path(checkpoint).expanduser(), Path(output).expanduser()
    internvideo2, sam2 = (None if path is None else Path(path).expanduser() for path in (internvideo2, sam2))
    clip = None if clip is None else str(clip)
    needed = [clip, internvideo2, sam2, *adapters, config if isinstance(config, (str, os.PathLike)) else None]
    inputs = [
        checkpoint,
        *(Path(path).expanduser() for path in needed if path is not None),
    ]
    check_output(output, overwrite=overwrite, inputs=inputs, kind="model")
    original, given = _original_config(checkpoint), _given_config(config)
    laid_over = [read_adapter(Path(path).expanduser(), lora_alpha) for path in adapters]
    for adapter in laid_over:
        original |= adapter.settings
    kept = dict(original)
    temporal = given.get("temporal_config") if isinstance(given.get("temporal_config"), dict) else {}
    sources = gather_sources(
        checkpoint,
        clip=clip,
        internvideo2=internvideo2,
        sam2=sam2,
        adapters=laid_over,
        num_frames=temporal.get("num_frames"),
        image_size=temporal.get("image_size") or 224,
    )

    image_start_end = bool(original.get("mm_use_im_start_end", False))
    tokenizer, absorbing = load_original_tokenizer(checkpoint, image_start_end=image_start_end)
    new_rows = with_new_rows(sources, len(tokenizer)) if untrained_parts else 0
    vocabulary = _vocabulary(tokenizer, original, checkpoint, sources)
    generation = _generation_config(checkpoint, original, tokenizer)
    # As the original sets them after loading, whatever its config.json says.
    original |= {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    built, assumed = build_config(
        {key: tensor.shape for key, tensor in sources.tensors.items()},
        original=original,
        clip=_read_optional(sources.clip_folder, "config.json"),
        given=given,
        vocabulary=vocabulary,
    )
    built.architectures = [VideoGlammForGroundedGeneration.__name__]
    built.dtype = _dtype(dtype, sources)
    preprocessor = _read_optional(sources.clip_folder, "preprocessor_config.json")
    processor = build_processor(built, tokenizer, absorbing, preprocessor, image_start_end=image_start_end)

    targets = target_shapes(built)
    plan = assign(sources.tensors, targets, tie_word_embeddings=built.tie_word_embeddings)
    untrained = [name for name in plan.missing if is_new_in_training(name)] if untrained_parts else []
    plan.missing = [name for name in plan.missing if name not in untrained]
    check_assignment(plan, sources.tensors, targets)
    with replacing_folder(output, "model", overwrite=overwrite) as folder:
        tensors = itertools.chain(
            converted_tensors(plan, sources.tensors, targets, built.dtype, sources.changes),
            untrained_tensors(untrained, targets, built.initializer_range, built.dtype),
        )
        bar = tqdm(tensors, total=len(targets), desc="Converting", unit="tensor", disable=None if progress else True)
        write_safetensors(folder, {name: targets[name] for name in (*plan.sources, *untrained)}, built.dtype, bar)
        with explained_writes(output):
            keep_original_files(checkpoint, folder, kept)
            # What a model's own save_pretrained adds; here there is no model.
            custom_object_save(VideoGlammForGroundedGeneration, folder)
            # The configuration last: without it nothing takes the folder for a model.
            for part in (generation, processor, built):
                part.save_pretrained(folder)
        require_verified(folder, progress=progress)
    if progress:
        print(_summary(output, built, plan, sources, assumed))
        for line in (*_adapter_lines(laid_over), *_untrained_lines(untrained, new_rows)):
            print(line)
    return output


def build_processor(
    config: VideoGlammConfig,
    tokenizer: PreTrainedTokenizerBase,
    absorbing: Sequence[str],
    clip_preprocessor_config: Mapping[str, Any] | None = None,
    *,
    image_start_end: bool = False,
) -> VideoGlammProcessor:
    """The processor of a converted model.

    Args:
        config: The model's configuration.
        tokenizer: The tokenizer, placeholders included.
        absorbing: Tokens in front of which the original drops the dummy space.
        clip_preprocessor_config: `preprocessor_config.json` of the CLIP folder, if there is one.
        image_start_end: Whether prompts put `<im_start>` and `<im_end>` around the visual tokens.

    Raises:
        CheckpointError: If CLIP wants its pixels otherwise than the processor prepares them.
    """
    _check_clip_preprocessing(clip_preprocessor_config or {}, config.spatial_config.image_size)
    return VideoGlammProcessor.for_config(
        config,
        tokenizer,
        chat_template=CHAT_TEMPLATES[config.text_config.model_type],
        image_start_end=image_start_end,
        absorbing_tokens=list(absorbing),
    )


def _check_clip_preprocessing(preprocessor: Mapping[str, Any], image_size: int) -> None:
    expected = {
        "size": (image_size, {"shortest_edge": image_size}),
        "crop_size": (image_size, {"height": image_size, "width": image_size}),
        "resample": (3,),
        "do_resize": (True,),
        "do_center_crop": (True,),
        "do_normalize": (True,),
        "image_mean": (list(CLIP_MEAN),),
        "image_std": (list(CLIP_STD),),
    }
    wrong = [
        f"{key} = {preprocessor[key]} instead of {values[-1]}"
        for key, values in expected.items()
        if key in preprocessor and preprocessor[key] not in values
    ]
    if wrong:
        raise CheckpointError(
            f"CLIP's preprocessor_config.json asks for {', '.join(wrong)}, which is not supported. Give the "
            f"CLIP that the checkpoint was trained with ({PUBLISHED_CLIP}) with --clip."
        )


def _original_config(checkpoint: Path) -> dict[str, Any]:
    if not checkpoint.is_dir():
        what = "is a file" if checkpoint.exists() else "does not exist"
        raise CheckpointError(f"{checkpoint} {what}; give the folder of the released checkpoint.")
    path = checkpoint / "config.json"
    if not path.is_file():
        find_weights(checkpoint)  # says more if there are no weights either
        raise CheckpointError(f"{checkpoint} has no config.json; give the folder of the released checkpoint.")
    original = read_json(path)
    if original.get("model_type") == "videoglamm":
        raise CheckpointError(f"{checkpoint} is already converted; load it with from_pretrained.")
    kind = original.get("model_type")
    if kind in CONFIG_MAPPING and kind not in CHAT_TEMPLATES:
        raise CheckpointError(
            f"{checkpoint} is a {kind}; the original's language models are Phi-3 and Llama. For a new model around "
            "another one, see VideoGlammConfig(text_config=...)."
        )
    return original


def _given_config(config: PathLike | Mapping[str, Any] | None) -> dict[str, Any]:
    if config is None:
        return {}
    return dict(config) if isinstance(config, Mapping) else read_json(Path(config).expanduser())


def _read_optional(folder: Path | None, name: str) -> dict[str, Any] | None:
    return read_json(folder / name) if folder is not None and (folder / name).is_file() else None


def _vocabulary(
    tokenizer: PreTrainedTokenizerBase, original: Mapping[str, Any], checkpoint: Path, sources: Sources
) -> dict[str, Any]:
    """What the tokenizer tells of the configuration; adds the placeholders to the tokenizer."""
    size, seg = len(tokenizer), tokenizer.convert_tokens_to_ids(SEG_TOKEN)
    if original.get("seg_token_idx") not in (None, seg):
        raise CheckpointError(
            f"config.json of {checkpoint} says that {SEG_TOKEN} is token {original['seg_token_idx']}, its "
            f"tokenizer says {seg}. The files are of different checkpoints."
        )
    for key in VOCABULARY_KEYS:
        stored = sources.tensors.get(key)
        rows = stored.shape[0] if stored is not None and stored.shape else 0
        if stored is not None and rows < size:
            raise CheckpointError(
                f"{key} in {stored.file} has {rows} rows for the {size} tokens of the tokenizer in "
                f"{checkpoint}. The tokenizer and the weights are of different checkpoints; or this is a language "
                f"model that never saw {SEG_TOKEN}, which --untrained-parts gives a row."
            )
    image, video = add_placeholders(tokenizer)
    return {
        "text_config.vocab_size": size,
        "seg_token_id": seg,
        "image_token_id": image,
        "video_token_id": video,
    }


def _dtype(dtype: str | torch.dtype | None, sources: Sources) -> torch.dtype:
    if dtype is None:
        stored = sources.tensors[EMBEDDINGS].dtype
        return stored if str(stored).removeprefix("torch.") in DTYPES else torch.float32
    name = str(dtype).removeprefix("torch.")
    if name not in DTYPES:
        raise CheckpointError(f"dtype {dtype!r} is none of {', '.join(DTYPES)}.")
    return getattr(torch, name)


def _generation_config(
    checkpoint: Path, original: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase
) -> GenerationConfig:
    """Greedy decoding that stops at every token that may end an answer."""
    saved = {**original, **(_read_optional(checkpoint, "generation_config.json") or {})}
    ends, added = saved.get("eos_token_id"), tokenizer.get_added_vocab()
    ends = ends if isinstance(ends, list) else [ends]
    if not all(end is None or isinstance(end, int) for end in ends):
        raise CheckpointError(f"eos_token_id of {checkpoint} is no token id or list of ids: {ends}.")
    ends = [*ends, tokenizer.eos_token_id, *(added.get(token) for token in _END_TOKENS)]
    return GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=list(dict.fromkeys(end for end in ends if end is not None)),
        pad_token_id=tokenizer.pad_token_id,
        do_sample=False,
    )


def _adapter_lines(adapters: Sequence[Adapter]) -> list[str]:
    lines = []
    for adapter in adapters:
        lines.append(
            f"  {adapter.path}: LoRA merged into {len(adapter.updates)} weights, {len(adapter.tensors)} whole tensors."
        )
        if adapter.assumed_alpha:
            lines.append(
                f"  Its files do not say alpha; {DEFAULT_ALPHA} was taken, correct with --lora-alpha if wrong."
            )
    return lines


def _untrained_lines(names: Sequence[str], rows: int) -> list[str]:
    modules = sorted({name.rpartition(".linear_")[0] for name in names})
    lines = [f"  Untrained, train before use: {', '.join(modules)}."] if modules else []
    return lines + ([f"  {rows} new row{'s' * (rows > 1)} of the embeddings: the mean of the others."] if rows else [])


def _summary(
    output: Path, config: VideoGlammConfig, plan: Assignment, sources: Sources, assumed: Sequence[str]
) -> str:
    used = {key for keys in plan.sources.values() for key in keys}
    lines = [f"{output}: {len(plan.sources)} tensors made of {len(used)}, stored as {config.dtype}."]
    rows = sources.tensors[EMBEDDINGS].shape[0] - config.text_config.vocab_size
    if rows:
        lines.append(f"  {rows} rows of the embeddings cut: no token has them.")
    for reason, count in Counter([*plan.dropped.values(), *sources.replaced.values()]).items():
        lines.append(f"  {count} tensors left out: {reason}.")
    if assumed:
        lines.append(f"  Taken from the published model, correct with --config if wrong: {', '.join(assumed)}")
    return "\n".join(lines)
