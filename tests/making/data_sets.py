"""Small data sets of every source, in the layouts that docs/make_data.md names."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.data.builders import write_frames, write_ids, write_json
from tests.exchange.made_data import made, write_data, write_pictures
from videoglamm_hf.data.rle import encode_rle
from videoglamm_hf.exchange import export_data

SIZE = (48, 64)
COUNT = 12


def shape(left: int) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[10:30, left : left + 20] = True
    return mask


def mevis(root: Path) -> None:
    names = [f"{i:05d}" for i in range(3)]
    videos = {}
    for video in ("v0", "v1"):
        write_frames(root / "train" / "JPEGImages" / video, [f"{name}.jpg" for name in names], SIZE)
        videos[video] = {
            "frames": names,
            "expressions": {
                "0": {"exp": "two dogs running", "obj_id": [0, 1], "anno_id": [3, 4]},
                "1": {"exp": "the dog in front", "obj_id": [1], "anno_id": [4]},
                "2": {"exp": "a flying cow", "obj_id": [], "anno_id": []},
            },
        }
    write_json(root / "train" / "meta_expressions.json", {"videos": videos})
    masks = {"3": [encode_rle(shape(i)) for i in range(3)], "4": [encode_rle(shape(40)), None, encode_rle(shape(42))]}
    write_json(root / "train" / "mask_dict.json", masks)


def ref_youtube_vos(root: Path) -> None:
    names = ["00000", "00005"]
    expressions = {"0": {"exp": "a left thing", "obj_id": "1"}, "1": {"exp": "the thing right", "obj_id": "2"}}
    videos = {"v0": {"frames": names, "expressions": expressions}}
    write_json(root / "meta_expressions" / "train" / "meta_expressions.json", {"videos": videos})
    write_frames(root / "train" / "JPEGImages" / "v0", [f"{name}.jpg" for name in names], SIZE)
    for name in names:
        write_ids(root / "train" / "Annotations" / "v0" / f"{name}.png", shape(0) + 2 * shape(40))


def vidstg(root: Path) -> None:
    entry = {
        **{"vid": "101", "fps": 3, "frame_count": COUNT, "width": SIZE[1] * 2, "height": SIZE[0] * 2},
        "used_segment": {"begin_fid": 0, "end_fid": COUNT},
        "temporal_gt": {"begin_fid": 3, "end_fid": 10},
        "subject/objects": [{"tid": 0, "category": "adult"}, {"tid": 1, "category": "ball"}],
        "used_relation": {"subject_tid": 0, "object_tid": 1, "predicate": "watch"},
        "captions": [{"description": "the adult watches a ball", "target_id": 0}],
        "questions": [],
    }
    box = {"xmin": 20, "ymin": 20, "xmax": 60, "ymax": 60}
    boxes = [[{"tid": tid, "bbox": {**box, "xmax": 60 + 20 * tid}} for tid in (0, 1)] for _ in range(COUNT)]
    write_json(root / "train_annotations.json", [entry, {**entry, "captions": [], "questions": entry["captions"]}])
    write_json(root / "vidor" / "training" / "0000" / "101.json", {"trajectories": boxes})
    write_frames(root / "videos" / "101", [f"{i:03d}.png" for i in range(COUNT)], SIZE)


def hc_stvg(root: Path) -> None:
    boxes = [[10, 10, 20, 20]] * 20
    entry = {"bbox": boxes, "st_frame": 5, "img_num": 40, "English": "A man sits down.", "height": 48, "width": 64}
    write_json(root / "train_v2.json", {"a.mp4": entry})
    write_pictures(root / "videos" / "a", 40, SIZE)


def anet_entities(root: Path) -> None:
    segment = {
        "tokens": ["A", "man", "rides", "horses", ",", "he", "falls"],
        "process_idx": [[1, 5], [3], [3], [1, 5]],
        "process_bnd_box": [[0, 0, 240, 240], [120, 0, 360, 120], [400, 0, 600, 120], [600, 0, 700, 100]],
        "frame_ind": [2, 2, 2, 7],
    }
    nothing = {"tokens": ["Nothing", "is", "there"], "process_idx": [], "process_bnd_box": [], "frame_ind": []}
    annotations = {"v_abc": {"segments": {"0": segment, "3": nothing}}}
    write_json(root / "anet_entities_cleaned_class_thresh50_trainval.json", {"annotations": annotations})
    write_json(root / "split_ids_anet_entities.json", {"training": ["v_abc"]})
    for number in ("0", "3"):
        write_frames(root / "frames" / "v_abc" / number, [f"{i:02d}.jpg" for i in range(10)], SIZE)


def jsonl(root: Path) -> None:
    videos = [made(name, write_pictures(root / "pictures" / name)) for name in ("one", "two")]
    write_data(root, videos)


def youtube_vis(root: Path) -> None:
    jsonl(root / "own")
    export_data(root / "own", root / "vis", format="ytvos")
    for path in (root / "vis").iterdir():
        path.rename(root / path.name)


def burst(root: Path) -> None:
    def about(mask: np.ndarray) -> dict:
        return {"rle": encode_rle(mask)["counts"], "is_gt": True}

    sequence = {
        **{"width": SIZE[1], "height": SIZE[0], "id": 1, "seq_name": "s1", "dataset": "LaSOT", "fps": 6},
        "all_image_paths": ["000.jpg", "001.jpg", "002.jpg"],
        "annotated_image_paths": ["000.jpg", "002.jpg"],
        "track_category_ids": {"1": 7, "5": 9},
        "segmentations": [{"1": about(shape(0))}, {"1": about(shape(3)), "5": about(shape(40))}],
    }
    categories = [{"id": 7, "name": "aerosol_can"}, {"id": 9, "name": "ball"}]
    write_json(root / "train.json", {"sequences": [sequence], "categories": categories, "split": "train"})
    write_frames(root / "frames" / "LaSOT" / "s1", sequence["all_image_paths"], SIZE)


BUILDERS: dict[str, Callable[[Path], None]] = {
    "mevis": mevis,
    "ref-youtube-vos": ref_youtube_vos,
    "vidstg": vidstg,
    "hc-stvg": hc_stvg,
    "anet-entities": anet_entities,
    "youtube-vis": youtube_vis,
    "burst": burst,
    "jsonl": jsonl,
}
