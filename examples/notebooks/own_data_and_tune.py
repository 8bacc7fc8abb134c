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
# # From masks of your own to a tuned model
#
# PNG masks are brought in, checked, and trained on. Here they are of six clips of shapes, and training takes two
# steps, so that this runs in seconds on a CPU; with your masks and your model leave `max_steps` out.

# %%
from pathlib import Path
from tempfile import mkdtemp

from PIL import Image
from transformers.utils import logging

from videoglamm_hf.render.video_encoding import write_mp4
from videoglamm_hf.toy import TINY_MODEL
from videoglamm_hf.toy.shapes_world import ShapesWorldDataset

logging.disable_progress_bar()
folder = Path(mkdtemp())
clips = ShapesWorldDataset("train", "referring", length=6)
(folder / "videos").mkdir()
for i in range(6):
    scene = clips.scene(i)
    name = f"{scene.objects[0].colour} {scene.objects[0].shape}"
    place = folder / "masks" / f"clip{i}" / name
    place.mkdir(parents=True)
    write_mp4(folder / "videos" / f"clip{i}.mp4", list(scene.video), fps=4)
    for frame, labels in enumerate(scene.labels):
        Image.fromarray(labels == 1).save(place / f"{frame:05}.png")
sorted(path.name for path in (folder / "masks").glob("*/*"))

# %% [markdown]
# ## Masks in

# %%
from videoglamm_hf.exchange import import_data

report = import_data(folder / "masks", folder / "data", video=folder / "videos", split=0.34)
print(report.videos, "videos,", report.objects, "objects,", report.masks, "masks")
print(report.notes[0])  # all of them, on the frames that are meant, are in notes.txt: read them

# %% [markdown]
# ## Check

# %%
from videoglamm_hf.checking import check_data

found = check_data(folder / "data")
print(found.samples, "samples,", len(found.findings), "findings")
for finding in found.findings[:3]:
    print(f"- {finding.text}: {finding.fix}")

# %% [markdown]
# ## Tune
#
# Videos held out are measured before and after. Two steps change nothing worth speaking of.

# %%
from videoglamm_hf.tuning import TuneOptions, tune

options = TuneOptions(max_steps=2, max_new_tokens=16, quantization="none")
result = tune(folder / "data", str(TINY_MODEL), folder / "tuned", options, device="cpu")
print("steps trained, best after:", result.steps)
for difference in result.differences[:3]:
    print(f"{difference.figure}: {difference.first:.3f} before, {difference.second:.3f} after")
sorted(path.name for path in result.adapter.glob("*.safetensors"))
