"""The data sets that sentences are written for, each as videos with objects; the layouts are those of the readers."""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from ..data.anet_entities import AnetEntitiesDataset
from ..data.hc_stvg import HcStvgDataset
from ..data.mevis import MevisDataset
from ..data.ref_youtube_vos import RefYoutubeVosDataset
from ..data.referring import split_folder
from ..data.rle import is_whole
from ..data.vidstg import VidStgDataset
from ..errors import InputError
from ..exchange import ytvos
from ..exchange.annotated_video import AnnotatedVideo
from ..exchange.reading import Reading
from ..exchange.samples import data_file, read_samples, unique_name
from . import burst
from .gathered import GatheredObject, GatheredVideo, checked

# A video's name, and what reads it when it is wanted.
Found = tuple[str, Callable[[], GatheredVideo]]


def videos_of(source: str, data: str | os.PathLike[str], split: str | None = None) -> Iterator[Found]:
    """The videos of a data set, in its order, under names that are all different.

    Args:
        source: One of `choices.SOURCES`.
        data: Its folder, laid out as docs/make_data.md says.
        split: Which part of it; by default the one for training.

    Raises:
        InputError, MediaError: Annotations or videos are missing or malformed; the message names the record.
    """
    if source not in _READERS:
        raise InputError(f"source must be one of {', '.join(_READERS)}, not {source!r:.40}")
    taken: set[str] = set()
    for name, read in _READERS[source](Path(data), split):
        yield unique_name(name, taken), read


def _mevis(data: Path, split: str | None) -> Iterator[Found]:
    dataset = MevisDataset(split_folder(data, split or "train"))
    yield from _referring(dataset, lambda index, key: dataset.object_track(index, key))


def _ref_youtube_vos(data: Path, split: str | None) -> Iterator[Found]:
    dataset = RefYoutubeVosDataset(data, split or "train")
    yield from _referring(dataset, lambda index, key: dataset.track(index))


def _referring(dataset: Any, track: Callable[[int, Any], list[Any]]) -> Iterator[Found]:
    """Expressions about one video together: its objects are all that any of them names."""
    for video, places in _grouped(expression.video for expression in dataset.expressions):

        def read(video: str = video, places: list[int] = places) -> GatheredVideo:
            media = dataset[places[0]]["video"]
            firsts = {key: index for index in reversed(places) for key in dataset.named_objects(index)}
            keys = sorted(firsts, key=lambda key: (firsts[key], str(key)))
            objects = [GatheredObject("object", masks=track(firsts[key], key)) for key in keys]
            said = [
                (sorted(keys.index(key) for key in dataset.named_objects(index)), dataset.expressions[index].text)
                for index in places
                if dataset.named_objects(index)
            ]
            return checked(GatheredVideo(video, media, list(range(len(media))), objects, said))

        yield video, read


def _vidstg(data: Path, split: str | None) -> Iterator[Found]:
    root = split_folder(data)
    dataset = VidStgDataset(root / f"{split or 'train'}_annotations.json", root / "vidor", root / "videos")
    for _, places in _grouped(id(expression.about) for expression in dataset.expressions):
        about = dataset.expressions[places[0]].about

        def read(places: list[int] = places, about: dict[str, Any] = about) -> GatheredVideo:
            targets = dict.fromkeys(dataset.expressions[index].entry["target_id"] for index in places)
            relation = about.get("used_relation")
            if isinstance(relation, dict):
                both = (relation.get("subject_tid"), relation.get("object_tid"))
                targets |= dict.fromkeys(target for target in both if is_whole(target))
            named_ones = about.get("subject/objects")
            labels = {
                one["tid"]: one.get("category")
                for one in (named_ones if isinstance(named_ones, list) else ())
                if isinstance(one, dict) and is_whole(one.get("tid"))
            }
            tubes = [dataset.object_boxes(places[0], target) for target in targets]
            named = [str(labels.get(target) or "object") for target in targets]
            order = list(targets)
            said = [
                ([order.index(dataset.expressions[index].entry["target_id"])], dataset.expressions[index].text)
                for index in places
            ]
            return _of_tubes(dataset, places[0], list(zip(named, tubes, strict=True)), said)

        yield f"{about['vid']}-{dataset.expressions[places[0]].number}", read


