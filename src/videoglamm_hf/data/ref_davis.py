"""Ref-DAVIS17: four expressions per object."""

import os
from collections import Counter
from typing import Any

from .annotations import checked_index
from .ref_youtube_vos import RefYoutubeVosDataset


class RefDavisDataset(RefYoutubeVosDataset):
    """One split of Ref-DAVIS17 (Khoreva et al., ACCV 2018) in the layout of Refer-YouTube-VOS.

    The annotation pictures are those of DAVIS 2017 Unsupervised at 480p. Every object has four expressions, and the
    n-th of an object is by annotator n: 0 and 1 by the first person after seeing the first frame and the whole
    video, 2 and 3 by the second. Samples say so in `"annotator"`, for results are averaged over annotators.

    Source: `tools/data/convert_davis_to_ytvos.py` and `inference_davis.py` of github.com/wjn922/ReferFormer, which
    write and read this layout.

    Args:
        root: folder of the converted dataset, with `meta_expressions`, `train` and `valid`.
        split: `train` or `valid`.
        seed: picks the wording of the questions.

    Raises:
        InputError, MediaError: as [`RefYoutubeVosDataset`].
    """

    def __init__(self, root: str | os.PathLike[str], split: str = "train", *, seed: int = 0) -> None:
        super().__init__(root, split, seed=seed)
        seen: Counter[tuple[str, int]] = Counter()
        self._annotators = []
        for expression, number in zip(self.expressions, self._objects, strict=True):
            self._annotators.append(seen[expression.video, number])
            seen[expression.video, number] += 1

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {**super().__getitem__(index), "annotator": self._annotators[checked_index(index, len(self))]}
