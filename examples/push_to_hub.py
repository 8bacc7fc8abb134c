"""Publishes a fine-tuned model: as it is on `main`, and in bfloat16 beside it, for those with less memory.

    python examples/push_to_hub.py tuned/ someone/my-videoglamm --adapter adapter/

With `--adapter` the LoRA adapter is merged into the model first. `videoglamm push` publishes a folder as it lies, an
adapter alone too. Log in with `hf auth login`.
"""

import argparse
import tempfile
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoModel, AutoProcessor

import videoglamm_hf  # noqa: F401  registers the classes
from videoglamm_hf.hub import push_folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder or Hub id of the model")
    parser.add_argument("repo", help="USER/NAME to publish it as")
    parser.add_argument("--adapter", help="folder or Hub id of a LoRA adapter to merge")
    parser.add_argument("--private", action="store_true")
    options = parser.parse_args()

    model = AutoModel.from_pretrained(options.model)
    processor = AutoProcessor.from_pretrained(options.model)
    if options.adapter:
        model = PeftModel.from_pretrained(model, options.adapter).merge_and_unload()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        model.save_pretrained(folder)
        processor.save_pretrained(folder)
        push_folder(folder, options.repo, private=options.private)
        model.to(torch.bfloat16).save_pretrained(folder, variant="bf16")
        push_folder(folder, options.repo, private=options.private, variant="bf16")
    print(f'AutoModel.from_pretrained("{options.repo}", variant="bf16", dtype="bfloat16", trust_remote_code=True)')


if __name__ == "__main__":
    main()
