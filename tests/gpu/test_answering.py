"""Ways to an answer: beams, batches, streams, masks frame by frame, objects given by hand."""

import torch

from tests.gpu.answers import FLOAT32, GREEDY, agreement, answer, clips, inputs_of, samples
from videoglamm_hf.mask_overlap import mask_iou


def test_beams(on_device, agrees):
    agrees(on_device, *FLOAT32, num_beams=2)


def test_a_batch(on_device, words, expected, record_property):
    found = answer(on_device, words, clips())
    ious = agreement(found, expected())
    record_property("least IoU", round(float(ious.min()), 4))
    assert found.texts == expected().texts
    assert ious.min() >= 0.95 and ious.median() >= 0.995


class Heard:
    """A streamer that keeps what it is given."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.ended = False

    def put(self, ids: torch.Tensor) -> None:
        self.ids += ids.flatten().tolist()

    def end(self) -> None:
        self.ended = True


def test_words_and_masks_are_streamed(on_device, words):
    heard, shown = Heard(), []
    inputs = inputs_of(on_device, words, clips()[0])
    output = on_device.generate(**inputs, **GREEDY, streamer=heard, mask_callback=shown.append)
    assert heard.ended and heard.ids == output.sequences[0].tolist()
    assert [one.frame_index for one in shown] == list(range(output.masks[0].shape[1]))
    assert torch.equal(torch.stack([one.masks for one in shown], dim=1), output.masks[0])


def test_objects_given_by_hand(trained, reference, words):
    given = torch.from_numpy(samples()[1]["masks"][:, 0]).float()
    found = []
    for model in (reference, trained(), trained(dtype=torch.bfloat16)):
        inputs = inputs_of(model, words, clips()[1])
        steps = model.iter_masks([given.to(model.device)], inputs["grounding_frames"], inputs["original_sizes"])
        found.append(torch.stack([step.masks for step in steps], dim=1))
    expected, same, half = found
    assert expected.any()
    assert mask_iou(same, expected, empty=1).median() > 0.999
    assert mask_iou(half, expected, empty=1).median() > 0.9
