"""`Seq2SeqTrainer(predict_with_generate=True)`: generated words next to the labels, as for any other model."""

import numpy as np
import torch
from transformers import Seq2SeqTrainer, Seq2SeqTrainingArguments

from tests.training.test_training import MIXED
from videoglamm_hf.data import VideoGlammDataCollator


def test_predictions_are_what_generate_gives_to_the_batch(fresh_model, processor, tmp_path):
    model, collator = fresh_model(), VideoGlammDataCollator(processor, num_mask_frames=None)
    seen = []
    arguments = Seq2SeqTrainingArguments(
        str(tmp_path),
        predict_with_generate=True,
        generation_max_length=None,
        per_device_eval_batch_size=2,
        remove_unused_columns=False,
        report_to="none",
        use_cpu=True,
        dataloader_pin_memory=False,
    )
    model.generation_config.max_new_tokens = 3
    trainer = Seq2SeqTrainer(
        model,
        arguments,
        data_collator=collator,
        eval_dataset=MIXED,
        processing_class=processor.tokenizer,
        compute_metrics=lambda pair: seen.append(pair) or {"words": float((pair.predictions >= 0).sum())},
    )
    metrics = trainer.evaluate()
    assert np.isfinite(metrics["eval_loss"]) and metrics["eval_words"] > 0
    (pair,) = seen
    assert len(pair.predictions) == len(pair.label_ids) == len(MIXED)
    batch = collator(MIXED[:2])
    with torch.no_grad():
        expected = model.generate(**batch)
    assert torch.is_tensor(expected)
    width = expected.shape[1]
    assert np.array_equal(pair.predictions[:2, :width], expected.numpy())
