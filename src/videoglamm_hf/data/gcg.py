"""Grounded conversation generation: captions whose words name masks."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from ..errors import InputError
from ..messages import SEG_TOKEN
from .annotations import checked_index, existing_frames, inner_name, load_json, member, typed
from .masks import united
from .referring import pick

QUESTIONS = (
    "Can you describe this video in detail, with a mask for every object you name?",
    "Please describe what happens in this video and segment the objects you mention.",
    "What can be seen in this video? Answer with masks for the parts you name.",
    "Give a detailed description of this video, with segmentation masks for its objects.",
)


class GcgDataset(Dataset[dict[str, Any]]):
    """Videos with grounded captions, in the layout of VideoGLaMM's own annotations (their BURST and YTVIS part):

        {
            "videos": [
                {
                    "file_names": ["<video>/00000.jpg", ...], "width": 854, "height": 480, "length": 30,
                    "dense_cap": {"caption": "a man rides a horse", "token_pos": [1, 4], "mask_id": [7, 9]},
                    "metadata": {"dataset": "yt19"},
                }, ...
            ],
            "annotations": [{"id": 7, "segmentations": [COCO RLE or null per frame]}, ...],
        }

    A sample per video (see [`sample`]). The caption is split at single spaces; its word i with i in `token_pos`
    becomes `<p> word </p> [SEG]`. The n-th of `mask_id` belongs to the n-th of `token_pos`; several masks of one word
    are united. `video` is the list of the first `length` frames' paths.

    Source: the facts of VideoGLaMM's published loader (github.com/mbzuai-oryx/VideoGLaMM). The questions are ours.

    Args:
        annotations: the JSON file.
        frames: folder that `file_names` start from; or one for each source of videos, by the name that
            `metadata.dataset` or `dataset_split` of a video gives.
        seed: picks the wording of the questions.

    Raises:
        InputError: the file is missing or inconsistent; the message names file and field. A bad mask is found when
            its sample is asked for.
        MediaError: (when a sample is asked for) a frame is missing.
    """

    def __init__(
        self,
        annotations: str | os.PathLike[str],
        frames: str | os.PathLike[str] | Mapping[str, str | os.PathLike[str]],
        *,
        seed: int = 0,
    ) -> None:
        self.path = Path(annotations)
        self.frames = frames
        self.seed = seed
        content = load_json(self.path)
        self._places: dict[Any, int] = {}
        self._annotations = member(content, "annotations", list, f"{self.path}: ")
        for i, annotation in enumerate(self._annotations):
            where = f"{self.path}: annotations[{i}]"
            member(typed(annotation, dict, where), "segmentations", list, f"{where}.")
            self._places[member(annotation, "id", int, f"{where}.")] = i
        self._videos = member(content, "videos", list, f"{self.path}: ")
        self._words = [self._checked_words(video, f"{self.path}: videos[{i}]") for i, video in enumerate(self._videos)]

    def __len__(self) -> int:
        return len(self._videos)

    @property
    def names(self) -> list[str]:
        """The `"id"` of every sample."""
        return [str(video.get("id", index)) for index, video in enumerate(self._videos)]

    def __getitem__(self, index: int) -> dict[str, Any]:
        index = checked_index(index, len(self))
        video = self._videos[index]
        names = video["file_names"][: video["length"]]
        frames = existing_frames(self._folder(video, f"{self.path}: videos[{index}]"), names)
        return {**self.truth(index), "video": frames}

    def truth(self, index: int) -> dict[str, Any]:
        """A sample without its video, which is not looked at.

        Raises:
            InputError: a mask is malformed; the message names it.
        """
        index = checked_index(index, len(self))
        video, words = self._videos[index], self._words[index]
        caption = [
            f"<p> {word} </p> {SEG_TOKEN}" if i in words else word
            for i, word in enumerate(_words_of(video["dense_cap"]))
        ]
        question = pick(QUESTIONS, self.seed, index)
        return {
            "id": self.names[index],
            "messages": [
                {"role": "user", "content": [{"type": "video"}, {"type": "text", "text": question}]},
                {"role": "assistant", "content": [{"type": "text", "text": " ".join(caption)}]},
            ],
            "masks": [self._track(words[i], video) for i in sorted(words)],
            "mask_frames": list(range(video["length"])),
        }

    def _track(self, places: list[int], video: dict[str, Any]) -> list[dict[str, Any] | None]:
        masks = [self._annotations[place]["segmentations"][: video["length"]] for place in places]
        names = [f"{self.path}: annotations[{place}].segmentations" for place in places]
        return united(masks, names, (video["height"], video["width"]))

    def _folder(self, video: dict[str, Any], where: str) -> Path:
        if not isinstance(self.frames, Mapping):
            return Path(self.frames)
        metadata = video.get("metadata")
        source = (metadata if isinstance(metadata, dict) else {}).get("dataset", video.get("dataset_split"))
        if not isinstance(source, str) or source not in self.frames:
            raise InputError(f"{where}: is from {source!r}; give its folder in `frames`, beside {list(self.frames)}")
        return Path(self.frames[source])

    def _checked_words(self, video: Any, where: str) -> dict[int, list[int]]:
        """For each word that names something, the places of its annotations; checks all of a video's members."""
        names = member(typed(video, dict, where), "file_names", list, f"{where}.")
        for i, name in enumerate(names):
            inner_name(name, f"{where}.file_names[{i}]")
        length = member(video, "length", int, f"{where}.")
        if not 1 <= length <= len(names):
            raise InputError(f"{where}.length: {length}, but there are {len(names)} file_names")
        for side in ("width", "height"):
            member(video, side, int, f"{where}.")
        about = member(video, "dense_cap", dict, f"{where}.")
        where = f"{where}.dense_cap."
        caption = member(about, "caption", str, where)
        if SEG_TOKEN in caption or not caption.strip():
            raise InputError(f"{where}caption: must have words, and no {SEG_TOKEN}; token_pos says where those belong")
        positions, numbers = member(about, "token_pos", list, where), member(about, "mask_id", list, where)
        if len(positions) != len(numbers):
            raise InputError(f"{where}mask_id: {len(numbers)} masks for {len(positions)} words of token_pos")
        words = _words_of(about)
        places: dict[int, list[int]] = {}
        for i, (position, number) in enumerate(zip(positions, numbers, strict=True)):
            position = typed(position, int, f"{where}token_pos[{i}]")
            if not 0 <= position < len(words) or not words[position]:
                raise InputError(f"{where}token_pos[{i}]: {position} is no word of the caption's {len(words)}")
            place = self._places.get(typed(number, int, f"{where}mask_id[{i}]"))
            if place is None:
                raise InputError(f"{where}mask_id[{i}]: there is no annotation {number}")
            count = len(self._annotations[place]["segmentations"])
            # More are no error: the published loader, too, takes the first `length`.
            if count < length:
                raise InputError(f"{where}mask_id[{i}]: annotation {number} has {count} masks for {length} frames")
            places.setdefault(position, []).append(place)
        return places


def _words_of(about: dict[str, Any]) -> list[str]:
    return about["caption"].split(" ")
