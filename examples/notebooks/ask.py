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
# # Ask a video, look at the masks, correct one
#
# With the small model that ships, which knows moving coloured shapes. For your own videos take a converted checkpoint
# in place of `TINY_MODEL`: nothing else changes.

# %%
from transformers import AutoModel, AutoProcessor
from transformers.utils import logging

import videoglamm_hf  # noqa: F401  registers the classes
from videoglamm_hf.toy import TINY_MODEL
from videoglamm_hf.toy.shapes_world import demo_clip

logging.disable_progress_bar()
processor = AutoProcessor.from_pretrained(TINY_MODEL)
model = AutoModel.from_pretrained(TINY_MODEL, dtype="float32").eval()
video = demo_clip()["video"]
video.shape

# %% [markdown]
# A question is a conversation. `apply_chat_template` reads the video as well as the words.

# %%
content = [{"type": "video", "video": video}, {"type": "text", "text": "Describe the video."}]
inputs = processor.apply_chat_template(
    [{"role": "user", "content": content}], tokenize=True, add_generation_prompt=True
)
(seen,) = model.encode_videos(**inputs)  # towers and image encoder, once for all that follows
output = model.generate(**inputs, encoded_videos=[seen], max_new_tokens=64)
answer = processor.post_process_grounded_generation(output)[0]
print(answer.text)
for phrase in answer.phrases:
    print(f"{phrase.text!r} is object {phrase.object_index}")

# %% [markdown]
# Masks are bool `[objects, frames, height, width]`, at the size of the video.

# %%
from videoglamm_hf.render.contact_sheet import contact_sheet

sheet = contact_sheet(video, answer.masks.numpy(), answer.labels, max_tiles=4, title=answer.text)
sheet.resize((sheet.width // 2, sheet.height // 2))

# %% [markdown]
# A click beside the first object, and one object fewer: neither towers nor language model run again.

# %%
session = model.edit(output, answer=answer, encoded_videos=[seen])
before = session.masks[0].sum(dim=(1, 2)).tolist()
session.click(0, frame=2, points=[(5, 5)], labels=[0])
session.remove(2)
print("pixels of object 0, frame by frame:", before, "->", session.masks[0].sum(dim=(1, 2)).tolist())
session.undo()
session.labels
