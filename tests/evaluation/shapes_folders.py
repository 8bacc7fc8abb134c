"""Benchmark folders in official layouts, whose videos are clips of the shapes world, which the small model knows."""

import json
import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from videoglamm_hf.data import write_jsonl
from videoglamm_hf.data.rle import encode_rle
from videoglamm_hf.toy.shapes_world import ShapesWorldDataset

FRAMES = 3


def clips(count: int, kind: str = "referring") -> list[dict]:
    """Samples of a few frames each."""
    dataset = ShapesWorldDataset("held_out", kind, length=count, seed=5)
    samples = []
    for i in range(count):
        sample = dict(dataset[i])
        step = len(sample["video"]) // FRAMES
        sample["video"] = sample["video"][::step][:FRAMES]
        sample["masks"] = sample["masks"][:, ::step][:, :FRAMES]
        sample["mask_frames"] = list(range(FRAMES))
        samples.append(sample)
    return samples


def write_frames(folder: Path, video: np.ndarray, suffix: str = "jpg") -> list[str]:
    """Writes the frames of a video, and returns their names without suffix."""
    folder.mkdir(parents=True)
    names = [f"{number:05d}" for number in range(len(video))]
    for name, frame in zip(names, video, strict=True):
        Image.fromarray(frame).save(folder / f"{name}.{suffix}", quality=98)
    return names


def write_mevis(folder: Path, samples: Sequence[dict], count: int = 2) -> Path:
    """A split of MeViS with a number of expressions of every clip's object."""
    videos, masks = {}, {}
    for number, sample in enumerate(samples):
        name = f"clip{number}"
        frames = write_frames(folder / "JPEGImages" / name, sample["video"])
        masks[str(number)] = [encode_rle(mask) if mask.any() else None for mask in sample["masks"][0]]
        words = sample["phrases"][0]
        texts = [words, *(f"{words} there" for _ in range(count - 1))]
        expressions = {str(n): {"exp": text, "anno_id": [number]} for n, text in enumerate(texts)}
        videos[name] = {"frames": frames, "expressions": expressions}
    (folder / "meta_expressions.json").write_text(json.dumps({"videos": videos}))
    (folder / "mask_dict.json").write_text(json.dumps(masks))
    return folder


def write_ref_youtube_vos(folder: Path, samples: Sequence[dict], split: str = "valid") -> Path:
    """A split with truth: objects have the number 3 in pictures with a palette."""
    videos = {}
    for number, sample in enumerate(samples):
        name = f"clip{number}"
        frames = write_frames(folder / split / "JPEGImages" / name, sample["video"])
        (folder / split / "Annotations" / name).mkdir(parents=True)
        for frame, mask in zip(frames, sample["masks"][0], strict=True):
            picture = Image.fromarray(mask.astype(np.uint8) * 3, "P")
            picture.putpalette([0, 0, 0, 9, 9, 9, 99, 9, 9, 9, 99, 9])
            picture.save(folder / split / "Annotations" / name / f"{frame}.png")
        words = sample["phrases"][0]
        expressions = {str(n): {"exp": exp, "obj_id": "3"} for n, exp in enumerate((words, f"{words} there"))}
        videos[name] = {"frames": frames, "expressions": expressions}
    path = folder / "meta_expressions" / split / "meta_expressions.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"videos": videos}))
    return folder


def write_revos(folder: Path, samples: Sequence[dict]) -> Path:
    """ReVOS: of every clip two referring expressions, a question, and one that names what is not there."""
    videos, masks, foreground = {}, {}, {}
    for number, sample in enumerate(samples):
        name = f"clip{number}"
        frames = write_frames(folder / "JPEGImages" / name, sample["video"])
        masks[str(number)] = [encode_rle(mask) if mask.any() else None for mask in sample["masks"][0]]
        foreground[name] = {"masks_rle": [encode_rle(mask) for mask in sample["masks"].any(axis=0)]}
        words = sample["phrases"][0]
        asked = [(words, 0), (f"{words} there", 0), (f"Please segment {words}?", 1), ("the purple hexagon", 2)]
        expressions = {
            str(n): {"exp": exp, "type_id": kind, "anno_id": [number] if kind < 2 else [], "obj_id": []}
            for n, (exp, kind) in enumerate(asked)
        }
        videos[name] = {"frames": frames, "expressions": expressions}
    (folder / "meta_expressions_valid_.json").write_text(json.dumps({"videos": videos}))
    (folder / "mask_dict.json").write_text(json.dumps(masks))
    (folder / "mask_dict_foreground.json").write_text(json.dumps(foreground))
    return folder


