"""What of a folder goes to the Hub, and what stays: an allow list, never everything but something.

Design: weights are safetensors only; JSON files lose the paths they were loaded from; code and model card are added
if the folder has none; everything else is left out, with the reason.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from ..configuration_videoglamm import AUTO_MAP
from ..conversion.checkpoint_reader import read_json
from ..errors import CheckpointError, InputError
from .json_files import check_text, check_tokens, check_values, is_local_path, published_json
from .model_card import card_of_adapter, card_of_model, kept_card
from .travelling_code import code_of

_JSON_FILES = (
    "config.json",
    "generation_config.json",
    "processor_config.json",
    "preprocessor_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
# Taken as they are.
_OTHER_FILES = (
    "chat_template.jinja",
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
    "metrics.json",
    "calibration.json",
    "LICENSE",
    "LICENSE.txt",
    "LICENSE.md",
    "NOTICE",
    "CITATION.cff",
)
# Words of a language; any of them may look like a path.
_VOCABULARIES = ("tokenizer.json", "vocab.json", "merges.txt", "tokenizer.model")
# In the listing of an adapter whose base model is not known yet.
_UNKNOWN_BASE = "NOT-NAMED/YET"
_CARDS = ("README.md", "MODEL_CARD.md")
_PROCESSOR_MAP = {"AutoProcessor": AUTO_MAP["AutoProcessor"]}
_WEIGHTS = re.compile(r"model(?:\.(?P<variant>\w+))?(?:-\d+-of-\d+)?\.safetensors")
_INDEX = re.compile(r"model\.safetensors\.index(?:\.(?P<variant>\w+))?\.json")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
_TRAINING_STATE = re.compile(r"(optimizer|scheduler|scaler|rng_state.*|trainer_state|training_args)\.\w+")


@dataclass(frozen=True)
class PlannedFile:
    """One file of a push.

    Attributes:
        path: Where it goes in the repository.
        content: The file that is read, or its content.
        note: Where it comes from, if it is not the folder's own file.
    """

    path: str
    content: Path | bytes
    note: str = ""

    @property
    def size(self) -> int:
        """Bytes."""
        return self.content.stat().st_size if isinstance(self.content, Path) else len(self.content)


@dataclass(frozen=True)
class PushPlan:
    """What a push uploads.

    Attributes:
        files: Sorted by path.
        left_out: Names in the folder that stay, each with the reason.
        base_model: Hub id of the model that an adapter belongs to; None for a whole model.
        variant: Name of the variant whose weights these are; None for everything.
        problem: What is missing before this can be pushed; None if nothing is.
    """

    files: list[PlannedFile]
    left_out: list[tuple[str, str]]
    base_model: str | None = None
    variant: str | None = None
    problem: str | None = None

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    def replaces(self, existing: Iterable[str]) -> list[str]:
        """Weights and indices among the repository's files that these make obsolete: same variant, other shards."""
        new = {file.path for file in self.files}
        variants = {_variant_of(path) for path in new} - {False}
        return sorted(path for path in existing if path not in new and _variant_of(path) in variants)


def plan_push(
    folder: Path,
    repo: str,
    *,
    variant: str | None = None,
    base_model: str | None = None,
    license: str | None = None,
) -> PushPlan:
    """Decides what is uploaded. Reads the folder, writes nothing, asks nobody.

    Args:
        folder: What `save_pretrained` or `videoglamm convert` wrote: a whole model, or a LoRA adapter.
        repo: Hub id of the repository, for the model card.
        variant: Take only the weights that were saved with `save_pretrained(..., variant=...)`, to join a model that
            is on the Hub: its own config, which names a precision, stays. By default everything is taken.
        base_model: Hub id of the model that an adapter belongs to, in place of what the adapter says.
        license: Licence id for a model card that names none; `apache-2.0` by default, as the original's.

    Raises:
        CheckpointError: If the folder holds no complete model in safetensors, or something that must not be published.
        InputError: If `base_model` does not fit.
    """
    if not folder.is_dir():
        raise CheckpointError(f"{folder} is no folder; give the folder that save_pretrained wrote.")
    try:
        return _plan(folder, repo, variant, base_model, license)
    except OSError as error:
        raise CheckpointError(f"{folder} cannot be read: {error}") from error


