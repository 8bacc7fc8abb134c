"""Masks as RLE, JSONL files, other datasets' annotations: what their readers should refuse."""

import json
import pickle
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.data.builders import LEFT, RIGHT, plain_rle, rle, sample
from tests.fuzz import other_tools
from tests.fuzz.hostile import as_json, changed, near, spoilt_text, value
from videoglamm_hf.cli import main
from videoglamm_hf.data import (
    GcgDataset,
    HcStvgDataset,
    JsonlDataset,
    MevisDataset,
    RefCocoDataset,
    RefDavisDataset,
    RefYoutubeVosDataset,
    ReVOSDataset,
    VidStgDataset,
    check_sample,
    decode_masks,
    validate_jsonl,
    write_jsonl,
)
from videoglamm_hf.data.rle import compress_rle, decode_rle, encode_rle

NUMPY = (
    np.int64(4),
    np.float32(4),
    np.array([4, 6]),
    np.array([2, 22]),
    np.zeros((4, 6), bool),
    np.zeros((4, 6), np.uint8),
    np.zeros((0, 6), bool),
    np.array([[1]]),
    np.array(["a"]),
    b"0",
    b"\xff\xfe",
)
GCG = {
    "videos": [
        {
            "file_names": ["0.png", "1.png"],
            "width": 6,
            "height": 4,
            "length": 2,
            "dense_cap": {"caption": "a man rides a horse", "token_pos": [1, 4], "mask_id": [7, 9]},
            "metadata": {"dataset": "yt19"},
        }
    ],
    "annotations": [{"id": 7, "segmentations": [rle(LEFT), None]}, {"id": 9, "segmentations": [None, rle(RIGHT)]}],
}
MEVIS = {"videos": {"v": {"expressions": {"0": {"exp": "a car", "anno_id": [3]}}, "frames": ["0", "1"]}}}
REF = {"videos": {"v": {"expressions": {"0": {"exp": "a car", "obj_id": "1"}}, "frames": ["0", "1"]}}}
VIDSTG = [
    {
        **{"vid": "v", "fps": 1, "frame_count": 3, "width": 6, "height": 4},
        "used_segment": {"begin_fid": 0, "end_fid": 3},
        "temporal_gt": {"begin_fid": 0, "end_fid": 2},
        "captions": [{"description": "a car", "target_id": 1}],
        "questions": [{"description": "what moves?", "target_id": 1}],
    }
]
VIDOR = {"trajectories": [[{"tid": 1, "bbox": {"xmin": 0, "ymin": 0, "xmax": 2, "ymax": 2}}]] * 3}
HC_STVG = {"v.mp4": {"img_num": 3, "st_frame": 0, "caption": "a car", "width": 6, "height": 4, "bbox": [[0, 0, 2, 2]]}}
REFS = [
    {"ref_id": 1, "image_id": 2, "ann_id": 3, "split": "train", "sentences": [{"sent_id": 4, "sent": "a car"}]},
]
INSTANCES = {
    "images": [{"id": 2, "file_name": "0.jpg", "height": 4, "width": 6}],
    "annotations": [{"id": 3, "image_id": 2, "segmentation": [[0, 0, 2, 0, 2, 4, 0, 4]]}],
}
MEVIS_MASKS = {"3": [rle(LEFT), None]}


