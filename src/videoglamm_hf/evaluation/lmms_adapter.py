"""The model as lmms-eval asks it: words alone.

lmms-eval finds it by an entry point: `lmms-eval --model videoglamm --model_args pretrained=DIR --tasks ...`. Nothing
else here imports lmms-eval, which brings torchvision and is installed by who needs it.
"""

from collections.abc import Sequence
from typing import Any

import torch
from lmms_eval.api.instance import Instance
from lmms_eval.api.model import lmms
from lmms_eval.models.registry_v2 import ModelManifest
from tqdm import tqdm

from ..errors import InputError
from ..grounded_answer import parse_grounded_text
from ..loading.models import load_model, load_processor

MAX_NEW_TOKENS = 512
# What `generate` takes of a task's settings.
_TAKEN = ("max_new_tokens", "do_sample", "temperature", "top_p", "num_beams")


class VideoGlamm(lmms):
    """A chat model of lmms-eval: a question about a video or a picture, an answer without markup.

    Args:
        pretrained: Folder or Hub id.
        device: Where to; None for the best there is.
        dtype: Precision; `auto` as stored.
        quantization: `none`, `8bit` or `nf4`.
        batch_size: 1, as lmms-eval gives it.

    Raises:
        InputError: The model cannot be loaded, or another batch size is asked for.
    """

    is_simple = False

    def __init__(
        self,
        pretrained: str,
        device: str | None = None,
        dtype: str = "auto",
        quantization: str = "none",
        batch_size: int | str = 1,
    ) -> None:
        super().__init__()
        if int(batch_size) != 1:
            raise InputError(f"batch_size is {batch_size}; questions are asked one by one, so give 1")
        self.processor = load_processor(pretrained)
        self.model = load_model(pretrained, dtype, device, quantization)

    def generate_until(self, requests: Sequence[Instance]) -> list[str]:
        """The answers, in the order of the requests.

        Raises:
            InputError: A question has several videos or pictures.
            MediaError: A video or picture cannot be read.
        """
        answers = []
        for request in tqdm(requests, desc="asking", unit="question", disable=self.rank != 0):
            context, messages_of, settings, number, task, split = request.args
            messages = messages_of(self.task_dict[task][split][number])
            text = self._answer([_converted(message) for message in messages], settings)
            self.cache_hook.add_partial("generate_until", (context, settings), text)
            answers.append(text)
        return answers

    def loglikelihood(self, requests: Sequence[Instance]) -> list[tuple[float, bool]]:
        """Refused: tasks that need it do not judge what is generated."""
        raise NotImplementedError("videoglamm answers in words; take a task of generate_until")

    def generate_until_multi_round(self, requests: Sequence[Instance]) -> list[str]:
        """Refused: lmms-eval's rounds show a picture each."""
        raise NotImplementedError("videoglamm is asked in one round here; take a task of generate_until")

    @torch.inference_mode()
    def _answer(self, messages: list[dict[str, Any]], settings: dict[str, Any]) -> str:
        inputs = self.processor.apply_chat_template(messages, tokenize=True, add_generation_prompt=True)
        options = {"max_new_tokens": MAX_NEW_TOKENS, "do_sample": False}
        options |= {name: settings[name] for name in _TAKEN if settings.get(name) is not None}
        if not options["do_sample"]:
            # Settings of sampling, which some tasks give with greedy decoding.
            options = {name: value for name, value in options.items() if name not in ("temperature", "top_p")}
        inputs = inputs.to(self.model.device)
        output = self.model.generate(**inputs, **options, return_masks=False)
        written = self.processor.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        text, _ = parse_grounded_text(written.strip(), 0)
        until = settings.get("until") or ()
        for stop in (until,) if isinstance(until, str) else until:
            text = text.partition(stop)[0] if stop else text
        return text


def manifest() -> ModelManifest:
    """What the entry point gives lmms-eval."""
    return ModelManifest("videoglamm", chat_class_path=f"{__name__}.{VideoGlamm.__name__}")


def _converted(message: dict[str, Any]) -> dict[str, Any]:
    """A message of lmms-eval as ours."""
    content = message["content"]
    if isinstance(content, str):
        return message
    parts = []
    for part in content:
        if part["type"] == "text":
            parts.append({"type": "text", "text": part["text"]})
            continue
        times = {name: part[name] for name in ("start_time", "end_time") if part.get(name) is not None}
        parts.append({"type": part["type"], part["type"]: part["url"], **times})
    return {"role": message["role"], "content": parts}
