"""Device maps: chosen by accelerate, and a part of the model on the CPU."""

from transformers import AutoModel

from tests.gpu.answers import FLOAT32
from videoglamm_hf.toy import TINY_MODEL


def test_auto(agrees, device):
    model = AutoModel.from_pretrained(TINY_MODEL, dtype="float32", device_map="auto").eval()
    assert {p.device.type for p in model.parameters()} == {device.type}
    agrees(model, *FLOAT32)


def test_some_parts_on_the_cpu(agrees, device):
    on_cpu = ("model.temporal_tower", "model.spatial_projector", "lm_head")
    others = ("model.spatial_tower", "model.temporal_projector", "model.language_model", "seg_projection")
    places = dict.fromkeys(on_cpu, "cpu") | dict.fromkeys((*others, "pixel_decoder"), device)
    model = AutoModel.from_pretrained(TINY_MODEL, dtype="float32", device_map=places).eval()
    assert {"cpu", device.type} == {str(place).partition(":")[0] for place in model.hf_device_map.values()}
    agrees(model, *FLOAT32)
