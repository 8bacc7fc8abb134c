# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How good are the answers?
#
# Figures of single masks, and a run over a folder of one's own data: what `videoglamm evaluate folder` does.

# %%
import numpy as np

from videoglamm_hf.evaluation import boundary_accuracy, region_similarity, sequence_statistics

truth, prediction = np.zeros((2, 4, 48, 64), dtype=bool)
truth[:, 10:30, 10:30] = prediction[:, 10:30, 12:32] = True
j, f = region_similarity(prediction, truth), boundary_accuracy(prediction, truth)
mean, recall, decay = sequence_statistics(j)
print(f"J {j.mean():.3f}, F {f.mean():.3f}, recall {recall:.2f}, decay {decay:.2f}")

# %% [markdown]
# Some held-out clips with questions and masks, as JSONL:

# %%
from pathlib import Path
from tempfile import mkdtemp

from videoglamm_hf.data import write_jsonl
from videoglamm_hf.data.rle import encode_rle
from videoglamm_hf.render.video_encoding import write_mp4
from videoglamm_hf.toy.shapes_world import ShapesWorldDataset

folder = Path(mkdtemp())


def samples(kind, count):
    dataset = ShapesWorldDataset("held_out", kind, length=count, seed=5)
    for i in range(count):
        sample = dataset[i]
        write_mp4(folder / f"{kind}{i}.mp4", sample["video"], fps=4)
        masks = [
            [encode_rle(np.ascontiguousarray(mask)) if mask.any() else None for mask in track]
            for track in sample["masks"]
        ]
        yield {
            "id": f"{kind}{i}",
            "kind": kind,
            "messages": sample["messages"],
            "video": str(folder / f"{kind}{i}.mp4"),
            "masks": masks,
            "mask_frames": sample["mask_frames"],
        }


write_jsonl(folder / "validation.jsonl", [*samples("referring", 3), *samples("all_of", 2)])

# %% [markdown]
# The command asks every question, scores the answers, and writes a page. The same command again goes on where it was
# stopped.

# %%
from videoglamm_hf import cli

cli.main(["evaluate", "folder", "--data", str(folder), "--output", str(folder / "run"), "--device", "cpu", "-q"])

# %%
import json

scores = json.loads((folder / "run" / "scores.json").read_text())
for name, figure in scores["figures"].items():
    print(name, figure)
print(sorted(path.name for path in (folder / "run").iterdir()))
