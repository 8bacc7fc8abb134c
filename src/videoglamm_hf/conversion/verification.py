"""Is a model folder whole? Checks from the outside in; weights are read one tensor at a time."""

import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm
from transformers import AutoModel, AutoProcessor, GenerationConfig, LogitsProcessor

from ..configuration_videoglamm import VideoGlammConfig
from ..errors import CheckpointError, VideoGlammError
from ..messages import IMAGE_TOKEN, SEG_TOKEN, VIDEO_TOKEN
from ..modeling_videoglamm import VideoGlammForGroundedGeneration
from .checkpoint_reader import StoredTensor, TensorReader, all_finite, find_weights, read_json

_FRAME_SIDE = 64
_LM_HEAD = "lm_head.weight"


@dataclass(frozen=True)
class Check:
    """What became of one check.

    Attributes:
        name: What was checked.
        passed: True, False, or None if an earlier failure left nothing to check.
        found: What was seen, in one line.
    """

    name: str
    passed: bool | None
    found: str

    def __str__(self) -> str:
        return f"{({True: 'ok', False: 'FAILED', None: 'skipped'})[self.passed]:<8} {self.name:<10} {self.found}"


def verify_folder(folder: Path, *, generate: bool = True, progress: bool = True) -> Iterator[Check]:
    """Checks a folder of a VideoGLaMM in transformers' layout.

    Args:
        folder: The folder.
        generate: Also load the model and let it answer about one frame, which takes the memory of the model. All
            other checks hold one tensor at a time.
        progress: Show a bar while values are read.

    Yields:
        One [`Check`] each of config, files, shapes, values, processor, tokens and, if wanted, generate.
    """
    known: dict[str, Any] = {}
    steps: list[tuple[str, Callable[[], str], tuple[str, ...]]] = [
        ("config", lambda: _config(folder, known), ()),
        ("files", lambda: _files(folder, known), ()),
        ("shapes", lambda: _shapes(known), ("config", "files")),
        ("values", lambda: _values(known, progress), ("files",)),
        ("processor", lambda: _processor(folder, known), ("config",)),
        ("tokens", lambda: _tokens(folder, known), ("config", "processor")),
    ]
    if generate:
        needed = ("config", "files", "shapes", "values", "processor", "tokens")
        steps.append(("generate", lambda: _generate(folder, known), needed))
    passed = set()
    for name, step, needs in steps:
        lacking = [need for need in needs if need not in passed]
        if lacking:
            yield Check(name, None, f"needs {', '.join(lacking)}")
            continue
        try:
            found = step()
        except (VideoGlammError, OSError, ValueError, KeyError, RuntimeError, MemoryError) as error:
            yield Check(name, False, (str(error) or type(error).__name__).splitlines()[0])
        else:
            passed.add(name)
            yield Check(name, True, found)


def require_verified(folder: Path, *, generate: bool = False, progress: bool = True) -> None:
    """Raises CheckpointError with everything that [`verify_folder`] finds wrong."""
    failed = [
        f"{check.name}: {check.found}"
        for check in verify_folder(folder, generate=generate, progress=progress)
        if check.passed is False
    ]
    if failed:
        raise CheckpointError(f"What was written does not hold together ({'; '.join(failed)}). Is the disk sound?")


def target_shapes(config: VideoGlammConfig) -> dict[str, tuple[int, ...]]:
    """Name and shape of everything in the state dict of the model of `config`; nothing is allocated.

    Raises:
        CheckpointError: If no such model can be built.
    """
    try:
        with torch.device("meta"):
            model = VideoGlammForGroundedGeneration(config)
    except Exception as error:
        raise CheckpointError(f"No model can be built with this configuration ({error!r}).") from error
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def _config(folder: Path, known: dict[str, Any]) -> str:
    settings = read_json(folder / "config.json")
    if settings.get("model_type") != "videoglamm":
        raise CheckpointError(
            f"config.json is of type {settings.get('model_type')!r}, not 'videoglamm'. Checkpoints of the original "
            "code are converted with `videoglamm convert`."
        )
    config = VideoGlammConfig.from_pretrained(folder)
    known["config"], known["targets"] = config, target_shapes(config)
    return f"a model of {sum(torch.Size(s).numel() for s in known['targets'].values()) / 1e6:,.1f} million numbers"


def _files(folder: Path, known: dict[str, Any]) -> str:
    stored = find_weights(folder)
    index = folder / "model.safetensors.index.json"
    if index.exists():
        weight_map = read_json(index)["weight_map"]
        unlisted = [key for key in stored if key not in weight_map]
        elsewhere = [key for key in weight_map if key in stored and stored[key].file.name != weight_map[key]]
        if unlisted or elsewhere:
            raise CheckpointError(
                f"{index.name} and the files disagree about {len(unlisted) + len(elsewhere)} tensors: "
                f"{', '.join([*unlisted, *elsewhere][:4])}. Download the folder again."
            )
    known["stored"] = stored
    files = {tensor.file for tensor in stored.values()}
    return f"{len(stored)} tensors in {len(files)} file{'s' * (len(files) > 1)}"


