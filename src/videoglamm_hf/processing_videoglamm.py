"""Messages to model inputs, model output to answers.

The image and the video processor own what becomes pixels; here are text, its placeholders, and how both go together.
The prompt is tokenised as the original does.

Shapes: B samples, V videos, I pictures, F tower frames, T frames of one sample, L tokens.
"""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from transformers import BatchFeature, ProcessorMixin

from .chat_templates import PHI3_CHAT_TEMPLATE, marks_answers, open_ended, render_messages, template_variables
from .clip import SampledClip
from .configuration_videoglamm import AUTO_MAP
from .encoded_video import EncodedVideo
from .errors import InputError
from .explained_loading import ExplainedLoadingMixin, explained
from .grounded_answer import GroundedAnswer, grounded_answers
from .image_processing_videoglamm import VideoGlammImageProcessor
from .messages import IMAGE_TOKEN, SEG_TOKEN, VIDEO_TOKEN, checked_messages, visual_of, with_source
from .options import check_names, check_switches, converted
from .plain_texts import read_texts, visuals_of_texts
from .processor_options import TEXT_OPTIONS, check_loading_options, check_processor, merged, options_of, sorted_options
from .prompt_tokens import check_context, continued, token_inputs
from .prompting import PromptEncoder
from .tokenizer_checks import check_token_ids
from .transformers_versions import CACHE
from .video_processing_videoglamm import VideoGlammVideoProcessor
from .visual_inputs import read_visuals, visual_inputs


class ExplainedProcessor(ExplainedLoadingMixin, ProcessorMixin):
    """A processor of transformers as it is, whose folders are read with our errors."""


