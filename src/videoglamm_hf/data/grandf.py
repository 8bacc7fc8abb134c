"""GranD-f: grounded captions of pictures."""

import os
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from .annotations import checked_index, existing_frames, picture_size
from .grandf_layouts import read_grandf
from .grounded_captions import caption_messages, tagged, trimmed_spans
from .masks import united
from .polygons import segmentation_mask
from .referring import pick, split_folder

QUESTIONS = (
    "Can you describe this image in detail, with a mask for every object you name?",
    "Please describe this image and segment the objects you mention.",
    "What can be seen in this picture? Answer with masks for the parts you name.",
    "Give a detailed description of this image, with segmentation masks for its objects.",
)


class GrandFDataset(Dataset[dict[str, Any]]):
    """Pictures with grounded captions: a file of GranD-f (Rasheed et al., "GLaMM", CVPR 2024), as published:

        GranDf_HA_GCG_*.json, OpenPsgGCG_*.json    a list of
            {"file_name", "caption", "groundings": {"<phrase>": {"token_positives": [start, end], "rle_masks": [RLE]}}}
        RefCOCOg_GCG_*.json    a list of
            {"<number>": {"img_file_name", "caption", "refs": [{"sentence", "segmentation": [polygons]}]}}
        flickr_mergedGT_GCG_*.json
            {"images": [{"id", "file_name", "caption"}],
             "annotations": [{"image_id", "tokens_positive": [[start, end]], "sam_mask": RLE}]}

    A sample per picture (see [`sample`]) with `"id"` `<name of the picture>/<place in the file>`. Spans of the caption
    become `<p> words </p> [SEG]`, in their order; masks of one span are united. A span that reaches into the next ends
    where that begins. Captions of RefCOCOg are in small letters, and phrases that they do not have are left out;
    annotations of Flickr marked to be ignored are, too. `mask_frames` is `[0]`.

    Source: the facts of `grandf_dataset.py` of github.com/mbzuai-oryx/VideoGLaMM. The questions are ours.

    Args:
        annotations: the JSON file.
        images: folder of its pictures.
        seed: picks the wording of the questions.

    Raises:
        InputError: the file is missing or inconsistent; the message names file and field. A bad mask is found when
            its sample is asked for.
        MediaError: (when a sample is asked for) a picture is missing or unusable.
    """

    def __init__(self, annotations: str | os.PathLike[str], images: str | os.PathLike[str], *, seed: int = 0) -> None:
        self.images, self.seed = split_folder(images), seed
        self._pictures = read_grandf(Path(annotations))

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: int) -> dict[str, Any]:
        index = checked_index(index, len(self))
        picture = self._pictures[index]
        (path,) = existing_frames(self.images, [picture.file_name])
        size = picture_size(path)
        spans = trimmed_spans([span for span, _, _ in picture.groundings], picture.caption)
        order = sorted((span, i) for i, span in enumerate(spans) if span)
        masks = [self._mask(*picture.groundings[i][1:], size) for _, i in order]
        answer = tagged(picture.caption, [span for span, _ in order])
        return {
            "id": f"{Path(picture.file_name).stem}/{index}",
            "messages": caption_messages("image", pick(QUESTIONS, self.seed, index), answer),
            "image": path,
            "masks": [[mask] for mask in masks],
            "mask_frames": [0],
        }

    @staticmethod
    def _mask(parts: list[Any], where: str, size: tuple[int, int]) -> dict[str, Any] | None:
        # Some files have each encoding in a list of its own; polygons are lists of lists.
        plain = [part[0] if isinstance(part, list) and part and isinstance(part[0], dict) else part for part in parts]
        tracks = [[segmentation_mask(part, size, f"{where}[{i}]")] for i, part in enumerate(plain)]
        return united(tracks, [where] * len(tracks), size)[0] if tracks else None
