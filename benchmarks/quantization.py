"""What 8 and 4 bits cost a trained model: held-out clips of the shapes world, the same ones for every precision.

Everything is compared with float32 on the same clips, in points of mean IoU, for framewise and tracked masks.
"""

import argparse
from typing import Any

import torch
from tqdm.auto import tqdm
from transformers import AutoModel, AutoProcessor

from common import benchmark_main
from device import best_device
from videoglamm_hf.loading.memory_estimate import weight_bytes
from videoglamm_hf.loading.models import quantization_config
from videoglamm_hf.toy import TINY_MODEL
from videoglamm_hf.toy.shapes_world.evaluation import evaluate

PRECISIONS = {
    "float32": (torch.float32, "none"),
    "bfloat16": (torch.bfloat16, "none"),
    "8bit": (torch.float32, "8bit"),
    "nf4": (torch.float32, "nf4"),
}
# Points of mean IoU that may be lost against float32.
TARGETS = {"8bit": 1.0, "nf4": 3.0}


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    processor = AutoProcessor.from_pretrained(arguments.model)
    rows: dict[str, dict[str, Any]] = {}
    for name, (dtype, quantization) in tqdm(PRECISIONS.items(), unit="precision"):
        config = quantization_config(quantization)
        options = {} if config is None else {"quantization_config": config}
        model = AutoModel.from_pretrained(arguments.model, dtype=dtype, device_map={"": best_device()}, **options)
        scores = evaluate(model, processor, kinds=arguments.kinds, clips=arguments.clips, batch_size=16)
        rows[name] = {
            "MiB of weights": round(sum(weight_bytes(model.config, dtype).values()) / 2**20, 2),
            "mean IoU": {f"{s.kind}, {s.mask_mode}": round(100 * s.mean_iou, 2) for s in scores},
            "exact answers": {s.kind: round(100 * s.exact, 1) for s in scores},
        }
    base = rows["float32"]["mean IoU"]
    for row in rows.values():
        row["points lost"] = {key: round(base[key] - value, 2) for key, value in row["mean IoU"].items()}
    worst = {name: max(rows[name]["points lost"].values()) for name in TARGETS}
    return {
        "clips of each kind": arguments.clips,
        "precisions": rows,
        "most points lost (target)": {name: f"{worst[name]} (<= {limit})" for name, limit in TARGETS.items()},
    }


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", default=str(TINY_MODEL), help="a model trained on the shapes world (default: the small one)"
    )
    parser.add_argument("--clips", type=int, default=64, help="clips of each kind (default: 64)")
    parser.add_argument("--kinds", nargs="+", default=["referring", "same_colour"], help="kinds of questions")


if __name__ == "__main__":
    benchmark_main("quantization", run, options)
