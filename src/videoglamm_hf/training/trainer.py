"""Transformers' Trainer, which also logs the parts of the loss and scores the masks of held-out samples."""

import functools
import itertools
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from PIL import Image
from tqdm.auto import tqdm
from transformers import EvalPrediction, Trainer, TrainerCallback, TrainerState, TrainingArguments
from transformers.trainer_utils import EvalLoopOutput

from ..calibration_file import CALIBRATION_FILE
from ..configuration_videoglamm import LOSS_PARTS
from ..data.clips import read_training_clip
from ..data.masks import decode_masks
from ..data.sample import conversations_of, count_seg
from ..errors import CheckpointError, InputError, TrainingError
from ..evaluation.mask_metrics import score_masks
from ..forward_checks import NO_LABEL
from ..messages import with_source
from ..render.contact_sheet import contact_sheet
from .checkpoints import check_training_checkpoint, last_complete_checkpoint
from .ragged import is_packed, pack, unpack

# Where a micro-batch carries its shares of the words and masks of all that are accumulated.
_SHARES = "_shares"


class VideoGlammTrainer(Trainer):
    """A `Trainer` that shows what a grounding model learns; training is the plain one's.

    Logs carry the parts of the loss beside `loss` (and `eval_loss`). `evaluate` also answers the first samples of the
    evaluation set with `generate` and reports `eval_miou`, `eval_j`, `eval_f` and `eval_j_and_f`; with TensorBoard or
    W&B on, some of them are drawn there. A loss that is not finite stops training with the batch named, and
    resuming passes over checkpoints that were never finished. An interrupted training that is resumed ends as it
    would have without: a [`VideoGlammDataCollator`] is told the epoch and the seed.

    Accumulated micro-batches weigh as in one big batch: by their words and by their (object, frame) pairs.
    `label_smoothing_factor` smooths the words; `compute_loss_func` gets outputs with the parts of the loss.

    `predict`, and `evaluate` with `compute_metrics`, give masks: `predictions` are one bool `[N, T, H, W]` per sample,
    of the objects that its own words name, and `label_ids` the ground truth, int8 (1 object, 0 background, -1
    ignored); [`mask_metrics`] scores them. With `preprocess_logits_for_metrics` they are logits and labels, as in
    `Trainer`.

    Args:
        grounded_samples: How many samples of the evaluation set are answered; 0 turns it off.
        drawn_samples: How many of these are drawn.
        max_new_tokens: Of every answer.

    The other arguments are `Trainer`'s; `processing_class` is the [`VideoGlammProcessor`], by default the collator's.

    Raises:
        InputError: If samples are to be answered and there is no processor.
    """

    def __init__(
        self,
        *args: Any,
        grounded_samples: int = 50,
        drawn_samples: int = 4,
        max_new_tokens: int = 64,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        if self.processing_class is None:
            self.processing_class = getattr(self.data_collator, "processor", None)
        if grounded_samples and self.eval_dataset is not None and not hasattr(self.processing_class, "tokenizer"):
            raise InputError(
                "Samples of the evaluation set are answered, which takes a processor: pass processing_class=processor "
                "or grounded_samples=0."
            )
        self.grounded_samples, self.drawn_samples = grounded_samples, drawn_samples
        self.max_new_tokens = max_new_tokens
        self._parts: dict[str, list[torch.Tensor]] = defaultdict(list)
        if hasattr(self.data_collator, "set_epoch"):
            if getattr(self.data_collator, "seed", 0) is None:
                self.data_collator.seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
            self.add_callback(_TellEpoch(self.data_collator))

    def compute_loss(
        self, model: torch.nn.Module, inputs: dict[str, Any], return_outputs: bool = False, **kwargs: Any
    ) -> Any:
        """The model's own loss; its parts are kept for the next log.

        Raises:
            TrainingError: In training, if it is not finite.
        """
        names, shares = inputs.get("sample_names"), inputs.pop(_SHARES, None)
        labels = inputs.get("labels")
        smoother, self.label_smoother = self.label_smoother, None
        try:
            # Labels stay with the model too, which pairs masks with words by them.
            called = model if self.compute_loss_func is None else functools.partial(model, labels=labels)
            loss, outputs = super().compute_loss(called, inputs, return_outputs=True, **kwargs)
        finally:
            self.label_smoother = smoother
        if self.compute_loss_func is None:
            loss = self._weighted(loss, outputs, labels, shares)
        prefix = "" if model.training else "eval_"
        for name in LOSS_PARTS:
            if outputs.get(name) is not None:
                self._parts[prefix + name].append(outputs[name].detach())
        if model.training and not torch.isfinite(loss):
            parts = {name: float(outputs[name].detach()) for name in LOSS_PARTS if outputs.get(name) is not None}
            raise TrainingError(
                f"The loss of step {self.state.global_step + 1} is {float(loss.detach())} ({parts}); its batch is "
                f"{names or 'of unnamed samples'}. Look at these samples, lower the learning rate, or use bfloat16 "
                "in place of float16."
            )
        return (loss, outputs) if return_outputs else loss

    def _weighted(
        self, loss: torch.Tensor, outputs: Any, labels: torch.Tensor | None, shares: tuple[float, float] | None
    ) -> torch.Tensor:
        """The loss of a micro-batch, with smoothed labels if asked for, and by its shares of the words and masks."""
        of_words = outputs.get("ce_loss")
        if of_words is None or (shares is None and self.label_smoother is None):
            return loss
        of_masks = loss - of_words
        if self.label_smoother is not None:
            known = labels.masked_fill(labels >= outputs["logits"].shape[-1], -100)
            weight = getattr(self.accelerator.unwrap_model(self.model).config, "ce_loss_weight", 1.0)
            of_words = weight * self.label_smoother(outputs, known.to(outputs["logits"].device), shift_labels=True)
        words, masks = shares or (1.0, 1.0)
        return words * of_words.to(loss.device) + masks * of_masks

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> tuple[list, Any]:
        """As in `Trainer`; every micro-batch of several comes with its shares of the words and masks of them all."""
        batches, num_items = super().get_batch_samples(*args, **kwargs)
        if len(batches) > 1 and all("labels" in batch for batch in batches):
            counts = torch.tensor([_counts(batch) for batch in batches], dtype=torch.float64)
            # Processes average their gradients.
            totals = self.accelerator.gather(counts.sum(dim=0, keepdim=True).to(self.args.device, torch.float32))
            means = totals.double().cpu().mean(dim=0) / len(batches)
            for batch, own in zip(batches, counts, strict=True):
                batch[_SHARES] = tuple((own / means.clamp(min=1e-12)).tolist())
        return batches, num_items

    def prediction_step(
        self, model: torch.nn.Module, inputs: dict[str, Any], prediction_loss_only: bool, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor | None, Any, Any]:
        truth = inputs.get("mask_labels")
        if prediction_loss_only or truth is None or self.preprocess_logits_for_metrics is not None:
            return super().prediction_step(model, inputs, prediction_loss_only, *args, **kwargs)
        inputs = self._prepare_inputs(inputs)
        with torch.no_grad(), self.compute_loss_context_manager():
            loss, outputs = self.compute_loss(model, {**inputs, "output_masks": True}, return_outputs=True)
        device = self.args.device
        return loss.detach().mean(), pack(outputs["masks"], device), pack(truth, device)

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> EvalLoopOutput:
        given = self.compute_metrics
        if given is not None:
            self.compute_metrics = functools.partial(_metrics_of_samples, given)
        try:
            output = super().evaluation_loop(*args, **kwargs)
        finally:
            self.compute_metrics = given
        predictions, truth = _per_sample(output.predictions, output.label_ids)
        return output._replace(predictions=predictions, label_ids=truth)

    def train(self, resume_from_checkpoint: str | bool | None = None, *args: Any, **kwargs: Any) -> Any:
        """As `Trainer.train`; True goes on from the newest whole checkpoint of `output_dir`. A calibration is
        forgotten, as it is of other weights then.

        Raises:
            CheckpointError: The checkpoint named is damaged, or True was given and there is no whole one.
            InputError: The training set is empty.
        """
        if hasattr(self.train_dataset, "__len__") and not len(self.train_dataset):
            raise InputError("The training set is empty; `videoglamm check-data` says what is in a file.")
        if resume_from_checkpoint is True:
            resume_from_checkpoint = last_complete_checkpoint(self.args.output_dir)
            if resume_from_checkpoint is None:
                raise CheckpointError(f"{self.args.output_dir} holds no whole checkpoint to resume from; start anew.")
        elif resume_from_checkpoint:
            check_training_checkpoint(resume_from_checkpoint)
        for module in self.model.modules():
            # By an attribute, as of all our own classes; adapters hold the model inside.
            if hasattr(module, "forget_calibration"):
                module.forget_calibration(
                    f"The weights were trained since, so {CALIBRATION_FILE} is not used; make it anew with "
                    "`videoglamm calibrate`."
                )
        return super().train(resume_from_checkpoint, *args, **kwargs)

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Adds the means of the parts since the last log of their kind."""
        for prefix in ("", "eval_"):
            if f"{prefix}loss" not in logs:
                continue
            for name in LOSS_PARTS:
                values = self._parts.pop(prefix + name, [])
                if values:
                    mean = self.accelerator.gather(torch.stack(values).mean()[None]).mean()
                    logs[prefix + name] = round(float(mean), 5)
        super().log(logs, *args, **kwargs)

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Loss as in `Trainer`, then the grounded scores of the first samples."""
        metrics = super().evaluate(eval_dataset, ignore_keys, metric_key_prefix)
        dataset = eval_dataset if eval_dataset is not None else self.eval_dataset
        if isinstance(dataset, str):  # Trainer's name for one of several
            dataset = self.eval_dataset[dataset]
        if self.grounded_samples and hasattr(self.processing_class, "tokenizer") and not isinstance(dataset, dict):
            scores = self.score_grounding(dataset, metric_key_prefix)
            metrics |= scores
            self.log(scores)
        return metrics

    @torch.no_grad()
    def score_grounding(self, dataset: Any, metric_key_prefix: str = "eval") -> dict[str, float]:
        """Answers the first samples and compares masks: the n-th generated one with the n-th of the ground truth.

        Only the last assistant turn of a sample's (first) conversation is generated. Every process works on all of
        them, as sharded models need every process to take part.
        """
        model, processor = self.model, self.processing_class
        training = model.training
        model.eval()
        _gather_for_generate(model)
        predicted, expected, sheets = [], [], []
        count = min(self.grounded_samples, len(dataset))
        shown = (dataset[i] for i in range(count))
        for sample in tqdm(shown, total=count, desc="Grounding", leave=False, disable=None):
            masks, truth, sheet = self._answer(model, processor, sample, draw=len(sheets) < self.drawn_samples)
            predicted.append(masks)
            expected.append(truth)
            sheets += sheet
        model.train(training)
        self._draw(sheets)
        scores = score_masks(predicted, expected)
        named = {"miou": scores.miou, "j": scores.j, "f": scores.f, "j_and_f": scores.j_and_f}
        return {f"{metric_key_prefix}_{name}": value for name, value in named.items()}

    def _answer(
        self, model: torch.nn.Module, processor: Any, sample: dict[str, Any], draw: bool
    ) -> tuple[np.ndarray, np.ndarray, list[Image.Image]]:
        """Generated masks, true ones (both bool `[N, T, H, W]`), and a picture of the answer if asked for."""
        messages, tracks = conversations_of(sample)[0]
        clip = read_training_clip(
            sample,
            list(sample.get("mask_frames") or ()),
            num_tower_frames=processor.video_processor.num_tower_frames,
            sampling=processor.video_processor.sampling,
        )
        inputs = processor.apply_chat_template(
            with_source(messages[:-1], clip), tokenize=True, add_generation_prompt=True
        ).to(model.device)
        output = model.generate(**inputs, max_new_tokens=self.max_new_tokens, do_sample=False)
        found = output.masks[0].numpy()
        earlier = sum(count_seg(message) for message in messages[:-1])
        truth = decode_masks(tracks[earlier:], found.shape[2:]) == 1 if tracks[earlier:] else found[:0]
        sheet = []
        if draw and clip is not None and found.shape[1]:
            answer = processor.post_process_grounded_generation(output)[0]
            sheet = [contact_sheet(clip.frames(range(len(clip))), found, answer.labels, title=answer.text)]
        return found, truth, sheet

    def _draw(self, sheets: list[Image.Image]) -> None:
        """Hands pictures to TensorBoard and W&B, where they are on."""
        if not self.is_world_process_zero():
            return
        for callback in self.callback_handler.callbacks:
            writer = getattr(callback, "tb_writer", None)
            if writer is not None:
                for i, sheet in enumerate(sheets):
                    writer.add_image(f"eval/answer_{i}", np.asarray(sheet), self.state.global_step, dataformats="HWC")
            wandb = getattr(callback, "_wandb", None)
            if wandb is not None:
                images = [wandb.Image(sheet) for sheet in sheets]
                wandb.log({"eval/answers": images, "train/global_step": self.state.global_step})


class _TellEpoch(TrainerCallback):
    """Tells a collator which epoch begins, or is gone on with."""

    def __init__(self, collator: Any) -> None:
        self._collator = collator

    def on_epoch_begin(self, args: TrainingArguments, state: TrainerState, control: Any, **kwargs: Any) -> None:
        self._collator.set_epoch(int((state.epoch or 0) + 1e-6))


def _counts(batch: dict[str, Any]) -> tuple[int, int]:
    """Words and (object, frame) pairs that a batch is scored for."""
    words = int((batch["labels"][:, 1:] != NO_LABEL).sum())
    return words, sum(truth.shape[0] * truth.shape[1] for truth in batch.get("mask_labels") or ())


def _per_sample(predictions: Any, truth: Any) -> tuple[Any, Any]:
    """Masks and ground truth, one array per sample, if they were packed; else as they are."""
    if torch.is_tensor(predictions):
        predictions, truth = predictions.cpu().numpy(), truth.cpu().numpy()
    if isinstance(predictions, list):
        parts = [_per_sample(own, other) for own, other in zip(predictions, truth, strict=True)]
        return tuple(list(itertools.chain.from_iterable(several)) for several in zip(*parts, strict=True))
    if not is_packed(predictions):
        return predictions, truth
    return [masks.astype(bool) for masks in unpack(predictions)], unpack(truth)


def _metrics_of_samples(compute: Callable[..., dict[str, float]], given: EvalPrediction, **kwargs: Any) -> Any:
    predictions, truth = _per_sample(given.predictions, given.label_ids)
    return compute(EvalPrediction(predictions, truth, given.inputs, given.losses), **kwargs)


def _gather_for_generate(model: torch.nn.Module) -> None:
    """Lets FSDP2 gather a sharded model's own weights for `generate` as it does for `forward`."""
    if not (dist.is_available() and dist.is_initialized()) or "generate" in vars(model):
        return
    from torch.distributed.fsdp import FSDPModule, register_fsdp_forward_method

    if isinstance(model, FSDPModule):
        register_fsdp_forward_method(model, "generate")
