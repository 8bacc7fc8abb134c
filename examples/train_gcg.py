"""The paper's training: grounded captions and referring expressions, LoRA, everything as arguments.

    python examples/train_gcg.py --model videoglamm-hf \
        --gcg annotations.json frames/ --mevis MeViS/train --ref-youtube-vos YTVOS/ --output trained

On several GPUs, `torchrun --nproc_per_node 4 examples/train_gcg.py ...`. The defaults are the original's: LoRA of rank
8, AdamW at 3e-4 with betas (0.9, 0.95), 100 steps of warm-up, then linear decay, gradients clipped at 1, one to five
mask frames a video, masks decided frame by frame.

Source: the paper (section 4) and the original's `train.py` (reference section 7).
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from peft import get_peft_model
from torch.utils.data import ConcatDataset, Dataset
from transformers import AutoModel, AutoProcessor, TrainingArguments, set_seed

from videoglamm_hf.data import (
    GcgDataset,
    JsonlDataset,
    MevisDataset,
    RefDavisDataset,
    RefYoutubeVosDataset,
    VideoGlammDataCollator,
)
from videoglamm_hf.errors import InputError
from videoglamm_hf.toy import TINY_MODEL
from videoglamm_hf.training.fine_tuning import lora_config
from videoglamm_hf.training.trainer import VideoGlammTrainer


def datasets(options: argparse.Namespace) -> Dataset:
    """All that was named, one after the other; Trainer shuffles them."""
    found = [GcgDataset(annotations, frames, seed=options.seed) for annotations, frames in options.gcg]
    for names, reader in (
        (options.mevis, MevisDataset),
        (options.ref_youtube_vos, RefYoutubeVosDataset),
        (options.ref_davis, RefDavisDataset),
    ):
        found += [reader(name, seed=options.seed) for name in names]
    found += [JsonlDataset(name) for name in options.jsonl]
    if not found:
        raise InputError("Name a dataset: --gcg, --mevis, --ref-youtube-vos, --ref-davis or --jsonl.")
    return ConcatDataset(found)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(TINY_MODEL), help="folder or Hub id (default: the small one)")
    parser.add_argument("--gcg", nargs=2, action="append", default=[], metavar=("JSON", "FRAMES"))
    parser.add_argument("--mevis", action="append", default=[], metavar="DIR")
    parser.add_argument("--ref-youtube-vos", action="append", default=[], metavar="DIR")
    parser.add_argument("--ref-davis", action="append", default=[], metavar="DIR")
    parser.add_argument("--jsonl", action="append", default=[], metavar="FILE")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--max-steps", type=int, default=5000)
    parser.add_argument("--batch-size", type=int, default=1, help="samples per device")
    parser.add_argument("--accumulate", type=int, default=1, help="batches per step")
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    parser.add_argument("--warmup-steps", type=int, default=100)
    parser.add_argument("--mask-frames", type=int, nargs=2, default=(1, 5), metavar=("LEAST", "MOST"))
    parser.add_argument("--mask-training-mode", choices=["framewise", "video"], default="framewise")
    parser.add_argument("--train-projectors", action="store_true", help="train both V->L projectors too")
    parser.add_argument("--gradient-checkpointing", action="store_true")
    parser.add_argument("--dtype", default="auto", help="of the frozen weights (default: as stored)")
    parser.add_argument("--bf16", action="store_true", help="compute in bfloat16")
    parser.add_argument("--workers", type=int, default=0, help="processes that read videos")
    parser.add_argument("--logging-steps", type=int, default=10)
    parser.add_argument("--save-steps", type=int, default=500)
    parser.add_argument("--resume", action="store_true", help="go on from the newest checkpoint in --output")
    parser.add_argument("--report-to", default="none", help="tensorboard, wandb, ... (default: none)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    set_seed(options.seed)

    processor = AutoProcessor.from_pretrained(options.model)
    model = AutoModel.from_pretrained(options.model, dtype=options.dtype)
    model.config.mask_training_mode = options.mask_training_mode
    if options.gradient_checkpointing:
        model.gradient_checkpointing_enable()
    lora = lora_config(model)
    if options.train_projectors:
        lora.modules_to_save += ["model.spatial_projector", "model.temporal_projector"]
    tuned = get_peft_model(model, lora)
    arguments = TrainingArguments(
        str(options.output),
        max_steps=options.max_steps,
        per_device_train_batch_size=options.batch_size,
        gradient_accumulation_steps=options.accumulate,
        learning_rate=options.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=options.warmup_steps,
        adam_beta2=0.95,
        weight_decay=0.0,
        max_grad_norm=1.0,
        bf16=options.bf16,
        # A batch may have no picture, no video or no [SEG].
        ddp_find_unused_parameters=True,
        dataloader_num_workers=options.workers,
        remove_unused_columns=False,
        logging_steps=options.logging_steps,
        save_steps=options.save_steps,
        save_total_limit=2,
        report_to=options.report_to,
        seed=options.seed,
    )
    trainer = VideoGlammTrainer(
        tuned,
        arguments,
        data_collator=VideoGlammDataCollator(processor, num_mask_frames=tuple(options.mask_frames)),
        train_dataset=datasets(options),
        processing_class=processor,
    )
    trainer.train(resume_from_checkpoint=options.resume or None)
    trainer.save_model(str(options.output / "adapter"))


if __name__ == "__main__":
    main()