def _plan(folder: Path, repo: str, variant: str | None, base_model: str | None, license: str | None) -> PushPlan:
    if (folder / "config.json").is_file():
        if base_model is not None:
            raise InputError(f"{folder} holds a whole model; only an adapter has a base model.")
        base, problem, weights, rest = None, None, list(_weights(folder, variant)), list(_model_files(folder))
    elif (folder / "adapter_config.json").is_file():
        if variant is not None:
            raise InputError("An adapter has no variants.")
        base, problem = _base_of(folder, base_model)
        base = base or _UNKNOWN_BASE
        weights, rest = [_adapter_weights(folder)], list(_adapter_files(folder, base))
    else:
        raise CheckpointError(f"{folder} holds no model: neither config.json nor adapter_config.json is there.")
    files = weights if variant is not None else [*weights, *rest, *_code(folder), _card(folder, repo, base, license)]
    own_paths = {Path.home(), folder.absolute(), folder.resolve()}
    for file in files:
        if file.path in _VOCABULARIES:
            check_tokens(file.path, _text(file))
        elif not file.path.endswith(".safetensors"):
            check_text(file.path, _text(file), own_paths)
    taken = {file.path.split("/")[0] for file in files}
    left_out = [(p.name, _reason(p, variant)) for p in sorted(folder.iterdir()) if p.name not in taken]
    return PushPlan(sorted(files, key=lambda file: file.path), left_out, base, variant, problem)


def _variant_of(name: str) -> str | bool | None:
    """Variant of a file of weights or their index, None for the one without a name; False for any other file."""
    match = _WEIGHTS.fullmatch(name) or _INDEX.fullmatch(name)
    return match["variant"] if match else False


def _model_files(folder: Path) -> Iterator[PlannedFile]:
    """Everything of a whole model but weights, code and card."""
    model_type = read_json(folder / "config.json").get("model_type")
    if model_type != "videoglamm":
        raise CheckpointError(
            f"{folder}/config.json describes a model of type {model_type!r}, not 'videoglamm'. Checkpoints of the "
            "original code are converted with `videoglamm convert`."
        )
    if not (folder / "processor_config.json").is_file():
        raise CheckpointError(
            f"{folder} has no processor, so nobody could ask the model; `processor.save_pretrained({str(folder)!r})`."
        )
    yield from _plain_files(folder, {"config.json": AUTO_MAP})


def _plain_files(folder: Path, auto_maps: dict[str, dict[str, str]]) -> Iterator[PlannedFile]:
    auto_maps = {**auto_maps, "processor_config.json": _PROCESSOR_MAP, "tokenizer_config.json": _PROCESSOR_MAP}
    for name in _JSON_FILES:
        if (folder / name).is_file():
            changes = {"auto_map": auto_maps[name]} if name in auto_maps else {}
            yield _json_file(folder / name, **changes)
    for name in _OTHER_FILES:
        if (folder / name).is_file():
            yield PlannedFile(name, folder / name)
    for path in folder.glob("chat_templates/*.jinja"):
        yield PlannedFile(f"chat_templates/{path.name}", path)


def _code(folder: Path) -> Iterator[PlannedFile]:
    """The modules that travel; an adapter without a processor needs none of its own."""
    if (folder / "processor_config.json").is_file():
        for file in code_of(folder):
            yield PlannedFile(file.name, file, "" if file.parent == folder else "of the package")


def _json_file(path: Path, **changes: Any) -> PlannedFile:
    content = published_json(path, **changes)
    unchanged = content == path.read_bytes()
    return PlannedFile(path.name, path if unchanged else content, "" if unchanged else "adapted to the Hub")


