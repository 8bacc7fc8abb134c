"""Objects followed while frames arrive, in bounded memory.

The first question is asked of a first window of frames; from its newest one, every object is carried on by memory,
one frame at a time. Asked again, the answer starts the objects anew, and one that covers what an object covered before
keeps its number.

Shapes: N objects, H x W size of the frames, C channels of a prompt embedding.
"""

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from ..calibration_file import ModeCalibration
from ..calibration_videoglamm import calibrated_probabilities
from ..errors import InputError
from ..finite import explained_by
from ..frame_arrays import as_array, check_frame
from ..frame_sampling import check_number
from ..generation_checks import check_generate_options
from ..grounded_answer import GroundedAnswer
from ..image_streams import grounding_stream
from ..mask_overlap import mask_iou
from ..memory_attention import AttentionTables
from ..memory_bank import MemoryBank
from ..pixel_decoder import (
    decode_first_frame,
    decode_tracked_frame,
    encode_pixels,
    look_at_frames,
    new_memory_bank,
    remember,
)
from ..short_repr import short_repr
from ..tracking import DecidedFrame, FrameMasks, MaskReadout, TrackingOptions, objects_at_once

# Two masks of one frame that overlap by more are the same object's.
SAME_OBJECT = 0.5
# Newest frames of an answer that tell how sure its objects are: as many as a long clip has, and no more for ever.
_SURE_FRAMES = 256


@dataclass(frozen=True, repr=False)
class LiveAnswer:
    """What was answered about a window.

    Attributes:
        answer: Its words; no masks, and no probabilities, which [`LiveSession`] has of what it has followed so far.
        numbers: Per [SEG], the object's number.
        frame_index: The frame from which its objects are followed.
        seconds: That frame's time.
    """

    answer: GroundedAnswer
    numbers: list[int]
    frame_index: int
    seconds: float

    __repr__ = short_repr


@dataclass(frozen=True, repr=False)
class _Words:
    """What the words of an answer say of how sure it is: the calibration there was, the tokens and their
    log probabilities, `[n]`."""

    calibration: ModeCalibration
    tokens: torch.Tensor
    log_probs: torch.Tensor


@dataclass
class _Track:
    """Objects that the decoder takes at once."""

    rows: int
    bank: MemoryBank


