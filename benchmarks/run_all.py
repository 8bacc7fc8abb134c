"""Runs every benchmark, keeps its figures under `results/`, and writes them into RESULTS.md.

RESULTS.md has one marked section per device, which is replaced; what is written around it stays.
"""

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).parent
SCRIPTS = (
    "answer",
    "tracking",
    "long_video",
    "batching",
    "second_question",
    "streams",
    "decoders",
    "precision",
    "cached_features",
    "quantization",
    "scoring",
)


def rows(figures: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(what, seen, target) of every row with a target, from the figures of all scripts."""
    answer, tracking, streams = figures["answer"], figures["tracking"], figures["streams"]
    hour = figures["long_video"]
    hour_mb = hour["3600 frames"]["peak MB"] - hour["60 frames"]["peak MB"]
    drift = figures["precision"]
    found = [
        ("answer, 16 tokens, against recomputing all", f"{answer['16 tokens']['speed-up']}x", ""),
        ("answer, 64 tokens, against recomputing all", f"{answer['64 tokens']['speed-up']}x", ">= 30x"),
        ("a further token / the first", f"{100 * answer['slope / first token']:.1f} %", "< 5 %"),
    ]
    targets = {1: ">= 1.0x", 8: ">= 2x", 16: ">= 2.5x"}
    for name in ("small decoder", "tiny golden decoder"):
        size = tracking[name]["image size"]
        found += [
            (
                f"tracking {n} object{'s' * (n > 1)}, {name}, {size} px",
                f"{tracking[name][f'{n} objects']['speed-up']}x",
                targets.get(n, ""),
            )
            for n in (1, 2, 4, 8, 16)
        ]
        worst = max(tracking[name][f"{n} objects"]["differing mask pixels"] for n in (1, 2, 4, 8, 16))
        found.append((f"mask pixels that differ from the session's, {name}", f"{worst:.1e}", "0"))
    growth = {side: tracking[f"peak memory, {side}"] for side in ("ours", "session")}
    found += [
        (
            "memory per frame / packed masks, 32 to 512 frames, 4 objects",
            f"{growth['ours']['growth / packed masks']} (session: {growth['session']['growth / packed masks']})",
            "<= 2",
        ),
        ("peak memory of an hour (3,600 frames) over that of a minute", f"+{hour_mb:.0f} MB", "bounded"),
        (
            "file to streams, against decode all, prepare all",
            f"{streams['decode all, prepare all one by one']['speed-up']}x",
            ">= 3x",
        ),
        (
            "file to streams, against decode all, prepare the used",
            f"{streams['decode all, prepare the used ones']['speed-up']}x",
            "",
        ),
    ]
    found += [
        (f"time with av / with decord, {name} of ten minutes", seen["av / decord"], "")
        for name, seen in figures["decoders"].items()
        if isinstance(seen, dict)
    ]
    for name, target in (("words and masks", ">= 1.3x"), ("words only", "")):
        found += [
            (f"batch of 4, {name}, {size}", f"{seen[name]['speed-up']}x", target)
            for size, seen in figures["batching"].items()
            if "px" in size
        ]
    for name, target in (("words and masks", "<= 0.25"), ("words and masks, framewise", ""), ("words only", "")):
        found += [
            (f"second question / first, {name}, {size}", seen[name]["second / first"], target)
            for size, seen in figures["second_question"].items()
            if "px" in size
        ]
    found += [
        (
            f"bfloat16 and float32 masks, {mode}: least IoU",
            min(drift[f"IoU of bfloat16 and float32 masks, {mode}"]),
            "",
        )
        for mode in ("framewise", "video")
    ]
    found += [
        (f"training step from cached {name}, against from pixels", f"{seen['speed-up']}x", "> 1x")
        for name, seen in figures["cached_features"].items()
        if isinstance(seen, dict)
    ]
    found += [
        (f"points of mean IoU lost by the small model in {name}", *lost.removesuffix(")").split(" ("))
        for name, lost in figures["quantization"]["most points lost (target)"].items()
    ]
    scoring = figures["scoring"]
    found.append((f"scoring MeViS / official way ({scoring['official side']})", scoring["ours / official"], "<= 0.33"))
    return [(what, str(seen), target) for what, seen, target in found]


def write_results(figures: dict[str, Any], minutes: float) -> None:
    """Replaces this kind of device's section of RESULTS.md."""
    kind = "gpu" if torch.cuda.is_available() else "cpu"
    first = figures["answer"]
    lines = [f"Device: {first['device']}. Date: {first['date']}. torch {first['torch']}. {minutes:.0f} minutes.", ""]
    lines += ["| what | seen | target |", "|---|---|---|"]
    lines += [f"| {what} | {seen} | {target or '-'} |" for what, seen, target in rows(figures)]
    path = HERE / "RESULTS.md"
    begin, end = f"<!-- {kind} figures -->", f"<!-- end of {kind} figures -->"
    replaced, count = re.subn(
        f"{begin}.*?{end}", lambda _: "\n".join([begin, *lines, end]), path.read_text(), flags=re.DOTALL
    )
    if not count:
        raise SystemExit(f"{path} has no section {begin!r} ... {end!r}.")
    path.write_text(replaced)


def main() -> None:
    kind = "gpu" if torch.cuda.is_available() else "cpu"
    folder = HERE / "results" / kind
    folder.mkdir(parents=True, exist_ok=True)
    scripts = (*SCRIPTS, "full_size") if kind == "gpu" else SCRIPTS
    start, figures = time.monotonic(), {}
    for number, name in enumerate(scripts, start=1):
        print(f"[{number}/{len(scripts)}] {name}", flush=True)
        path = folder / f"{name}.json"
        subprocess.run([sys.executable, HERE / f"{name}.py", "--json", path], check=True, stdout=subprocess.DEVNULL)
        figures[name] = json.loads(path.read_text())
    write_results(figures, (time.monotonic() - start) / 60)
    print((HERE / "RESULTS.md").read_text())


if __name__ == "__main__":
    main()
