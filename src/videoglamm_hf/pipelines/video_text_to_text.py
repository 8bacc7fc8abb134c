"""`pipeline("video-text-to-text")`: answers about videos and pictures, in words, phrases and masks."""

import inspect
import mimetypes
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import PurePath
from typing import Any

from transformers import GenerationConfig, GenerationMixin, Pipeline
from transformers.utils.chat_template_utils import Chat

from ..errors import InputError
from ..generation_videoglamm import GroundedGenerationMixin
from ..options import check_names
from ..transformers_versions import CACHE_NAMES, generate_options
from ..video_processing_videoglamm import VIDEO_OPTIONS


class VideoTextToTextPipeline(Pipeline):
    """Answers with masks; known to `pipeline` as `"video-text-to-text"`.

    ```python
    pipe = pipeline("video-text-to-text", model="...")
    record = pipe("clip.mp4", "What moves?")[0]
    record["generated_text"], record["phrases"], record["masks"]
    ```

    A record is a dict: `input_text` (the question or the conversation), `generated_text` (the answer without markup),
    `raw_text` (with it), `phrases` (list of [`Phrase`] fields as dicts), `masks` (bool `[num_objects, T, H, W]`),
    `object_scores`, `iou_scores` (float32 `[num_objects, T]`), `timestamps` (seconds of the T frames) and
    `finish_reason` (`"stop"`, or `"length"` for an answer that was cut); of a calibrated model also `probabilities`
    (float32 `[num_objects]`) and `presence_probability`, see [`GroundedAnswer`].
    """

    _load_processor = True
    _load_image_processor = False
    _load_feature_extractor = False
    _load_tokenizer = False
    _pipeline_calls_generate = True
    # What `generate` takes without naming it in its signature.
    _unnamed_options = ("tokenizer", "assistant_tokenizer", *CACHE_NAMES)
    _default_generation_config = GenerationConfig(max_new_tokens=256)

    def _sanitize_parameters(
        self,
        max_new_tokens: int | None = None,
        generate_kwargs: dict[str, Any] | None = None,
        processor_kwargs: dict[str, Any] | None = None,
        **options: Any,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        generate = dict(generate_kwargs or {})
        # A decoding method of its own has options of its own.
        if not {"custom_generate"} & {*options, *generate}:
            check_names(options, (*VIDEO_OPTIONS, *self._generate_options()), "of this pipeline")
        if max_new_tokens is not None:
            if generate.get("max_new_tokens", max_new_tokens) != max_new_tokens:
                raise InputError("max_new_tokens is given twice, also in generate_kwargs; give it once.")
            generate["max_new_tokens"] = max_new_tokens
        generate |= {name: options.pop(name) for name in list(options) if name not in VIDEO_OPTIONS}
        if not generate.pop("return_masks", True):
            raise InputError(
                "return_masks=False: this pipeline always gives masks; for words alone, use "
                "pipeline('image-text-to-text')."
            )
        processor = {**(processor_kwargs or {}), **options}
        forward = {name: given for name, given in (("generate", generate), ("processor", processor)) if given}
        return {}, forward, {}

    def _generate_options(self) -> set[str]:
        """Names of what `generate` takes, of this package and of transformers, and what it hands to the model."""
        takers = (GroundedGenerationMixin.generate, GenerationMixin.generate, self.model.forward)
        named = {name for taker in takers for name in inspect.signature(taker).parameters}
        configured = {name for name in vars(GenerationConfig()) if not name.startswith("_")}
        given_otherwise = {"self", "args", "kwargs", "model_kwargs"}
        return (named | configured | set(self._unnamed_options)) - given_otherwise

    def __call__(self, videos: Any = None, text: Any = None, **kwargs: Any) -> Any:
        """Answers one question or several.

        Args:
            videos: A video (path, URL, folder, frames `[T, H, W, 3]`, list of pictures, clip, encoded video), or a
                list of as many as there are questions; or a
                conversation, a list of conversations, or dicts `{"video": ..., "text": ...}`, also from a dataset or
                a generator, which are answered as they come.
            text: The question, or as many questions as videos; or a conversation, or a list of conversations.
            kwargs: `batch_size`; how videos are sampled (`fps`, `num_frames`, `start_time`, ...); everything else is
                for `generate`, such as `max_new_tokens`, `mask_mode`, or `generate_kwargs` with all of it.

        Returns:
            A list with a record for each returned sequence, and for several inputs a list of these.

        Raises:
            InputError: If questions and videos do not fit together, or one cannot be asked.
            MediaError: If a video cannot be read.
        """
        if text is None or _is_chat(text) or (isinstance(text, list) and text and _is_chat(text[0])):
            if (videos is None) == (text is None):
                raise InputError("Give a video and a question, or conversations alone.")
            return super().__call__(videos if text is None else text, **kwargs)
        if videos is None:
            raise InputError("There is no video; give one, or a conversation.")
        if isinstance(text, str):
            if _is_several_videos(videos):
                raise InputError(
                    f"There are {len(videos)} videos and one question; give as many questions, in a list: "
                    "pipe(videos, [question] * len(videos))."
                )
            return super().__call__({"video": videos, "text": text}, **kwargs)
        if not isinstance(videos, Sequence) or isinstance(videos, str) or len(videos) != len(text):
            raise InputError(f"There are {len(text)} questions; give as many videos, in a list.")
        if not len(videos):
            return []
        pairs = [{"video": video, "text": question} for video, question in zip(videos, text, strict=True)]
        return super().__call__(pairs, **kwargs)

    def preprocess(self, inputs: Any) -> dict[str, Any]:
        """A conversation as it is; videos are read when their batch is answered."""
        if isinstance(inputs, Chat):
            return {"chat": inputs, "input_text": inputs.messages}
        if _is_chat(inputs):
            return {"chat": Chat(inputs), "input_text": inputs}
        if not isinstance(inputs, dict) or not {"video", "text"} <= set(inputs):
            raise InputError("An input is a conversation, or a dict with 'video' and 'text'.")
        parts = [{"type": "video", "video": inputs["video"]}, {"type": "text", "text": inputs["text"]}]
        return {"chat": Chat([{"role": "user", "content": parts}]), "input_text": inputs["text"]}

    def _forward(
        self,
        model_inputs: dict[str, Any],
        generate: dict[str, Any] | None = None,
        processor: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        chats, asked = model_inputs["chat"], model_inputs["input_text"]
        single = isinstance(chats, Chat)
        chats, asked = ([chats], [asked]) if single else (chats, asked)
        inputs = self.processor.apply_chat_template(
            [chat.messages for chat in chats],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs=processor or {},
        )
        output = self.model.generate(**inputs.to(self.device), return_masks=True, **generate_options(self, generate))
        answers = self.processor.post_process_grounded_generation(output)
        each = len(answers) // len(chats)
        records = [
            [_record(answer, question) for answer in answers[i * each : (i + 1) * each]]
            for i, question in enumerate(asked)
        ]
        return {"records": records[0] if single else records}

    def postprocess(self, model_outputs: dict[str, Any]) -> list[dict[str, Any]]:
        return model_outputs["records"]


def _is_chat(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and isinstance(value[0], dict) and "role" in value[0]


def _is_several_videos(videos: Any) -> bool:
    """Whether a list is of videos, as far as can be told: a list of pictures is the frames of one."""
    if not isinstance(videos, (list, tuple)) or not videos:
        return False
    return all(_is_video(video) for video in videos)


def _is_video(value: Any) -> bool:
    if isinstance(value, (str, PurePath)):
        return (mimetypes.guess_type(str(value))[0] or "").startswith("video/")
    is_clip = hasattr(value, "frames") or hasattr(value, "check_made_by")
    return is_clip or getattr(value, "ndim", 0) == 4 or isinstance(value, (list, tuple))


def _record(answer: Any, question: Any) -> dict[str, Any]:
    names = ("raw_text", "masks", "object_scores", "iou_scores", "timestamps", "finish_reason")
    fields = {name: getattr(answer, name) for name in names}
    sure = {name: getattr(answer, name) for name in ("probabilities", "presence_probability")}
    fields |= {name: own for name, own in sure.items() if own is not None}
    phrases = [asdict(phrase) for phrase in answer.phrases]
    return {"input_text": question, "generated_text": answer.text, "phrases": phrases, **fields}


__all__ = ["VideoTextToTextPipeline"]
