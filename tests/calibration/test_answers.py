"""Answers of a calibrated model say how sure it is; those of any other model are as they were."""

import dataclasses
import json
import logging

import numpy as np
import pytest
import torch
from transformers import LogitsProcessorList, pipeline

from tests.calibration.made import calibration_of
from tests.conftest import SEG_TOKEN_ID, force_seg, load_model
from tests.hub.processes import save_adapter
from tests.tiny_checkpoint import frames
from videoglamm_hf.calibration_file import read_calibration, write_calibration
from videoglamm_hf.errors import InputError
from videoglamm_hf.fingerprints import weight_fingerprints
from videoglamm_hf.grounded_answer import GroundedAnswer, Phrase
from videoglamm_hf.hub.push_plan import plan_push
from videoglamm_hf.options import MASK_MODES
from videoglamm_hf.packed_masks import PackedMasks

VIDEO = frames(4, 48, 64)


def answered(model, inputs, **options):
    forced = LogitsProcessorList(force_seg([2, 5], inputs["input_ids"].shape[1]))
    return model.generate(**inputs, max_new_tokens=7, do_sample=False, logits_processor=forced, **options)


@pytest.fixture
def calibrated(model):
    """The shared model with a calibration, which is taken off it again."""
    model.calibration = calibration_of(model)
    yield model
    model.calibration = model.calibration_problem = None


def test_words_have_the_probability_that_the_language_model_gives_them(model, ask):
    inputs = ask(video=VIDEO)
    output = answered(model, inputs, output_logits=True)
    tokens = output.sequences[0, output.prompt_length :]
    expected = [logits[0].log_softmax(-1)[token] for logits, token in zip(output.logits, tokens, strict=True)]
    torch.testing.assert_close(output.word_log_probs[0], torch.stack(expected), atol=1e-4, rtol=1e-4)


def test_without_a_calibration_nothing_is_said(model, processor, ask):
    output = answered(model, ask(video=VIDEO))
    assert output.object_probabilities is None and output.presence_probabilities is None
    answer = processor.post_process_grounded_generation(output)[0]
    assert answer.probabilities is None and answer.presence_probability is None and answer.left_out is None
    with pytest.raises(InputError, match="videoglamm calibrate"):
        answer.abstain(0.5)


@pytest.mark.parametrize("mode", MASK_MODES)
@pytest.mark.parametrize("kind", ["video", "image"])
def test_every_mode_and_pictures(calibrated, processor, ask, mode, kind):
    inputs = ask(video=VIDEO) if kind == "video" else ask(image=VIDEO[0])
    calibration, calibrated.calibration = calibrated.calibration, None
    plain = answered(calibrated, inputs, mask_mode=mode)
    calibrated.calibration = calibration
    output = answered(calibrated, inputs, mask_mode=mode)
    assert torch.equal(plain.sequences, output.sequences) and torch.equal(plain.masks[0], output.masks[0])
    assert output.object_probabilities[0].shape == (2,)
    assert ((output.object_probabilities[0] > 0) & (output.object_probabilities[0] < 1)).all()
    answer = processor.post_process_grounded_generation(output)[0]
    assert torch.equal(answer.probabilities, output.object_probabilities[0])
    assert 0 < answer.presence_probability < 1


def test_every_sequence_of_beams_and_batches(calibrated, ask, processor):
    inputs = ask(video=VIDEO)
    output = answered(calibrated, inputs, num_beams=2, num_return_sequences=2)
    assert [len(own) for own in output.object_probabilities] == [len(own) for own in output.masks] == [2, 2]
    assert all(len(own) <= 7 for own in output.word_log_probs)


def test_what_ended_before_others_is_not_padded(model, ask):
    inputs = ask(video=VIDEO)
    ends = {int(answered(model, inputs).sequences[0, -3])}
    output = answered(model, inputs, eos_token_id=[*ends, 2], min_new_tokens=None)
    tokens = output.sequences[0, output.prompt_length :].tolist()
    assert len(output.word_log_probs[0]) == next(i for i, token in enumerate(tokens) if token in {*ends, 2}) + 1


def test_text_only_and_answers_without_objects(calibrated, ask, processor):
    output = calibrated.generate(**ask(), max_new_tokens=3, do_sample=False, return_masks=True)
    assert output.object_probabilities[0].shape == (len(output.masks[0]),)
    assert 0 < output.presence_probabilities[0] < 1


def test_another_mode_than_calibrated_says_so_once(calibrated, ask, caplog):
    calibrated.calibration = calibration_of(calibrated, modes=["video"])
    inputs = ask(video=VIDEO)
    for _ in range(2):
        output = answered(calibrated, inputs, mask_mode="framewise")
        assert output.object_probabilities is None
    assert [r.getMessage() for r in caplog.records if "decoded as video" in r.getMessage()].__len__() == 1
    assert answered(calibrated, inputs, mask_mode="video").object_probabilities is not None


def test_it_is_saved_and_loaded_with_the_weights(fresh_model, ask, tmp_path, caplog):
    model = fresh_model()
    model.calibration = calibration_of(model)
    model.save_pretrained(tmp_path / "saved")
    again = load_model(tmp_path / "saved")
    assert again.calibration == model.calibration == read_calibration(tmp_path / "saved" / "calibration.json")
    # In another precision they are the same weights.
    half = load_model(tmp_path / "saved", dtype=torch.bfloat16)
    assert half.calibration_for()[1] is None
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_of_other_weights_it_is_ignored_with_one_warning(fresh_model, ask, tmp_path, caplog):
    model = fresh_model()
    model.calibration = calibration_of(model)
    with torch.no_grad():
        model.model.language_model.layers[0].self_attn.o_proj.weight.add_(1.0)
    inputs = ask(video=VIDEO)
    for _ in range(2):
        assert answered(model, inputs).object_probabilities is None
    warned = [record.getMessage() for record in caplog.records if "other weights" in record.getMessage()]
    assert len(warned) == 1 and "language_model" in warned[0] and "videoglamm calibrate" in warned[0]
    model.save_pretrained(tmp_path)
    assert not (tmp_path / "calibration.json").exists()


