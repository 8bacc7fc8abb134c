"""An answer as the Python code that gives it."""

import pprint
from pathlib import Path
from typing import Any

from .answer_state import steps_of
from .sessions import ABOUT, Session, read_json

_CODE = """# {text}

import torch
from transformers import AutoModel, AutoProcessor

import videoglamm_hf  # makes its classes known
{imports}
model = AutoModel.from_pretrained({model!r}, dtype={dtype}).eval()
processor = AutoProcessor.from_pretrained({model!r})

{seen}
content = [{{"type": "{kind}", "{kind}": seen}}, {{"type": "text", "text": {quoted}}}]
inputs = processor.apply_chat_template(
    [{{"role": "user", "content": content}}],
    tokenize=True,
    add_generation_prompt=True,
    return_dict=True,
    return_tensors="pt",
).to(model.device)
(encoded,) = model.encode_videos(**inputs)
output = model.generate(
    inputs["input_ids"],
    attention_mask=inputs.get("attention_mask"),
    encoded_videos=[encoded],
    max_new_tokens={words},
    do_sample=False,
    mask_mode={mode!r},
)
answer = processor.post_process_grounded_generation(output)[0]
{steps}
print(answer.text)
for label, masks in zip(answer.labels, answer.masks):  # bool [frames, height, width]
    print(label, int(masks.sum()), "pixels")
"""

_STEPS = """
session = model.edit(output, answer=answer, encoded_videos=[encoded], mask_mode={mode!r})
steps = {steps}
for step in steps:
    for given in step.get("corrections", [step]):
        if isinstance(given.get("mask"), dict):
            given["mask"] = decode_rle(given["mask"])
session.replay(steps)
answer = session.answer
"""


def as_python(engine: Any, session: Session, place: Path, about: dict[str, Any]) -> str:
    """Code that gives an answer as it is now; the video is to lie beside it, under the name it was uploaded with."""
    medium = read_json(session.medium(about["media"]) / ABOUT)
    steps, name = steps_of(place), medium["name"]
    imports, sampling = [], {key: value for key, value in about["sampling"].items() if key != "every"}
    given = "".join(f", {key}={value!r}" for key, value in sampling.items())
    if medium["kind"] == "picture":
        # A video of one frame is a picture, too.
        imports.append("from videoglamm_hf.clip_sources import open_clip")
        seen = f"with open_clip({name!r}) as clip:\n    seen = clip.frames([0])[0]"
    elif about["sampling"].get("every"):
        imports.append("from videoglamm_hf.cli.asking import every_frame")
        seen = f"seen = every_frame(processor, {name!r}, part=True{given})"
    else:
        most = min(engine.settings.most_frames, sampling.get("num_frames", 64))
        seen = f"seen = processor.video_processor.sample({name!r}{given}, max_frames={most})"
    corrected = ""
    if steps.at:
        imports.append("from videoglamm_hf.data.rle import decode_rle")
        counting = pprint.pformat(steps.steps[: steps.at], width=100, sort_dicts=False)
        corrected = _STEPS.format(mode=about["mode"], steps=counting)
    return _CODE.format(
        imports="".join(f"{line}\n" for line in imports),
        model=engine.model_name,
        dtype=str(engine.model.dtype),
        kind="image" if medium["kind"] == "picture" else "video",
        seen=seen,
        text="".join(letter if letter.isprintable() else " " for letter in about["text"]),
        quoted=repr(about["text"]),
        words=about["max_new_tokens"],
        mode=about["mode"],
        steps=corrected,
    )