def _shapes(known: dict[str, Any]) -> str:
    stored: dict[str, StoredTensor] = known["stored"]
    targets: dict[str, tuple[int, ...]] = known["targets"]
    missing = set(targets) - set(stored) - ({_LM_HEAD} if known["config"].tie_word_embeddings else set())
    wrong = sorted(name for name in targets if name in stored and stored[name].shape != targets[name])
    unknown = sorted(set(stored) - set(targets))
    for what, names in (("missing", sorted(missing)), ("of another shape", wrong), ("unknown", unknown)):
        if names:
            raise CheckpointError(
                f"{len(names)} tensors are {what}: {', '.join(names[:4])}. config.json and the weights are of "
                "different models."
            )
    return "as config.json has them"


def _values(known: dict[str, Any], progress: bool) -> str:
    reader = TensorReader()
    bar = tqdm(
        known["stored"].items(), desc="Verifying", unit="tensor", disable=None if progress else True, leave=False
    )
    for name, stored in bar:
        if not all_finite(reader.read(stored)):
            raise CheckpointError(f"{name} in {stored.file.name} holds NaN or infinite values.")
    return "all finite"


def _processor(folder: Path, known: dict[str, Any]) -> str:
    processor, config = AutoProcessor.from_pretrained(folder), known["config"]
    images, videos = processor.image_processor, processor.video_processor
    spatial, grounding = config.spatial_config.image_size, config.grounding_config.image_size
    wanted = (
        (processor, "image_seq_length", config.image_seq_length),
        (processor, "video_seq_length", config.video_seq_length),
        (images, "spatial_image_size", spatial),
        (images, "grounding_image_size", grounding),
        (videos, "num_tower_frames", config.num_tower_frames),
        (videos, "spatial_image_size", spatial),
        (videos, "temporal_image_size", config.temporal_config.image_size),
        (videos, "grounding_image_size", grounding),
    )
    wrong = [
        f"{name} = {getattr(part, name, None)}, not {value}"
        for part, name, value in wanted
        if getattr(part, name, None) != value
    ]
    if wrong:
        raise CheckpointError(f"processor_config.json does not fit config.json: {'; '.join(wrong)}.")
    known["processor"] = processor
    return f"{config.num_tower_frames} tower frames, {config.video_seq_length} visual tokens of a video"


def _tokens(folder: Path, known: dict[str, Any]) -> str:
    tokenizer, config = known["processor"].tokenizer, known["config"]
    rows = config.text_config.vocab_size
    ids = {
        SEG_TOKEN: config.seg_token_id,
        IMAGE_TOKEN: config.image_token_id,
        VIDEO_TOKEN: config.video_token_id,
    }
    wrong = [
        f"{t} is {tokenizer.convert_tokens_to_ids(t)}, not {i}"
        for t, i in ids.items()
        if tokenizer.convert_tokens_to_ids(t) != i
    ]
    if wrong:
        raise CheckpointError(f"The tokenizer and config.json disagree: {'; '.join(wrong)}.")
    if not config.seg_token_id < rows <= min(config.image_token_id, config.video_token_id):
        raise CheckpointError(
            f"{SEG_TOKEN} ({config.seg_token_id}) must be, and the placeholders must not be, among the {rows} rows of "
            "the embeddings."
        )
    ends = GenerationConfig.from_pretrained(folder).eos_token_id
    ends = ends if isinstance(ends, list) else [ends]
    if not all(isinstance(end, int) and 0 <= end < rows for end in ends):
        raise CheckpointError(f"generation_config.json ends answers at {ends}, which are not all tokens of the model.")
    return f"{SEG_TOKEN} is {config.seg_token_id}, placeholders from {config.image_token_id}, answers end at {ends}"


class _Force(LogitsProcessor):
    """Makes a token the only one possible."""

    def __init__(self, token: int) -> None:
        self.token = token

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        forced = torch.full_like(scores, torch.finfo(scores.dtype).min)
        forced[:, self.token] = 0
        return forced


def _generate(folder: Path, known: dict[str, Any]) -> str:
    processor, config = known["processor"], known["config"]
    try:
        model = AutoModel.from_pretrained(folder, dtype="auto").eval()
        if torch.accelerator.is_available():
            model = model.to(torch.accelerator.current_accelerator())
        frame = np.full((1, _FRAME_SIDE, _FRAME_SIDE, 3), 127, np.uint8)
        content = [{"type": "video", "video": frame}, {"type": "text", "text": "What is this?"}]
        inputs = processor.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=True, add_generation_prompt=True
        ).to(model.device)
        output = model.generate(**inputs, max_new_tokens=1, logits_processor=[_Force(config.seg_token_id)])
        masks = processor.post_process_grounded_generation(output)[0].masks
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise CheckpointError(
            "Not enough memory to load the model; leave this check out with --no-generate."
        ) from error
    finally:
        model = output = None  # the caller may go on with little memory
        gc.collect()
    if tuple(masks.shape) != (1, 1, _FRAME_SIDE, _FRAME_SIDE):
        raise CheckpointError(f"One {SEG_TOKEN} about one frame gave masks of shape {tuple(masks.shape)}.")
    return "one frame, one [SEG], one mask"