def write_reasonvos(folder: Path, samples: Sequence[dict]) -> Path:
    """ReasonVOS: a phrase or a sentence about every clip, whose second frame has no annotation."""
    videos = {}
    for number, sample in enumerate(samples):
        name, sentence = f"clip{number}", bool(number % 2)
        frames = write_frames(folder / "JPEGImages" / name, sample["video"])
        (folder / "Annotations" / f"MeViS_{name}_7").mkdir(parents=True)
        for frame, mask in list(zip(frames, sample["masks"][0], strict=True))[::2]:
            Image.fromarray(mask.astype(np.uint8) * 255).save(
                folder / "Annotations" / f"MeViS_{name}_7" / f"{frame}.png"
            )
        words = sample["phrases"][0]
        text = f"Please segment {words}." if sentence else words
        expressions = {"0": {"exp_text": text, "obj_id": 7}}
        videos[name] = {"source": "MeViS", "is_sent": sentence, "expressions": expressions}
    (folder / "meta_expressions.json").write_text(json.dumps({"videos": videos}))
    return folder


def box_of(mask: np.ndarray) -> list[int]:
    """x and y of the first, and of the last pixel."""
    rows, columns = np.nonzero(mask)
    return [int(columns.min()), int(rows.min()), int(columns.max()), int(rows.max())]


def write_vidstg(folder: Path, samples: Sequence[dict]) -> Path:
    """VidSTG with VidOR's boxes: two sentences about every clip, whose moment is all but its last frame."""
    entries = []
    for number, sample in enumerate(samples):
        name = str(100 + number)
        write_frames(folder / "videos" / "0000" / name, sample["video"])
        boxes = [dict(zip(("xmin", "ymin", "xmax", "ymax"), box_of(m), strict=True)) for m in sample["masks"][0]]
        trajectories = [[{"tid": 4, "bbox": box}] for box in boxes]
        path = folder / "vidor" / "0000" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"trajectories": trajectories}))
        words = sample["phrases"][0]
        entries.append(
            {
                **{"vid": name, "fps": 1, "frame_count": FRAMES, "width": 96, "height": 96},
                "used_segment": {"begin_fid": 0, "end_fid": FRAMES},
                "temporal_gt": {"begin_fid": 0, "end_fid": FRAMES - 1},
                "captions": [{"description": words, "target_id": 4}],
                "questions": [{"description": f"Please segment {words}.", "target_id": 4}],
            }
        )
    (folder / "test_annotations.json").write_text(json.dumps(entries))
    return folder


def write_hc_stvg(folder: Path, samples: Sequence[dict]) -> Path:
    """HC-STVG, version 2: clips of twenty seconds, whose moment is all but the last frame."""
    entries = {}
    for number, sample in enumerate(samples):
        # One frame a second.
        video = np.repeat(sample["video"], 7, axis=0)
        masks = np.repeat(sample["masks"][0], 7, axis=0)
        write_frames(folder / "videos" / "part" / f"clip{number}", video)
        corners = [box_of(mask) for mask in masks[:4]]
        entries[f"clip{number}.mkv"] = {
            **{"img_num": len(video), "st_frame": 0, "caption": sample["phrases"][0], "width": 96, "height": 96},
            "bbox": [[left, top, right - left, bottom - top] for left, top, right, bottom in corners],
        }
    (folder / "val_v2.json").write_text(json.dumps(entries))
    return folder


