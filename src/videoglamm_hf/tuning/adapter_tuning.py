"""One call from data to an adapter that is known to be better, or known not to be."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel, get_peft_model, prepare_model_for_kbit_training
from transformers import EarlyStoppingCallback, PrinterCallback, TrainingArguments, set_seed
from transformers.integrations import get_available_reporting_integrations, get_reporting_integration_callbacks

from ..checking.check import DataCheck, check_data
from ..data.collator import VideoGlammDataCollator
from ..data.jsonl import JsonlDataset
from ..errors import InputError
from ..evaluation.comparison import Difference, compare_runs, write_comparison
from ..loading.identity import weights_identity
from ..loading.models import best_device, free_bytes, load_config, load_model, load_processor
from ..options import check_whole_number
from ..output_files import explained_writes, replacing_file
from ..training.checkpoints import last_complete_checkpoint
from ..training.fine_tuning import lora_config
from ..training.trainer import VideoGlammTrainer
from .fitting import Plan, fit
from .measuring import measure, pictures
from .parts import read_parts

# Looks at the validation part while it trains, and how many of them may bring nothing before it ends.
_LOOKS, _PATIENCE = 20, 4
# Frames of a validation video whose masks are looked at while it trains.
_LOOKED_AT = 8
_SETTINGS = "tune.json"
# Steps trained and the best one's, once the adapter is there.
_TRAINED = "trained.json"


@dataclass(frozen=True)
class TuneOptions:
    """How to tune; the defaults are the paper's.

    Attributes:
        recipe: What trains beside LoRA, see [`lora_config`].
        rank, alpha: Of LoRA.
        learning_rate: Highest.
        epochs: Passes over the training part at most; training ends earlier when it gets no better.
        max_steps: In place of epochs.
        quantization: `"none"`, `"nf4"`, or `"auto"` for what fits.
        batch_size: Samples of a step; None for what fits.
        frames: Most frames of a sample whose masks are learned at once (how many and which is drawn anew every time);
            None for what fits, 5 at most, as in the paper.
        max_new_tokens: Longest answer when it is measured.
        seed: Of the split, the order of samples, and the new weights.
        report_to: Where Trainer writes its numbers: `"tensorboard"`, `"trackio"`, ..., `"none"`.

    Raises:
        InputError: One cannot be used.
    """

    recipe: str = "paper"
    rank: int = 8
    alpha: int = 16
    learning_rate: float = 3e-4
    epochs: float = 10.0
    max_steps: int = -1
    quantization: str = "auto"
    batch_size: int | None = None
    frames: int | None = None
    max_new_tokens: int = 128
    seed: int = 0
    report_to: str = "none"

    def __post_init__(self) -> None:
        for name in ("rank", "alpha", "max_new_tokens"):
            check_whole_number(name, getattr(self, name), 1, "it must be a whole number of at least 1")
        for name in ("batch_size", "frames"):
            if getattr(self, name) is not None:
                check_whole_number(name, getattr(self, name), 1, "it must be a whole number of at least 1")
        if self.max_steps != -1:
            check_whole_number("max_steps", self.max_steps, 1, "it must be a whole number of at least 1")
        if self.quantization not in ("auto", "none", "nf4"):
            raise InputError(f"quantization is {self.quantization!r}; it must be auto, none or nf4.")


@dataclass(frozen=True)
class TuneResult:
    """What tuning came to.

    Attributes:
        adapter: Folder of the adapter, as `PeftModel.from_pretrained` takes it, and of the processor.
        check: What was found in the data.
        plan: How it was trained.
        differences: Of every figure on the validation part, after less before.
        page: The page that compares before and after: figures with intervals, the same clips.
        steps: How many steps were trained, and after how many it was best.
    """

    adapter: Path
    check: DataCheck
    plan: Plan
    differences: list[Difference]
    page: Path
    steps: tuple[int, int]


def tune(
    data: str | os.PathLike[str],
    model: str,
    output: str | os.PathLike[str],
    options: TuneOptions | None = None,
    *,
    edits: Sequence[str | os.PathLike[str]] = (),
    device: str | None = None,
    progress: bool = False,
    say: Callable[[str], None] = lambda words: None,
) -> TuneResult:
    """Tunes a model on one's own data: checks it, holds some videos out, fits the training to the machine, measures
    before and after, and keeps the best.

    The same call again goes on where an earlier one was ended. The folder then holds

        adapter/                      the best adapter, and the processor
        comparison.html               before and after on the validation part
        before/, after/               answers, scores.json and report.html of each
        train.jsonl, validation.jsonl the two parts
        checkpoints/                  of the training

    Args:
        data: JSONL file or folder, as for [`check_data`].
        model: Folder or Hub id.
        output: Folder to write.
        options: How.
        edits: Further JSONL files for the training part, such as corrections.
        device: What trains; the best there is by default.
        progress: Whether to show bars.
        say: Told what is being done.

    Raises:
        InputError: The data have errors, the folder is that of another tuning, or what `report_to` names is not there.
        ResourceError: Training does not fit.
        OutputError: The folder cannot be written.
    """
    options, folder = options or TuneOptions(), Path(output)
    _check_reporting(options.report_to)
    processor, config = load_processor(model), load_config(model)
    check = check_data(data, processor=processor, progress=progress)
    _refuse_errors(check, data)
    files = [Path(own) for own in edits]
    for path in files:
        _refuse_errors(check_data(path, processor=processor), path)
    parts = read_parts(Path(data), options.seed, files)
    device = device or best_device()
    free = free_bytes(device)
    plan = fit(config, torch.device(device), free, options.recipe, options.quantization, options.frames)
    _start(folder, {"data": str(data), "model": model, "samples": parts.digest, **asdict(options)})
    train, validation = parts.write(folder)
    held = f"{len(parts.validation)} of them held out"
    say(f"{check.samples} samples of {check.videos} videos, {held}, {parts.corrections} corrections; {plan}")
    facts = {"model": model, "weights": weights_identity(model)}
    dtype = str(plan.dtype).removeprefix("torch.")
    loaded = load_model(model, dtype, device, plan.quantization)
    longest = options.max_new_tokens
    say("before: asking the validation part")
    measure(loaded, processor, validation, folder / "before", facts, longest, progress=progress)
    steps = _trained_before(folder)
    if steps is None:
        say("training")
        tuned, steps = _train(loaded, processor, train, validation, folder, options, plan, progress)
        with explained_writes(folder), replacing_file(folder / _TRAINED) as aside:
            tuned.save_pretrained(folder / "adapter")
            processor.save_pretrained(folder / "adapter")
            aside.write_text(json.dumps(steps) + "\n", encoding="utf-8")
    else:
        loaded.forget_calibration("The adapter changes the weights that were calibrated.")
        tuned = PeftModel.from_pretrained(loaded, folder / "adapter").eval()
    say("after: asking the validation part")
    adapter = {"adapter": weights_identity(str(folder / "adapter"))}
    measure(tuned, processor, validation, folder / "after", facts | adapter, longest, progress=progress)
    both = folder / "before", folder / "after"
    comparison = replace(compare_runs(*both), pictures=pictures(validation, both))
    write_comparison(folder / "comparison.html", comparison)
    return TuneResult(folder / "adapter", check, plan, comparison.differences, folder / "comparison.html", steps)


def _train(
    model: Any,
    processor: Any,
    train: Path,
    validation: Path,
    folder: Path,
    options: TuneOptions,
    plan: Plan,
    progress: bool,
) -> tuple[Any, tuple[int, int]]:
    """The best adapter on its model, and the steps trained and the best one's."""
    set_seed(options.seed)
    if plan.quantization != "none":
        model = prepare_model_for_kbit_training(model, gradient_checkpointing_kwargs={"use_reentrant": False})
    elif plan.checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
        model.enable_input_require_grads()
    tuned = get_peft_model(model, lora_config(model, options.rank, options.alpha, recipe=options.recipe))
    samples = JsonlDataset(train)
    batch = options.batch_size or plan.batch_size * plan.accumulate
    size = min(batch, plan.batch_size)
    per_epoch = max(1, -(-len(samples) // batch))
    steps = options.max_steps if options.max_steps > 0 else max(1, round(per_epoch * options.epochs))
    look = max(1, steps // _LOOKS)
    arguments = TrainingArguments(
        str(folder / "checkpoints"),
        learning_rate=options.learning_rate,
        adam_beta2=0.95,
        warmup_steps=min(100, steps // 10),
        max_steps=steps,
        per_device_train_batch_size=size,
        per_device_eval_batch_size=size,
        gradient_accumulation_steps=max(1, batch // size),
        use_cpu=model.device.type == "cpu",
        bf16=plan.dtype == torch.bfloat16 and model.device.type == "cuda",
        eval_strategy="steps",
        save_strategy="steps",
        eval_steps=look,
        save_steps=look,
        logging_steps=look,
        save_total_limit=2,
        load_best_model_at_end=True,
        # How long it has not got better is known after an interruption, too.
        restore_callback_states_from_checkpoint=True,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        remove_unused_columns=False,
        seed=options.seed,
        report_to=options.report_to,
        disable_tqdm=not progress,
    )
    trainer = _Trainer(
        tuned,
        arguments,
        data_collator=VideoGlammDataCollator(processor, (1, plan.frames), seed=options.seed),
        train_dataset=samples,
        eval_dataset=JsonlDataset(validation),
        processing_class=processor,
        callbacks=[EarlyStoppingCallback(early_stopping_patience=_PATIENCE)],
        grounded_samples=0,
    )
    # A bar, or nothing.
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=last_complete_checkpoint(folder / "checkpoints"))
    state = trainer.state
    return tuned.eval(), (state.global_step, state.best_global_step or state.global_step)


def _trained_before(folder: Path) -> tuple[int, int] | None:
    """What an earlier call trained to the end; None if it did not."""
    try:
        last, best = json.loads((folder / _TRAINED).read_text(encoding="utf-8"))
        return int(last), int(best)
    except (OSError, ValueError, TypeError):
        return None


class _Trainer(VideoGlammTrainer):
    """Looks at the same frames of the validation part every time, or one look could not be held against another."""

    def get_eval_dataloader(self, *args: Any, **kwargs: Any) -> Any:
        given = self.data_collator
        self.data_collator = VideoGlammDataCollator(given.processor, (_LOOKED_AT, _LOOKED_AT), seed=given.seed)
        self.data_collator.set_epoch(0)
        try:
            return super().get_eval_dataloader(*args, **kwargs)
        finally:
            self.data_collator = given


def _check_reporting(name: str) -> None:
    """Raises InputError for what Trainer cannot write its numbers to, before anything takes time."""
    if name in ("none", "all"):
        return
    try:
        known = get_reporting_integration_callbacks([name])
    except ValueError as error:
        raise InputError(f"report_to is {name!r:.40}: {error}") from error
    installed = get_available_reporting_integrations()
    if known and name not in installed:
        there = f"installed are {', '.join(installed)}" if installed else "none of the others is either"
        raise InputError(f"report_to is {name!r:.40}, which is not installed ({there}): pip install {name}")


def _refuse_errors(check: DataCheck, data: Any) -> None:
    """Raises InputError if there is something that cannot be trained on."""
    if check.errors:
        first = check.errors[0]
        raise InputError(
            f"{data} cannot be trained on: {first.record}: {first.text} ({len(check.errors)} errors in all; "
            f"`videoglamm check-data {data}` lists them)"
        )


def _start(folder: Path, settings: dict[str, Any]) -> None:
    """Makes the folder, or makes sure that it is that of the same tuning."""
    path = folder / _SETTINGS
    if path.is_file():
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            before = {}
        changed = [name for name in settings if before.get(name) != settings[name]]
        if changed:
            raise InputError(f"{folder} holds a tuning with another {', '.join(changed)}; give another --output")
        return
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder} is not empty, and no tuning's; give another --output")
    with explained_writes(folder):
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