@pytest.mark.parametrize("content", ["{", '{"format": "of something else"}'])
def test_a_damaged_one_does_not_keep_the_model_from_loading(light_tiny, fresh_model, tmp_path, caplog, content):
    for path in light_tiny.iterdir():
        if path.is_file():
            (tmp_path / path.name).symlink_to(path)
    (tmp_path / "calibration.json").write_text(content)
    model = load_model(tmp_path)
    assert model.calibration is None and "calibration.json" in model.calibration_for()[1]
    assert sum("calibration.json" in record.getMessage() for record in caplog.records) == 1


def test_fingerprints_leave_out_what_is_quantised(model, fresh_model):
    known = weight_fingerprints(model)
    assert set(known) == {"towers", "language_model", "heads"}
    packed = fresh_model()
    layer = packed.model.language_model.layers[0].mlp.down_proj
    layer.weight = torch.nn.Parameter(torch.zeros(layer.weight.shape, dtype=torch.int8), requires_grad=False)
    assert weight_fingerprints(packed) == {name: own for name, own in known.items() if name != "language_model"}


def an_answer(sure, masks=None) -> GroundedAnswer:
    count = len(sure)
    masks = torch.arange(count)[:, None, None, None].expand(count, 2, 3, 4) > 0 if masks is None else masks
    phrases = [Phrase("a cat", 0, 5, 0), Phrase("a dog", 7, 12, 1), Phrase("more", 14, 18, None)]
    scores = torch.arange(count).float()[:, None].expand(count, 2)
    return GroundedAnswer(
        *("a cat, a dog, more", "raw", phrases, masks, scores, [0.0, 1.0]),
        iou_scores=scores,
        probabilities=torch.tensor(sure),
    )


def test_abstaining_leaves_out_what_is_less_sure():
    answer = an_answer([0.3, 0.9])
    kept = answer.abstain(0.5)
    assert len(kept.masks) == 1 and kept.masks.all() and kept.labels == ["a dog"]
    assert [phrase.object_index for phrase in kept.phrases] == [None, 0, None] and kept.text == answer.text
    assert kept.object_scores.tolist() == kept.iou_scores.tolist() == [[1, 1]]
    assert [dataclasses.astuple(own) for own in kept.left_out] == [("a cat", pytest.approx(0.3))]
    # Again, from what is left; nothing of the first answer is changed.
    none = kept.abstain(0.95)
    assert len(none.masks) == 0 and [own.phrase for own in none.left_out] == ["a cat", "a dog"]
    assert len(answer.masks) == 2 and answer.left_out is None
    assert answer.abstain(0.0).left_out == [] and len(answer.abstain(0).masks) == 2


def test_abstaining_of_packed_masks():
    packed = PackedMasks(np.packbits(np.ones((2, 2, 12), bool), axis=-1), (3, 4))
    assert an_answer([0.3, 0.9], packed).abstain(0.5).masks.shape == (1, 2, 3, 4)
    assert an_answer([0.3, 0.4], packed).abstain(0.5).masks.shape == (0, 2, 3, 4)


@pytest.mark.parametrize("below", [-0.1, 1.1, float("nan"), "0.5", True, None])
def test_thresholds_that_are_none(below):
    with pytest.raises(InputError, match="number from 0 to 1"):
        an_answer([0.3, 0.9]).abstain(below)


def test_a_file_written_by_hand_reads_back(tmp_path, model):
    made = calibration_of(model)
    write_calibration(made, tmp_path / "calibration.json")
    assert json.loads((tmp_path / "calibration.json").read_text())["weights"] == weight_fingerprints(model)
    assert model.config.seg_token_id == SEG_TOKEN_ID


def test_pipelines_hand_it_on(calibrated, processor):
    pipe = pipeline("video-text-to-text", model=calibrated, processor=processor)
    (record,) = pipe(VIDEO, "What moves?", max_new_tokens=3)
    assert len(record["probabilities"]) == len(record["masks"]) and 0 < record["presence_probability"] < 1
    calibrated.calibration = None
    assert "probabilities" not in pipe(VIDEO, "What moves?", max_new_tokens=3)[0]


def test_it_is_pushed_with_the_model(fresh_model, processor, tmp_path):
    model = fresh_model()
    model.calibration = calibration_of(model)
    for part in (model, processor):
        part.save_pretrained(tmp_path / "model")
    assert "calibration.json" in {file.path for file in plan_push(tmp_path / "model", "someone/tiny").files}


def test_an_adapter_has_its_own(light_tiny, tmp_path, caplog):
    base = tmp_path / "base"
    model = load_model(light_tiny)
    model.calibration = calibration_of(model)
    model.save_pretrained(base)
    save_adapter(base, tmp_path / "adapter")
    # Not that of the model below it.
    adapted = load_model(tmp_path / "adapter")
    assert adapted.calibration is None
    write_calibration(made := calibration_of(adapted), tmp_path / "adapter" / "calibration.json")
    assert made.weights["language_model"] != model.calibration.weights["language_model"]
    again = load_model(tmp_path / "adapter")
    assert again.calibration == made and again.calibration_for() == (made.mask_modes["video"], None)
    assert not [record for record in caplog.records if "calibration" in record.getMessage()]
