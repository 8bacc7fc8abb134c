"""How sure the small model is, before and after `videoglamm calibrate`, on held-out clips of its own world.

    python benchmarks/calibration.py [--clips N] [--folder DIR] [--write-results] [--ship]

Clips of every kind of question are written as our JSONL: things that are not there, pairs of colour and shape that
were never trained on and captions among them. What is printed is of fits that had not seen the clip.
`--write-results` replaces the section of RESULTS.md and its picture; `--ship` writes calibration.json beside the small
model's weights. Run it again when these are replaced.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from results_file import RESULTS, replace_section
from videoglamm_hf.calibration import calibrate, write_calibration_report
from videoglamm_hf.calibration.diagram import reliability_diagram
from videoglamm_hf.calibration.table import figure_rows
from videoglamm_hf.data import write_jsonl
from videoglamm_hf.data.rle import encode_rle
from videoglamm_hf.toy import TINY_MODEL
from videoglamm_hf.toy.shapes_world import KINDS, ShapesWorldDataset

# Neither training nor the floors of the small model draw this seed of the held-out clips.
SEED = 2_000_000
# All other kinds are about what is there.
TIMES = {"absent": 4}


def samples(folder: Path, clips: int) -> Iterator[dict[str, Any]]:
    """Writes the frames of every clip, and gives its sample."""
    for kind in KINDS:
        count = clips * TIMES.get(kind, 1)
        dataset = ShapesWorldDataset("held_out", kind, length=count, seed=SEED)
        for number in tqdm(range(count), desc=f"writing {kind}", unit="clip", leave=False, disable=None):
            sample, place = dataset[number], folder / f"{kind}{number}"
            place.mkdir(parents=True, exist_ok=True)
            paths = [place / f"{t:05d}.png" for t in range(len(sample["video"]))]
            for path, frame in zip(paths, sample["video"], strict=True):
                Image.fromarray(frame).save(path)
            tracks = [[encode_rle(np.ascontiguousarray(m)) if m.any() else None for m in t] for t in sample["masks"]]
            yield {
                "id": f"{kind}{number}",
                "kind": kind,
                "messages": sample["messages"],
                "video": [str(path) for path in paths],
                "masks": tracks,
                "mask_frames": sample["mask_frames"],
            }


def results(measured: dict[str, Any], clips: int) -> list[str]:
    """The lines of RESULTS.md."""
    questions = measured["questions"]
    lines = [
        f"2026-11-29, two busy CPU cores (counts do not depend on speed): {questions} questions about as many "
        f"held-out clips, {clips} of each of {len(KINDS) - 1} kinds and {TIMES['absent'] * clips} about what is not "
        "there. *Before* is the untuned `score` of answer.json, the mean predicted IoU (of sentences the largest of "
        "their objects', 0 without objects); *after* is of five fits, each measured on clips that it had not seen. "
        "*Ranking*: how often something right is surer than something wrong.",
        "",
        "| what | true | calibration error before | after | Brier score before | after | ranking before | after |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [f"| {' | '.join(row)} |" for row in figure_rows(measured)]
    lines += ["", "What `--abstain` leaves, with the same probabilities:", ""]
    lines += ["| masks | all | 0.5 | 0.7 | 0.9 |", "|---|---|---|---|---|"]
    for mode in (mode for mode, own in measured.items() if isinstance(own, dict)):
        own = measured[mode]["objects"]
        cells = [f"{own['right']} of {own['count']} right"]
        cells += [f"{at['right']} of {at['kept']} right" for at in own["abstain"]]
        lines.append(f"| {mode} | {' | '.join(cells)} |")
    return [*lines, "", "![Reliability](results/calibration.png)"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=60, help="of every kind of question (default: 60)")
    parser.add_argument("--model", default=str(TINY_MODEL), help="(default: the small one that ships)")
    parser.add_argument("--folder", type=Path, help="where clips and page go and stay (default: a temporary one)")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--write-results", action="store_true", help="replace the section of RESULTS.md")
    parser.add_argument("--ship", action="store_true", help="write calibration.json into the model's folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        write_jsonl(folder / "validation.jsonl", samples(folder / "clips", options.clips))
        output = None if options.ship else folder / "calibration.json"
        found = calibrate(folder, options.model, output=output, device="cpu", progress=True)
        write_calibration_report(folder / "page.html", found)
    measured = found.calibration.measured
    print("\n".join(["", *results(measured, options.clips), "", *found.notes]))
    if options.json is not None:
        options.json.write_text(json.dumps(measured, indent=1) + "\n")
    if options.write_results:
        reliability_diagram(measured).save(RESULTS.parent / "results" / "calibration.png")
        replace_section("calibration", results(measured, options.clips))


if __name__ == "__main__":
    main()
