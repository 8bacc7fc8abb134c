"""Asks a model in 4 or 8 bits about a video.

    python examples/quantized_inference.py bikes.mp4 "Can you segment the rider?" --model videoglamm-hf/ --bits 4

Nothing but the `quantization_config` is needed: the class keeps the pixel decoder and the projections as they are.
"""

import argparse
from collections.abc import Sequence

import torch
from transformers import AutoModel, AutoProcessor, BitsAndBytesConfig

from videoglamm_hf.toy import TINY_MODEL

CONFIGS = {
    4: BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4"),
    8: BitsAndBytesConfig(load_in_8bit=True),
}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", help="video file, URL, or folder of frames")
    parser.add_argument("question")
    parser.add_argument("--model", default=str(TINY_MODEL), help="folder or Hub id (default: the small one)")
    parser.add_argument("--bits", type=int, choices=CONFIGS, default=4)
    parser.add_argument("--max-new-tokens", type=int, default=64)
    arguments = parser.parse_args(argv)

    processor = AutoProcessor.from_pretrained(arguments.model)
    model = AutoModel.from_pretrained(arguments.model, quantization_config=CONFIGS[arguments.bits]).eval()
    print(f"{model.get_memory_footprint() / 2**20:,.1f} MiB of weights on {model.device}")

    content = [{"type": "video", "path": arguments.video}, {"type": "text", "text": arguments.question}]
    inputs = processor.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=True, add_generation_prompt=True
    ).to(model.device)
    output = model.generate(**inputs, max_new_tokens=arguments.max_new_tokens, do_sample=False)
    answer = processor.post_process_grounded_generation(output)[0]
    print(answer.text)
    for label, masks in zip(answer.labels, answer.masks, strict=True):
        print(f"  {label}: {masks.float().mean():.1%} of the pixels, in {int(masks.any((1, 2)).sum())} frames")
    if torch.cuda.is_available():
        print(f"{torch.cuda.max_memory_allocated() / 2**30:.2f} GiB at the peak")


if __name__ == "__main__":
    main()
