"""Fine-tunes a model on your own videos with LoRA, scores it, and saves adapter and merged model.

    python examples/finetune_lora.py --train train.jsonl --eval held_out.jsonl --output tuned

Data: one sample per line, see `videoglamm_hf/data/sample.py`; `videoglamm check-data train.jsonl` says what is wrong
with it. The defaults are the paper's; a folder of `videoglamm cache-features` saves most of a step's time.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from peft import get_peft_model
from transformers import AutoModel, AutoProcessor, TrainingArguments, set_seed

from videoglamm_hf.data import FeatureCache, JsonlDataset, VideoGlammDataCollator
from videoglamm_hf.toy import TINY_MODEL
from videoglamm_hf.training.fine_tuning import RECIPES, lora_config
from videoglamm_hf.training.trainer import VideoGlammTrainer


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(TINY_MODEL), help="folder or Hub id (default: the small one)")
    parser.add_argument("--train", required=True, help="JSONL file")
    parser.add_argument("--eval", help="JSONL file; scored after training")
    parser.add_argument("--output", type=Path, required=True, help="folder: checkpoints, `adapter` and `merged`")
    parser.add_argument("--features", help="folder that `videoglamm cache-features` wrote for the training data")
    parser.add_argument("--recipe", choices=[name for name in RECIPES if name != "full"], default="paper")
    parser.add_argument("--mask-training-mode", choices=["framewise", "video"], help="default: the model's own")
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--alpha", type=int, default=16)
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    parser.add_argument("--epochs", type=float, default=1.0)
    parser.add_argument("--max-steps", type=int, default=-1, help="instead of epochs")
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--accumulate", type=int, default=1, help="batches per step")
    parser.add_argument("--dtype", default="auto", help="of the frozen weights, e.g. bfloat16 (default: as stored)")
    parser.add_argument("--resume", action="store_true", help="go on from the newest checkpoint in --output")
    parser.add_argument("--report-to", default="none", help="tensorboard, wandb, ... (default: none)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    set_seed(options.seed)

    processor = AutoProcessor.from_pretrained(options.model)
    model = AutoModel.from_pretrained(options.model, dtype=options.dtype)
    if options.mask_training_mode:
        model.config.mask_training_mode = options.mask_training_mode
    features = FeatureCache(options.features, model) if options.features else None
    tuned = get_peft_model(model, lora_config(model, options.rank, options.alpha, recipe=options.recipe))
    tuned.print_trainable_parameters()
    trainer = VideoGlammTrainer(
        tuned,
        TrainingArguments(
            str(options.output),
            learning_rate=options.learning_rate,
            adam_beta2=0.95,
            warmup_steps=min(100, max(0, options.max_steps) // 10 or 100),
            num_train_epochs=options.epochs,
            max_steps=options.max_steps,
            per_device_train_batch_size=options.batch_size,
            per_device_eval_batch_size=options.batch_size,
            gradient_accumulation_steps=options.accumulate,
            remove_unused_columns=False,
            logging_steps=10,
            save_total_limit=2,
            seed=options.seed,
            report_to=options.report_to,
        ),
        data_collator=VideoGlammDataCollator(processor, features=features),
        train_dataset=JsonlDataset(options.train),
        processing_class=processor,
    )
    trainer.train(resume_from_checkpoint=options.resume or None)
    if options.eval:
        # Held-out samples are not in the cache.
        trainer.data_collator = VideoGlammDataCollator(processor)
        print(trainer.evaluate(JsonlDataset(options.eval)))
    if trainer.is_world_process_zero():
        tuned.save_pretrained(options.output / "adapter")
        merged = tuned.merge_and_unload()
        merged.save_pretrained(options.output / "merged")
        processor.save_pretrained(options.output / "merged")
        print(f"adapter in {options.output}/adapter, whole model in {options.output}/merged ({merged.dtype})")


if __name__ == "__main__":
    main()
