"""Messages to model inputs, model output to answers.

The image and the video processor own what becomes pixels; here are text, its placeholders, and how both go together.
The prompt is tokenised as the original does.

Shapes: B samples, V videos, I pictures, F tower frames, T frames of one sample, L tokens.
"""

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jinja2 import Environment, meta
from transformers import BatchFeature, ProcessorMixin

from .clip import ArrayClip, SampledClip
from .clip_sources import read_image
from .configuration_videoglamm import AUTO_MAP
from .encoded_video import EncodedVideo
from .errors import InputError
from .frame_sampling import SAMPLING_OPTIONS
from .image_processing_videoglamm import VideoGlammImageProcessor, flat_images
from .messages import IMAGE_TOKEN, SEG_TOKEN, VIDEO_TOKEN
from .options import check_names, check_return_tensors
from .prompting import PHI3_CHAT_TEMPLATE, Phrase, PromptEncoder, parse_grounded_text, render_messages
from .transformers_versions import CACHE
from .video_processing_videoglamm import VIDEO_OPTIONS, VideoGlammVideoProcessor, video_list

# Options of the words of a prompt, with their defaults.
TEXT_OPTIONS: dict[str, Any] = {
    "padding": True,
    "padding_side": "left",
    "truncation": False,
    "max_length": None,
    "return_tensors": "pt",
}
_ROLES = ("system", "user", "assistant")
# Parts as OpenAI's interface names them.
_OPENAI_TYPES = {"image_url": "image", "video_url": "video"}


@dataclass
class GroundedAnswer:
    """One sample's answer.

    Attributes:
        text: The answer without markup.
        raw_text: The answer as generated, `<p>`, `</p>` and `[SEG]` included.
        phrases: Phrases of `text` with their character spans and the object each names.
        masks: bool `[num_objects, T, H, W]` at the video's own size.
        object_scores: float32 `[num_objects, T]`, logits of the object being in the frame.
        timestamps: Seconds of each frame, `[T]`.
    """

    text: str
    raw_text: str
    phrases: list[Phrase]
    masks: torch.Tensor
    object_scores: torch.Tensor
    timestamps: list[float]

    @property
    def labels(self) -> list[str]:
        """A name for every object: its phrase, or `object n`."""
        names = {phrase.object_index: phrase.text for phrase in self.phrases}
        return [names.get(i, f"object {i + 1}") for i in range(len(self.masks))]


