"""Trains the small model that ships with the package, from scratch, on the shapes world.

    python examples/train_tiny.py --output tiny-model

Seven stages, each a plain `Trainer` run (`videoglamm_hf.toy.recipe.stages`), in two chains: what is where, then
language; masks from prompt codes, then memory, then whole clips, then clicks, and these through memory.

Started again with the same `--output` it goes on where it was stopped. With `--steps 0.01` it is over in minutes and
shows that everything runs.
"""

import argparse
import json
import math
import multiprocessing
import multiprocessing.connection
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from tqdm.auto import tqdm
from transformers import (
    AutoModel,
    AutoProcessor,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerState,
    TrainingArguments,
    logging,
    set_seed,
)

from videoglamm_hf.toy.recipe.building import build
from videoglamm_hf.toy.recipe.muon import Muon
from videoglamm_hf.toy.recipe.stages import (
    GREY_RATE,
    SCENE_KINDS,
    Clicks,
    Language,
    LanguageBatches,
    PixelBatches,
    Pixels,
    Scenes,
    TowerBatches,
    Towers,
)
from videoglamm_hf.toy.shapes_world import KINDS, ShapesWorldConfig
from videoglamm_hf.toy.shapes_world.evaluation import as_table, evaluate, missed_floors
from videoglamm_hf.training.checkpoints import last_complete_checkpoint

# Single frames need no long clips.
SHORT = ShapesWorldConfig(num_frames=4)
CLIPS = ShapesWorldConfig()
# Present and absent objects about equally often behind the same words, or the words alone would say which it is; a
# little less often absent, because pairs never seen are easily denied.
QUESTIONS = ShapesWorldConfig(
    kind_weights=(
        ("referring", 0.04),
        ("same_colour", 0.04),
        ("same_shape", 0.04),
        ("present", 0.26),
        ("absent", 0.15),
        ("caption", 0.06),
        ("size", 0.33),
        ("motion", 0.02),
        ("all_of", 0.03),
        ("attribute", 0.03),
    )
)
WEIGHTS = "weights.safetensors"


# What a stage's name stands for, and which of them wait for each other: the codes at [SEG] are fixed beforehand, so
# the language model learns to say what the pixel decoder learns to find, and neither waits for the other.
CHAINS = (("pixels", "memory", "clips", "clicks", "settling"), ("towers", "language"))


@dataclass(frozen=True)
class Stage:
    """One run of the Trainer.

    Attributes:
        steps: With `--steps 1`.
        scenes: Of a step.
        learning_rate: Highest.
        weight_decay: Of matrices.
        kinds: What the scenes are made for.
        world: Their configuration.
        module: The model as this stage trains it.
        batches: What turns scenes into the module's arguments.
    """

    steps: int
    scenes: int
    learning_rate: float
    weight_decay: float
    kinds: Sequence[str | None]
    world: ShapesWorldConfig
    module: Callable[[], nn.Module]
    batches: Callable[[list], dict[str, Any]]


def stages(model: Any, processor: Any) -> dict[str, Stage]:
    """All stages by name."""
    grids = Pixels.grids(model)
    memory = Stage(
        steps=2000,
        scenes=4,
        learning_rate=4e-3,
        weight_decay=0.01,
        kinds=(*SCENE_KINDS, "caption"),
        world=CLIPS,
        module=lambda: Pixels(model, through_memory=True),
        batches=PixelBatches(num_frames=5, num_prompts=5, grids=grids),
    )
    return {
        "towers": Stage(
            steps=3000,
            scenes=16,
            learning_rate=6e-3,
            weight_decay=0.01,
            kinds=SCENE_KINDS,
            world=SHORT,
            module=lambda: Towers(model),
            batches=TowerBatches(model),
        ),
        "language": Stage(
            steps=8000,
            scenes=4,
            learning_rate=6e-3,
            weight_decay=0.1,
            kinds=(None,),
            world=QUESTIONS,
            module=lambda: Language(model),
            batches=LanguageBatches(model, processor, num_questions=12),
        ),
        "pixels": Stage(
            steps=1300,
            scenes=16,
            learning_rate=6e-3,
            weight_decay=0.01,
            kinds=SCENE_KINDS,
            world=SHORT,
            module=lambda: Pixels(model, through_memory=False),
            batches=PixelBatches(num_frames=1, num_prompts=8, grids=grids, grey_rate=GREY_RATE),
        ),
        "memory": memory,
        "clips": replace(
            memory,
            steps=800,
            scenes=3,
            learning_rate=3e-3,
            module=lambda: Pixels(model, through_memory=True, frozen_encoder=True),
            batches=PixelBatches(num_frames=CLIPS.num_frames, num_prompts=5, grids=grids),
        ),
        "clicks": replace(
            memory,
            steps=2500,
            scenes=12,
            world=SHORT,
            module=lambda: Clicks(model, through_memory=False, quieter=True),
            batches=PixelBatches(num_frames=1, num_prompts=6, grids=grids),
        ),
        "settling": replace(
            memory,
            steps=250,
            learning_rate=1e-3,
            module=lambda: Clicks(model, through_memory=True),
            batches=PixelBatches(num_frames=4, num_prompts=5, grids=grids),
        ),
    }


