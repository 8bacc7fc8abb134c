"""Learning: batches from samples, plain Trainer, LoRA, and gradients through memory."""

import numpy as np
import pytest
import torch
from peft import PeftModel, get_peft_model
from transformers import Trainer, TrainerCallback, TrainingArguments

from tests.conftest import force_seg
from tests.tiny_checkpoint import frames, gt_masks
from videoglamm_hf import InputError
from videoglamm_hf.clip_sources import read_clip
from videoglamm_hf.configuration_videoglamm import LOSS_PARTS
from videoglamm_hf.data import VideoGlammDataCollator
from videoglamm_hf.mask_training import mask_bce, mask_dice
from videoglamm_hf.render.video_encoding import write_mp4
from videoglamm_hf.training.fine_tuning import lora_config, trainable_modules
from videoglamm_hf.training.trainer import VideoGlammTrainer

HEIGHT, WIDTH = 48, 64


def turns(question, answer, kind="video"):
    visual = [{"type": kind}] if kind else []
    return [
        {"role": "user", "content": [*visual, {"type": "text", "text": question}]},
        {"role": "assistant", "content": [{"type": "text", "text": answer}]},
    ]


def video_sample(num_objects=1, num_frames=3):
    return {
        "messages": turns("Can you segment it?", " and ".join(["It is [SEG]"] * num_objects) or "No."),
        "video": frames(num_frames, HEIGHT, WIDTH),
        "masks": list(gt_masks(num_objects, num_frames, HEIGHT, WIDTH).astype(bool)),
        "mask_frames": list(range(num_frames)),
    }


PICTURE = {
    "messages": turns("And here?", "It is [SEG].", "image"),
    "image": frames(1, 40, 30)[0],
    "masks": list(gt_masks(1, 1, 40, 30).astype(bool)),
    "mask_frames": [0],
}
TEXT = {"messages": turns("Who are you?", "A red disc.", None)}
MIXED = [video_sample(2), PICTURE, TEXT, video_sample(0)]


@pytest.fixture
def collate(processor):
    return VideoGlammDataCollator(processor, num_mask_frames=None)


def test_a_mixed_batch(collate, processor):
    batch = collate(MIXED)
    assert [tuple(m.shape) for m in batch["mask_labels"]] == [
        (2, 3, 48, 64),
        (1, 1, 40, 30),
        (0, 0, 1, 1),
        (0, 3, 48, 64),
    ]
    assert batch["sample_index"].tolist() == [0, 1, 2, 3]
    for i, sample in enumerate(MIXED):
        seen = batch["labels"][i][batch["labels"][i] >= 0]
        answer = sample["messages"][1]["content"][0]["text"]
        assert processor.tokenizer.decode(seen).replace(" ", "") == (answer + "<|end|>").replace(" ", "")


def test_conversations_about_one_video_share_it(collate, fresh_model):
    first, second = turns("What is it?", "It is [SEG]."), turns("And that?", "It is [SEG] and [SEG].")
    truth = gt_masks(3, 2, HEIGHT, WIDTH).astype(bool)
    about = {"video": frames(2, HEIGHT, WIDTH), "mask_frames": [0, 1]}
    together = collate([{"messages": [first, second], "masks": [truth[:1], truth[1:]], **about}])
    apart = collate(
        [{"messages": first, "masks": truth[:1], **about}, {"messages": second, "masks": truth[1:], **about}]
    )
    assert together["sample_index"].tolist() == [0, 0]
    assert len(together["pixel_values_videos"]) == 1 and len(together["grounding_frames"]) == 1
    model = fresh_model()
    with torch.no_grad():
        one, two = model(**together), model(**apart)
    for name in ("loss", "ce_loss", "mask_bce_loss", "mask_dice_loss"):
        assert torch.allclose(one[name], two[name], rtol=1e-5)


def test_mask_frames_are_drawn(processor):
    collate = VideoGlammDataCollator(processor, num_mask_frames=(1, 3))
    sample = video_sample(1, 6)
    torch.manual_seed(0)
    drawn = [collate([sample]) for _ in range(12)]
    counts = {batch["mask_labels"][0].shape[1] for batch in drawn}
    assert counts == {1, 2, 3}
    for batch in drawn:
        assert len(batch["grounding_frames"][0]) == batch["mask_labels"][0].shape[1]
        numbers = [int(t) for t in batch["frame_timestamps"][0]]
        assert numbers == sorted(numbers)
        assert torch.equal(batch["mask_labels"][0][0], torch.from_numpy(np.stack(sample["masks"][0])[numbers]).char())


