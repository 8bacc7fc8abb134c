"""How many clicks bring masks to an IoU of 0.95: from the model's answer, against from clicks alone.

The small model that ships, held-out clips of its world. The simulated person looks for the frame with the most wrong
pixels, and clicks in the middle of the largest wrong patch there: on it if something is missing, beside the object if
something is too much. Counts, not times: they do not depend on how busy the machine is.
"""

import argparse
from typing import Any

import numpy as np
from scipy.ndimage import distance_transform_edt, label
from tqdm.auto import tqdm

from common import benchmark_main
from videoglamm_hf.loading.models import load_model, load_processor
from videoglamm_hf.mask_overlap import mask_iou
from videoglamm_hf.toy import TINY_MODEL
from videoglamm_hf.toy.shapes_world import ShapesWorldConfig, ShapesWorldDataset

GOOD = 0.95


def wrong_place(found: np.ndarray, truth: np.ndarray) -> tuple[int, tuple[float, float], int] | None:
    """Frame, `(x, y)` and label of a person's next click; None if nothing is wrong.

    Args:
        found, truth: bool `[T, H, W]`.
    """
    wrong = found ^ truth
    frame = int(wrong.sum((1, 2)).argmax())
    patches, count = label(wrong[frame])
    if not count:
        return None
    sizes = np.bincount(patches.ravel())[1:]
    depth = distance_transform_edt(np.pad(patches == 1 + sizes.argmax(), 1))[1:-1, 1:-1]
    y, x = np.unravel_index(depth.argmax(), depth.shape)
    return frame, (x + 0.5, y + 0.5), int(truth[frame, y, x])


def clicked(session: Any, number: int | None, truth: np.ndarray, clicks: int) -> list[float]:
    """Mean IoU over the frames in which the object shows, after 0 to `clicks` clicks."""
    shown = truth.any((1, 2))

    def masks() -> np.ndarray:
        if number is None:
            return np.zeros_like(truth)
        return session.objects[[one.number for one in session.objects].index(number)].track.masks[0].numpy()

    curve = []
    for _ in range(clicks + 1):
        found = masks()
        curve.append(float(mask_iou(found, truth)[shown].mean()))
        place = wrong_place(found, truth)
        if place is None or len(curve) > clicks:
            break
        frame, point, side = place
        if number is None:
            number = session.add(frame, points=point, labels=side)
        else:
            session.click(number, frame, point, side)
    return curve + [curve[-1]] * (clicks + 1 - len(curve))


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    model, processor = load_model(str(TINY_MODEL), "float32", "cpu"), load_processor(str(TINY_MODEL))
    found: dict[str, Any] = {}
    for kind in arguments.kinds:
        world = ShapesWorldDataset("held_out", kind, length=arguments.clips, config=ShapesWorldConfig(), seed=11)
        curves: dict[str, list[list[float]]] = {"from the answer": [], "from clicks alone": []}
        for index in tqdm(range(arguments.clips), desc=kind, leave=False):
            sample, scene = world[index], world.scene(index)
            asked = sample["messages"][0]["content"]
            question = next(part["text"] for part in asked if part["type"] == "text")
            content = [{"type": "video", "video": scene.video}, {"type": "text", "text": question}]
            inputs = processor.apply_chat_template(
                [{"role": "user", "content": content}], tokenize=True, add_generation_prompt=True
            )
            (encoded,) = model.encode_videos(**inputs)
            output = model.generate(**inputs, encoded_videos=[encoded], max_new_tokens=64)
            truth = truth_of(sample, scene)
            if truth is None:
                continue
            answered = model.edit(output, encoded_videos=[encoded])
            alone = model.edit(encoded_videos=[encoded])
            number = 0 if len(answered.objects) else None
            curves["from the answer"].append(clicked(answered, number, truth, arguments.clicks))
            curves["from clicks alone"].append(clicked(alone, None, truth, arguments.clicks))
        found[kind] = {name: summary(np.array(own)) for name, own in curves.items()}
    return found


def truth_of(sample: dict[str, Any], scene: Any) -> np.ndarray | None:
    """The masks of what the first [SEG] of the true answer names, bool `[T, H, W]`; None if it shows nowhere."""
    from videoglamm_hf.data.masks import decode_masks

    tracks = sample.get("masks") or []
    if not tracks:
        return None
    truth = decode_masks(tracks[:1], scene.video.shape[1:3])[0] == 1
    return truth if truth.any() else None


def summary(curves: np.ndarray) -> dict[str, Any]:
    """Mean IoU after each click, how many objects are good after it, and the clicks that half of them take."""
    good = np.maximum.accumulate(curves >= GOOD, axis=1)
    share = good.mean(0)
    half = int(np.argmax(share >= 0.5)) if (share >= 0.5).any() else None
    return {
        "objects": len(curves),
        "mean IoU": [round(float(value), 3) for value in curves.mean(0)],
        f"share at {GOOD}": [round(float(value), 3) for value in share],
        f"clicks until half are at {GOOD}": half,
    }


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--clips", type=int, default=40, help="of each kind (default: 40)")
    parser.add_argument("--clicks", type=int, default=10, help="most clicks (default: 10)")
    parser.add_argument("--kinds", nargs="+", default=["referring", "size", "unseen_pairs"], help="of questions")


if __name__ == "__main__":
    benchmark_main("clicks", run, options)