class VideoGlammProcessor(ProcessorMixin):
    r"""
    Turns conversations about a video or a picture into inputs of [`VideoGlammForGroundedGeneration`], and what
    it generates into [`GroundedAnswer`]s.

    Args:
        image_processor: A [`VideoGlammImageProcessor`].
        video_processor: A [`VideoGlammVideoProcessor`].
        tokenizer: A fast tokenizer with `[SEG]`, `<image>` and `<video>` among its added tokens.
        chat_template: Jinja template of a conversation, or several by name, of which `"default"` is used; Phi-3's by
            default.
        image_seq_length: Visual tokens of a picture.
        video_seq_length: Visual tokens of a video.
        image_start_end: Whether the template puts `<im_start>`/`<im_end>` around the visual tokens.
        absorbing_tokens: See [`PromptEncoder`].
    """

    # Saving copies the code along, so that the folder loads without this package.
    _auto_class = "AutoProcessor"
    # Frames differ in number from sample to sample.
    skip_tensor_conversion = [
        *ProcessorMixin.skip_tensor_conversion,
        "grounding_frames",
        "frame_timestamps",
        "encoded_videos",
    ]

    def __init__(
        self,
        image_processor: Any = None,
        video_processor: Any = None,
        tokenizer: Any = None,
        chat_template: str | dict[str, str] | None = None,
        image_seq_length: int = 576,
        video_seq_length: int = 3328,
        image_start_end: bool = False,
        absorbing_tokens: Sequence[str] = (),
    ) -> None:
        super().__init__(
            image_processor or VideoGlammImageProcessor(),
            video_processor or VideoGlammVideoProcessor(),
            tokenizer,
            chat_template=chat_template or PHI3_CHAT_TEMPLATE,
        )
        self.image_seq_length = image_seq_length
        self.video_seq_length = video_seq_length
        self.image_start_end = image_start_end
        self.absorbing_tokens = list(absorbing_tokens)
        missing = [t for t in (SEG_TOKEN, IMAGE_TOKEN, VIDEO_TOKEN) if t not in tokenizer.get_added_vocab()]
        if missing:
            raise InputError(
                f"The tokenizer lacks the added tokens {missing}; add them with tokenizer.add_tokens "
                "(placeholders beyond the embedding rows, so that they cannot be generated)."
            )

    # AutoVideoProcessor and its base are stand-ins unless torchvision is installed, so neither is asked for here.

    def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
        """As in the base class, but any video processor is one."""
        if argument_name == "video_processor":
            return type(argument)
        return super().check_argument_for_proper_class(argument_name, argument)

    @classmethod
    def _get_arguments_from_pretrained(
        cls, pretrained_model_name_or_path: Any, processor_dict: dict[str, Any] | None = None, **kwargs: Any
    ) -> list[Any]:
        return [
            VideoGlammImageProcessor.from_pretrained(pretrained_model_name_or_path, **kwargs),
            VideoGlammVideoProcessor.from_pretrained(pretrained_model_name_or_path, **kwargs),
            cls._load_tokenizer_from_pretrained("tokenizer", pretrained_model_name_or_path, **kwargs),
        ]

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "auto_map": {"AutoProcessor": AUTO_MAP["AutoProcessor"]}}

    @classmethod
    def for_config(cls, config: Any, tokenizer: Any, **options: Any) -> "VideoGlammProcessor":
        """The processor of a model: every size from its [`VideoGlammConfig`], everything else from `options`.

        Raises:
            InputError: There is no such option.
        """
        sides = {
            "spatial_image_size": config.spatial_config.image_size,
            "grounding_image_size": config.grounding_config.image_size,
        }
        known = ("fps", "max_frames", "decoder")
        own = ("chat_template", "image_start_end", "absorbing_tokens")
        check_names(options, (*known, *own), "of the processor")
        video_options = {name: options.pop(name) for name in known if name in options}
        return cls(
            VideoGlammImageProcessor(**sides),
            VideoGlammVideoProcessor(
                num_tower_frames=config.num_tower_frames,
                temporal_image_size=config.temporal_config.image_size,
                **sides,
                **video_options,
            ),
            tokenizer,
            image_seq_length=config.image_seq_length,
            video_seq_length=config.video_seq_length,
            **options,
        )

    @property
    def model_input_names(self) -> list[str]:
        pixels = [*self.image_processor.model_input_names, *self.video_processor.model_input_names]
        return list(dict.fromkeys(["input_ids", "attention_mask", *pixels]))

    def apply_chat_template(
        self,
        conversation: Sequence[dict[str, Any]] | Sequence[Sequence[dict[str, Any]]],
        chat_template: str | None = None,
        tools: Sequence[Any] | None = None,
        documents: Sequence[Any] | None = None,
        add_generation_prompt: bool = False,
        continue_final_message: bool = False,
        return_assistant_tokens_mask: bool = False,
        tokenize: bool = False,
        return_dict: bool = True,
        processor_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> BatchFeature | list[list[int]] | str | list[str]:
        r"""
        Model inputs of one conversation or a list of them.

        Args:
            conversation: Messages `{"role": "user" | "assistant" | "system", "content": str | parts}`; a part
                is `{"type": "text", "text": ...}`, `{"type": "video", "video" | "path" | "url": ...}` or
                `{"type": "image", "image" | "path" | "url": ...}`; also objects with these fields, and OpenAI's
                `{"type": "image_url", "image_url": {"url": ...}}`. A video is what
                [`~clip_sources.open_clip`] takes, a clip, or an [`EncodedVideo`], which is not decoded or seen
                again; its part may also say how it is sampled (`fps`, `num_frames`, `max_frames`, `start_time`,
                `end_time`). At most one video or picture per conversation; it is moved to the start of its user turn,
                as in the original.
            chat_template: A template, or the name of one of the processor's.
            tools, documents: For templates that use them; refused by others.
            add_generation_prompt: End with the opening of the assistant's turn.
            continue_final_message: End within the last message, which must be the assistant's, so that it is gone on
                with.
            return_assistant_tokens_mask: Add `assistant_masks` `[B, L]`, 1 on the tokens of assistant turns
                (their end token included): everything the training loss sees.
            tokenize: Return model inputs; otherwise the rendered prompt as a string.
            return_dict: Return everything; otherwise only token ids.
            processor_kwargs, kwargs: What [`__call__`] takes beside texts, videos and pictures; and values of
                variables that the template uses.

        Returns:
            `BatchFeature` with `input_ids` and `attention_mask` int64 `[B, L]`; for pictures `pixel_values`
            float32 `[I, 3, 336, 336]`; for videos `pixel_values_videos` `[V, F, 3, 336, 336]` and
            `temporal_pixel_values_videos` `[V, F, 3, 224, 224]`; per sample `grounding_frames` (uint8
            `[T, 3, h, w]`, no frames for text-only), `original_sizes` int64 `[B, 2]` (height, width) and
            `frame_timestamps` (seconds).

        Raises:
            InputError: If a message cannot be used as given, an option is unknown, or the prompt exceeds the context.
            MediaError: If a video or picture cannot be read.
        """
        if not conversation:
            raise InputError("The conversation is empty; give at least one user message.")
        if add_generation_prompt and continue_final_message:
            raise InputError("Give add_generation_prompt or continue_final_message, not both.")
        template = self._template(chat_template)
        variables = _variables(template)
        given = {name: own for name, own in (("tools", tools), ("documents", documents)) if own is not None}
        for name in given:
            if name not in variables:
                raise InputError(f"{name} cannot be used: the chat template has no place for them.")
        given |= {"image_start_end": self.image_start_end}
        given |= {name: kwargs.pop(name) for name in list(kwargs) if name in variables}
        text, images, videos = self._options(_once(processor_kwargs or {}, kwargs), extra=sorted(variables))
        batched = isinstance(conversation[0], (list, tuple))
        conversations = [_checked_messages(c, i) for i, c in enumerate(conversation if batched else [conversation])]
        rendered = [
            render_messages(messages, template, add_generation_prompt=add_generation_prompt, **given)
            for messages in conversations
        ]
        if continue_final_message:
            rendered = [_open_ended(parts, i) for i, parts in enumerate(rendered)]
        encoder = self._prompt_encoder()
        if not tokenize:
            for i, parts in enumerate(rendered):
                if any(role in ("user", "system") and encoder.contains_token(text) for text, role, _ in parts):
                    raise InputError(
                        f"Conversation {i}: a message contains the text of a special token, which a prompt "
                        "string cannot tell from the token itself; use tokenize=True."
                    )
            strings = ["".join(text for text, _, _ in parts) for parts in rendered]
            return strings if batched else strings[0]

        visuals = [_only_visual(messages, i) for i, messages in enumerate(conversations)]
        prompts = [encoder.pieces(parts) for parts in rendered]
        inputs = self._inputs(encoder, prompts, visuals, text, images, videos, return_assistant_tokens_mask)
        return inputs if return_dict else inputs["input_ids"]

    def __call__(
        self,
        images: Any = None,
        text: str | Sequence[str] | None = None,
        videos: Any = None,
        audio: Any = None,
        **kwargs: Any,
    ) -> BatchFeature:
        r"""
        Model inputs of prompts as strings.

        Args:
            images: A picture or a list of them, in the order of their `<image>` in the texts.
            text: Prompts as `apply_chat_template(..., tokenize=False)` writes them. A text that is not such a
                prompt is a question: it becomes a user turn about the video or picture at its place.
            videos: A video or a list of them, in the order of their `<video>` in the texts. One array
                `[T, H, W, 3]` or one list of frames is one video.
            audio: Refused: the model does not hear.
            kwargs: Of words: `padding` (True, `"longest"`, `"max_length"` or False), `padding_side` (`"left"` for
                generation, `"right"` if you prefer it for training), `truncation`, `max_length`, `return_tensors`
                (`"pt"`, `"np"` or None for lists). Of videos: what [`~VideoGlammVideoProcessor.sample`] takes. All may
                also be given in `text_kwargs`, `images_kwargs`, `videos_kwargs` and `common_kwargs`.

        Raises:
            InputError: If the placeholders of the texts do not match the videos and pictures, or an option is
                unknown.
            MediaError: If a video or picture cannot be read.
        """
        if audio is not None:
            raise InputError("audio cannot be used: the model does not hear.")
        if text is None:
            raise InputError("There is no text; ask something about the video or picture.")
        text_options, images_options, videos_options = self._options(_once(kwargs))
        texts = [text] if isinstance(text, str) else list(text)
        queues = {"video": video_list(videos), "image": flat_images(images)}
        encoder = self._prompt_encoder()
        prompts, visuals = [], []
        for i, prompt in enumerate(texts):
            parts, kinds = self._parts_of(encoder, prompt, queues, single=len(texts) == 1)
            pieces = encoder.pieces(parts)
            if len(kinds) > 1:
                raise InputError(f"Text {i} has {len(kinds)} videos or pictures; at most one is supported.")
            for kind in kinds:
                if not queues[kind]:
                    raise InputError(f"Text {i} has a <{kind}> placeholder but no {kind} is left for it.")
            visuals.append({"type": kinds[0], "source": queues[kinds[0]].pop(0)} if kinds else None)
            prompts.append(pieces)
        left = {kind: len(queue) for kind, queue in queues.items() if queue}
        if left:
            raise InputError(f"More videos or pictures than placeholders in the texts: {left} left over.")
        return self._inputs(encoder, prompts, visuals, text_options, images_options, videos_options, False)

    def sample_inputs(
        self,
        conversations: Sequence[Sequence[Sequence[dict[str, Any]]]],
        clips: Sequence[SampledClip | EncodedVideo | None],
        padding_side: str = "right",
        pixel_streams: bool = True,
    ) -> BatchFeature:
        r"""
        Model inputs for training: samples whose frames are read already, each with one or more conversations.

        Args:
            conversations: Per sample, its conversations: messages as for
                [`~VideoGlammProcessor.apply_chat_template`], whose video or picture part needs no source.
            clips: Per sample, its frames, its encoded features, or None for text only.
            padding_side: Where prompts are padded.
            pixel_streams: Whether to make pixels of the clips; otherwise they may be anything but None, and only
                token ids and masks are returned.

        Returns:
            What `apply_chat_template` returns for one conversation per sample, but with B prompts for fewer samples:
            `sample_index` int64 `[B]` is the sample of every prompt; and `assistant_masks` int64 `[B, L]`, 1 on the
            tokens of assistant turns.

        Raises:
            InputError: If a message cannot be used as given, or the prompt exceeds the context.
        """
        encoder = self._prompt_encoder()
        prompts, kinds, sample_index = [], [], []
        for i, (own, clip) in enumerate(zip(conversations, clips, strict=True)):
            found = set()
            for messages in own:
                checked = _checked_messages(with_source(messages, clip), i)
                visual = _only_visual(checked, i)
                found.add(visual["type"] if visual else None)
                parts = self._rendered(checked, add_generation_prompt=False)
                prompts.append(encoder.pieces(parts))
                sample_index.append(i)
            if len(found) != 1 or (clip is None) != (found == {None}):
                raise InputError(
                    f"Sample {i}: its conversations are about {sorted(map(str, found))}; all must be about its video, "
                    "all about its picture, or all about neither."
                )
            kinds.append(found.pop())
        inputs = self._token_inputs(encoder, prompts, {**TEXT_OPTIONS, "padding_side": padding_side}, True)
        if pixel_streams:
            inputs |= self._visual_inputs(clips, kinds)
        inputs = BatchFeature(inputs)
        inputs["sample_index"] = torch.tensor(sample_index)
        return inputs

    def next_turn(self, output: Any, question: str) -> BatchFeature:
        r"""
        Inputs that ask a further question after an answer, without saying everything again:

        ```python
        inputs = processor.next_turn(output, "And the blue one?")
        output = model.generate(**inputs, encoded_videos=[video])
        ```

        The prompt is what was generated so far, token by token, so a copy of the language model's cache is
        handed on.

        Args:
            output: [`VideoGlammGenerateOutput`] of one conversation.
            question: What to ask.

        Returns:
            `input_ids` and `attention_mask`, int64 `[1, L]`, and the language model's cache if the output has it.

        Raises:
            InputError: If there are several sequences, the question is empty, or the context is full.
        """
        if len(output.sequences) != 1:
            raise InputError(f"next_turn goes on with one conversation, not with {len(output.sequences)}.")
        if not question.strip():
            raise InputError("The question is empty.")
        turns = [("user", "?"), ("assistant", "!"), ("user", question)]
        parts = self._rendered([{"role": role, "content": [{"type": "text", "text": text}]} for role, text in turns])
        encoder = self._prompt_encoder()
        pieces = encoder.pieces(parts)
        # The new turn is what follows the first answer; that answer's end token may have been generated already.
        last = max(i for i, piece in enumerate(pieces) if piece.is_answer)
        end_id = encoder.added[pieces[last].text][0]
        continuation = encoder.continue_with(pieces[last:])
        ids = output.sequences[0].tolist()
        ids += continuation[1:] if ids[-1] == end_id else continuation
        if len(ids) > self.tokenizer.model_max_length:
            raise InputError(
                f"The conversation has {len(ids)} tokens, more than the context of {self.tokenizer.model_max_length}."
            )
        input_ids = torch.tensor([ids], device=output.sequences.device)
        # A copy, so that several questions can follow one answer.
        cache = {CACHE: copy.deepcopy(output[CACHE])} if output.get(CACHE) is not None else {}
        return BatchFeature({"input_ids": input_ids, "attention_mask": torch.ones_like(input_ids), **cache})

    def post_process_grounded_generation(self, output: Any, **decode_kwargs: Any) -> list[GroundedAnswer]:
        r"""
        One [`GroundedAnswer`] per sequence of what `generate` returned.

        Args:
            output: [`VideoGlammGenerateOutput`].
            decode_kwargs: Passed to the tokenizer's `decode`.
        """
        answers = []
        for row, sequence in enumerate(output.sequences):
            raw = self.tokenizer.decode(
                sequence[output.prompt_length :], **{"skip_special_tokens": True, **decode_kwargs}
            ).strip()
            masks = output.masks[row]
            text, phrases = parse_grounded_text(raw, len(masks))
            answers.append(
                GroundedAnswer(
                    text=text,
                    raw_text=raw,
                    phrases=phrases,
                    masks=masks,
                    object_scores=output.object_scores[row],
                    timestamps=list(output.frame_timestamps[row]),
                )
            )
        return answers

    def batch_decode(self, sequences: Any, *args: Any, **kwargs: Any) -> list[str]:
        """As the tokenizer's, also of what `generate` returned."""
        return self.tokenizer.batch_decode(getattr(sequences, "sequences", sequences), *args, **kwargs)

    def decode(self, sequence: Any, *args: Any, **kwargs: Any) -> Any:
        """As the tokenizer's, also of what `generate` returned."""
        return self.tokenizer.decode(getattr(sequence, "sequences", sequence), *args, **kwargs)

    def _template(self, named: str | None) -> str:
        """A chat template: the one given, one of the processor's by its name, or its default."""
        known = self.chat_template if isinstance(self.chat_template, dict) else {"default": self.chat_template}
        if named is None:
            named = "default"
        elif named not in known and "{" in named:
            return named
        check_names([named], known, "among the chat templates")
        return known[named]

    def _rendered(
        self, messages: Sequence[dict[str, Any]], add_generation_prompt: bool = True
    ) -> list[tuple[str, str | None, bool]]:
        return render_messages(
            messages,
            self._template(None),
            add_generation_prompt=add_generation_prompt,
            image_start_end=self.image_start_end,
        )

    def _options(
        self, given: dict[str, Any], extra: Sequence[str] = ()
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        """Options of words, pictures and videos; `extra` are further names that a misspelt one may have meant."""
        given = dict(given)
        given.pop("load_audio_from_video", None)
        common = given.pop("common_kwargs", {})
        known = {
            "text_kwargs": tuple(TEXT_OPTIONS),
            "images_kwargs": ("return_tensors",),
            "videos_kwargs": VIDEO_OPTIONS,
        }
        options: dict[str, dict[str, Any]] = {}
        for group, names in known.items():
            nested = _once(given.pop(group, None) or {})
            check_names(nested, (*names, "return_tensors"), f"in {group}")
            options[group] = nested
        check_names(given.pop("audio_kwargs", None) or {}, (), "of audio, which the model does not hear")
        for name, value in _once(common, given).items():
            check_names([name], (*TEXT_OPTIONS, *VIDEO_OPTIONS, *extra), "of the processor")
            group = "text_kwargs" if name in TEXT_OPTIONS else "videos_kwargs"
            options[group] = _once(options[group], {name: value})
        kinds = {own["return_tensors"] for own in options.values() if "return_tensors" in own}
        if len(kinds) > 1:
            raise InputError(f"return_tensors is given as {sorted(map(str, kinds))}; give it once.")
        text = {**TEXT_OPTIONS, **options["text_kwargs"]}
        text["padding_side"] = text["padding_side"] or TEXT_OPTIONS["padding_side"]
        text["return_tensors"] = kinds.pop() if kinds else TEXT_OPTIONS["return_tensors"]
        check_return_tensors(text["return_tensors"])
        for group in ("images_kwargs", "videos_kwargs"):
            options[group].pop("return_tensors", None)
        return text, options["images_kwargs"], options["videos_kwargs"]

    def _inputs(
        self,
        encoder: PromptEncoder,
        prompts: Sequence[list],
        visuals: Sequence[dict[str, Any] | None],
        text: dict[str, Any],
        images: dict[str, Any],
        videos: dict[str, Any],
        return_answer_masks: bool,
    ) -> BatchFeature:
        """Everything of a batch: token ids, and what its videos and pictures become."""
        videos = dict(videos)
        return_metadata = videos.pop("return_metadata", False)
        clips = [self._read(visual, videos) for visual in visuals]
        kinds = [visual["type"] if visual else None for visual in visuals]
        inputs = self._token_inputs(encoder, prompts, text, return_answer_masks)
        inputs |= self._visual_inputs(clips, kinds, videos.get("lazy", False))
        if return_metadata:
            inputs["video_metadata"] = [
                self.video_processor.metadata(clip) for clip, kind in zip(clips, kinds, strict=True) if kind == "video"
            ]
        if text["return_tensors"] == "np":
            inputs = {name: value.numpy() if torch.is_tensor(value) else value for name, value in inputs.items()}
        return BatchFeature(inputs)

    def _prompt_encoder(self) -> PromptEncoder:
        """Built anew: a tokenizer's added tokens may change, and building takes milliseconds."""
        return PromptEncoder(self.tokenizer, self.absorbing_tokens)

    def _read(self, visual: dict[str, Any] | None, options: dict[str, Any]) -> SampledClip | EncodedVideo | None:
        if visual is None:
            return None
        source = visual["source"]
        if _is_encoded(source) or hasattr(source, "tower_indices"):
            return source
        if visual["type"] == "image":
            return SampledClip(ArrayClip(read_image(source)[None], source="picture"), [0])
        own = {key: visual[key] for key in SAMPLING_OPTIONS if key in visual}
        return self.video_processor.sample(source, **{**options, **own})

    def _parts_of(
        self, encoder: PromptEncoder, prompt: str, queues: dict[str, list], single: bool
    ) -> tuple[list[tuple[str, str | None, bool]], list[str]]:
        """A rendered prompt's parts and the kinds of its visuals; a bare question is rendered first."""
        probe = self._rendered([{"role": "user", "content": [{"type": "text", "text": "?"}]}])
        opening = encoder.pieces(probe)[0].text
        if prompt.startswith(opening):
            pieces = encoder.pieces([(prompt, None, False)])
            kinds = [p.text.strip("<>") for p in pieces if p.is_token and p.text in (IMAGE_TOKEN, VIDEO_TOKEN)]
            return [(prompt, None, False)], kinds
        if not prompt.strip():
            raise InputError("The question is empty.")
        kinds = [kind for kind, queue in queues.items() if queue][:1]
        content = [{"type": kind} for kind in kinds] + [{"type": "text", "text": prompt}]
        return self._rendered([{"role": "user", "content": content}]), kinds

    def _token_inputs(
        self, encoder: PromptEncoder, prompts: Sequence[list], options: dict[str, Any], return_answer_masks: bool
    ) -> dict[str, Any]:
        lengths = {IMAGE_TOKEN: self.image_seq_length, VIDEO_TOKEN: self.video_seq_length}
        encoded = [encoder.encode(pieces, lengths) for pieces in prompts]
        if options["truncation"]:
            encoded = [self._cut(*pair, options["max_length"], i) for i, pair in enumerate(encoded)]
        limit = self.tokenizer.model_max_length
        for i, (ids, _) in enumerate(encoded):
            if len(ids) > limit:
                raise InputError(
                    f"Sample {i}: the prompt has {len(ids)} tokens (visual ones included), more than the "
                    f"context of {limit}; shorten the conversation."
                )
        longest = max(len(ids) for ids, _ in encoded)
        padding = options["padding"]
        if padding == "max_length":
            longest = max(longest, options["max_length"] or limit)
        elif padding not in (True, False, None, "longest", "do_not_pad"):
            raise InputError(f"padding is {padding!r}; it must be True, False, 'longest' or 'max_length'.")
        pads = padding in (True, "longest", "max_length")
        if not pads and options["return_tensors"] is not None and len({len(ids) for ids, _ in encoded}) > 1:
            raise InputError("Several texts become one tensor only with padding=True.")
        rows = {
            "input_ids": ([ids for ids, _ in encoded], self.tokenizer.pad_token_id),
            "attention_mask": ([[1] * len(ids) for ids, _ in encoded], 0),
        }
        if return_answer_masks:
            rows["assistant_masks"] = ([mask for _, mask in encoded], 0)
        if options["return_tensors"] is None and not (pads and padding == "max_length"):
            return {name: values for name, (values, _) in rows.items()}
        length = longest if pads else max(len(ids) for ids, _ in encoded)
        padded = {name: _pad(values, fill, options["padding_side"], length) for name, (values, fill) in rows.items()}
        if options["return_tensors"] is None:
            return {name: tensor.tolist() for name, tensor in padded.items()}
        return padded

    def _cut(
        self, ids: list[int], answer_mask: list[int], max_length: int | None, index: int
    ) -> tuple[list[int], list[int]]:
        """A prompt cut to `max_length` tokens, at the tokenizer's side; visual tokens are never cut."""
        length = max_length or self.tokenizer.model_max_length
        keep = slice(-length, None) if self.tokenizer.truncation_side == "left" else slice(length)
        placeholders = set(self.tokenizer.convert_tokens_to_ids([IMAGE_TOKEN, VIDEO_TOKEN]))
        if sum(i in placeholders for i in ids[keep]) != sum(i in placeholders for i in ids):
            raise InputError(
                f"Sample {index}: cutting its prompt of {len(ids)} tokens to {length} would cut visual tokens; raise "
                "max_length or leave out truncation."
            )
        return ids[keep], answer_mask[keep]

    def _visual_inputs(self, clips: Sequence[Any], kinds: Sequence[str | None], lazy: bool = False) -> dict[str, Any]:
        if any(_is_encoded(clip) for clip in clips):
            return {"encoded_videos": _checked_encoded(clips, kinds)}
        side = self.video_processor.grounding_image_size
        by_kind = {
            kind: [clip for clip, own in zip(clips, kinds, strict=True) if own == kind] for kind in ("image", "video")
        }
        streams: dict[str, Any] = {}
        per_sample: dict[str, Any] = {}
        if by_kind["image"]:
            found = self.image_processor.preprocess([clip.clip.frames([0])[0] for clip in by_kind["image"]])
            streams["pixel_values"] = found["pixel_values"]
            # A training sample's picture may have no masks.
            frames = [own[: len(clip)] for own, clip in zip(found["grounding_frames"], by_kind["image"], strict=True)]
            times = [list(clip.seconds) for clip in by_kind["image"]]
            per_sample["image"] = iter(list(zip(frames, found["original_sizes"].tolist(), times, strict=True)))
        if by_kind["video"]:
            found = self.video_processor.streams(by_kind["video"], lazy)
            names = ("pixel_values_videos", "temporal_pixel_values_videos")
            streams |= {name: found[name] for name in names}
            columns = (found["grounding_frames"], found["original_sizes"].tolist(), found["frame_timestamps"])
            per_sample["video"] = iter(list(zip(*columns, strict=True)))
        nothing = (torch.zeros((0, 3, side, side), dtype=torch.uint8), [0, 0], [])
        rows = [nothing if kind is None else next(per_sample[kind]) for kind in kinds]
        frames, sizes, times = (list(column) for column in zip(*rows, strict=True))
        streams["grounding_frames"] = frames
        streams["original_sizes"] = torch.tensor(sizes, dtype=torch.long)
        streams["frame_timestamps"] = times
        return streams


def _once(*groups: dict[str, Any]) -> dict[str, Any]:
    """Options of several groups as one.

    Raises:
        InputError: If one is given twice with different values.
    """
    merged: dict[str, Any] = {}
    for group in groups:
        for name, value in group.items():
            if name in merged and merged[name] is not value and merged[name] != value:
                raise InputError(f"{name} is given twice, as {merged[name]!r} and {value!r}; give it once.")
            merged[name] = value
    return merged


def _variables(template: str) -> set[str]:
    """Names that a chat template reads and a caller may set."""
    plain = re.sub(r"{%-?\s*(end)?generation\s*-?%}", "", template)
    names = meta.find_undeclared_variables(Environment(extensions=["jinja2.ext.loopcontrols"]).parse(plain))
    return names - {"messages", "add_generation_prompt", "raise_exception", "strftime_now"}


def _open_ended(parts: list[tuple[str, str | None, bool]], index: int) -> list[tuple[str, str | None, bool]]:
    """A rendered conversation up to the end of the last thing that was typed, which must be the assistant's."""
    last = max(i for i, (_, role, _) in enumerate(parts) if role is not None)
    if parts[last][1] != "assistant":
        raise InputError(
            f"Conversation {index} ends with a {parts[last][1]} message; continue_final_message goes on with one of "
            "the assistant's."
        )
    return parts[: last + 1]


def _checked_messages(messages: Sequence[dict[str, Any]], index: int) -> list[dict[str, Any]]:
    """Messages with every content as a list of parts and every visual's source under `source`."""
    where = f"Conversation {index}"
    if not messages:
        raise InputError(f"{where} has no messages; give at least one user message.")
    checked = []
    for position, given in enumerate(messages):
        place = f"{where}, message {position}"
        message = _as_dict(given)
        if message is None or not {"role", "content"} <= set(message):
            raise InputError(f"{place} must be a dict with 'role' and 'content'.")
        role, content = message["role"], message["content"]
        if role not in _ROLES:
            raise InputError(f"{place} has role {role!r}; it must be one of {', '.join(_ROLES)}.")
        if role == "system" and position > 0:
            raise InputError(f"{place} is a system message; only the first message can be one.")
        content = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if not isinstance(content, Sequence):
            raise InputError(f"{place}: 'content' must be a string or a list of parts.")
        parts = [_checked_part(part, role, f"{place}, part {i}") for i, part in enumerate(content)]
        if not any(part["type"] == "text" and part["text"].strip() for part in parts):
            raise InputError(f"{place} has no text; ask or answer something.")
        checked.append({"role": role, "content": parts})
    if not any(message["role"] == "user" for message in checked):
        raise InputError(f"{where} has no user message.")
    return checked


def _as_dict(given: Any) -> dict[str, Any] | None:
    """A message or part as a dict without its Nones, also of an object with fields; None if it is neither."""
    fields = given if isinstance(given, Mapping) else getattr(given, "__dict__", None)
    return None if fields is None else {name: value for name, value in fields.items() if value is not None}


def _checked_part(given: Any, role: str, place: str) -> dict[str, Any]:
    part = _as_dict(given) or {}
    kind = part.get("type")
    if kind in _OPENAI_TYPES and kind in part:
        source = _as_dict(part[kind])
        part = {"type": _OPENAI_TYPES[kind], "url": part[kind] if source is None else source.get("url")}
        kind = part["type"]
    if kind == "text" and isinstance(part.get("text"), str):
        return {"type": "text", "text": part["text"]}
    if kind not in ("video", "image"):
        raise InputError(
            f"{place} must be a dict of type 'text' (with 'text'), 'video' or 'image'; got {given!r:.80}."
        )
    if role != "user":
        raise InputError(f"{place}: a {kind} belongs to a user message, not to a {role} one.")
    sources = [part[key] for key in (kind, "path", "url") if part.get(key) is not None]
    if len(sources) != 1:
        raise InputError(f"{place}: give the {kind} once, as '{kind}', 'path' or 'url'.")
    options = SAMPLING_OPTIONS if kind == "video" else ()
    check_names(part, (*options, "type", kind, "path", "url"), f"in {place}, a {kind}")
    return {**{key: part[key] for key in options if key in part}, "type": kind, "source": sources[0]}


def _only_visual(messages: Sequence[dict[str, Any]], index: int) -> dict[str, Any] | None:
    visuals = [part for message in messages for part in message["content"] if part["type"] != "text"]
    if len(visuals) > 1:
        raise InputError(
            f"Conversation {index} has {len(visuals)} videos or pictures; the model answers about one at a time."
        )
    return visuals[0] if visuals else None


def _is_encoded(source: Any) -> bool:
    """Whether a video was seen before. By its attribute: installed and remote classes are different objects."""
    return hasattr(source, "fingerprints")


def with_source(messages: Sequence[dict[str, Any]], clip: Any) -> list[dict[str, Any]]:
    """Messages whose video or picture part has a clip ([`SampledClip`] or [`EncodedVideo`]) as its source."""
    sourced = []
    for message in messages:
        content = message.get("content")
        if isinstance(content, Sequence) and not isinstance(content, str):
            content = [
                {"type": part["type"], part["type"]: clip} if part.get("type") in ("video", "image") else part
                for part in content
            ]
        sourced.append({**message, "content": content})
    return sourced


def _checked_encoded(clips: Sequence[Any], kinds: Sequence[str | None]) -> list[EncodedVideo | None]:
    """The encoded videos of a batch, with None for text-only samples."""
    for i, (clip, kind) in enumerate(zip(clips, kinds, strict=True)):
        if clip is None:
            continue
        if not _is_encoded(clip):
            raise InputError(f"Sample {i} gives pixels and another one an encoded video; encode all or none.")
        if clip.kind != kind:
            raise InputError(f"Sample {i} asks about a {kind}, but what was encoded is a {clip.kind}.")
    return list(clips)


def _pad(rows: Sequence[list[int]], value: int, side: str, length: int) -> torch.Tensor:
    """int64 `[B, length]`, padded on one side."""
    if side == "left":
        padded = [[value] * (length - len(row)) + list(row) for row in rows]
    elif side == "right":
        padded = [list(row) + [value] * (length - len(row)) for row in rows]
    else:
        raise InputError(f"padding_side is {side!r}; it must be 'left' or 'right'.")
    return torch.from_numpy(np.array(padded, dtype=np.int64))


__all__ = ["GroundedAnswer", "VideoGlammProcessor"]
