"""The model in lmms-eval, where that is installed."""

from importlib.metadata import entry_points

import numpy as np
import pytest

from tests.evaluation.shapes_folders import clips
from videoglamm_hf.errors import InputError
from videoglamm_hf.grounded_answer import parse_grounded_text
from videoglamm_hf.loading.models import load_model, load_processor
from videoglamm_hf.toy import TINY_MODEL


def test_the_entry_point_leads_to_the_adapter():
    (point,) = entry_points(group="lmms_eval.models", name="videoglamm")
    assert point.value == "videoglamm_hf.evaluation.lmms_adapter:manifest"


@pytest.fixture(scope="module")
def adapter():
    pytest.importorskip("lmms_eval.api.model", reason="lmms-eval is not installed")
    pytest.importorskip("lmms_eval.models.registry_v2", reason="lmms-eval before 0.7")
    from videoglamm_hf.evaluation import lmms_adapter

    return lmms_adapter


def test_answers_in_words(adapter):
    from lmms_eval.api.instance import Instance
    from lmms_eval.models.registry_v2 import ModelRegistryV2

    registry = ModelRegistryV2()
    registry.register_manifest(adapter.manifest())
    asked = registry.get_model_class("videoglamm")(str(TINY_MODEL), device="cpu")
    samples = clips(2)
    asked.task_dict = {"shapes": {"test": samples}}

    def messages_of(sample: dict) -> list[dict]:
        text = sample["messages"][0]["content"][1]["text"]
        content = [{"type": "video", "url": sample["video"]}, {"type": "text", "text": text}]
        return [{"role": "user", "content": content}]

    settings = {"max_new_tokens": 64, "temperature": 0, "do_sample": False, "until": ["\n\n"]}
    requests = [
        Instance(
            "generate_until",
            ("context", messages_of, settings, number, "shapes", "test"),
            number,
            {"task": "shapes", "doc_id": number, "repeats": 1},
        )
        for number in range(2)
    ]
    model, processor = load_model(str(TINY_MODEL), device="cpu"), load_processor(str(TINY_MODEL))
    expected = []
    for sample in samples:
        content = [{"type": "video", "video": np.asarray(sample["video"])}, sample["messages"][0]["content"][1]]
        inputs = processor.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=True, add_generation_prompt=True
        )
        answer = processor.post_process_grounded_generation(model.generate(**inputs, max_new_tokens=64))[0]
        expected.append(parse_grounded_text(answer.raw_text, 0)[0])
    assert asked.generate_until(requests) == expected and all(expected)
    with pytest.raises(NotImplementedError):
        asked.loglikelihood(requests)


def test_batches_are_refused(adapter):
    with pytest.raises(InputError, match="batch_size"):
        adapter.VideoGlamm(str(TINY_MODEL), batch_size=2)