def test_frames_of_a_file(processor, collate, tmp_path):
    write_mp4(tmp_path / "clip.mp4", frames(40, HEIGHT, WIDTH), fps=10)
    every = read_clip(tmp_path / "clip.mp4", fps=None, max_frames=None).array
    sample = {**video_sample(), "video": str(tmp_path / "clip.mp4"), "mask_frames": [3, 17, 38]}
    batch = collate([sample])
    asked = processor.apply_chat_template(
        [{"role": "user", "content": [{"type": "video", "path": sample["video"]}, {"type": "text", "text": "?"}]}],
        tokenize=True,
    )
    # The towers see what they would see at inference; the pixel decoder sees the frames that have masks.
    assert torch.equal(batch["pixel_values_videos"], asked["pixel_values_videos"])
    expected = collate([{**sample, "video": every[[3, 17, 38]], "mask_frames": [0, 1, 2]}])
    assert torch.equal(batch["grounding_frames"][0], expected["grounding_frames"][0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"masks": []}, r"Sample 1 of the batch.*0 mask tracks for 1 \[SEG\]"),
        ({"mask_frames": [0, 1, 9]}, "no frame 9|9"),
        ({"messages": []}, "Sample 1 of the batch"),
    ],
)
def test_a_bad_sample_is_named(collate, change, message):
    with pytest.raises(InputError, match=message):
        collate([video_sample(), {**video_sample(), **change}])


def test_samples_stripped_by_trainer_are_explained(collate):
    with pytest.raises(InputError, match="remove_unused_columns=False"):
        collate([{}])


def test_everything_trains_in_one_batch(fresh_model, collate):
    model = fresh_model().train()
    trainable_modules(model, "full")
    output = model(**collate(MIXED))
    assert torch.allclose(output.loss, output.ce_loss + output.mask_bce_loss + output.mask_dice_loss)
    output.loss.backward()
    for part in (model.seg_projection, model.model.temporal_projector, model.model.spatial_projector, model.lm_head):
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in part.parameters())
    text_only = fresh_model().train()(**collate([TEXT]))
    assert text_only.mask_bce_loss == 0 and text_only.loss == text_only.ce_loss


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (torch.zeros(1, 3, HEIGHT, WIDTH), r"2 \[SEG\] in its answers but 1"),
        (torch.zeros(2, 4, HEIGHT, WIDTH), "3 frames to segment but mask_labels of 4"),
        (torch.zeros(2, HEIGHT, WIDTH), r"\[objects, frames, height, width\]"),
    ],
)
def test_masks_that_do_not_fit_are_refused(model, collate, masks, message):
    batch = collate([video_sample(2)]) | {"mask_labels": [masks]}
    with pytest.raises(InputError, match=message):
        model(**batch)


def test_ignored_pixels():
    logits = torch.randn(2, 8, 8)
    labels = (torch.rand(2, 8, 8) > 0.5).to(torch.int8)
    holes = labels.clone()
    holes[:, 2:5] = -1
    kept = torch.ones(8, dtype=torch.bool)
    kept[2:5] = False
    # Ignored pixels add nothing to the cross-entropy, but still count in its mean, as in the original.
    assert torch.allclose(mask_bce(logits, holes) * 64, mask_bce(logits[:, kept], labels[:, kept]) * 40, atol=1e-5)
    assert torch.allclose(mask_dice(logits, holes), mask_dice(logits[:, kept], labels[:, kept]), atol=1e-5)


def video_mode(model, **options):
    model.config.mask_training_mode = "video"
    for name, value in options.items():
        setattr(model.config, name, value)
    return model


def test_video_mode_scores_the_masks_of_inference(fresh_model, collate):
    model = video_mode(fresh_model())
    batch = collate([video_sample(2)])
    with torch.no_grad():
        output = model(**batch)
        states = model.model(
            **{k: batch[k] for k in ("input_ids", "pixel_values_videos", "temporal_pixel_values_videos")}
        ).last_hidden_state
        predicting = batch["input_ids"][:, 1:] == model.config.seg_token_id
        prompts = model.seg_projection(states[:, :-1][predicting])
    tracked = model.iter_masks([prompts], batch["grounding_frames"], batch["original_sizes"], mask_mode="video")
    losses = []
    for frame in tracked:
        assert (frame.object_scores > 0).all()
        logits = torch.nn.functional.interpolate(frame.logits[:, None], (HEIGHT, WIDTH), mode="bilinear")[:, 0]
        losses.append(mask_bce(logits, batch["mask_labels"][0][:, frame.frame_index]))
    assert torch.allclose(output.mask_bce_loss, 2 * torch.stack(losses).mean(), rtol=1e-4)


