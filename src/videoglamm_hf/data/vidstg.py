"""VidSTG: sentences and questions about objects during a moment, with boxes of VidOR."""

import os
from pathlib import Path
from typing import Any

from ..errors import InputError
from .annotations import inner_name, load_json, member, typed
from .referring import Expression, single_line, split_folder
from .tube_frames import find_media, frame_range, taken_frames
from .tubes import Box, Tube, TubeDataset, clipped, four_numbers

_KINDS = (("questions", "interrogative"), ("captions", "declarative"))


class VidStgDataset(TubeDataset):
    """One split of VidSTG (Zhang et al., CVPR 2020), as published:

        <annotations>    {train,val,test}_annotations.json, a list of
            {"vid", "fps", "frame_count", "width", "height", "used_segment": {"begin_fid", "end_fid"},
             "temporal_gt": {"begin_fid", "end_fid"}, "captions": [{"description", "target_id"}], "questions": [...]}
        <boxes>/<training or validation>/<group>/<vid>.json    annotations of VidOR,
            {"trajectories": [[{"tid", "bbox": {"xmin", "ymin", "xmax", "ymax"}}, ...] per frame], ...}
        <videos>/<group>/<vid>.mp4, or a folder <vid> of all its frames as pictures

    A sample per sentence (see [`sample`]), with `"id"` `<vid>/<n>`, the n-th of the file; of an entry the questions
    come first, as VideoGLaMM numbers them. Frames are taken from the used segment. Of a folder of frames only those
    are the video; a file is seen whole by the towers, so cut it to the segment, or extract frames, where that matters.
    Samples also have

    - `"boxes"`: per mask frame [x0, y0, x1, y1] in pixels, or None outside of the moment;
    - `"moment"`: [first, last] mask frame of the moment, as positions; None if no frame that is taken lies in it;
    - `"kind"`: "declarative" or "interrogative".

    There are boxes but no masks. With `masks`, for instance of a pixel decoder that was prompted with the boxes, the
    answer is "It is [SEG] in frames:(first,last)."; without, and for samples that the file lacks, it is in words
    alone, without [SEG]. The form of the moment is the one that VideoGLaMM's evaluation reads.

    Source: README.md of github.com/Guaranteer/VidSTG-Dataset; the facts of `preproc_vidstg.py`, `vidstg_dataset.py`
    and `eval_grounding.py` of github.com/mbzuai-oryx/VideoGLaMM. The questions are ours.

    Args:
        annotations: the JSON file of a split.
        boxes: folder of VidOR's annotations, or of one of its parts.
        videos: folder of the videos or frames.
        masks: JSON file of `{"<sample id>": [COCO RLE or null per mask frame]}`.
        fps: frames taken per second of video; 1 as in VideoGLaMM's evaluation.
        max_frames: how many at most, 40 there.
        moment_given: whether frames are taken from the moment alone instead of the used segment.
        seed: picks the wording of the questions.

    Raises:
        InputError: a file is missing or inconsistent; the message names file and field. Bad boxes and masks are
            found when their sample is asked for.
        MediaError: a video is missing, or (when a sample is asked for) a frame.
    """

    def __init__(
        self,
        annotations: str | os.PathLike[str],
        boxes: str | os.PathLike[str],
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
        for i, entry in enumerate(load_json(path, list)):
            where = f"{path}: [{i}]"
            about = _checked(typed(entry, dict, where), f"{where}.")
            taken = taken_frames(*about["moment" if moment_given else "segment"], about["fps"] / fps, max_frames)
            for key, kind in _KINDS:
                for j, query in enumerate(member(entry, key, list, f"{where}.")):
                    place = f"{where}.{key}[{j}]"
                    description = member(typed(query, dict, place), "description", str, f"{place}.")
                    member(query, "target_id", int, f"{place}.")
                    text, number = single_line(description, f"{place}.description"), str(len(self.expressions))
                    frames = tuple(map(str, taken))
                    self.expressions.append(Expression(entry["vid"], number, text, frames, query, place, entry))
                    size = (entry["height"], entry["width"])
                    self._tubes.append(Tube(about["moment"], size, kind, entry["frame_count"]))
        self._finish(path)
        self._trajectories = find_media(split_folder(boxes), {e.video for e in self.expressions}, depth=2)
        self._last: tuple[str, list[Any]] = ("", [])

    def object_boxes(self, index: int, target: int) -> list[Box | None]:
        """Boxes of any object of VidOR in the mask frames of a sample, None outside of the moment.

        Raises:
            InputError: it has none in a frame of the moment, or boxes are malformed.
        """
        (start, end), size = self._tubes[index].moment, self._tubes[index].size
        taken = [int(frame) for frame in self.expressions[index].frames]
        return [clipped(self._box_of(index, n, target), size) if start <= n < end else None for n in taken]

    def _box(self, index: int, frame: int) -> Box:
        return self._box_of(index, frame, self.expressions[index].entry["target_id"])

    def _box_of(self, index: int, frame: int, target: int) -> Box:
        expression = self.expressions[index]
        path = self._trajectories[expression.video]
        # Sentences about one video follow each other, and its file is large.
        if self._last[0] != expression.video:
            self._last = (expression.video, member(load_json(path), "trajectories", list, f"{path}: "))
        frames = self._last[1]
        where = f"{path}: trajectories[{frame}]"
        objects = typed(frames[frame], list, where) if frame < len(frames) else []
        for found in objects:
            if member(typed(found, dict, where), "tid", int, f"{where}.") == target:
                corners = member(found, "bbox", dict, f"{where}.")
                return four_numbers([corners.get(key) for key in ("xmin", "ymin", "xmax", "ymax")], f"{where}.bbox")
        raise InputError(f"{where}: has no box of object {target}, which {expression.where} is about")


def _checked(entry: dict[str, Any], where: str) -> dict[str, Any]:
    """Moment, segment and frames per second of an entry; checks all that it must have."""
    inner_name(member(entry, "vid", str, where), f"{where}vid")
    count = member(entry, "frame_count", int, where)
    for side in ("width", "height"):
        if member(entry, side, int, where) < 1:
            raise InputError(f"{where}{side}: must be at least 1")
    rate = entry.get("fps")
    if type(rate) not in (int, float) or not 0 < rate < 1e6:
        raise InputError(f"{where}fps: must be the number of frames per second")
    found: dict[str, Any] = {"fps": rate}
    for key, name in (("used_segment", "segment"), ("temporal_gt", "moment")):
        span = member(entry, key, dict, where)
        first, after = (member(span, end, int, f"{where}{key}.") for end in ("begin_fid", "end_fid"))
        found[name] = frame_range(first, after, count, f"{where}{key}")
    return found
