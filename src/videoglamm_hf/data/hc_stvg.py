"""HC-STVG: descriptions of persons during a moment, with boxes."""

import os
from pathlib import Path
from typing import Any

from ..errors import InputError
from .annotations import inner_name, load_json, member, typed
from .referring import Expression, single_line
from .tube_frames import frame_range, taken_frames
from .tubes import Box, Tube, TubeDataset, four_numbers

SECONDS = 20.0  # of every video


class HcStvgDataset(TubeDataset):
    """One split of HC-STVG (Tang et al., 2020), version 1 or 2, as published:

        <annotations>    {train,val}_v2.json and the like, an object of
            "<video>.mp4": {"bbox": [[x, y, w, h], ...], "st_frame": 268, "img_num": 600,
                            "caption" or "English": "...", "width" and "height" or "img_size": [height, width]}
        <videos>/<part>/<video>.mkv or .mp4, or a folder <video> of all its frames as pictures

    A sample per video (see [`sample`]) with `"id"` `<video>/0` and what [`VidStgDataset`] adds to samples: `"boxes"`,
    `"moment"` and `"kind"`, always "declarative". Frames are taken from all of the video but its last frame. Box n
    belongs to frame `st_frame` + n; the README counts frames from 1, but VideoGLaMM takes the numbers as counted from
    0, and so do we.

    There are boxes but no masks. With `masks`, for instance of a pixel decoder that was prompted with the boxes, the
    answer is "It is [SEG] in frames:(first,last)."; without, and for samples that the file lacks, it is in words
    alone, without [SEG].

    Source: README.md of github.com/tzhhhh123/HC-STVG; the facts of `preproc_hcstvgv2.py` and `hcstvg_dataset.py` of
    github.com/mbzuai-oryx/VideoGLaMM. The questions are ours.

    Args:
        annotations: the JSON file of a split.
        videos: folder of the videos or frames.
        masks, fps, max_frames, moment_given, seed: as in [`VidStgDataset`].

    Raises:
        InputError, MediaError: as [`VidStgDataset`].
    """

    def __init__(
        self,
        annotations: str | os.PathLike[str],
        videos: str | os.PathLike[str],
        *,
        masks: str | os.PathLike[str] | None = None,
        fps: float = 1.0,
        max_frames: int = 40,
        moment_given: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__(videos, masks, fps, max_frames, seed)
        path = Path(annotations)
        for name, entry in load_json(path).items():
            where = f"{path}: {name}"
            video = os.path.splitext(inner_name(name, where))[0]
            count = member(typed(entry, dict, where), "img_num", int, f"{where}.")
            first, boxes = member(entry, "st_frame", int, f"{where}."), member(entry, "bbox", list, f"{where}.")
            # The last box may belong to the frame that counting from 1 calls `img_num`.
            moment = frame_range(first, first + len(boxes), count + 1, f"{where}.bbox")
            key = "English" if "English" in entry else "caption"
            text = single_line(member(entry, key, str, f"{where}."), f"{where}.{key}")
            span = moment if moment_given else (0, max(count - 1, 1))
            taken = [n for n in taken_frames(*span, count / SECONDS / fps, max_frames) if n < count]
            frames = tuple(map(str, taken))
            self.expressions.append(Expression(video, "0", text, frames, entry, where, entry))
            self._tubes.append(Tube(moment, _size(entry, f"{where}."), "declarative", count))
        self._finish(path)

    def _box(self, index: int, frame: int) -> Box:
        expression = self.expressions[index]
        place = frame - self._tubes[index][0][0]
        x, y, width, height = four_numbers(expression.entry["bbox"][place], f"{expression.where}.bbox[{place}]")
        return [x, y, x + width, y + height]


def _size(entry: dict[str, Any], where: str) -> tuple[int, int]:
    """(height, width) of an entry of version 1 or 2."""
    if "img_size" in entry:
        sides = member(entry, "img_size", list, where)
        names = ["img_size"] * 2
    else:
        names = ["height", "width"]
        sides = [member(entry, side, int, where) for side in names]
    if len(sides) != 2 or not all(type(side) is int and side > 0 for side in sides):
        raise InputError(f"{where}{names[0]}: must be two whole numbers of pixels, height and width")
    return sides[0], sides[1]