class LiveSession:
    """Objects named by an answer about the last seconds, followed in every further frame.

    Memory and time a frame do not grow with the number of frames: what is kept is a window of sampled frames, and per
    object the frame it was asked in and the newest few.

    Args:
        model, processor: The model, and its processor.
        question: What is asked.
        window: Seconds that an answer is about; frames are sampled from them as the processor samples videos.
        ask_every: Seconds after which it is asked again; None: when [`ask`] is called.
        background: Ask beside tracking, in a thread of its own, so that no frame waits for words; what is answered
            starts in the first frame after it. Otherwise the frame that completes a window waits for its answer.
        generate_options: Further options of `generate`, such as `max_new_tokens`.

    Raises:
        InputError: If an option cannot be used.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        question: str,
        *,
        window: float = 4.0,
        ask_every: float | None = None,
        background: bool = False,
        **generate_options: Any,
    ) -> None:
        check_generate_options(model.generation_config, generate_options)
        check_number("window", window, above=0)
        if ask_every is not None:
            check_number("ask_every", ask_every, above=0)
        self.model, self.processor, self.window, self.ask_every = model, processor, window, ask_every
        self.answer: LiveAnswer | None = None
        self._background, self._options = background, generate_options
        self._frames: deque[tuple[float, np.ndarray]] = deque()
        sampling = processor.video_processor.sampling
        self._step = max(1 / (sampling.fps or 1.0), window / (sampling.max_frames or 2**12))
        self._index, self._began, self._seconds, self._size = -1, 0.0, float("-inf"), (0, 0)
        self._labels: list[str] = []
        self._numbers: list[int] = []
        self._next_number = 0
        self._tracks: list[_Track] = []
        # Of an answer whose objects are to be found in the next frame.
        self._prompts: torch.Tensor | None = None
        self._masks = torch.zeros((0, 1, 1), dtype=torch.bool)
        self._asked: _Asking | None = None
        self._last_asked = float("-inf")
        self._wanted = False
        # Of a calibrated model: of the answer its words, and the object and IoU scores of the newest frames.
        self._words: _Words | None = None
        self._scores: deque[tuple[torch.Tensor, torch.Tensor]] = deque(maxlen=_SURE_FRAMES)
        self.ask(question)

    def __repr__(self) -> str:
        named = ", ".join(f"{number}: {label}" for number, label in zip(self._numbers, self._labels, strict=True))
        return f"LiveSession({self._index + 1} frames, objects {{{named}}})"

    @property
    def labels(self) -> list[str]:
        """What the objects of the newest masks are called, in their order."""
        return list(self._labels)

    @property
    def numbers(self) -> list[int]:
        """Numbers of the objects of the newest masks: the same object keeps its own from answer to answer."""
        return list(self._numbers)

    @property
    def probabilities(self) -> torch.Tensor | None:
        """float32 `[N]`: of each object of the newest masks that they are right, by the frames since the answer (the
        newest 256); None of a model that is not calibrated for video mode, and before the first answer."""
        return self._how_sure()[0]

    @property
    def presence_probability(self) -> float | None:
        """That what was asked about is there at all; None as for [`probabilities`]."""
        return self._how_sure()[1]

    def _how_sure(self) -> tuple[torch.Tensor | None, float | None]:
        if self._words is None or not self._scores:
            return None, None
        own, seg_token_id = self._words, self.model.config.seg_token_id
        scores = (torch.stack(parts, dim=1) for parts in zip(*self._scores, strict=True))
        return calibrated_probabilities(own.calibration, seg_token_id, own.tokens, own.log_probs, *scores)

    @property
    def is_asking(self) -> bool:
        """Whether an answer is under way."""
        return self._asked is not None

    def ask(self, question: str | None = None) -> None:
        """Asks again, as soon as a window of frames is there: the same, or something else from now on."""
        if question is not None:
            if not isinstance(question, str) or not question.strip():
                raise InputError(f"The question is {question!r:.80}; give some words.")
            self._question = question
        self._wanted = True

    @torch.no_grad()
    def push(self, frame: Any, seconds: float | None = None) -> FrameMasks:
        """Takes the next frame.

        Args:
            frame: uint8 `[H, W, 3]`, RGB; all of one size.
            seconds: When it appeared, later than the one before; by default a thirtieth of a second after it.

        Returns:
            Its masks `[N, H, W]`, with scores; no objects before the first answer. `labels` and `numbers` say which
            they are.

        Raises:
            InputError: If the frame or its time cannot be used; whatever asking raised.
        """
        picture = self._checked(frame, seconds)
        self._index += 1
        self._keep(picture)
        self._ask_when_due()
        found = self._decide(picture)
        self._masks = found.masks
        if self._words is not None:
            self._scores.append((found.object_scores, found.iou_scores))
        return found

    def _checked(self, frame: Any, seconds: float | None) -> np.ndarray:
        picture = as_array(frame)
        if picture is None:
            raise InputError(f"A frame is {type(frame).__name__}; give uint8 [H, W, 3].")
        check_frame(picture, f"frame {self._index + 1}")
        if self._index >= 0 and picture.shape[:2] != self._size:
            raise InputError(
                f"frame {self._index + 1} is {picture.shape[1]}x{picture.shape[0]}, and those before "
                f"{self._size[1]}x{self._size[0]}; start a new session when the size changes."
            )
        now = max(self._seconds, -1 / 30) + 1 / 30 if seconds is None else seconds
        is_time = isinstance(now, (int, float, np.integer, np.floating)) and not isinstance(now, bool)
        if not is_time or not np.isfinite(now) or now <= self._seconds:
            raise InputError(
                f"frame {self._index + 1} appears at {now!r:.40}, and the one before at {self._seconds:g} s."
            )
        if self._index < 0:
            self._began = float(now)
        self._seconds, self._size = float(now), picture.shape[:2]
        return picture

    def _keep(self, picture: np.ndarray) -> None:
        """Keeps what a window is sampled from."""
        # A frame that comes a little early is not one too many.
        if not self._frames or self._seconds - self._frames[-1][0] > 0.99 * self._step:
            self._frames.append((self._seconds, picture.copy()))
        while len(self._frames) > 1 and self._seconds - self._frames[0][0] > self.window + 0.01 * self._step:
            self._frames.popleft()

    def _ask_when_due(self) -> None:
        """Asks if it is time, and takes an answer that is there."""
        if self.ask_every is not None and self._seconds - self._last_asked >= self.ask_every:
            self._wanted = True
        filled = self._seconds - self._began >= self.window or self.answer is not None
        if self._wanted and filled and self._asked is None:
            self._wanted, self._last_asked = False, self._seconds
            self._asked = _Asking(self.model, self.processor, self._question, list(self._frames), self._options)
            if self._background:
                self._asked.start()
            else:
                self._asked.run()
        if self._asked is not None and self._asked.is_done:
            asked, self._asked = self._asked, None
            # After an error it is asked again.
            self._wanted = self._wanted or asked.has_failed
            self._start(*asked.result())

    def _start(self, answer: GroundedAnswer, prompts: torch.Tensor, words: _Words | None) -> None:
        """Objects of a new answer, from this frame on."""
        self._words = words
        self._scores.clear()
        self._prompts, self._labels = prompts, answer.labels
        self.answer = LiveAnswer(answer, [], self._index, self._seconds)

    def _decide(self, picture: np.ndarray) -> FrameMasks:
        """Masks of a frame, which are then remembered."""
        prompts, self._prompts = self._prompts, None
        if prompts is not None:
            self._tracks = self._new_tracks(prompts)
        if not self._tracks:
            self._numbers = []
            nothing, masks = torch.zeros(0), torch.zeros((0, *self._size), dtype=torch.bool)
            return FrameMasks(0, self._index, masks, nothing, nothing, torch.zeros((0, 0, 0)))
        decoder = self.model.pixel_decoder
        with explained_by({}, decoder):
            pixels = grounding_stream(picture[None], decoder.image_size)
            features = decoder([pixels], step=encode_pixels)
            if prompts is None:
                # Shared by all objects, as is what depends on the weights alone.
                features = decoder(features, self._tracks[0].bank.tables, step=look_at_frames)
            groups, first = [], 0
            for track in self._tracks:
                own = features.select(torch.zeros(track.rows, dtype=torch.long, device=decoder.device))
                if prompts is not None:
                    masks = decoder(own, prompts[first : first + track.rows], step=decode_first_frame)
                    track.bank.condition(self._index, decoder(own, masks, prompted=True, step=remember))
                else:
                    masks = decoder(own, track.bank, self._index, step=decode_tracked_frame)
                    track.bank.append(self._index, decoder(own, masks, prompted=False, step=remember))
                first += track.rows
                groups.append(([0] * track.rows, masks))
            (found,) = MaskReadout(DecidedFrame(self._index, groups), [self._size]).masks()
        if prompts is not None:
            self._numbers = self._named(found.masks)
            self.answer.numbers.extend(self._numbers)
        return found

    def _new_tracks(self, prompts: torch.Tensor) -> list[_Track]:
        decoder = self.model.pixel_decoder
        size = objects_at_once(decoder, TrackingOptions()) or max(1, len(prompts))
        counts = [min(size, len(prompts) - start) for start in range(0, len(prompts), size)]
        tables = AttentionTables()
        return [_Track(count, new_memory_bank(decoder, tables=tables)) for count in counts]

    def _named(self, masks: torch.Tensor) -> list[int]:
        """Numbers of new objects: that of an object that covered the same a frame ago, or a new one."""
        numbers: list[int | None] = [None] * len(masks)
        if len(self._masks) and len(masks) and self._masks.shape[1:] == masks.shape[1:]:
            overlaps = mask_iou(self._masks[:, None], masks[None])
            while overlaps.numel() and float(overlaps.max()) > SAME_OBJECT:
                old, new = divmod(int(overlaps.argmax()), len(masks))
                numbers[new] = self._numbers[old]
                overlaps[old], overlaps[:, new] = 0, 0
        for i, number in enumerate(numbers):
            if number is None:
                numbers[i], self._next_number = self._next_number, self._next_number + 1
        return numbers


class _Asking:
    """One question about a window, answered here or in a thread."""

    def __init__(
        self,
        model: Any,
        processor: Any,
        question: str,
        frames: Sequence[tuple[float, np.ndarray]],
        options: dict[str, Any],
    ) -> None:
        self.model, self.processor, self.question = model, processor, question
        self.frames, self.options = frames, options
        self.is_done = False
        self._found: tuple[GroundedAnswer, torch.Tensor, _Words | None] | None = None
        self._error: BaseException | None = None

    def start(self) -> None:
        threading.Thread(target=self.run, name="videoglamm-live-question", daemon=True).start()

    def run(self) -> None:
        try:
            self._found = self._answered()
        except BaseException as error:  # told where the next frame is pushed
            self._error = error
        self.is_done = True

    @property
    def has_failed(self) -> bool:
        return self._error is not None

    def result(self) -> tuple[GroundedAnswer, torch.Tensor, _Words | None]:
        if self._error is not None:
            raise self._error
        return self._found

    @torch.no_grad()
    def _answered(self) -> tuple[GroundedAnswer, torch.Tensor, _Words | None]:
        video = np.stack([picture for _, picture in self.frames])
        content = [{"type": "video", "video": video}, {"type": "text", "text": self.question}]
        inputs = self.processor.apply_chat_template(
            [{"role": "user", "content": content}],
            tokenize=True,
            add_generation_prompt=True,
            return_dict=True,
            return_tensors="pt",
        ).to(self.model.device)
        # Words and prompt embeddings only: masks begin in the frame that comes next.
        inputs["grounding_frames"] = [own[:0] for own in inputs["grounding_frames"]]
        output = self.model.generate(**inputs, **self.options)
        (answer,) = self.processor.post_process_grounded_generation(output)
        # Of no frame yet.
        answer = replace(answer, probabilities=None, presence_probability=None)
        return answer, output.prompt_embeddings[0], self._words(output)

    def _words(self, output: Any) -> _Words | None:
        calibration = self.model.calibration_to_use("video")
        if calibration is None or output.word_log_probs is None:
            return None
        log_probs = output.word_log_probs[0]
        return _Words(calibration, output.sequences[0, output.prompt_length :][: len(log_probs)].cpu(), log_probs)
