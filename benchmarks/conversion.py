"""Converting a checkpoint of the published sizes: peak resident memory and time, against copying its files.

The checkpoint is synthetic: every tensor of the original's listing, bfloat16, in pickled shards. Its tokenizer is the
parity tests' tiny one, so most rows of the embeddings are cut. `--scale` keeps a share of the language model's and the
temporal tower's layers; the full size takes three times 11 GB of disk. Peak memory counts mapped pages of the files.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from common import ROOT, TINY_CONFIG, benchmark_main, peak_bytes
from tests.tiny_checkpoint import CLIP_PREFIX, FIXTURES, shapes, write_original
from videoglamm_hf.conversion import convert_videoglamm

FULL_LISTING = ROOT / "tests" / "fixtures" / "state_dict_full.txt"
LAYERS = re.compile(r"(model\.layers|model\.vision_tower\.vision_encoder\.blocks)\.([0-9]+)\.")
NUM_LAYERS = {"model.layers": 32, "model.vision_tower.vision_encoder.blocks": 40}
# What a conversion may take: 1.3 times the largest shard and a gigabyte; three times as long as copying.
MEMORY_SHARE, MEMORY_REST, TIME_SHARE = 1.3, 10**9, 3


def listing(scale: float) -> dict[str, tuple[int, ...]]:
    """Keys and shapes of the published checkpoint with a share of its repeated layers."""
    kept = {prefix: max(2, round(scale * count)) for prefix, count in NUM_LAYERS.items()}
    found = {}
    for key, shape in shapes(FULL_LISTING).items():
        match = LAYERS.match(key)
        if match is None or int(match[2]) < kept[match[1]]:
            found[key] = shape
    return found


def write_checkpoint(folder: Path, sizes: dict[str, tuple[int, ...]], shard_bytes: int) -> None:
    """Pickled shards of bfloat16 tensors, CLIP in a folder of its own, beside the tiny checkpoint's small files."""
    write_original(folder, shards=1)
    (folder / "pytorch_model.bin").unlink()
    noise = torch.randn(2**20, generator=torch.Generator().manual_seed(0)).bfloat16()

    def tensor(shape: tuple[int, ...]) -> torch.Tensor:
        count = torch.Size(shape).numel()
        return noise.repeat(-(-count // len(noise)))[:count].clone().reshape(shape)

    clip = {key.removeprefix(CLIP_PREFIX): shape for key, shape in sizes.items() if key.startswith(CLIP_PREFIX)}
    torch.save({key: tensor(shape) for key, shape in clip.items()}, folder / "clip" / "pytorch_model.bin")
    shards: list[list[str]] = [[]]
    used = 0
    for key, shape in sizes.items():
        if key.startswith(CLIP_PREFIX):
            continue
        size = 2 * torch.Size(shape).numel()
        if shards[-1] and used + size > shard_bytes:
            shards.append([])
            used = 0
        shards[-1].append(key)
        used += size
    weight_map = {}
    for number, keys in enumerate(tqdm(shards, desc="writing the checkpoint", unit="shard"), start=1):
        name = f"pytorch_model-{number:05d}-of-{len(shards):05d}.bin"
        torch.save({key: tensor(sizes[key]) for key in keys}, folder / name)
        weight_map |= dict.fromkeys(keys, name)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))


def config(sizes: dict[str, tuple[int, ...]], tiny: bool) -> dict[str, Any]:
    """What shapes cannot tell; the small files beside the weights are the tiny model's."""
    if tiny:
        return json.loads(TINY_CONFIG.read_text())
    heads = {"num_attention_heads": 32, "num_key_value_heads": 32}
    return {"text_config": heads, "spatial_config": {"num_attention_heads": 16, "projection_dim": 768}}


def convert(checkpoint: Path, output: Path, settings: Path) -> dict[str, float]:
    """Converts in this process; its peak is the process's."""
    start = time.perf_counter()
    convert_videoglamm(checkpoint, output, config=settings, overwrite=True, progress=False)
    taken = time.perf_counter() - start
    return {"seconds": taken, "peak bytes": peak_bytes()}


def copy(files: list[Path], folder: Path) -> float:
    """Seconds that copying takes, down to the disk as conversion does."""
    folder.mkdir(exist_ok=True)
    start = time.perf_counter()
    for file in files:
        with file.open("rb") as source, (folder / f"{file.parent.name}_{file.name}").open("wb") as target:
            shutil.copyfileobj(source, target, 2**24)
            target.flush()
            os.fsync(target.fileno())
    return time.perf_counter() - start


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    if arguments.child is not None:
        return convert(*arguments.child)
    sizes = shapes(FIXTURES / "state_dict_tiny.txt") if arguments.tiny else listing(arguments.scale)
    total = 2 * sum(torch.Size(shape).numel() for shape in sizes.values())
    with tempfile.TemporaryDirectory(dir=arguments.folder) as work:
        place = Path(work)
        if shutil.disk_usage(place).free < 3.5 * total:
            raise SystemExit(f"{place} needs {3.5 * total / 1e9:.0f} GB free; give another --folder or a --scale.")
        checkpoint = place / "original"
        write_checkpoint(checkpoint, sizes, int(arguments.shard_gb * 1e9))
        (place / "config.json").write_text(json.dumps(config(sizes, arguments.tiny)))
        files = sorted(checkpoint.rglob("*.bin"))
        pairs, peaks = [], []
        for _ in tqdm(range(arguments.runs), desc="copying and converting", unit="run"):
            copied = copy(files, place / "copy")
            shutil.rmtree(place / "copy")
            command = [sys.executable, __file__, "--json", place / "seen.json", "--child"]
            command += [checkpoint, place / "converted", place / "config.json"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            seen = json.loads((place / "seen.json").read_text())
            pairs.append((copied, seen["seconds"]))
            peaks.append(seen["peak bytes"])
        largest = max(file.stat().st_size for file in files)
    bound = MEMORY_SHARE * largest + MEMORY_REST
    return {
        "weights": "tiny" if arguments.tiny else f"scale {arguments.scale}",
        "GB": round(total / 1e9, 2),
        "files": len(files),
        "largest file GB": round(largest / 1e9, 2),
        "peak GB": round(max(peaks) / 1e9, 2),
        "bound GB (1.3 x largest file + 1)": round(bound / 1e9, 2),
        "peak / bound": round(max(peaks) / bound, 2),
        "copying seconds": round(statistics.median(pair[0] for pair in pairs), 2),
        "converting seconds": round(statistics.median(pair[1] for pair in pairs), 2),
        "converting / copying": round(statistics.median(pair[1] / pair[0] for pair in pairs), 2),
        "wanted at most": TIME_SHARE,
    }


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--scale", type=float, default=1.0, help="share of the repeated layers (default: all)")
    parser.add_argument("--tiny", action="store_true", help="the tiny architecture, to try the script")
    parser.add_argument("--shard-gb", type=float, default=5.0, help="largest file of the checkpoint (default: 5)")
    parser.add_argument("--runs", type=int, default=1, help="pairs of copying and converting (default: 1)")
    parser.add_argument("--folder", type=Path, help="where to work (default: the temporary folder)")
    parser.add_argument("--child", type=Path, nargs=3, help=argparse.SUPPRESS)


if __name__ == "__main__":
    benchmark_main("conversion", run, options)
