"""ActivityNet-Entities: sentences about segments of videos, whose nouns have boxes in some of ten frames."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from ..errors import InputError, MediaError
from ..media_files import folder_pictures
from .annotations import checked_index, inner_name, load_json, member, picture_size, typed
from .gcg import QUESTIONS
from .grounded_captions import Span, caption_messages, checked_caption, tagged
from .masks import check_mask, compressed
from .referring import pick, split_folder
from .rle import encode_rle
from .tubes import clipped, four_numbers

NUM_FRAMES = 10  # of each segment: the middle ones of ten even parts
WIDTH = 720  # pixels that boxes are given in


class AnetEntitiesDataset(Dataset[dict[str, Any]]):
    """ActivityNet-Entities (Zhou et al., "Grounded Video Description", CVPR 2019), as published:

        <annotations>    anet_entities_cleaned_class_thresh50_trainval.json,
            {"annotations": {"v_<video>": {"segments": {"0": {
                "tokens": ["a", "man", ...], "process_idx": [[1], ...] (words that a box belongs to),
                "process_bnd_box": [[x0, y0, x1, y1], ...], "frame_ind": [3, ...]}}}}}
        <frames>/v_<video>/<segment>/    the ten frames of the segment as pictures, in order of their names
        <split_ids>    split_ids_anet_entities.json, {"training": ["v_<video>", ...], "validation": [...]}

    A sample per segment (see [`sample`]), with `"id"` `v_<video>/<segment>`, and

    - `"phrases"`: the words that have boxes, in their order;
    - `"boxes"`: per phrase and mask frame a list of [x0, y0, x1, y1] in pixels of the frames, none, one or several;
    - `"mask_frames"`: those of the ten frames in which any phrase has a box.

    Boxes of the file are in a picture 720 pixels wide (or `rwidth` of its video) and are scaled to the frames.

    There are boxes but no masks. With `masks`, for instance of a pixel decoder that was prompted with the boxes, words
    with boxes become `<p> word </p> [SEG]`. Where a phrase has no mask its frame is ignored in training, for nobody
    looked for it there. Without, and for samples that the file lacks, the answer is the sentence alone.

    Source: `data/anet_entities_skeleton.txt` and `scripts` of github.com/facebookresearch/ActivityNet-Entities; the
    layout of the frames is that of `video_gcg_anet.py` of github.com/mbzuai-oryx/VideoGLaMM.

    Args:
        annotations: the JSON file.
        frames: folder of the frames.
        split_ids: the JSON file of splits; None for all that is annotated.
        split: `training` or `validation`; without effect on its own.
        masks: JSON file of `{"<sample id>": [[COCO RLE or null per mask frame] per phrase]}`.
        seed: picks the wording of the questions.

    Raises:
        InputError: a file is missing or inconsistent; the message names file and field. Bad masks are found when
            their sample is asked for.
        MediaError: (when a sample is asked for) frames are missing or unusable.
    """

    def __init__(
        self,
        annotations: str | os.PathLike[str],
        frames: str | os.PathLike[str],
        *,
        split_ids: str | os.PathLike[str] | None = None,
        split: str = "training",
        masks: str | os.PathLike[str] | None = None,
        seed: int = 0,
    ) -> None:
        path = Path(annotations)
        self.frames, self.seed = split_folder(frames), seed
        self._masks_file = None if masks is None else Path(masks)
        self._masks = {} if masks is None else load_json(Path(masks))
        wanted = None if split_ids is None else set(_texts(load_json(Path(split_ids)), split, Path(split_ids)))
        self._segments: list[tuple[str, int, dict[str, Any], list[int]]] = []
        for video, about in member(load_json(path), "annotations", dict, f"{path}: ").items():
            where = f"{path}: annotations.{video}"
            if wanted is not None and video not in wanted:
                continue
            inner_name(video, where)
            width = member({"rwidth": WIDTH} | typed(about, dict, where), "rwidth", int, f"{where}.")
            if width < 1:
                raise InputError(f"{where}.rwidth: must be at least 1")
            for number, segment in member(about, "segments", dict, f"{where}.").items():
                place = f"{where}.segments.{number}"
                words = _checked_words(typed(segment, dict, place), f"{place}.")
                self._segments.append((f"{video}/{inner_name(number, place)}", width, segment, words))
        if self._masks and {name for name, *_ in self._segments}.isdisjoint(self._masks):
            raise InputError(f"{self._masks_file}: none of its names is a sample of {path.name}, as v_<video>/0 is")

    def __len__(self) -> int:
        return len(self._segments)

    @property
    def names(self) -> list[str]:
        """The `"id"` of every sample."""
        return [name for name, *_ in self._segments]

    def __getitem__(self, index: int) -> dict[str, Any]:
        index = checked_index(index, len(self))
        name, width, segment, words = self._segments[index]
        video = folder_pictures(str(self.frames / name))
        if len(video) != NUM_FRAMES:
            raise MediaError(f"{self.frames / name}: has {len(video)} pictures, but a segment has {NUM_FRAMES} frames")
        size = picture_size(video[0])
        seen = sorted(set(segment["frame_ind"]))
        masks = self._tracks(name, len(words), len(seen), size) if words else None
        answer = _sentence(segment["tokens"], words if masks else [])
        return {
            "id": name,
            "messages": caption_messages("video", pick(QUESTIONS, self.seed, index), answer),
            "video": video,
            "masks": masks or [],
            "mask_frames": seen,
            "phrases": [segment["tokens"][word] for word in words],
            "boxes": [[_boxes(segment, word, frame, size[1] / width, size) for frame in seen] for word in words],
        }

    def _tracks(self, name: str, phrases: int, length: int, size: tuple[int, int]) -> list[list[Any]] | None:
        """A mask for each phrase and mask frame."""
        if name not in self._masks:
            return None
        where = f"{self._masks_file}: {name}"
        tracks = typed(self._masks[name], list, where)
        if len(tracks) != phrases:
            raise InputError(f"{where}: {len(tracks)} tracks for {phrases} phrases; make them for the same words")
        nothing = encode_rle(np.zeros(size, np.bool_))
        unknown = {**nothing, "ignore": encode_rle(np.ones(size, np.bool_))["counts"]}
        for i, track in enumerate(tracks):
            if len(typed(track, list, f"{where}[{i}]")) != length:
                raise InputError(f"{where}[{i}]: {len(track)} masks for the {length} frames of mask_frames")
        return [
            [compressed(check_mask(mask, f"{where}[{i}][{j}]", size)) or unknown for j, mask in enumerate(track)]
            for i, track in enumerate(tracks)
        ]


def _checked_words(segment: dict[str, Any], where: str) -> list[int]:
    """Places of the words that have boxes, in order; checks all that a segment must have."""
    tokens = _texts(segment, "tokens", where)
    checked_caption(" ".join(tokens), f"{where}tokens")
    words, boxes, frames = (
        member(segment, key, list, where) for key in ("process_idx", "process_bnd_box", "frame_ind")
    )
    if not len(words) == len(boxes) == len(frames):
        raise InputError(f"{where}process_idx: {len(words)} for {len(boxes)} boxes and {len(frames)} of frame_ind")
    for i, (places, box, frame) in enumerate(zip(words, boxes, frames, strict=True)):
        four_numbers(box, f"{where}process_bnd_box[{i}]")
        if not 0 <= typed(frame, int, f"{where}frame_ind[{i}]") < NUM_FRAMES:
            raise InputError(f"{where}frame_ind[{i}]: {frame} is none of the {NUM_FRAMES} frames, 0 to 9")
        for word in typed(places, list, f"{where}process_idx[{i}]"):
            if not 0 <= typed(word, int, f"{where}process_idx[{i}]") < len(tokens) or not tokens[word].strip():
                raise InputError(f"{where}process_idx[{i}]: {word} is no word of the {len(tokens)} tokens")
    return sorted({word for places in words for word in places})


def _texts(parent: dict[str, Any], key: str, where: str | Path) -> list[str]:
    where = f"{where}: " if isinstance(where, Path) else where
    return [typed(text, str, f"{where}{key}[{i}]") for i, text in enumerate(member(parent, key, list, where))]


def _sentence(tokens: list[str], words: list[int]) -> str:
    """The tokens as one text, with some of them named and segmented."""
    ends = np.cumsum([len(token) + 1 for token in tokens]).tolist()
    spans: list[Span] = [(ends[word] - 1 - len(tokens[word]), ends[word] - 1) for word in words]
    return tagged(" ".join(tokens), spans)


def _boxes(segment: dict[str, Any], word: int, frame: int, scale: float, size: tuple[int, int]) -> list[list[float]]:
    """Boxes of a word in a frame, in pixels of pictures of a size."""
    rows = zip(segment["process_idx"], segment["process_bnd_box"], segment["frame_ind"], strict=True)
    return [clipped([v * scale for v in box], size) for places, box, at in rows if at == frame and word in places]
