"""Trains the small model that ships with the package, from scratch, on the shapes world.

    python examples/train_tiny.py --output tiny-model

Four stages, each a plain `Trainer` run (see `tiny/stages.py`): what is where, masks from prompt codes, memory, and
language. The codes at [SEG] are fixed beforehand, so the language model learns to say what the pixel decoder learns
to find, and neither waits for the other.

Started again with the same `--output` it goes on where it was stopped. With `--steps 0.01` it is over in minutes and
shows that everything runs.
"""

import argparse
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModel, AutoProcessor, Trainer, TrainingArguments, logging, set_seed
from transformers.trainer_utils import get_last_checkpoint

from tiny.building import build
from tiny.muon import Muon
from tiny.stages import SCENE_KINDS, Language, LanguageBatches, PixelBatches, Pixels, Scenes, TowerBatches, Towers
from videoglamm_hf.shapes_world import ShapesWorldConfig
from videoglamm_hf.shapes_world.evaluation import as_table, evaluate, missed_floors

# Single frames need no long clips.
SHORT = ShapesWorldConfig(num_frames=4)
CLIPS = ShapesWorldConfig()
# Present and absent objects equally often behind the same words, or the words alone would say which it is.
QUESTIONS = ShapesWorldConfig(
    kind_weights=(
        ("referring", 0.06),
        ("same_colour", 0.05),
        ("same_shape", 0.04),
        ("present", 0.26),
        ("absent", 0.28),
        ("caption", 0.09),
        ("size", 0.11),
        ("motion", 0.04),
        ("all_of", 0.03),
        ("attribute", 0.04),
    )
)
WEIGHTS = "weights.safetensors"


@dataclass(frozen=True)
class Stage:
    """One run of the Trainer.

    Attributes:
        name: Of its folder.
        steps: With `--steps 1`.
        scenes: Of a step.
        learning_rate: Highest.
        kinds: What the scenes are made for.
        world: Their configuration.
        module: The model as this stage trains it.
        batches: What turns scenes into the module's arguments.
    """

    name: str
    steps: int
    scenes: int
    learning_rate: float
    kinds: Sequence[str | None]
    world: ShapesWorldConfig
    module: Callable[[], nn.Module]
    batches: Callable[[list], dict[str, Any]]


def stages(model: Any, processor: Any) -> list[Stage]:
    """All stages, in order."""
    grids = Pixels.grids(model)
    return [
        Stage(
            name="towers",
            steps=3000,
            scenes=16,
            learning_rate=6e-3,
            kinds=SCENE_KINDS,
            world=SHORT,
            module=lambda: Towers(model),
            batches=TowerBatches(model),
        ),
        Stage(
            name="pixels",
            steps=1000,
            scenes=16,
            learning_rate=6e-3,
            kinds=SCENE_KINDS,
            world=SHORT,
            module=lambda: Pixels(model, through_memory=False),
            batches=PixelBatches(num_frames=1, num_prompts=8, grids=grids),
        ),
        Stage(
            name="memory",
            steps=1500,
            scenes=4,
            learning_rate=5e-3,
            kinds=(*SCENE_KINDS, "caption"),
            world=CLIPS,
            module=lambda: Pixels(model, through_memory=True),
            batches=PixelBatches(num_frames=5, num_prompts=5, grids=grids),
        ),
        Stage(
            name="language",
            steps=3500,
            scenes=6,
            learning_rate=6e-3,
            kinds=(None,),
            world=QUESTIONS,
            module=lambda: Language(model),
            batches=LanguageBatches(model, processor, num_questions=12),
        ),
    ]


def run(stage: Stage, model: nn.Module, folder: Path, scale: float, seed: int, tensorboard: bool) -> None:
    """Trains a stage, or loads what it left behind, or goes on where it was stopped."""
    weights = folder / WEIGHTS
    if weights.exists():
        print(f"{stage.name}: done before", flush=True)
        model.load_state_dict(load_file(weights))
        return
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
    )
    set_seed(seed)
    module = stage.module()
    trainer = Trainer(
        model=module,
        args=arguments,
        data_collator=stage.batches,
        train_dataset=Scenes(stage.kinds, steps * stage.scenes, stage.world, seed),
        optimizers=(Muon(module.named_parameters(), stage.learning_rate), None),
    )
    last = get_last_checkpoint(str(folder)) if folder.exists() else None
    print(f"{stage.name}: {steps} steps" + (f", going on from {last}" if last else ""), flush=True)
    trainer.train(resume_from_checkpoint=last)
    # Written aside and renamed, so that a stage is done or not.
    aside = weights.with_suffix(".part")
    save_file({name: value.contiguous().cpu() for name, value in model.state_dict().items()}, aside)
    aside.rename(weights)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder for the model; stages are kept in it")
    parser.add_argument("--steps", type=float, default=1.0, help="multiplies the steps of every stage")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--clips", type=int, default=200, help="held-out clips of each kind to evaluate on; 0: none")
    parser.add_argument("--tensorboard", action="store_true", help="write curves (needs tensorboard)")
    options = parser.parse_args()
    logging.set_verbosity_warning()

    model, processor = build(options.seed)
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.1f} million parameters", flush=True)
    for stage in stages(model, processor):
        folder = options.output / "stages" / stage.name
        run(stage, model, folder, options.steps, options.seed, options.tensorboard)

    model.to("cpu", torch.bfloat16).save_pretrained(options.output)
    processor.save_pretrained(options.output)
    print(f"written to {options.output}", flush=True)
    if options.clips:
        # As saved: rounding to bfloat16 counts.
        model = AutoModel.from_pretrained(options.output, dtype=torch.float32)
        scores = evaluate(model, AutoProcessor.from_pretrained(options.output), clips=options.clips)
        print(as_table(scores))
        print("\n".join(missed_floors(scores)) or "all floors reached")
        metrics = json.dumps([asdict(score) for score in scores], indent=1)
        (options.output / "metrics.json").write_text(metrics + "\n")


if __name__ == "__main__":
    main()
