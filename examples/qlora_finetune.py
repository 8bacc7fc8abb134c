"""Fine-tunes a model in 4 bits with LoRA on a JSONL file of samples, by transformers' own Trainer.

    python examples/qlora_finetune.py train.jsonl --model videoglamm-hf/ --output adapter/ --steps 500

`videoglamm check-data train.jsonl` says what is wrong with the data. The adapter is used as any of peft's:
`PeftModel.from_pretrained(model, "adapter/")`.
"""

import argparse
from collections.abc import Sequence

from peft import get_peft_model, prepare_model_for_kbit_training
from transformers import AutoModel, AutoProcessor, BitsAndBytesConfig, Trainer, TrainingArguments

from videoglamm_hf.data import JsonlDataset, VideoGlammDataCollator
from videoglamm_hf.toy import TINY_MODEL
from videoglamm_hf.training.fine_tuning import lora_config


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="JSONL file of samples")
    parser.add_argument("--model", default=str(TINY_MODEL), help="folder or Hub id (default: the small one)")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder of the adapter")
    parser.add_argument("--recipe", choices=("paper", "lora", "projectors"), default="paper", help="what trains")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    arguments = parser.parse_args(argv)

    processor = AutoProcessor.from_pretrained(arguments.model)
    model = AutoModel.from_pretrained(
        arguments.model, quantization_config=BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4")
    )
    # What is not quantised becomes float32, for the optimiser; activations are recomputed in the backward pass.
    model = prepare_model_for_kbit_training(model, gradient_checkpointing_kwargs={"use_reentrant": False})
    model = get_peft_model(model, lora_config(model, recipe=arguments.recipe))
    model.print_trainable_parameters()
    training = TrainingArguments(
        arguments.output,
        max_steps=arguments.steps,
        per_device_train_batch_size=arguments.batch_size,
        learning_rate=arguments.learning_rate,
        logging_steps=max(1, min(10, arguments.steps // 2)),
        save_strategy="no",
        report_to="none",
        remove_unused_columns=False,
    )
    trainer = Trainer(
        model,
        training,
        data_collator=VideoGlammDataCollator(processor),
        train_dataset=JsonlDataset(arguments.data),
    )
    trainer.train()
    model.save_pretrained(arguments.output)
    print(f"adapter -> {arguments.output}")


if __name__ == "__main__":
    main()