def _hc_stvg(data: Path, split: str | None) -> Iterator[Found]:
    root = split_folder(data)
    dataset = HcStvgDataset(root / f"{split or 'train_v2'}.json", root / "videos")
    for index, expression in enumerate(dataset.expressions):

        def read(index: int = index, text: str = expression.text) -> GatheredVideo:
            return _of_tubes(dataset, index, [("person", dataset.truth(index)["boxes"])], [([0], text)])

        yield expression.video, read


def _of_tubes(dataset: Any, index: int, objects: list[tuple[str, list[Any]]], said: list[Any]) -> GatheredVideo:
    """A video of the frames in which anything has a box."""
    sample, truth = dataset[index], dataset.truth(index)
    places = [i for i in range(len(sample["mask_frames"])) if any(tube[i] is not None for _, tube in objects)]
    own = [
        GatheredObject(label, boxes=[[] if tube[i] is None else [tube[i]] for i in places]) for label, tube in objects
    ]
    frames = [sample["mask_frames"][i] for i in places]
    return checked(GatheredVideo(sample["id"], sample["video"], frames, own, said), truth["size"])


def _anet_entities(data: Path, split: str | None) -> Iterator[Found]:
    root = split_folder(data)
    dataset = AnetEntitiesDataset(
        root / "anet_entities_cleaned_class_thresh50_trainval.json",
        root / "frames",
        split_ids=root / "split_ids_anet_entities.json",
        split=split or "training",
    )
    for index, name in enumerate(dataset.names):

        def read(index: int = index) -> GatheredVideo:
            sample = dataset[index]
            objects: list[GatheredObject] = []
            for phrase, boxes in zip(sample["phrases"], sample["boxes"], strict=True):
                # Words of the same boxes, such as "man" and "he", are one object.
                if not any(own.boxes == boxes for own in objects):
                    objects.append(GatheredObject(phrase, boxes=boxes))
            text = sample["messages"][1]["content"][0]["text"]
            said = [([], text)]
            return checked(GatheredVideo(sample["id"], sample["video"], sample["mask_frames"], objects, said))

        yield name, read


def _youtube_vis(data: Path, split: str | None) -> Iterator[Found]:
    if split is not None:
        raise InputError("youtube-vis has no split; give the file of annotations, or its folder, as --data")
    if not data.exists():
        raise InputError(f"{data}: no such file or folder; check the path")
    yield from _annotated(ytvos.read(data, Reading()))


def _burst(data: Path, split: str | None) -> Iterator[Found]:
    root = split_folder(data)
    yield from burst.read(root / f"{split or 'train'}.json", root / "frames")


def _jsonl(data: Path, split: str | None) -> Iterator[Found]:
    yield from _annotated(read_samples(data / f"{split}.jsonl" if split else data_file(data)))


def _annotated(videos: Iterable[AnnotatedVideo]) -> Iterator[Found]:
    for video in videos:

        def read(video: AnnotatedVideo = video) -> GatheredVideo:
            seen = [own for own in video.objects if own.masks]
            objects = [
                GatheredObject(own.label, masks=[own.masks.get(frame) for frame in video.frames]) for own in seen
            ]
            said = [([i], own.phrase) for i, own in enumerate(seen) if own.phrase and own.phrase != own.label]
            media = video.media
            paths = str(media.file) if media.file else [str(path) for path in media.pictures or ()]
            return checked(GatheredVideo(video.name, paths, list(video.frames), objects, said))

        yield video.name, read


def _grouped(keys: Iterable[Any]) -> list[tuple[Any, list[int]]]:
    """Positions of equal keys together, in the order of the first of each."""
    found: dict[Any, list[int]] = {}
    for place, key in enumerate(keys):
        found.setdefault(key, []).append(place)
    return list(found.items())


_READERS: dict[str, Callable[[Path, str | None], Iterator[Found]]] = {
    "mevis": _mevis,
    "ref-youtube-vos": _ref_youtube_vos,
    "vidstg": _vidstg,
    "hc-stvg": _hc_stvg,
    "anet-entities": _anet_entities,
    "youtube-vis": _youtube_vis,
    "burst": _burst,
    "jsonl": _jsonl,
}
