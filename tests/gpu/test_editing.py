"""Corrections and live masks on a device, against the same on a CPU in float32."""

import numpy as np
import torch

from tests.gpu.answers import samples
from videoglamm_hf.live import LiveSession
from videoglamm_hf.mask_overlap import mask_iou
from videoglamm_hf.toy import TINY_MODEL


def on_cpu() -> torch.nn.Module:
    from transformers import AutoModel

    return AutoModel.from_pretrained(TINY_MODEL, dtype=torch.float32).eval()


def inputs_of(model, words, video):
    content = [{"type": "video", "video": video}, {"type": "text", "text": "Describe the video."}]
    inputs = words.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=True, add_generation_prompt=True
    )
    return inputs.to(model.device)


def test_corrections_are_those_of_a_cpu(trained, words):
    video = samples()[1]["video"]
    found = []
    for model in (trained(), on_cpu()):
        inputs = inputs_of(model, words, video)
        (encoded,) = model.encode_videos(**inputs)
        session = model.edit(encoded_videos=[encoded])
        number = session.add(2, points=[(48, 48), (10, 10)], labels=[1, 0])
        session.click(number, 5, (50, 50))
        session.add(1, box=(20, 20, 70, 70))
        session.absent(number, 7)
        found.append(session.masks)
    assert mask_iou(*found, empty=1).mean() > 0.99


def test_live_masks_are_those_of_a_cpu(trained, words):
    video = np.asarray(samples()[1]["video"])
    found = []
    for model in (trained(), on_cpu()):
        session = LiveSession(
            model, words, "Describe the video.", window=0.5, max_new_tokens=48, do_sample=False, disable_compile=True
        )
        steps = [session.push(frame, number / 4) for number, frame in enumerate(video)]
        found.append([step.masks for step in steps])
    for one, other in zip(*found, strict=True):
        assert one.shape == other.shape and (not len(one) or mask_iou(one, other, empty=1).mean() > 0.99)
