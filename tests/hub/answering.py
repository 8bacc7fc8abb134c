"""Asks models in a process of its own: `python -I -S answering.py JOB.json`.

The job says what to load, whether this package may be seen, and where the answers go. Nothing here is imported from
the tests: without the package they could not be.
"""

import importlib.abc
import json
import sys
from pathlib import Path

PACKAGE = "videoglamm_hf"
SEG_TOKEN_ID = 319


class Hidden(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == PACKAGE:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def main(job: dict) -> None:
    # -S leaves out the .pth files, and with them an editable install.
    sys.path += job["path"]
    if job["hidden"]:
        sys.meta_path.insert(0, Hidden())
    try:
        __import__(PACKAGE)
        seen = True
    except ModuleNotFoundError:
        seen = False
    assert seen is not job["hidden"], f"{PACKAGE} can be imported: {seen}"

    import numpy as np
    import torch
    from transformers import AutoConfig, AutoModel, AutoProcessor

    class SegAt(list):
        def __init__(self, length: int) -> None:
            super().__init__([self.force])
            self.places = (length + 1, length + 3)

        def force(self, input_ids, scores):
            if input_ids.shape[1] in self.places:
                scores = torch.full_like(scores, -1e9)
                scores[:, SEG_TOKEN_ID] = 0
            return scores

    torch.set_num_threads(1)
    frames = np.load(job["frames"])
    trust = {"trust_remote_code": True} if job["hidden"] else {}
    answers = {}
    for asked in job["models"]:
        where = {"revision": asked["revision"]} if "revision" in asked else {}
        config = AutoConfig.from_pretrained(asked.get("base", asked["model"]), **where, **trust)
        processor = AutoProcessor.from_pretrained(asked["processor"], **where, **trust)
        options = dict(asked.get("options", {}))
        if "dtype" in options:
            options["dtype"] = getattr(torch, options["dtype"])
        model = AutoModel.from_pretrained(asked["model"], **where, **trust, **options)
        for part in (config, processor, model):
            inside = type(part).__module__.partition(".")[0]
            assert inside == ("transformers_modules" if job["hidden"] else PACKAGE), type(part)
        if "adapter" in asked:
            from peft import PeftModel

            model = PeftModel.from_pretrained(model, asked["adapter"])
        model.eval()
        content = [{"type": "video", "video": frames}, {"type": "text", "text": "Can you segment the red disc?"}]
        inputs = processor.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=True, add_generation_prompt=True
        )
        output = model.generate(
            **inputs, max_new_tokens=5, do_sample=False, logits_processor=SegAt(inputs["input_ids"].shape[1])
        )
        answer = processor.post_process_grounded_generation(output)[0]
        answers[f"{asked['name']}.masks"] = answer.masks.numpy()
        answers[f"{asked['name']}.scores"] = answer.object_scores.float().numpy()
        answers[f"{asked['name']}.text"] = np.array(answer.raw_text)
        if "save" in asked:
            model.save_pretrained(asked["save"])
            processor.save_pretrained(asked["save"])
        if "push" in asked:
            model.push_to_hub(asked["push"])
            processor.push_to_hub(asked["push"])
    np.savez(job["output"], **answers)


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
