"""What frozen parts of the model see of a dataset, computed once: training reads it in place of pixels.

A folder holds `cache.json` (which model, how videos were sampled) and an [`EncodedVideo`] file per video or picture,
named by its contents and its mask frames. A file is written aside and renamed, so that an interrupted run goes on
where it stopped.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tqdm.auto import tqdm

from ..encoded_video import EncodedVideo
from ..errors import InputError, MediaError
from ..fingerprints import fingerprints
from ..frame_sampling import FrameSampling
from ..output_files import explained_writes, replacing_file
from .clips import read_training_clip
from .sample import check_sample, conversations_of, is_path, kind_of

_FORMAT = "videoglamm-feature-cache-2"
_SETTINGS = "cache.json"
# Of a file, this much at its start and at its end names it, with its size.
_PROBED = 1 << 16
# The parts of a model that a cache takes the place of.
_PARTS = ("towers", "image_encoder")


class FeatureCache:
    """Reads what [`cache_features`] wrote; for `VideoGlammDataCollator(processor, features=...)`.

    Args:
        folder: The cache.
        model: The model that is to be trained, before peft wraps it: another one's features are refused.

    Raises:
        MediaError: There is no cache, or it is damaged.
        InputError: Another model made it.
    """

    def __init__(self, folder: str | os.PathLike[str], model: Any) -> None:
        self.folder = Path(folder)
        self.settings = _read_settings(self.folder)
        if self.settings["fingerprints"] != _fingerprints(model):
            raise InputError(
                f"{self.folder} was made by another model's towers; make it again with `videoglamm cache-features`."
            )

    def read(self, sample: dict[str, Any], places: Sequence[int]) -> EncodedVideo | None:
        """The encoded video or picture of a sample; None for text only.

        Args:
            sample: As [`sample`] describes it.
            places: Which of its mask frames are wanted, by their position in `mask_frames`.

        Raises:
            InputError: The sample is not in the cache.
            MediaError: Its file is damaged.
        """
        name = file_name(sample)
        if name is None:
            return None
        path = self.folder / name
        if not path.exists():
            raise InputError(
                f"{self.folder} has no features of this sample (its video or mask_frames changed?); run "
                "`videoglamm cache-features` again, which adds what is missing."
            )
        try:
            return EncodedVideo.load(path, places=places)
        except MediaError as error:
            raise MediaError(f"{error} Or delete it, and make the cache again.") from error


@torch.no_grad()
def cache_features(
    model: Any,
    processor: Any,
    samples: Iterable[dict[str, Any]],
    folder: str | os.PathLike[str],
    *,
    frame_features: bool = False,
    sampling: FrameSampling | None = None,
    progress: bool = True,
) -> int:
    """Computes the towers' outputs of a dataset; what is there already is kept.

    Args:
        model: A [`VideoGlammForGroundedGeneration`]; its dtype is that of the cache.
        processor: Its [`VideoGlammProcessor`].
        samples: A dataset of samples, as [`sample`] describes them.
        folder: Where to write.
        frame_features: Also keep the pixel decoder's features of all mask frames: training then decodes no video at
            all, for about 8 MB per frame at the published size in bfloat16.
        sampling: As [`VideoGlammDataCollator`] takes it.
        progress: Show a progress bar, if there is a terminal.

    Returns:
        How many files were written.

    Raises:
        InputError: A sample is not one, or the folder holds a cache made otherwise.
        MediaError: A video cannot be read.
        OutputError: The folder cannot be written.
    """
    folder = Path(folder)
    sampling = sampling or processor.video_processor.sampling
    settings = {
        "format": _FORMAT,
        "fingerprints": _fingerprints(model),
        "dtype": str(model.dtype).removeprefix("torch."),
        "frame_features": frame_features,
        **asdict(sampling),
    }
    if (folder / _SETTINGS).exists() and _read_settings(folder) != settings:
        raise InputError(f"{folder} holds a cache made by another model or with other options; give another folder.")
    with explained_writes(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with replacing_file(folder / _SETTINGS) as aside:
            aside.write_text(json.dumps(settings, indent=1) + "\n")
    was_training = model.training
    model.eval()
    written = 0
    try:
        bar = tqdm(samples, desc="caching features", unit="sample", disable=None if progress else True)
        for number, sample in enumerate(bar):
            try:
                written += _cache_one(model, processor, sample, folder, frame_features, sampling)
            except InputError as error:
                raise InputError(f"Sample {number}: {error}") from error
    finally:
        model.train(was_training)
    return written


def _cache_one(
    model: Any, processor: Any, sample: dict[str, Any], folder: Path, frame_features: bool, sampling: FrameSampling
) -> bool:
    check_sample(sample)
    name = file_name(sample)
    if name is None or (folder / name).exists():
        return False
    mask_frames = list(sample.get("mask_frames") or ())
    clip = read_training_clip(
        sample, mask_frames, num_tower_frames=processor.video_processor.num_tower_frames, sampling=sampling
    )
    messages, _ = conversations_of(sample)[0]
    inputs = processor.sample_inputs([[messages]], [clip]).to(model.device)
    (encoded,) = model.encode_videos(**inputs, keep_frames=frame_features and bool(mask_frames), keep_patches=True)
    encoded = replace(encoded, visual_tokens=None)
    del encoded.fingerprints["projectors"]
    with explained_writes(folder):
        encoded.save(folder / name)
    return True


def file_name(sample: dict[str, Any]) -> str | None:
    """The name of a sample's file: a hash of its video or picture and its mask frames; None for text only.

    Files count by name, size, and their first and last 64 KiB, so a dataset may be moved.

    Raises:
        MediaError: A file cannot be read.
    """
    kind = kind_of(sample)
    if kind is None:
        return None
    digest = hashlib.sha256(kind.encode())
    for part in _parts(sample[kind]):
        digest.update(part)
    digest.update(json.dumps([int(frame) for frame in sample.get("mask_frames") or ()]).encode())
    return f"{digest.hexdigest()[:32]}.safetensors"


def _fingerprints(model: Any) -> dict[str, str]:
    found = fingerprints(model)
    return {part: found[part] for part in _PARTS}


def _parts(source: Any) -> Iterable[bytes]:
    """What tells a video or picture from others, piece by piece."""
    if is_path(source):
        path = Path(source)
        if path.is_dir():
            yield from (part for inner in sorted(path.iterdir()) for part in _parts(inner))
        elif "://" in str(source):
            yield str(source).encode()
        else:
            try:
                size = path.stat().st_size
                with path.open("rb") as file:
                    yield f"{path.name}:{size}:".encode() + file.read(_PROBED)
                    file.seek(max(0, size - _PROBED))
                    yield file.read(_PROBED)
            except OSError as error:
                raise MediaError(f"{path} cannot be read: {error.strerror or error}.") from error
    elif isinstance(source, (list, tuple)):
        for part in source:
            yield from _parts(part)
    else:
        pixels = np.asarray(source.convert("RGB") if isinstance(source, Image.Image) else source)
        yield f"{pixels.shape}{pixels.dtype}".encode()
        yield np.ascontiguousarray(pixels).tobytes()


def _read_settings(folder: Path) -> dict[str, Any]:
    try:
        settings = json.loads((folder / _SETTINGS).read_text())
        if settings["format"] != _FORMAT:
            raise ValueError(f"its format is {settings['format']!r}")
    except FileNotFoundError as error:
        raise MediaError(f"{folder} holds no cache of features; `videoglamm cache-features` makes one.") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MediaError(f"{folder / _SETTINGS} cannot be read as a cache of features: {error}") from error
    return settings
