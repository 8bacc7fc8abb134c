"""What every benchmark shares: a model that needs no download, timing, and how results are written."""

import argparse
import json
import re
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel, AutoProcessor, LogitsProcessor, logging

from device import best_device, device_name, synchronize
from videoglamm_hf import VideoGlammConfig
from videoglamm_hf.conversion import convert_videoglamm
from videoglamm_hf.pixel_decoder import VideoGlammPixelDecoder

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.tiny_checkpoint import frames, write_original  # noqa: E402

logging.set_verbosity_error()
logging.disable_progress_bar()
TINY_CONFIG = ROOT / "tests" / "fixtures" / "original_tiny" / "config.json"

__all__ = ["ForceTokens", "benchmark_main", "device_name", "frames", "median_seconds", "paired", "tiny_model"]

# A decoder for small machines: 36 positions a frame at 96 pixels, where the tiny golden one has 256 at 256.
SMALL_DECODER = {
    "image_size": 96,
    "memory_attention_num_layers": 2,
    "memory_attention_feed_forward_hidden_size": 512,
    "vision_config": {
        "backbone_channel_list": [192, 128, 64, 32],
        "backbone_config": {
            "hidden_size": 32,
            "num_attention_heads": 1,
            "blocks_per_stage": [1, 1, 2, 1],
            "embed_dim_per_stage": [32, 64, 128, 192],
            "num_attention_heads_per_stage": [1, 2, 4, 4],
            "window_size_per_stage": [8, 4, 14, 7],
            "global_attention_blocks": [3],
        },
    },
}


class ForceTokens(LogitsProcessor):
    """Forces given tokens at given steps, so that every run says the same and segments as many objects."""

    def __init__(self, tokens: dict[int, int], prompt_length: int) -> None:
        self.tokens, self.prompt_length = tokens, prompt_length

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        token = self.tokens.get(input_ids.shape[1] - self.prompt_length)
        if token is not None:
            scores = torch.full_like(scores, -1e9)
            scores[:, token] = 0
        return scores


def tiny_model(image_size: int = 256, **options: Any) -> tuple[Any, Any]:
    """Model and processor of the tiny architecture the parity tests use, weights by formula."""
    with tempfile.TemporaryDirectory() as work:
        original, converted = Path(work) / "original", Path(work) / "converted"
        write_original(original)
        config = json.loads(TINY_CONFIG.read_text())
        config["grounding_config"]["image_size"] = image_size
        convert_videoglamm(original, converted, clip=original / "clip", config=config, progress=False)
        model = AutoModel.from_pretrained(converted, **options)
        return for_inference(model), AutoProcessor.from_pretrained(converted)


def small_decoder() -> VideoGlammPixelDecoder:
    """A pixel decoder with random weights that takes frames of 96 pixels."""
    torch.manual_seed(0)
    config = VideoGlammConfig(grounding_config=SMALL_DECODER).grounding_config
    return for_inference(VideoGlammPixelDecoder(config))


def for_inference(model: Any) -> Any:
    """A model on the device that is measured. Frozen, for torch counts no operations where a weight that trains is a
    module's input and no gradients are wanted."""
    return model.to(best_device()).eval().requires_grad_(False)


def seconds(function: Callable[[], Any]) -> float:
    synchronize()
    start = time.perf_counter()
    function()
    synchronize()
    return time.perf_counter() - start


def rounds(runs: int, within: float | None = None) -> Iterator[None]:
    """So many turns, or as many as fit into `within` seconds by how long the first ones took, at least one."""
    start = time.perf_counter()
    for done in range(runs):
        spent = time.perf_counter() - start
        if within is not None and done and spent * (done + 1) / done > within:
            return
        yield


def median_seconds(function: Callable[[], Any], runs: int = 3, warm_up: int = 1, within: float | None = None) -> float:
    for _ in range(warm_up):
        function()
    return statistics.median(seconds(function) for _ in rounds(runs, within))


def paired(
    first: Callable[[], Any],
    second: Callable[[], Any],
    runs: int = 3,
    warm: bool = False,
    within: float | None = None,
) -> tuple[float, float, float]:
    """Medians of both sides and of the ratio first / second, run in turn so that drift hits both alike. `warm` says
    that both have run before."""
    if not warm:
        first(), second()
    pairs = [(seconds(first), seconds(second)) for _ in rounds(runs, within)]
    ratios = [a / b for a, b in pairs]
    return (*(statistics.median(side) for side in zip(*pairs, strict=True)), statistics.median(ratios))


def peak_bytes() -> int:
    """Peak resident memory of this program alone; Linux's ru_maxrss counts that of the process it was started from."""
    status = Path("/proc/self/status")
    if status.exists():
        return 1024 * int(re.search(r"VmHWM:\s*(\d+)", status.read_text())[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def benchmark_main(
    name: str, run: Callable[[argparse.Namespace], dict[str, Any]], add: Callable | None = None
) -> None:
    """Command line of a benchmark: runs it, prints its figures, writes them with `--json FILE`."""
    parser = argparse.ArgumentParser(description=name)
    parser.add_argument("--json", type=Path, help="write the figures here")
    if add is not None:
        add(parser)
    arguments = parser.parse_args()
    result = {"name": name, "device": device_name(), "date": str(date.today()), "torch": torch.__version__}
    result |= run(arguments)
    text = json.dumps(result, indent=1)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n")
