"""What frozen parts of the model see of a dataset, computed once: training reads it in place of pixels.

A folder holds `cache.json` (which model, how videos were sampled), one safetensors file per video or picture, named
by its contents and its mask frames, and `position.safetensors`. A file is written aside and renamed, so that an
interrupted run goes on where it stopped.

Shapes: F frames of the towers, P and P' patches of a frame of the spatial and the temporal tower, T mask frames,
C channels, h side of the pixel decoder's lowest feature map.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from tqdm.auto import tqdm

from ..errors import InputError, MediaError
from ..frame_sampling import FrameSampling
from ..modeling_videoglamm import PATCHES
from ..output_files import explained_writes, replacing_file
from ..pixel_decoder import FrameFeatures
from ..tracking import encode_places
from ..video_features import lasting_fields
from .clips import read_training_clip
from .sample import check_sample, conversations_of, is_path

_FORMAT = "videoglamm-feature-cache-1"
_SETTINGS, _POSITION = "cache.json", "position.safetensors"
# Of a file, this much at its start and at its end names it, with its size.
_PROBED = 1 << 16
PATCH_NAMES = tuple(name for names in PATCHES.values() for name in names)


@dataclass
class CachedFeatures:
    """What the cache holds of one sample.

    Attributes:
        patches: Towers' outputs as `VideoGlammForGroundedGeneration.forward` takes them, without the batch
            dimension: `image_patches` `[P, C]`, or `video_patches` `[F, P, C]` and `temporal_video_patches`
            `[F, P', C']`.
        to_segment: The pixel decoder's features of the wanted mask frames; None if they were not cached, until the
            frames themselves, uint8 `[T, 3, h, w]`, take their place.
        size: `(height, width)` of the video.
        timestamps: Seconds of the wanted mask frames.
    """

    patches: dict[str, torch.Tensor]
    to_segment: FrameFeatures | torch.Tensor | None
    size: tuple[int, int]
    timestamps: list[float]


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
        if self.settings["fingerprint"] != tower_fingerprint(model):
            raise InputError(
                f"{self.folder} was made by another model's towers; make it again with `videoglamm cache-features`."
            )

    def read(self, sample: dict[str, Any], places: Sequence[int]) -> CachedFeatures | None:
        """The features of a sample; None for text only.

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
            with safe_open(path, framework="pt") as file:
                known = set(file.keys())
                patches = {name: file.get_tensor(name) for name in PATCH_NAMES if name in known}
                times = json.loads(file.metadata()["timestamps"])
                size = tuple(json.loads(file.metadata()["size"]))
                features = None
                if self.settings["frame_features"] and "embedding" in known:
                    parts = [file.get_slice(name) for name in ("embedding", "high_0", "high_1")]
                    embedding, *high = (torch.stack([part[place] for place in places]) for part in parts)
                    features = FrameFeatures(embedding, tuple(high), self._position)
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise MediaError(f"{path} cannot be read ({error}); delete it and make the cache again.") from error
        return CachedFeatures(patches, features, size, [times[place] for place in places])

    @cached_property
    def _position(self) -> torch.Tensor:
        return load_file(self.folder / _POSITION)["position"]


@torch.no_grad()
def cache_features(
    model: Any,
    processor: Any,
    samples: Iterable[dict[str, Any]],
    folder: str | os.PathLike[str],
    *,
    frame_features: bool = False,
    sampling: FrameSampling | None = None,
) -> int:
    """Computes the towers' outputs of a dataset, with a progress bar; what is there already is kept.

    Args:
        model: A [`VideoGlammForGroundedGeneration`]; its dtype is that of the cache.
        processor: Its [`VideoGlammProcessor`].
        samples: A dataset of samples, as [`sample`] describes them.
        folder: Where to write.
        frame_features: Also keep the pixel decoder's features of all mask frames: training then decodes no video at
            all, for about 8 MB per frame at the published size in bfloat16.
        sampling: As [`VideoGlammDataCollator`] takes it.

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
        "fingerprint": tower_fingerprint(model),
        "dtype": str(model.dtype).removeprefix("torch."),
        "frame_features": frame_features,
        **asdict(sampling),
    }
    if (folder / _SETTINGS).exists() and _read_settings(folder) != settings:
        raise InputError(f"{folder} holds a cache made by another model or with other options; give another folder.")
    with explained_writes(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _write_aside(folder / _SETTINGS, lambda path: path.write_text(json.dumps(settings, indent=1) + "\n"))
    was_training = model.training
    model.eval()
    written = 0
    try:
        for number, sample in enumerate(tqdm(samples, desc="caching features", unit="sample")):
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
    streams = processor.sample_inputs([[messages]], [clip]).to(model.device, model.dtype)
    names = ("pixel_values", "pixel_values_videos", "temporal_pixel_values_videos")
    tensors = {
        name: patches[0] for name, patches in model.model.encode_towers(*(streams.get(name) for name in names)).items()
    }
    if frame_features and mask_frames:
        decoder = model.pixel_decoder
        places = [(0, t) for t in range(len(mask_frames))]
        features = encode_places(decoder, [streams["grounding_frames"][0]], places, model.config.grounding_batch_size)
        tensors["embedding"] = features.embedding
        tensors["high_0"], tensors["high_1"] = features.high_resolution
        if not (folder / _POSITION).exists():
            position = {"position": features.position.contiguous().cpu()}
            with explained_writes(folder):
                _write_aside(folder / _POSITION, lambda path: save_file(position, path))
    tensors = {name: tensor.contiguous().cpu() for name, tensor in tensors.items()}
    metadata = {"timestamps": json.dumps(list(clip.seconds)), "size": json.dumps(list(clip.size))}
    with explained_writes(folder):
        _write_aside(folder / name, lambda path: save_file(tensors, path, metadata=metadata))
    return True


def file_name(sample: dict[str, Any]) -> str | None:
    """The name of a sample's file: a hash of its video or picture and its mask frames; None for text only.

    Files count by name, size, and their first and last 64 KiB, so a dataset may be moved.

    Raises:
        MediaError: A file cannot be read.
    """
    kind = next((kind for kind in ("video", "image") if sample.get(kind) is not None), None)
    if kind is None:
        return None
    digest = hashlib.sha256(kind.encode())
    for part in _parts(sample[kind]):
        digest.update(part)
    digest.update(json.dumps([int(frame) for frame in sample.get("mask_frames") or ()]).encode())
    return f"{digest.hexdigest()[:32]}.safetensors"


def tower_fingerprint(model: Any) -> str:
    """A name for what the frozen parts compute: their configs and a few weights of each."""
    config, inner = model.config, model.model
    parts = {name: getattr(config, name).to_diff_dict() for name in ("spatial_config", "temporal_config")}
    parts["vision_config"] = config.grounding_config.vision_config.to_diff_dict()
    parts |= {
        name: getattr(config, name) for name in ("num_tower_frames", "spatial_feature_layer", "temporal_feature_layer")
    }
    digest = hashlib.sha256(json.dumps(lasting_fields(parts), sort_keys=True, default=str).encode())
    for module in (inner.spatial_tower, inner.temporal_tower, model.pixel_decoder.vision_encoder):
        parameters = list(module.parameters())
        for parameter in (parameters[0], parameters[len(parameters) // 2], parameters[-1]):
            # Rounded, so that a model loaded in another precision knows its features again.
            probe = parameter.detach().flatten()[:64].to("cpu", torch.bfloat16)
            digest.update(probe.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


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


def _write_aside(path: Path, write: Any) -> None:
    try:
        with replacing_file(path) as aside:
            write(aside)
    except SafetensorError as error:
        raise OSError(str(error)) from error
