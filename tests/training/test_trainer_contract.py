"""What Trainer promises, kept by `VideoGlammTrainer`: predictions per sample, options, accumulation, resuming."""

import numpy as np
import pytest
import torch
from transformers import Trainer, TrainingArguments

from tests.calibration.made import calibration_of
from tests.training.test_training import PICTURE, TEXT, Samples, arguments, turns, video_sample
from videoglamm_hf import InputError
from videoglamm_hf.data import VideoGlammDataCollator
from videoglamm_hf.training.fine_tuning import trainable_modules
from videoglamm_hf.training.metrics import mask_metrics
from videoglamm_hf.training.trainer import VideoGlammTrainer

# Different sizes, lengths and numbers of objects; and some that agree, which are not to be glued together.
HELD_OUT = [video_sample(2, 2), PICTURE, TEXT, video_sample(1, 2), video_sample(1, 2)]


@pytest.fixture
def collate(processor):
    return VideoGlammDataCollator(processor, num_mask_frames=None)


@pytest.fixture
def trainer(model, processor, collate, tmp_path):
    def make(**options):
        own = arguments(tmp_path, per_device_eval_batch_size=2, **options.pop("arguments", {}))
        options = {"grounded_samples": 0, "processing_class": processor, "eval_dataset": Samples(HELD_OUT), **options}
        return VideoGlammTrainer(options.pop("model", model), own, data_collator=collate, **options)

    return make


def test_predictions_are_masks_one_per_sample(trainer, model, collate):
    output = trainer(compute_metrics=mask_metrics).predict(Samples(HELD_OUT))
    assert len(output.predictions) == len(output.label_ids) == len(HELD_OUT)
    batch = collate(HELD_OUT)
    with torch.no_grad():
        together = model(**batch, output_masks=True).masks
    for masks, truth, expected, known in zip(
        output.predictions, output.label_ids, together, batch["mask_labels"], strict=True
    ):
        assert np.array_equal(truth, known)
        assert masks.dtype == bool and np.array_equal(masks, expected.numpy())
    agreeing = [np.array_equal(m, t == 1) for m, t in zip(output.predictions, output.label_ids, strict=True)]
    assert 0 < output.metrics["test_mask_miou"] < 1 or all(agreeing)
    assert {"test_loss", "test_mask_j", "test_mask_f", "test_mask_j_and_f"} <= set(output.metrics)


def test_masks_of_the_words_are_those_of_inference(model, collate):
    batch = collate([video_sample(2, 3)])
    with torch.no_grad():
        output = model(**batch, output_masks=True, output_hidden_states=-1)
        states = output.hidden_states[0]
        prompts = model._prompt_embeddings(states, batch["input_ids"], None, 1)
        found = model.iter_masks(prompts, batch["grounding_frames"], [(48, 64)], mask_mode="framewise")
    assert torch.equal(output.masks[0], torch.stack([frame.masks for frame in found], dim=1))


def test_evaluation_with_metrics_in_any_form(trainer):
    expected = trainer(compute_metrics=mask_metrics).evaluate()
    assert expected["eval_mask_miou"] <= 1
    options = {"eval_do_concat_batches": False, "eval_accumulation_steps": 1}
    scores = trainer(compute_metrics=mask_metrics, arguments=options).evaluate()
    assert scores["eval_mask_j_and_f"] == pytest.approx(expected["eval_mask_j_and_f"])


def test_plain_trainer_predicts_words(model, processor, collate, tmp_path):
    plain = Trainer(model, arguments(tmp_path, per_device_eval_batch_size=2), data_collator=collate)
    output = plain.predict(Samples(HELD_OUT))
    assert output.predictions.shape[:2] == output.label_ids.shape == (len(HELD_OUT), output.label_ids.shape[1])
    with pytest.raises(InputError, match="VideoGlammTrainer"):
        Trainer(
            model,
            arguments(tmp_path),
            data_collator=collate,
            compute_metrics=mask_metrics,
            eval_dataset=Samples(HELD_OUT),
        ).evaluate()


def test_several_evaluation_sets(trainer):
    sets = {"a": Samples([video_sample(1)]), "b": Samples([video_sample(2)])}
    scores = trainer(eval_dataset=sets, grounded_samples=1).evaluate()
    assert {"eval_a_loss", "eval_b_loss", "eval_a_j", "eval_b_j"} <= set(scores)


def test_the_processor_is_the_collators(model, processor, collate, tmp_path):
    data = Samples([video_sample(1)])
    trainer = VideoGlammTrainer(
        model, arguments(tmp_path), data_collator=collate, eval_dataset=data, grounded_samples=1
    )
    assert trainer.processing_class is processor and "eval_j" in trainer.evaluate()
    with pytest.raises(InputError, match="processing_class=processor"):
        VideoGlammTrainer(model, arguments(tmp_path), data_collator=lambda samples: {}, eval_dataset=data)


def test_label_smoothing_smooths_words_and_keeps_masks(trainer, model, collate):
    batch = collate([video_sample(1), video_sample(2)])
    with torch.no_grad():
        output = model(**batch)
        loss = trainer(arguments={"label_smoothing_factor": 0.1}).compute_loss(model, dict(batch))
    words = output.logits[:, :-1].log_softmax(-1)
    labels = batch["labels"][:, 1:]
    known = labels != -100
    right = -words.gather(-1, labels.clamp(min=0)[..., None])[..., 0][known].mean()
    smoothed = 0.9 * right - 0.1 * words.mean(-1)[known].mean()
    expected = smoothed + output.mask_bce_loss + output.mask_dice_loss
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert loss.item() != pytest.approx(output.loss.item(), rel=1e-3)