def test_gradients_through_memory_are_bounded(fresh_model, collate):
    def gradient(frames_with_gradient):
        model = video_mode(fresh_model(), memory_gradient_frames=frames_with_gradient).train()
        torch.manual_seed(0)
        model(**collate([video_sample(1, 4)])).loss.backward()
        grads = [p.grad for p in model.pixel_decoder.memory_encoder.parameters() if p.grad is not None]
        assert model.seg_projection.linear_1.weight.grad.abs().sum() > 0
        return torch.cat([g.flatten() for g in grads])

    everything, none = gradient(None), gradient(0)
    assert everything.abs().sum() > 0
    # The conditioning frame keeps its gradient.
    assert none.abs().sum() > 0 and not torch.allclose(everything, none)
    assert torch.allclose(everything, gradient(10))


def test_video_mode_refuses_padding_slots(fresh_model, collate):
    model = video_mode(fresh_model(), mask_padding_slots=4)
    with pytest.raises(InputError, match="framewise"):
        model(**collate([video_sample(1)]))


def test_scores_and_ious_train_when_weighted(fresh_model, collate):
    model = fresh_model().train()
    model.config.iou_loss_weight = model.config.object_score_loss_weight = 0.5
    sample = video_sample(1)
    sample["masks"] = [np.stack([sample["masks"][0][0], np.zeros_like(sample["masks"][0][1]), sample["masks"][0][2]])]
    output = model(**collate([sample]))
    assert [name for name in output if name.endswith("_loss")] == list(LOSS_PARTS)
    assert torch.allclose(output.loss, sum(output[name] for name in LOSS_PARTS))
    output.loss.backward()
    decoder = model.pixel_decoder.mask_decoder
    assert decoder.pred_obj_score_head.layers[0].weight.grad.abs().sum() > 0
    assert decoder.iou_prediction_head.layers[0].weight.grad.abs().sum() > 0


def test_the_papers_choice_trains_and_nothing_else(fresh_model, collate):
    model = fresh_model().train()
    names = trainable_modules(model, "paper")
    model(**collate([video_sample(1)])).loss.backward()
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {name for name, p in model.named_parameters() if any(name.startswith(f"{m}.") for m in names)}
    without = [name for name, p in model.named_parameters() if name in trained and p.grad is None]
    assert without == []
    assert not any("conv_s" in n or "vision_encoder" in n or "tower" in n or "memory_encoder" in n for n in trained)
    with pytest.raises(InputError, match="recipes are"):
        trainable_modules(model, "everything")


class Samples(torch.utils.data.Dataset):
    def __init__(self, samples):
        self.samples = samples

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        return self.samples[index]


def arguments(folder, **options):
    defaults = {
        "output_dir": str(folder),
        "per_device_train_batch_size": 1,
        "max_steps": 2,
        "learning_rate": 1e-3,
        "logging_steps": 1,
        "report_to": "none",
        "remove_unused_columns": False,
        "use_cpu": True,
        "disable_tqdm": True,
        "seed": 3,
    }
    return TrainingArguments(**{**defaults, **options})


def test_plain_trainer_trains_saves_and_resumes(fresh_model, collate, tmp_path):
    data = Samples([video_sample(1, 2), TEXT, PICTURE, video_sample(0, 1)])

    def train(folder, resume=None, **options):
        model = fresh_model()
        trainable_modules(model, "projectors")
        trainer = Trainer(model, arguments(folder, **options), data_collator=collate, train_dataset=data)
        trainer.train(resume_from_checkpoint=resume)
        return trainer

    whole = train(tmp_path / "whole", max_steps=4, save_steps=2)
    losses = [entry["loss"] for entry in whole.state.log_history if "loss" in entry]
    assert len(losses) == 4 and all(np.isfinite(losses))
    resumed = train(tmp_path / "again", resume=str(tmp_path / "whole" / "checkpoint-2"), max_steps=4)
    assert [e["loss"] for e in resumed.state.log_history if "loss" in e][-2:] == pytest.approx(losses[-2:], rel=1e-4)
    for name, value in whole.model.state_dict().items():
        assert torch.allclose(value, resumed.model.state_dict()[name], atol=1e-5), name


