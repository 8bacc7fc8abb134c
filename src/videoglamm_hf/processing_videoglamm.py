"""Messages to model inputs, model output to answers.

One decode of a video feeds three pixel streams; the prompt is tokenised as the original does. Everything the
processor needs to know of a model is a plain number saved in `processor_config.json`.

Shapes: B samples, V videos, I pictures, F tower frames, T frames of one sample, L tokens.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import BatchFeature, ProcessorMixin

from .configuration_videoglamm import AUTO_MAP
from .errors import InputError
from .image_streams import grounding_stream, spatial_stream, temporal_stream, tower_frame_indices
from .lazy_clip import LazyClip, LazyGroundingFrames
from .prompting import (
    IMAGE_TOKEN,
    PHI3_CHAT_TEMPLATE,
    SEG_TOKEN,
    VIDEO_TOKEN,
    Phrase,
    PromptEncoder,
    parse_grounded_text,
    render_messages,
)
from .video_features import VideoFeatures
from .video_io import VideoClip, read_clip, read_image

# How a video file is sampled, for the whole batch or as keys of a message's video.
_SAMPLING_OPTIONS = ("fps", "num_frames", "max_frames", "start_time", "end_time")
_ROLES = ("system", "user", "assistant")


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
        tokenizer: A fast tokenizer with `[SEG]`, `<image>` and `<video>` among its added tokens.
        chat_template: Jinja template of a conversation; Phi-3's by default.
        num_tower_frames: Frames of a video that the towers see.
        image_seq_length: Visual tokens of a picture.
        video_seq_length: Visual tokens of a video.
        spatial_image_size, temporal_image_size, grounding_image_size: Input sides of the spatial tower, the
            temporal tower and the pixel decoder, in pixels.
        fps: Frames per second taken from a video file; None takes every frame.
        max_frames: Most frames taken from a video file, evenly spread.
        image_start_end: Whether the template puts `<im_start>`/`<im_end>` around the visual tokens.
        absorbing_tokens: See [`PromptEncoder`].
    """

    # Saving copies the code along, so that the folder loads without this package.
    _auto_class = "AutoProcessor"

    def __init__(
        self,
        tokenizer: Any,
        chat_template: str | None = None,
        num_tower_frames: int = 16,
        image_seq_length: int = 576,
        video_seq_length: int = 3328,
        spatial_image_size: int = 336,
        temporal_image_size: int = 224,
        grounding_image_size: int = 1024,
        fps: float | None = 1.0,
        max_frames: int = 64,
        image_start_end: bool = False,
        absorbing_tokens: Sequence[str] = (),
    ) -> None:
        super().__init__(tokenizer, chat_template=chat_template or PHI3_CHAT_TEMPLATE)
        self.num_tower_frames = num_tower_frames
        self.image_seq_length = image_seq_length
        self.video_seq_length = video_seq_length
        self.spatial_image_size = spatial_image_size
        self.temporal_image_size = temporal_image_size
        self.grounding_image_size = grounding_image_size
        self.fps = fps
        self.max_frames = max_frames
        self.image_start_end = image_start_end
        self.absorbing_tokens = list(absorbing_tokens)
        missing = [t for t in (SEG_TOKEN, IMAGE_TOKEN, VIDEO_TOKEN) if t not in tokenizer.get_added_vocab()]
        if missing:
            raise InputError(
                f"The tokenizer lacks the added tokens {missing}; add them with tokenizer.add_tokens "
                "(placeholders beyond the embedding rows, so that they cannot be generated)."
            )

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "auto_map": {"AutoProcessor": AUTO_MAP["AutoProcessor"]}}

    @classmethod
    def for_config(cls, config: Any, tokenizer: Any, **options: Any) -> "VideoGlammProcessor":
        """The processor of a model: every size from its [`VideoGlammConfig`], everything else from `options`."""
        return cls(
            tokenizer,
            num_tower_frames=config.num_tower_frames,
            image_seq_length=config.image_seq_length,
            video_seq_length=config.video_seq_length,
            spatial_image_size=config.spatial_config.image_size,
            temporal_image_size=config.temporal_config.image_size,
            grounding_image_size=config.grounding_config.image_size,
            **options,
        )

    @property
    def model_input_names(self) -> list[str]:
        return [
            "input_ids",
            "attention_mask",
            "pixel_values",
            "pixel_values_videos",
            "temporal_pixel_values_videos",
            "grounding_frames",
            "original_sizes",
            "frame_timestamps",
        ]

    def apply_chat_template(
        self,
        conversation: Sequence[dict[str, Any]] | Sequence[Sequence[dict[str, Any]]],
        chat_template: str | None = None,
        tokenize: bool = False,
        add_generation_prompt: bool = False,
        return_dict: bool = True,
        return_tensors: str | None = "pt",
        return_assistant_tokens_mask: bool = False,
        padding_side: str = "left",
        fps: float | str | None = "default",
        num_frames: int | None = None,
        max_frames: int | str | None = "default",
        start_time: float | None = None,
        end_time: float | None = None,
        lazy: bool = False,
        **template_kwargs: Any,
    ) -> BatchFeature | list[list[int]] | str | list[str]:
        r"""
        Model inputs of one conversation or a list of them.

        Args:
            conversation: Messages `{"role": "user" | "assistant" | "system", "content": str | parts}`; a part
                is `{"type": "text", "text": ...}`, `{"type": "video", "video" | "path" | "url": ...}` or
                `{"type": "image", "image" | "path" | "url": ...}`. A video is a file, URL, folder of frames,
                uint8 array `[T, H, W, 3]` or list of PIL images, arrays or tensors, or [`VideoFeatures`] of one
                sample, which are not decoded or seen again. At most one video or picture per conversation; it
                is moved to the start of its user turn, as in the original.
            tokenize: Return model inputs; otherwise the rendered prompt as a string.
            add_generation_prompt: End with the opening of the assistant's turn.
            return_dict: Return everything; otherwise only token ids.
            return_tensors: `"pt"`, or None for lists of token ids.
            return_assistant_tokens_mask: Add `assistant_masks` `[B, L]`, 1 on the tokens of assistant turns
                (their end token included): everything the training loss sees.
            padding_side: `"left"` for generation, `"right"` if you prefer it for training.
            fps, num_frames, max_frames, start_time, end_time: How a video file is sampled (seconds; see
                [`~video_io.read_clip`]); also accepted as keys of a message's video part, which win.
            lazy: Leave the pixel decoder's frames of video files undecoded: `grounding_frames` decodes them as the
                masks need them, so a video of any length fits in memory. There is then no limit on frames unless
                `max_frames` is given.
            template_kwargs: Passed to the template.

        Returns:
            `BatchFeature` with `input_ids` and `attention_mask` int64 `[B, L]`; for pictures `pixel_values`
            float32 `[I, 3, 336, 336]`; for videos `pixel_values_videos` `[V, F, 3, 336, 336]` and
            `temporal_pixel_values_videos` `[V, F, 3, 224, 224]`; per sample `grounding_frames` (uint8
            `[T, 3, h, w]`, no frames for text-only), `original_sizes` int64 `[B, 2]` (height, width) and
            `frame_timestamps` (seconds).

        Raises:
            InputError: If a message cannot be used as given, or the prompt exceeds the context.
            MediaError: If a video or picture cannot be read.
        """
        if not conversation:
            raise InputError("The conversation is empty; give at least one user message.")
        batched = not isinstance(conversation[0], dict)
        conversations = [_checked_messages(c, i) for i, c in enumerate(conversation if batched else [conversation])]
        options = {"image_start_end": self.image_start_end, **template_kwargs}
        rendered = [
            render_messages(
                messages,
                chat_template or self.chat_template,
                add_generation_prompt=add_generation_prompt,
                **options,
            )
            for messages in conversations
        ]
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

        if lazy and max_frames == "default":
            max_frames = None
        defaults = self._sampling(fps, num_frames, max_frames, start_time, end_time)
        visuals = [_only_visual(messages, i) for i, messages in enumerate(conversations)]
        clips = [self._read(visual, defaults, lazy) for visual in visuals]
        prompts = [encoder.pieces(parts) for parts in rendered]
        kinds = [visual["type"] if visual else None for visual in visuals]
        inputs = self._token_inputs(encoder, prompts, padding_side, return_tensors, return_assistant_tokens_mask)
        inputs = BatchFeature(inputs | self._visual_inputs(clips, kinds))
        return inputs if return_dict else inputs["input_ids"]

    def __call__(
        self,
        images: Any = None,
        text: str | Sequence[str] | None = None,
        videos: Any = None,
        return_tensors: str | None = "pt",
        padding: bool = True,
        padding_side: str = "left",
        **sampling: Any,
    ) -> BatchFeature:
        r"""
        Model inputs of prompts as strings.

        Args:
            images: A picture or a list of them, in the order of their `<image>` in the texts.
            text: Prompts as `apply_chat_template(..., tokenize=False)` writes them. A text that is not such a
                prompt is a question: it becomes a user turn about the video or picture at its place.
            videos: A video or a list of them, in the order of their `<video>` in the texts. One array
                `[T, H, W, 3]` or one list of frames is one video.
            return_tensors, padding_side, sampling: As in [`~VideoGlammProcessor.apply_chat_template`].

        Raises:
            InputError: If the placeholders of the texts do not match the videos and pictures.
            MediaError: If a video or picture cannot be read.
        """
        if text is None:
            raise InputError("There is no text; ask something about the video or picture.")
        texts = [text] if isinstance(text, str) else list(text)
        unknown = set(sampling) - set(_SAMPLING_OPTIONS)
        if unknown:
            raise InputError(f"Unknown options {sorted(unknown)}; the sampling options are {_SAMPLING_OPTIONS}.")
        if not padding and len(texts) > 1:
            raise InputError("Several texts become one tensor only with padding=True.")
        queues = {"video": _as_list(videos, _is_one_video), "image": _as_list(images, _is_one_image)}
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
        defaults = self._sampling(**{"fps": "default", "max_frames": "default", **sampling})
        clips = [self._read(visual, defaults, lazy=False) for visual in visuals]
        kinds = [visual["type"] if visual else None for visual in visuals]
        inputs = self._token_inputs(encoder, prompts, padding_side, return_tensors, False)
        return BatchFeature(inputs | self._visual_inputs(clips, kinds))

    def sample_inputs(
        self,
        conversations: Sequence[Sequence[Sequence[dict[str, Any]]]],
        clips: Sequence[VideoClip | VideoFeatures | None],
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
                parts = render_messages(
                    checked, self.chat_template, add_generation_prompt=False, image_start_end=self.image_start_end
                )
                prompts.append(encoder.pieces(parts))
                sample_index.append(i)
            if len(found) != 1 or (clip is None) != (found == {None}):
                raise InputError(
                    f"Sample {i}: its conversations are about {sorted(map(str, found))}; all must be about its video, "
                    "all about its picture, or all about neither."
                )
            kinds.append(found.pop())
        inputs = self._token_inputs(encoder, prompts, padding_side, "pt", True)
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
        output = model.generate(**inputs, video_features=features, past_key_values=output.past_key_values)
        ```

        The prompt is what was generated so far, token by token, so the language model's cache stays valid.

        Args:
            output: [`VideoGlammGenerateOutput`] of one conversation.
            question: What to ask.

        Returns:
            `input_ids` and `attention_mask`, int64 `[1, L]`.

        Raises:
            InputError: If there are several sequences, the question is empty, or the context is full.
        """
        if len(output.sequences) != 1:
            raise InputError(f"next_turn goes on with one conversation, not with {len(output.sequences)}.")
        if not question.strip():
            raise InputError("The question is empty.")
        turns = [("user", "?"), ("assistant", "!"), ("user", question)]
        parts = render_messages(
            [{"role": role, "content": [{"type": "text", "text": text}]} for role, text in turns],
            self.chat_template,
            add_generation_prompt=True,
            image_start_end=self.image_start_end,
        )
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
        return BatchFeature({"input_ids": input_ids, "attention_mask": torch.ones_like(input_ids)})

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

    def _prompt_encoder(self) -> PromptEncoder:
        """Built anew: a tokenizer's added tokens may change, and building takes milliseconds."""
        return PromptEncoder(self.tokenizer, self.absorbing_tokens)

    def _sampling(
        self,
        fps: float | str | None = "default",
        num_frames: int | None = None,
        max_frames: int | str | None = "default",
        start_time: float | None = None,
        end_time: float | None = None,
    ) -> dict[str, Any]:
        return {
            "fps": self.fps if fps == "default" else fps,
            "num_frames": num_frames,
            "max_frames": self.max_frames if max_frames == "default" else max_frames,
            "start_time": start_time,
            "end_time": end_time,
        }

    def _read(
        self, visual: dict[str, Any] | None, sampling: dict[str, Any], lazy: bool
    ) -> VideoClip | LazyClip | VideoFeatures | None:
        if visual is None:
            return None
        if _is_encoded(visual["source"]) or _is_clip(visual["source"]):
            return visual["source"]
        if visual["type"] == "image":
            frame = read_image(visual["source"])
            return VideoClip(frames=frame[None], timestamps=(0.0,), fps=None, source="picture")
        own = {key: visual[key] for key in _SAMPLING_OPTIONS if key in visual}
        source = visual["source"]
        if lazy and isinstance(source, (str, os.PathLike)) and not os.path.isdir(source):
            return LazyClip(source, **{**sampling, **own})
        return read_clip(source, **{**sampling, **own})

    def _parts_of(
        self, encoder: PromptEncoder, prompt: str, queues: dict[str, list], single: bool
    ) -> tuple[list[tuple[str, str | None, bool]], list[str]]:
        """A rendered prompt's parts and the kinds of its visuals; a bare question is rendered first."""
        probe = render_messages(
            [{"role": "user", "content": [{"type": "text", "text": "?"}]}],
            self.chat_template,
            add_generation_prompt=True,
            image_start_end=self.image_start_end,
        )
        opening = encoder.pieces(probe)[0].text
        if prompt.startswith(opening):
            pieces = encoder.pieces([(prompt, None, False)])
            kinds = [p.text.strip("<>") for p in pieces if p.is_token and p.text in (IMAGE_TOKEN, VIDEO_TOKEN)]
            return [(prompt, None, False)], kinds
        if not prompt.strip():
            raise InputError("The question is empty.")
        kinds = [kind for kind, queue in queues.items() if queue][:1]
        content = [{"type": kind} for kind in kinds] + [{"type": "text", "text": prompt}]
        parts = render_messages(
            [{"role": "user", "content": content}],
            self.chat_template,
            add_generation_prompt=True,
            image_start_end=self.image_start_end,
        )
        return parts, kinds

    def _token_inputs(
        self,
        encoder: PromptEncoder,
        prompts: Sequence[list],
        padding_side: str,
        return_tensors: str | None,
        return_answer_masks: bool,
    ) -> dict[str, Any]:
        lengths = {IMAGE_TOKEN: self.image_seq_length, VIDEO_TOKEN: self.video_seq_length}
        encoded = [encoder.encode(pieces, lengths) for pieces in prompts]
        limit = self.tokenizer.model_max_length
        for i, (ids, _) in enumerate(encoded):
            if len(ids) > limit:
                raise InputError(
                    f"Sample {i}: the prompt has {len(ids)} tokens (visual ones included), more than the "
                    f"context of {limit}; shorten the conversation."
                )
        data: dict[str, Any] = {}
        if return_tensors is None:
            data["input_ids"] = [ids for ids, _ in encoded]
            data["attention_mask"] = [[1] * len(ids) for ids, _ in encoded]
            if return_answer_masks:
                data["assistant_masks"] = [mask for _, mask in encoded]
        elif return_tensors == "pt":
            pad_id = self.tokenizer.pad_token_id
            data["input_ids"] = _pad([ids for ids, _ in encoded], pad_id, padding_side)
            data["attention_mask"] = _pad([[1] * len(ids) for ids, _ in encoded], 0, padding_side)
            if return_answer_masks:
                data["assistant_masks"] = _pad([mask for _, mask in encoded], 0, padding_side)
        else:
            raise InputError(f"return_tensors is {return_tensors!r}; only 'pt' and None are supported.")
        return data

    def _visual_inputs(self, clips: Sequence[Any], kinds: Sequence[str | None]) -> dict[str, Any]:
        if any(_is_encoded(clip) for clip in clips):
            return {"video_features": _join_features(clips, kinds)}
        return self._pixel_streams(clips, kinds)

    def _pixel_streams(self, clips: Sequence[Any], kinds: Sequence[str | None]) -> dict[str, torch.Tensor | list]:
        side = self.grounding_image_size
        pictures, spatial, temporal = [], [], []
        grounding: list[Any] = []
        sizes: list[tuple[int, int]] = []
        for clip, kind in zip(clips, kinds, strict=True):
            if clip is None:
                grounding.append(torch.zeros((0, 3, side, side), dtype=torch.uint8))
                sizes.append((0, 0))
                continue
            lazy = hasattr(clip, "frames_at")
            count = len(clip) if lazy else len(clip.frames)
            # Each frame is resized once, however often it is repeated.
            indices = tower_frame_indices(count, self.num_tower_frames)
            unique = sorted(set(indices))
            rows = torch.tensor([unique.index(i) for i in indices])
            frames = clip.frames_at(unique) if lazy else clip.frames[unique]
            if kind == "image":
                pictures.append(spatial_stream(frames, self.spatial_image_size)[0])
            else:
                spatial.append(spatial_stream(frames, self.spatial_image_size)[rows])
                temporal.append(temporal_stream(frames, self.temporal_image_size)[rows])
            if lazy:
                clip.start()
                grounding.append(LazyGroundingFrames(clip, side))
            else:
                to_segment = clip.frames if clip.grounding_frames is None else clip.grounding_frames
                grounding.append(grounding_stream(to_segment, side))
            sizes.append(frames.shape[1:3])
        streams: dict[str, torch.Tensor | list] = {}
        if pictures:
            streams["pixel_values"] = torch.stack(pictures)
        if spatial:
            streams["pixel_values_videos"] = torch.stack(spatial)
            streams["temporal_pixel_values_videos"] = torch.stack(temporal)
        streams["grounding_frames"] = grounding
        streams["original_sizes"] = torch.tensor(sizes, dtype=torch.long)
        streams["frame_timestamps"] = [[] if clip is None else list(clip.timestamps) for clip in clips]
        return streams


def _checked_messages(messages: Sequence[dict[str, Any]], index: int) -> list[dict[str, Any]]:
    """Messages with every content as a list of parts and every visual's source under `source`."""
    where = f"Conversation {index}"
    if not messages:
        raise InputError(f"{where} has no messages; give at least one user message.")
    checked = []
    for position, message in enumerate(messages):
        place = f"{where}, message {position}"
        if not isinstance(message, dict) or not {"role", "content"} <= set(message):
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


def _checked_part(part: Any, role: str, place: str) -> dict[str, Any]:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "text" and isinstance(part.get("text"), str):
        return {"type": "text", "text": part["text"]}
    if kind not in ("video", "image"):
        raise InputError(f"{place} must be a dict of type 'text' (with 'text'), 'video' or 'image'; got {part!r:.80}.")
    if role != "user":
        raise InputError(f"{place}: a {kind} belongs to a user message, not to a {role} one.")
    sources = [part[key] for key in (kind, "path", "url") if part.get(key) is not None]
    if len(sources) != 1:
        raise InputError(f"{place}: give the {kind} once, as '{kind}', 'path' or 'url'.")
    return {**{k: part[k] for k in _SAMPLING_OPTIONS if k in part}, "type": kind, "source": sources[0]}


def _only_visual(messages: Sequence[dict[str, Any]], index: int) -> dict[str, Any] | None:
    visuals = [part for message in messages for part in message["content"] if part["type"] != "text"]
    if len(visuals) > 1:
        raise InputError(
            f"Conversation {index} has {len(visuals)} videos or pictures; the model answers about one at a time."
        )
    return visuals[0] if visuals else None


def _is_encoded(source: Any) -> bool:
    """Whether a video was seen before. By its attribute: installed and remote classes are different objects."""
    return hasattr(source, "visual_tokens")


def _is_clip(source: Any) -> bool:
    """Whether a video was read before."""
    return hasattr(source, "frames") and hasattr(source, "timestamps")


def with_source(messages: Sequence[dict[str, Any]], clip: Any) -> list[dict[str, Any]]:
    """Messages whose video or picture part has a clip ([`VideoClip`] or [`VideoFeatures`]) as its source."""
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


def _join_features(clips: Sequence[Any], kinds: Sequence[str | None]) -> VideoFeatures:
    """The encoded videos of a batch as one, with nothing for text-only samples."""
    first = next(clip for clip in clips if _is_encoded(clip))
    nothing = VideoFeatures([None], [first.visual_tokens[0][:0]], [None], [(0, 0)], [[]], [None], first.fingerprint)
    for i, (clip, kind) in enumerate(zip(clips, kinds, strict=True)):
        if clip is None:
            continue
        if not _is_encoded(clip):
            raise InputError(f"Sample {i} gives pixels and another one video features; encode all or none.")
        if list(clip.kinds) != [kind]:
            raise InputError(
                f"Sample {i} asks about one {kind}, but its video features hold {list(clip.kinds)}; "
                "pick one sample with features[i]."
            )
    return VideoFeatures.concatenate([nothing if clip is None else clip for clip in clips])


def _is_one_video(videos: Any) -> bool:
    """Whether `videos` is a single video: anything but a list, or a list of frames."""
    if _is_encoded(videos):
        return True
    if not isinstance(videos, (list, tuple)):
        return getattr(videos, "ndim", 4) == 4
    first = videos[0] if videos else None
    return not isinstance(first, (str, list, tuple)) and not hasattr(first, "__fspath__") and _ndim(first) == 3


def _is_one_image(images: Any) -> bool:
    return not isinstance(images, (list, tuple)) and getattr(images, "ndim", 3) == 3


def _ndim(frame: Any) -> int:
    return getattr(frame, "ndim", 3)


def _as_list(sources: Any, is_one: Any) -> list[Any]:
    if sources is None:
        return []
    return [sources] if is_one(sources) else list(sources)


def _pad(rows: Sequence[list[int]], value: int, side: str) -> torch.Tensor:
    """int64 `[B, L]`, padded on one side."""
    length = max(map(len, rows))
    if side == "left":
        padded = [[value] * (length - len(row)) + list(row) for row in rows]
    elif side == "right":
        padded = [list(row) + [value] * (length - len(row)) for row in rows]
    else:
        raise InputError(f"padding_side is {side!r}; it must be 'left' or 'right'.")
    return torch.from_numpy(np.array(padded, dtype=np.int64))


__all__ = ["GroundedAnswer", "VideoGlammProcessor"]