def test_a_loss_function_of_ones_own_sees_words_and_masks(trainer, model, collate):
    seen = {}

    def own(outputs, labels, num_items_in_batch=None):
        seen.update(labels=labels, num_items=num_items_in_batch)
        return outputs.ce_loss + 3 * outputs.mask_dice_loss

    batch = collate([video_sample(1)])
    with torch.no_grad():
        output = model(**batch)
        loss = trainer(compute_loss_func=own).compute_loss(model, dict(batch), num_items_in_batch=7)
    assert loss.item() == pytest.approx((output.ce_loss + 3 * output.mask_dice_loss).item())
    assert torch.equal(seen["labels"], batch["labels"]) and seen["num_items"] == 7


@pytest.mark.parametrize("options", [{"label_smoothing_factor": 0.1}, {}])
def test_plain_trainer_says_who_can(model, collate, tmp_path, options):
    own = {} if options else {"compute_loss_func": lambda outputs, labels, num_items_in_batch=None: outputs.loss}
    plain = Trainer(model, arguments(tmp_path, **options), data_collator=collate, **own)
    with pytest.raises(InputError, match=r"label_smoothing_factor.*VideoGlammTrainer"):
        plain.compute_loss(model, collate([video_sample(1)]))


UNEVEN = [
    video_sample(1, 1),
    {**video_sample(3, 3), "messages": turns("Can you segment it in this video?", "It is [SEG] and [SEG] and [SEG].")},
    video_sample(0, 2),
    video_sample(2, 2),
]


def gradients(fresh_model, collate, folder, trainer_class, batch_size):
    model = fresh_model()
    trainable_modules(model, "full")
    own = arguments(
        folder, per_device_train_batch_size=batch_size, gradient_accumulation_steps=4 // batch_size, max_steps=1
    )
    own.max_grad_norm, own.learning_rate = 0.0, 0.0
    kept = {}

    class Kept(trainer_class):
        def _get_grad_norm(self, *args, **kwargs):
            return None

        def training_step(self, *args, **kwargs):
            loss = super().training_step(*args, **kwargs)
            kept.update({n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None})
            return loss

    trainer = Kept(model, own, data_collator=collate, train_dataset=Samples(UNEVEN))
    trainer.train()
    return torch.cat([gradient.flatten() for _, gradient in sorted(kept.items())])


def test_accumulated_batches_equal_one_big_one(fresh_model, collate, tmp_path):
    big, small = (gradients(fresh_model, collate, tmp_path, VideoGlammTrainer, size) for size in (4, 1))
    assert (big - small).norm() < 1e-4 * big.norm()
    # Means of means, of which the plain Trainer's documentation gives the difference.
    plain = gradients(fresh_model, collate, tmp_path, Trainer, 1)
    assert (big - plain).norm() > 1e-2 * big.norm()


@pytest.mark.parametrize("workers", [0, 2])
def test_resumed_is_as_uninterrupted(fresh_model, processor, tmp_path, workers):
    samples = [{**video_sample(1, 4), "id": str(i)} for i in range(3)]

    def train(folder, resume=None, **options):
        model = fresh_model()
        trainable_modules(model, "paper")
        own = TrainingArguments(
            folder,
            per_device_train_batch_size=1,
            num_train_epochs=2,
            learning_rate=1e-3,
            save_strategy="steps",
            save_steps=2,
            save_total_limit=3,
            dataloader_num_workers=workers,
            remove_unused_columns=False,
            report_to=[],
            use_cpu=True,
            **options,
        )
        collate = VideoGlammDataCollator(processor, num_mask_frames=(1, 3))
        trainer = VideoGlammTrainer(model, own, data_collator=collate, train_dataset=Samples(samples))
        if resume:
            torch.rand(7)
        trainer.train(resume_from_checkpoint=resume)
        return {n: p.detach() for n, p in model.named_parameters() if p.requires_grad}, trainer.state.log_history

    whole, _ = train(tmp_path / "whole")
    again, _ = train(tmp_path / "again", resume=str(tmp_path / "whole" / "checkpoint-2"))
    assert all(torch.equal(again[name], whole[name]) for name in whole)


def test_draws_depend_on_seed_epoch_and_sample(processor):
    samples = [{**video_sample(1, 6), "id": str(i)} for i in range(6)]

    def drawn(collate, epoch):
        collate.set_epoch(epoch)
        return [tuple(collate([sample])["frame_timestamps"][0]) for sample in samples]

    one, other = (VideoGlammDataCollator(processor, num_mask_frames=(1, 4), seed=seed) for seed in (0, 1))
    first = drawn(one, 0)
    torch.manual_seed(5)
    assert len(set(first)) > 1 and drawn(one, 1) != first and drawn(other, 0) != first and drawn(one, 0) == first


def test_a_trained_model_has_no_calibration_of_what_it_was(trainer, fresh_model, tmp_path, caplog):
    model = fresh_model()
    model.calibration = calibration_of(model)
    trainable_modules(model, "projectors")
    own = trainer(model=model, train_dataset=Samples([TEXT]), arguments={"max_steps": 1})
    own.evaluate()
    assert model.calibration is not None
    own.train()
    assert model.calibration is None and "trained since" in model.calibration_problem
    model.save_pretrained(tmp_path / "saved")
    assert not (tmp_path / "saved" / "calibration.json").exists()
    assert not [record for record in caplog.records if "calibration" in record.getMessage() and record.levelno >= 30]