def _weights(folder: Path, variant: str | None) -> Iterator[PlannedFile]:
    """The weights of every variant, or of one: a single file, or an index and the shards it names."""
    variants = {_variant_of(path.name) for path in folder.iterdir()} - {False}
    if not variants:
        pickles = ", ".join(sorted(path.name for path in folder.iterdir() if path.suffix in _PICKLES))
        what = f"{pickles} may be pickles, which are not published" if pickles else "there are none"
        raise CheckpointError(f"{folder} has no weights in safetensors: {what}. Write them with save_pretrained.")
    if variant is not None and variant not in variants:
        named = ", ".join(sorted(name or "one without a name" for name in variants))
        raise CheckpointError(
            f"{folder} has no weights of variant {variant!r}, only {named}; "
            f"write them with `model.save_pretrained(..., variant={variant!r})`."
        )
    for name in variants if variant is None else {variant}:
        dot = f".{name}" if name else ""
        single = folder / f"model{dot}.safetensors"
        if single.exists():
            yield _checked_weights(single)
            continue
        index = folder / f"model.safetensors.index{dot}.json"
        if not index.exists():
            raise CheckpointError(f"{folder} has shards of its weights but no {index.name}; save the model again.")
        weight_map = read_json(index).get("weight_map")
        if not isinstance(weight_map, dict) or not all(_WEIGHTS.fullmatch(str(f)) for f in weight_map.values()):
            raise CheckpointError(f"{index} is no index of safetensors files; save the model again.")
        yield _json_file(index)
        yield from (_checked_weights(folder / shard) for shard in sorted(set(weight_map.values())))


def _checked_weights(path: Path) -> PlannedFile:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} is missing or damaged ({error}); save the model again.") from error
    name = f"The metadata of {path.name}"
    check_values(name, metadata)
    check_text(name, json.dumps(metadata, ensure_ascii=False))
    return PlannedFile(path.name, path)


def _base_of(folder: Path, given: str | None) -> tuple[str | None, str | None]:
    """Hub id of the model that an adapter belongs to; or None, and why there is none."""
    named = given or read_json(folder / "adapter_config.json").get("base_model_name_or_path")
    ask = "Give the Hub id of the model that it was trained on with --base-model."
    if not named:
        return None, f"{folder}/adapter_config.json names no base model. {ask}"
    if not isinstance(named, str) or is_local_path(named) or Path(named).exists():
        return None, f"The adapter's base model is the local path {named!r}, which nobody else has. {ask}"
    return named, None


def _adapter_weights(folder: Path) -> PlannedFile:
    weights = folder / "adapter_model.safetensors"
    if not weights.exists():
        raise CheckpointError(f"{folder} has an adapter_config.json but no {weights.name}; save the adapter again.")
    return _checked_weights(weights)


def _adapter_files(folder: Path, base: str) -> Iterator[PlannedFile]:
    """Everything of an adapter but weights, code and card."""
    yield _json_file(folder / "adapter_config.json", base_model_name_or_path=base)
    yield from _plain_files(folder, {})


def _card(folder: Path, repo: str, base: str | None, license: str | None) -> PlannedFile:
    for name in _CARDS:
        text = kept_card(folder / name, base, license)
        if text is not None:
            return PlannedFile("README.md", text.encode(), f"{name} of the folder, metadata completed")
    text = card_of_model(folder, repo, license) if base is None else card_of_adapter(folder, repo, base, license)
    return PlannedFile("README.md", text.encode(), "made of the model's facts")


def _text(file: PlannedFile) -> str:
    content = file.content.read_bytes() if isinstance(file.content, Path) else file.content
    return content.decode("utf-8", errors="replace")


def _reason(path: Path, variant: str | None) -> str:
    """Why a file or folder stays."""
    if path.name.startswith("."):
        return "hidden"
    if path.is_dir():
        return "a checkpoint of a Trainer" if path.name.startswith("checkpoint-") else "a folder"
    if _TRAINING_STATE.fullmatch(path.name):
        return "state of a training"
    if path.suffix in _PICKLES:
        return "may be a pickle; only safetensors are published"
    if variant is not None:
        return f"not of the variant {variant}"
    if path.name in _CARDS:
        return "another card is taken"
    return "not the weights that would be loaded" if path.suffix == ".safetensors" else "not part of a model"