def write_ref_davis(folder: Path, samples: Sequence[dict]) -> Path:
    """Ref-DAVIS17: one object in every clip, about which four annotators say the same."""
    videos = {}
    for number, sample in enumerate(samples):
        name = f"clip{number}"
        frames = write_frames(folder / "ref" / "valid" / "JPEGImages" / name, sample["video"])
        annotations = folder / "DAVIS" / "Annotations_unsupervised" / "480p" / name
        annotations.mkdir(parents=True)
        for frame, mask in zip(frames, sample["masks"][0], strict=True):
            Image.fromarray(mask.astype(np.uint8)).save(annotations / f"{frame}.png")
        expressions = {str(n): {"exp": sample["phrases"][0], "obj_id": "1"} for n in range(4)}
        videos[name] = {"frames": frames, "expressions": expressions}
    (folder / "DAVIS" / "ImageSets" / "2017").mkdir(parents=True)
    (folder / "DAVIS" / "ImageSets" / "2017" / "val.txt").write_text("\n".join(videos))
    path = folder / "ref" / "meta_expressions" / "valid" / "meta_expressions.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"videos": videos}))
    return folder


def write_refcoco(folder: Path, samples: Sequence[dict]) -> Path:
    """refCOCO with two expressions of an object in every picture, the references as a pickle."""
    refs, pictures, annotations = [], [], []
    (folder / "images").mkdir(parents=True)
    for number, sample in enumerate(samples):
        name = f"COCO_train2014_{number:012d}.jpg"
        Image.fromarray(sample["video"][0]).save(folder / "images" / name, quality=98)
        pictures.append({"id": number, "file_name": name, "height": 96, "width": 96})
        rle = encode_rle(sample["masks"][0][0])
        annotations.append({"id": 50 + number, "image_id": number, "segmentation": rle})
        words = sample["phrases"][0]
        sentences = [{"sent_id": 2 * number + n, "sent": text} for n, text in enumerate((words, f"{words} there"))]
        refs.append(
            {"ref_id": number, "image_id": number, "ann_id": 50 + number, "split": "val", "sentences": sentences}
        )
    (folder / "refs(unc).p").write_bytes(pickle.dumps(refs, protocol=0))
    (folder / "instances.json").write_text(json.dumps({"images": pictures, "annotations": annotations}))
    return folder


def write_gcg(folder: Path, samples: Sequence[dict]) -> Path:
    """Grounded captions: the last word of a clip's first phrase names its object."""
    videos, annotations = [], []
    for number, sample in enumerate(samples):
        name = f"clip{number}"
        names = write_frames(folder / "frames" / name, sample["video"])
        words = f"there is {sample['phrases'][0]}".split()
        about = {"caption": " ".join(words), "token_pos": [len(words) - 1], "mask_id": [number]}
        annotations.append(
            {"id": number, "segmentations": [encode_rle(m) if m.any() else None for m in sample["masks"][0]]}
        )
        files = [f"{name}/{frame}.jpg" for frame in names]
        videos.append(
            {"id": name, "file_names": files, "width": 96, "height": 96, "length": len(files), "dense_cap": about}
        )
    (folder / "val.json").write_text(json.dumps({"videos": videos, "annotations": annotations}))
    return folder


def write_own(root: Path, samples: Sequence[dict]) -> Path:
    """One's own data: samples of the shapes world as folders of frames, with `validation.jsonl`."""
    written = []
    for number, clip in enumerate(samples):
        names = write_frames(root / f"clip{number}", clip["video"], "png")
        written.append(
            {
                "id": f"clip/{number}",
                "kind": clip["kind"],
                "messages": clip["messages"],
                "video": [str(root / f"clip{number}" / f"{name}.png") for name in names],
                "masks": [[encode_rle(mask) if mask.any() else None for mask in track] for track in clip["masks"]],
                "mask_frames": list(range(len(names))),
            }
        )
    write_jsonl(root / "validation.jsonl", written)
    return root