class Progress(TrainerCallback):
    """A line now and then: how far, how good, how long still."""

    def __init__(self, name: str) -> None:
        self.name, self.started = name, None

    def on_train_begin(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        self.started = (time.monotonic(), state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        parent = multiprocessing.parent_process()
        if parent is not None and not parent.is_alive():
            raise SystemExit(f"{self.name}: stopped, as the command that started it is gone")

    def on_log(self, args: Any, state: TrainerState, control: Any, logs: dict[str, Any], **kwargs: Any) -> None:
        if "loss" in logs:
            begin, first = self.started
            left = (time.monotonic() - begin) / (state.global_step - first) * (state.max_steps - state.global_step)
            print(
                f"{self.name}: {state.global_step}/{state.max_steps} steps, loss {logs['loss']:.3f}, "
                f"{left / 60:.0f} minutes left",
                flush=True,
            )


def run(name: str, stage: Stage, folder: Path, scale: float, seed: int, tensorboard: bool) -> None:
    """Trains a stage, or goes on where it was stopped."""
    steps = max(2, math.ceil(stage.steps * scale))
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=stage.scenes,
        learning_rate=stage.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=min(100, steps // 4),
        max_grad_norm=1.0,
        logging_steps=50,
        save_steps=200,
        save_total_limit=2,
        seed=seed,
        data_seed=seed,
        remove_unused_columns=False,
        report_to=["tensorboard"] if tensorboard else [],
        disable_tqdm=True,
        dataloader_pin_memory=torch.cuda.is_available(),
    )
    set_seed(seed)
    module = stage.module()
    trainer = Trainer(
        model=module,
        args=arguments,
        data_collator=stage.batches,
        train_dataset=Scenes(stage.kinds, steps * stage.scenes, stage.world, seed),
        optimizers=(
            Muon(module.named_parameters(), stage.learning_rate, weight_decay=stage.weight_decay),
            None,
        ),
        callbacks=[Progress(name)],
    )
    trainer.remove_callback(PrinterCallback)
    last = last_complete_checkpoint(folder)
    print(f"{name}: {steps} steps" + (f", going on from {last}" if last else ""), flush=True)
    trainer.train(resume_from_checkpoint=last)


def run_chain(chain: Sequence[str], options: argparse.Namespace) -> None:
    """Trains stages that need each other, one after the other, and leaves the weights of each in its folder."""
    logging.set_verbosity_warning()
    torch.set_num_threads(max(1, torch.get_num_threads() // len(CHAINS)))
    model, processor = build(options.seed)
    known = stages(model, processor)
    for name in chain:
        folder = options.output / "stages" / name
        weights = folder / WEIGHTS
        if weights.exists():
            print(f"{name}: done before", flush=True)
            model.load_state_dict(load_file(weights), strict=False)
            continue
        run(name, known[name], folder, options.steps, options.seed, options.tensorboard)
        # Written aside and renamed, so that a stage is done or not.
        aside = weights.with_suffix(".part")
        save_file(trained_by(chain, model), aside)
        aside.rename(weights)


def trained_by(chain: Sequence[str], model: nn.Module) -> dict[str, torch.Tensor]:
    """The weights a chain trains: the pixel decoder, or everything else."""
    pixels = "pixels" in chain
    return {
        name: value.contiguous().cpu()
        for name, value in model.state_dict().items()
        if name.startswith("pixel_decoder.") == pixels
    }


def train(options: argparse.Namespace) -> None:
    """Runs the chains side by side, each in a process with its share of the cores.

    Raises:
        SystemExit: One of them failed; the other is stopped.
    """
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=run_chain, args=(chain, options), daemon=True) for chain in CHAINS]
    for worker in workers:
        worker.start()
    # Listed once a round: waiting for nothing would never end.
    while (alive := [w.sentinel for w in workers if w.is_alive()]) and not any(w.exitcode for w in workers):
        multiprocessing.connection.wait(alive)
    if any(worker.exitcode for worker in workers):
        for worker in workers:
            worker.terminate()
        raise SystemExit("A stage failed, see above; the same command goes on where it stopped.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder for the model; stages are kept in it")
    parser.add_argument("--steps", type=float, default=1.0, help="multiplies the steps of every stage")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--clips", type=int, default=200, help="held-out clips of each kind to evaluate on; 0: none")
    parser.add_argument("--tensorboard", action="store_true", help="write curves (needs tensorboard)")
    options = parser.parse_args()
    logging.set_verbosity_warning()

    train(options)
    model, processor = build(options.seed)
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.1f} million parameters", flush=True)
    for chain in CHAINS:
        model.load_state_dict(load_file(options.output / "stages" / chain[-1] / WEIGHTS), strict=False)
    model.to("cpu", torch.bfloat16).save_pretrained(options.output)
    processor.save_pretrained(options.output)
    print(f"written to {options.output}", flush=True)
    if options.clips:
        # As saved: rounding to bfloat16 counts.
        model = AutoModel.from_pretrained(options.output, dtype=torch.float32)
        processor, scores = AutoProcessor.from_pretrained(options.output), []
        for kind in tqdm(KINDS, desc="evaluating", unit="kind"):
            scores += evaluate(model, processor, kinds=[kind], clips=options.clips)
        print(as_table(scores))
        print("\n".join(missed_floors(scores)) or "all floors reached")
        metrics = json.dumps([asdict(score) for score in scores], indent=1)
        (options.output / "metrics.json").write_text(metrics + "\n")


if __name__ == "__main__":
    main()