def test_accumulated_steps_are_means(fresh_model, collate, tmp_path):
    data = Samples([TEXT, TEXT])
    logged = []
    for options in ({}, {"gradient_accumulation_steps": 2}):
        model = fresh_model()
        trainable_modules(model, "lora")
        trainer = Trainer(
            model, arguments(tmp_path, max_steps=1, **options), data_collator=collate, train_dataset=data
        )
        trainer.train()
        logged.append(trainer.state.log_history[0]["loss"])
    assert logged[0] == pytest.approx(logged[1], rel=1e-4)


def test_gradient_checkpointing_changes_nothing(fresh_model, collate):
    gradients = []
    for checkpointing in (False, True):
        model = fresh_model().train()
        if checkpointing:
            model.gradient_checkpointing_enable()
        model(**collate([video_sample(1, 2)])).loss.backward()
        gradients.append(model.model.temporal_projector.linear_1.weight.grad)
    assert torch.allclose(*gradients, atol=1e-6)


def test_lora_saves_small_reloads_and_merges(fresh_model, collate, ask, tmp_path):
    model = get_peft_model(fresh_model(), lora_config(fresh_model(), recipe="lora"))
    adapted = {n for n, p in model.named_parameters() if p.requires_grad}
    assert any("qkv_proj.lora_A" in n for n in adapted) and any("seg_projection" in n for n in adapted)
    assert not any("tower" in n or "pixel_decoder" in n for n in adapted)
    trainer = Trainer(
        model,
        arguments(tmp_path / "run", learning_rate=1e-2),
        data_collator=collate,
        train_dataset=Samples([video_sample(1, 2)] * 2),
    )
    trainer.train()
    model = trainer.model.eval()
    model.save_pretrained(tmp_path / "adapter")
    size = sum(p.stat().st_size for p in (tmp_path / "adapter").iterdir())
    assert size < 400_000
    inputs = ask(video=frames(2, HEIGHT, WIDTH))

    def answer(m):
        forced = force_seg([1], inputs["input_ids"].shape[1])
        return m.generate(**inputs, max_new_tokens=3, logits_processor=forced, output_mask_logits=True)

    expected = answer(model)
    assert not torch.allclose(expected.prompt_embeddings[0], answer(fresh_model()).prompt_embeddings[0], atol=1e-3)
    reloaded = PeftModel.from_pretrained(fresh_model(), tmp_path / "adapter").eval()
    merged = reloaded.merge_and_unload()
    for other in (PeftModel.from_pretrained(fresh_model(), tmp_path / "adapter").eval(), merged):
        output = answer(other)
        assert torch.equal(output.sequences, expected.sequences)
        assert torch.allclose(output.mask_logits[0], expected.mask_logits[0], atol=5e-3)


def test_lora_with_the_papers_modules(fresh_model, collate):
    model = get_peft_model(fresh_model(), lora_config(fresh_model())).train()
    model(**collate([video_sample(1, 2)])).loss.backward()
    assert [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None] == []


class Recorder(TrainerCallback):
    """Stands where TensorBoard's callback does."""

    def __init__(self):
        self.tb_writer = self
        self.images = []

    def add_image(self, name, image, step, dataformats):
        self.images.append((name, image.shape, step))


def test_the_grounded_trainer_reports_parts_and_scores(fresh_model, processor, collate, tmp_path):
    model = fresh_model()
    trainable_modules(model, "lora")
    recorder = Recorder()
    trainer = VideoGlammTrainer(
        model,
        arguments(tmp_path, max_steps=1),
        data_collator=collate,
        train_dataset=Samples([video_sample(1, 2)]),
        eval_dataset=Samples([video_sample(1, 2), TEXT, video_sample(0, 1)]),
        processing_class=processor,
        callbacks=[recorder],
        grounded_samples=3,
        max_new_tokens=2,
    )
    trainer.train()
    step = trainer.state.log_history[0]
    assert step["loss"] == pytest.approx(step["ce_loss"] + step["mask_bce_loss"] + step["mask_dice_loss"], rel=1e-3)
    metrics = trainer.evaluate()
    assert {"eval_loss", "eval_miou", "eval_j", "eval_f", "eval_j_and_f"} <= set(metrics)
    assert 0 <= metrics["eval_miou"] <= 1
    assert recorder.images and recorder.images[0][2] == 1
    parts = next(entry for entry in trainer.state.log_history if "eval_ce_loss" in entry)
    assert parts["eval_loss"] == pytest.approx(
        parts["eval_ce_loss"] + parts["eval_mask_bce_loss"] + parts["eval_mask_dice_loss"], rel=1e-3
    )