class Annotations:
    """Cases about readers of masks and annotations."""

    def __init__(self, model: Path) -> None:
        self.kinds = {
            self._rle: 45,
            self._sample: 15,
            self._jsonl: 20,
            self._gcg: 10,
            self._expressions: 8,
            self._boxes: 8,
            self._references: 4,
            self._written: 4,
            other_tools.imported: 20,
            other_tools.answered: 3,
        }

    def case(self, rng: random.Random, folder: Path) -> tuple[str, Callable[[], Any]]:
        return rng.choices(list(self.kinds), list(self.kinds.values()))[0](rng, folder)

    def _rle(self, rng: random.Random, folder: Path) -> tuple[str, Callable[[], Any]]:
        good = rng.choice((rle(LEFT), plain_rle(RIGHT)))
        made: Any = dict(good)
        way = rng.randrange(6)
        if way == 0:
            made["counts"] = "".join(
                chr(rng.choice((48, 49, 80, 96, 111, 112, 47, 0x20AC, rng.randrange(40, 120))))
                for _ in range(rng.randrange(40))
            )
        elif way == 1:
            made["counts"] = [
                rng.choice((0, 1, 24, -1, 2**31, 2**63, 10**30, 0.5, None, "a", True)) for _ in range(rng.randrange(6))
            ]
        elif way == 2:
            made["size"] = rng.choice(
                (
                    [4, 6],
                    [0, 6],
                    [10**9, 10**9],
                    [-4, -6],
                    [4.0, 6],
                    ["4", 6],
                    [4],
                    [2**62, 4],
                    [True, 24],
                    None,
                    24,
                    "46",
                    [np.int64(4), np.int64(6)],
                    np.array([4, 6]),
                )
            )
        elif way == 3:
            made[rng.choice(("size", "counts", "ignore", 3))] = rng.choice(NUMPY)
        elif way == 4:
            made, _ = changed(rng, {**made, "ignore": made["counts"]})
        else:
            made = rng.choice((value(rng), *NUMPY))
        action = rng.choice((compress_rle, decode_rle, encode_rle, self._decode))
        return f"{getattr(action, '__name__', action)}({made!r:.300})", lambda: action(made)

    @staticmethod
    def _decode(mask: Any) -> None:
        decode_masks([[mask]], (4, 6))

    def _sample(self, rng: random.Random, folder: Path) -> tuple[str, Callable[[], Any]]:
        made, said = changed(rng, sample(masks=[[rle(LEFT), None]]), 3)
        if isinstance(made, dict) and rng.random() < 0.3:
            key = rng.choice(("masks", "video", "image", "mask_frames", "messages"))
            made[key] = rng.choice(
                (*NUMPY, [[LEFT, None]], [np.stack([LEFT, RIGHT])], np.zeros((1, 2, 4, 6), bool), value(rng))
            )
            said += f"; {key} = {made[key]!r:.80}"
        return f"check_sample: {said}", lambda: check_sample(made)

    def _jsonl(self, rng: random.Random, folder: Path) -> tuple[str, Callable[[], Any]]:
        Image.new("RGB", (6, 4)).save(folder / "0.png")
        lines, told = [], []
        for _ in range(rng.randrange(1, 4)):
            good = sample(video=rng.choice(("clip", ["0.png"] * 4, "0.png")))
            made, said = changed(rng, good, 2) if rng.random() < 0.8 else (good, "good")
            line = as_json(made)
            if rng.random() < 0.25:
                line, more = spoilt_text(rng, line)
                said += f", {more}"
            lines.append(line)
            told.append(said)
        path = folder / "train.jsonl"
        path.write_bytes(rng.choice((b"\n", b"\r\n", b"\n\n", b"\r", b"")).join(lines))
        action = rng.choice((self._read, self._by_index, self._validated, self._commanded))
        return f"{action.__name__}: {told}", lambda: action(path)

    @staticmethod
    def _read(path: Path) -> None:
        for read in JsonlDataset(path):
            check_sample(read)

    @staticmethod
    def _by_index(path: Path) -> None:
        dataset = JsonlDataset(path)
        for i in range(len(dataset)):
            _ = dataset[i]

    @staticmethod
    def _validated(path: Path) -> None:
        assert isinstance(validate_jsonl(path), list)

    @staticmethod
    def _commanded(path: Path) -> None:
        main(["check-data", str(path)])

    def _gcg(self, rng: random.Random, folder: Path) -> tuple[str, Callable[[], Any]]:
        for name in ("0.png", "1.png"):
            (folder / name).touch()
        text, said = _document(rng, GCG)
        (folder / "a.json").write_bytes(text)
        return f"GcgDataset: {said}", lambda: _all(GcgDataset(folder / "a.json", folder))

    def _expressions(self, rng: random.Random, folder: Path) -> tuple[str, Callable[[], Any]]:
        """MeViS, and the two datasets in the layout of Ref-YouTube-VOS."""
        which = rng.choice((MevisDataset, ReVOSDataset, RefYoutubeVosDataset, RefDavisDataset))
        of_masks = which in (MevisDataset, ReVOSDataset)
        text, said = _document(rng, MEVIS if of_masks else REF)
        masks, more = _document(rng, MEVIS_MASKS) if rng.random() < 0.5 else (as_json(MEVIS_MASKS), "good")
        split = folder if of_masks else folder / "train"
        expressions = folder if of_masks else folder / "meta_expressions" / "train"
        expressions.mkdir(parents=True, exist_ok=True)
        for ending in ("", "_train_"):
            (expressions / f"meta_expressions{ending}.json").write_bytes(text)
        (folder / "mask_dict.json").write_bytes(masks)
        for name in ("0", "1"):
            for kind, end in (("JPEGImages", ".jpg"), ("Annotations", ".png")):
                (split / kind / "v").mkdir(parents=True, exist_ok=True)
                picture = Image.new("P" if kind == "Annotations" else "RGB", (6, 4))
                picture.save(split / kind / "v" / f"{name}{end}")
        return f"{which.__name__}: {said}; masks {more}", lambda: _all(which(folder))

    def _boxes(self, rng: random.Random, folder: Path) -> tuple[str, Callable[[], Any]]:
        """VidSTG and HC-STVG."""
        for number in range(3):
            (folder / "videos" / "v").mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (6, 4)).save(folder / "videos" / "v" / f"{number}.jpg")
        (folder / "boxes").mkdir()
        of_vidor = rng.random() < 0.5
        text, said = _document(rng, VIDSTG if of_vidor else HC_STVG)
        boxes, more = _document(rng, VIDOR) if rng.random() < 0.5 else (as_json(VIDOR), "good")
        (folder / "a.json").write_bytes(text)
        (folder / "boxes" / "v.json").write_bytes(boxes)
        if of_vidor:
            places = folder / "a.json", folder / "boxes", folder / "videos"
            return f"VidStgDataset: {said}; boxes {more}", lambda: _all(VidStgDataset(*places))
        return f"HcStvgDataset: {said}", lambda: _all(HcStvgDataset(folder / "a.json", folder / "videos"))

    def _references(self, rng: random.Random, folder: Path) -> tuple[str, Callable[[], Any]]:
        """refCOCO, as a pickle or as JSON."""
        Image.new("RGB", (6, 4)).save(folder / "0.jpg")
        refs, said = changed(rng, REFS)
        instances, more = _document(rng, INSTANCES) if rng.random() < 0.5 else (as_json(INSTANCES), "good")
        (folder / "instances.json").write_bytes(instances)
        if rng.random() < 0.5:
            content = bytearray(pickle.dumps(refs, protocol=rng.choice((0, 2))))
            if rng.random() < 0.5:
                content[rng.randrange(len(content))] = rng.randrange(256)
            (folder / "refs(unc).p").write_bytes(content)
        else:
            (folder / "refs.json").write_bytes(as_json(refs))
        return f"RefCocoDataset: {said}; instances {more}", lambda: _all(RefCocoDataset(folder, folder))

    def _written(self, rng: random.Random, folder: Path) -> tuple[str, Callable[[], Any]]:
        made, said = changed(rng, sample(), 2)
        if rng.random() < 0.3 and isinstance(made, dict):
            made["more"] = rng.choice((*NUMPY, {1: 2}, {(1, 2): 3}, object(), float("nan"), "\ud800", near(rng, 3)))
        return f"write_jsonl: {said}; {made!r:.200}", lambda: write_jsonl(folder / "out.jsonl", [made])


def _document(rng: random.Random, good: Any) -> tuple[bytes, str]:
    made, said = changed(rng, good)
    text = json.dumps(made).encode()
    if rng.random() < 0.1:
        text, said = spoilt_text(rng, text)
    return text, said


def _all(dataset: Any) -> None:
    for i in range(len(dataset)):
        check_sample(dataset[i])
