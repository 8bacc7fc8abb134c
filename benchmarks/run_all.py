"""Runs every benchmark on the CPU, keeps its figures under `results/cpu`, and writes them into RESULTS.md.

`--only tracking batching` runs these two, and takes the others' figures as they were found last. What a GPU does,
`gpu.py` measures.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from results_file import RESULTS, replace_section

HERE = RESULTS.parent
FOLDER = HERE / "results" / "cpu"
# Figures of scripts whose subject was made faster since.
BEFORE = FOLDER / "before"
SCRIPTS = (
    "answer",
    "full_size",
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
    "evaluation",
)
OPTIONS = {"full_size": ["--tiny"]}


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
    found += [
        (f"{name}, 256 px: share of the floor", f"{100 * seen['floor / time']:.2g} %", "")
        for name, seen in figures["full_size"]["stages"].items()
        if "floor / time" in seen
    ]
    for name, targets in (
        ("small decoder", {1: ">= 1.0x", 8: ">= 3x"}),
        ("tiny golden decoder", {1: ">= 1.2x", 8: ">= 1.6x"}),
    ):
        size = tracking[name]["image size"]
        found += [
            (
                f"tracking {n} object{'s' * (n > 1)}, {name}, {size} px",
                f"{tracking[name][f'{n} objects']['speed-up']}x",
                targets.get(n, ""),
            )
            for n in (1, 2, 4, 8, 16)
            if f"{n} objects" in tracking[name]
        ]
        worst = max(seen["differing mask pixels"] for what, seen in tracking[name].items() if "objects" in what)
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
    for name, target in (("words and masks", "<= 0.4"), ("words and masks, framewise", ""), ("words only", "")):
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
    # The target is against the official way as it is, with OpenCV.
    target = "<= 0.33" if scoring["official side"].startswith("OpenCV") else "-"
    found.append((f"scoring MeViS / official way ({scoring['official side']})", scoring["ours / official"], target))
    found += [
        (f"questions that share a video / alone, {seen['questions'] // 2} a video, {mode}", f"{seen['speed-up']}x", "")
        for mode, seen in figures["evaluation"].items()
        if isinstance(seen, dict)
    ]
    return [(what, str(seen), target) for what, seen, target in found]


def write_results(figures: dict[str, Any], before: dict[str, Any]) -> None:
    """Replaces the CPU's section of RESULTS.md."""
    first = figures["answer"]
    dates: dict[str, list[str]] = {}
    for name, seen in figures.items():
        dates.setdefault(seen["date"], []).append(name)
    told = "; ".join(f"{day}: {', '.join(names)}" for day, names in sorted(dates.items()))
    then = ", ".join(f"{name} {seen['date']}" for name, seen in before.items())
    old = {what: seen for what, seen, _ in rows(figures | before)}
    lines = [f"Device: {first['device']}. torch {first['torch']}. Dates: {told}. Before: {then}.", ""]
    lines += ["| what | before | seen | target |", "|---|---|---|---|"]
    lines += [
        f"| {what} | {old[what] if old.get(what, seen) != seen else '-'} | {seen} | {target or '-'} |"
        for what, seen, target in rows(figures)
    ]
    replace_section("cpu", lines)


def stored(folder: Path) -> dict[str, Any]:
    """The figures of every script that a folder holds."""
    paths = {name: folder / f"{name}.json" for name in SCRIPTS}
    return {name: json.loads(path.read_text()) for name, path in paths.items() if path.exists()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=SCRIPTS, default=SCRIPTS, help="scripts to run")
    chosen = parser.parse_args().only
    FOLDER.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(chosen, start=1):
        print(f"[{number}/{len(chosen)}] {name}", flush=True)
        subprocess.run(
            [sys.executable, HERE / f"{name}.py", *OPTIONS.get(name, ()), "--json", FOLDER / f"{name}.json"],
            check=True,
            stdout=subprocess.DEVNULL,
            env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
        )
    write_results(stored(FOLDER), stored(BEFORE))
    print(RESULTS.read_text())


if __name__ == "__main__":
    main()