class VideoGlammProcessor(ExplainedProcessor):
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

    _called = "processor"
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
        check_processor(tokenizer, image_seq_length, video_seq_length, absorbing_tokens)
        super().__init__(
            image_processor or VideoGlammImageProcessor(),
            video_processor or VideoGlammVideoProcessor(),
            tokenizer,
            chat_template=chat_template or PHI3_CHAT_TEMPLATE,
        )
        # Answers follow their prompts; what pads without this class, as pipelines do, asks the tokenizer.
        tokenizer.padding_side = "left"
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

        with explained("The tokenizer"):
            # Whether it is one that prompts can be made with.
            self._prompt_encoder()
            _ = tokenizer.model_max_length + tokenizer.pad_token_id

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
        check_loading_options(kwargs)
        check_token_ids(pretrained_model_name_or_path, kwargs.get("subfolder") or "")
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
                is `{"type": "text", "text": ...}`, `{"type": "video", "video" | "path" | "url" | "base64": ...}` or
                `{"type": "image", "image" | "path" | "url" | "base64": ...}`; also objects with these fields, and
                `{"type": "image_url", "image_url": {"url": ...}}`, `video_url` alike. Without `tokenize` a video or
                picture need not say what it is. A video is what
                [`~clip_sources.open_clip`] takes, a clip, or an [`EncodedVideo`], which is not decoded or seen
                again; its part may also say how it is sampled (`fps`, `num_frames`, `max_frames`, `start_time`,
                `end_time`; None means not given). At most one video or picture per conversation; it is moved to the
                start of its user turn, as in the original.
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
        if not isinstance(conversation, (list, tuple)):
            raise InputError(f"A conversation is a list of messages, not {type(conversation).__name__}.")
        if not conversation:
            raise InputError("The conversation is empty; give at least one user message.")
        flags = {"add_generation_prompt": add_generation_prompt, "continue_final_message": continue_final_message}
        flags |= {"return_assistant_tokens_mask": return_assistant_tokens_mask}
        check_switches(**flags, tokenize=tokenize, return_dict=return_dict)
        if add_generation_prompt and continue_final_message:
            raise InputError("Give add_generation_prompt or continue_final_message, not both.")
        template = self._template(chat_template)
        if return_assistant_tokens_mask and not marks_answers(template):
            raise InputError("assistant_masks cannot be made: the chat template marks no answers by {% generation %}.")
        variables = template_variables(template)
        given = {name: own for name, own in (("tools", tools), ("documents", documents)) if own is not None}
        if unused := [name for name in given if name not in variables]:
            raise InputError(f"{unused[0]} cannot be used: the chat template has no place for them.")
        given["image_start_end"] = self.image_start_end
        given |= {name: kwargs.pop(name) for name in list(kwargs) if name in variables}
        text, videos = sorted_options(
            merged(options_of("processor_kwargs", processor_kwargs), kwargs), extra=sorted(variables)
        )
        batched = isinstance(conversation[0], (list, tuple))
        given_ones = enumerate(conversation if batched else [conversation])
        conversations = [checked_messages(c, i, need_sources=tokenize) for i, c in given_ones]
        rendered = [
            render_messages(messages, template, add_generation_prompt=add_generation_prompt, **given)
            for messages in conversations
        ]
        if continue_final_message:
            rendered = [open_ended(parts, i) for i, parts in enumerate(rendered)]
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

        visuals = [visual_of(messages) for messages in conversations]
        prompts = [encoder.pieces(parts) for parts in rendered]
        inputs = self._inputs(encoder, prompts, visuals, text, videos, return_assistant_tokens_mask)
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
            images: A picture or a list of them, in the order of their `<image>` in the texts; or a list with a list
                of pictures for every text.
            text: Prompts as `apply_chat_template(..., tokenize=False)` writes them. A text that is not such a
                prompt is a question: it becomes a user turn about the video or picture at its place.
            videos: A video or a list of them, in the order of their `<video>` in the texts. One array
                `[T, H, W, 3]` or one list of frames is one video; nested as for pictures.
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
        text_options, videos_options = sorted_options(kwargs)
        texts = [text] if isinstance(text, str) else text
        if not isinstance(texts, (list, tuple)) or not texts or not all(isinstance(one, str) for one in texts):
            raise InputError(f"text must be a string or a list of strings, not {text!r:.80}.")
        encoder = self._prompt_encoder()
        queues = visuals_of_texts(images, videos, len(texts))
        prompts, visuals = read_texts(texts, queues, encoder, self._rendered)
        return self._inputs(encoder, prompts, visuals, text_options, videos_options, False)

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
                checked = checked_messages(with_source(messages, clip), i)
                visual = visual_of(checked)
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
            inputs |= visual_inputs(clips, kinds, self.image_processor, self.video_processor)
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
        if not hasattr(output, "sequences"):
            raise InputError("next_turn goes on with what generate returned with return_dict_in_generate=True.")
        if len(output.sequences) != 1:
            raise InputError(f"next_turn goes on with one conversation, not with {len(output.sequences)}.")
        if not isinstance(question, str) or not question.strip():
            raise InputError("The question is empty; give some words.")
        turns = [("user", "?"), ("assistant", "!"), ("user", question)]
        parts = self._rendered([{"role": role, "content": [{"type": "text", "text": text}]} for role, text in turns])
        encoder = self._prompt_encoder()
        ids = continued(output.sequences[0].tolist(), encoder, encoder.pieces(parts))
        check_context([ids], self.tokenizer.model_max_length)
        input_ids = torch.tensor([ids], device=output.sequences.device)
        # A copy, so that several questions can follow one answer.
        cache = {CACHE: copy.deepcopy(output[CACHE])} if output.get(CACHE) is not None else {}
        for handed_on in cache.values():
            # `generate` may go on in a cache of another kind.
            handed_on.handed_on = True
        return BatchFeature({"input_ids": input_ids, "attention_mask": torch.ones_like(input_ids), **cache})

    def post_process_grounded_generation(self, output: Any, **decode_kwargs: Any) -> list[GroundedAnswer]:
        r"""
        One [`GroundedAnswer`] per sequence of what `generate` returned.

        Args:
            output: [`VideoGlammGenerateOutput`].
            decode_kwargs: Passed to the tokenizer's `decode`.
        """

        def decode(ids: torch.Tensor) -> str:
            return self.tokenizer.decode(ids, **{"skip_special_tokens": True, **decode_kwargs})

        return grounded_answers(output, decode)

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
        elif not isinstance(named, str):
            raise InputError(f"chat_template is a {type(named).__name__}; give a template or the name of one.")
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

    def _inputs(
        self,
        encoder: PromptEncoder,
        prompts: Sequence[list],
        visuals: Sequence[dict[str, Any] | None],
        text: dict[str, Any],
        videos: dict[str, Any],
        return_answer_masks: bool,
    ) -> BatchFeature:
        """Everything of a batch: token ids, and what its videos and pictures become."""
        videos = dict(videos)
        return_metadata = videos.pop("return_metadata", False)
        check_switches(return_metadata=return_metadata, lazy=videos.get("lazy"))
        clips = read_visuals(visuals, self.video_processor, videos)
        kinds = [visual["type"] if visual else None for visual in visuals]
        inputs = self._token_inputs(encoder, prompts, text, return_answer_masks)
        inputs |= visual_inputs(clips, kinds, self.image_processor, self.video_processor, videos.get("lazy", False))
        if return_metadata:
            inputs["video_metadata"] = [
                self.video_processor.metadata(clip) for clip, kind in zip(clips, kinds, strict=True) if kind == "video"
            ]
        return BatchFeature(converted(inputs, text["return_tensors"]))

    def _prompt_encoder(self) -> PromptEncoder:
        """Built anew: a tokenizer's added tokens may change, and building takes milliseconds."""
        return PromptEncoder(self.tokenizer, self.absorbing_tokens)

    def _token_inputs(
        self, encoder: PromptEncoder, prompts: Sequence[list], options: dict[str, Any], return_answer_masks: bool
    ) -> dict[str, Any]:
        lengths = {IMAGE_TOKEN: self.image_seq_length, VIDEO_TOKEN: self.video_seq_length}
        encoded = [encoder.encode(pieces, lengths) for pieces in prompts]
        visual_ids = frozenset(self.tokenizer.convert_tokens_to_ids(list(lengths)))
        return token_inputs(encoded, self.tokenizer, visual_ids, options, return_answer_masks)


__all__ = ["VideoGlammProcessor"]
