"""What the app computes: answers, as they come to be, and corrections of them.

Both yield what happens as plain JSON, so that a page can show it while it happens. The work runs in a thread of its
own, which stops at the next word or frame when nobody listens any more.
"""

import contextlib
import logging
import queue
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from transformers.generation.streamers import BaseStreamer

from ..cli.answer_file import answer_document, phrase_documents
from ..data.rle import encode_rle
from ..encoded_video import EncodedVideo
from ..errors import InputError, ResourceError, VideoGlammError, is_out_of_memory
from ..grounded_answer import GroundedAnswer, parse_grounded_text
from ..messages import SEG_TOKEN
from ..player.document import player_document, shown_mask
from ..toy import TINY_MODEL
from ..tracking import FrameMasks
from ..tracking_session import TrackingSession
from .answer_state import load_state, save_corrected, save_state, steps_of
from .media import checked_sampling, frame_urls, frames_document, opened, shown_frames
from .sessions import ABOUT, Session, now, read_json, write_json
from .settings import AppSettings

Event = dict[str, Any]
_Key = tuple[str, str]  # of a medium and its frames
logger = logging.getLogger(__name__)
# Answers whose corrections stay in memory.
_SESSIONS_KEPT = 8
# Seconds without an event after which the listener is asked whether it is still there.
_PULSE = 0.2
# Events that may wait when a frame is told, and seconds after which that is looked at again.
_AHEAD = 2
_MOMENT = 0.005
_UNEXPECTED = "Something went wrong on the server; it is in its log."
_NO_MEMORY = "The server's memory is full. Ask about fewer frames."


class Stopped(Exception):
    """Nobody waits for this any more."""


class _Relay:
    """A callback for frames whose listener changes from one correction to the next."""

    def __init__(self) -> None:
        self.listener: Callable[[FrameMasks], None] | None = None

    def __call__(self, frame: FrameMasks) -> None:
        if self.listener is not None:
            self.listener(frame)


class Engine:
    """Asks one model, one question at a time.

    Args:
        model, processor: The model and its processor.
        model_name: Folder or Hub id, as answers record it.
        settings: What is allowed.
    """

    def __init__(self, model: Any, processor: Any, model_name: str, settings: AppSettings) -> None:
        self.model, self.processor, self.model_name, self.settings = model, processor, model_name, settings
        small = model_name == str(TINY_MODEL)
        self.shown_name = "the small model, which knows coloured shapes" if small else Path(model_name).name
        self._turn = threading.Lock()
        self._videos: OrderedDict[_Key, EncodedVideo] = OrderedDict()
        self._edited: OrderedDict[str, tuple[TrackingSession, _Relay, _Key]] = OrderedDict()

    # Asking

    def ask(self, session: Session, media: str, text: str, options: dict[str, Any]) -> Iterator[list[Event]]:
        """Asks about a medium of a session.

        Args:
            session: Whose it is.
            media: Its id.
            text: The question.
            options: `sampling` (see [`checked_sampling`]), `mode`, `max_new_tokens`.

        Yields:
            What has happened since, as a list: `{"event": "frames"}` with what is asked about, `"words"` with the text
            so far and its phrases, `"masks"` with the masks of one frame; last `"answer"` with the question's record
            and the whole answer, or `"error"` with a `message`; `"status"` says what takes its time.
        """

        def work(tell: Callable[[Event], None]) -> None:
            with _while_there(session.medium(media), "That video was removed while it was asked about."):
                self._ask(session, media, text, options, tell)

        return _events(work, self.settings.answer_seconds)

    def _ask(
        self, session: Session, media: str, text: str, options: dict[str, Any], tell: Callable[[Event], None]
    ) -> None:
        folder = session.medium(media)
        medium = read_json(folder / ABOUT)
        text = self._checked_question(text)
        sampling = checked_sampling(options.get("sampling"), self.settings)
        mode, words = options.get("mode") or self.model.config.mask_mode, options.get("max_new_tokens", 256)
        if isinstance(words, bool) or not isinstance(words, int) or not 1 <= words <= 2048:
            raise InputError("The longest answer is a whole number of words, 1 to 2048.")
        tell({"event": "status", "message": "decoding frames"})
        frames_key, frames = shown_frames(folder, sampling, self.processor, self.settings)
        tell({"event": "frames", "answer": frames_document(media, frames_key, frames, title=text)})
        with self._turn, opened(folder, sampling, self.processor, self.settings) as clip:
            tell({"event": "status", "message": "looking at the video"})
            inputs, video = self._inputs(medium, clip, text, (media, frames_key))
            tell({"event": "status", "message": "reading the question"})

            def masks(frame: FrameMasks) -> None:
                tell({"event": "masks", "frame": frame.frame_index, "masks": _masks(frame)})

            output = self.model.generate(
                inputs["input_ids"],
                attention_mask=inputs.get("attention_mask"),
                encoded_videos=[video],
                max_new_tokens=words,
                do_sample=False,
                mask_mode=mode,
                streamer=_Words(self.processor, tell),
                mask_callback=masks,
            )
            answer = self.processor.post_process_grounded_generation(output)[0]
            tell({"event": "status", "message": "keeping the answer"})
            name, place = session.new("questions")
            settings = {
                "video": medium["name"],
                "question": text,
                "model": self.model_name,
                "mode": mode,
                "max_new_tokens": words,
                **sampling,
            }
            save_state(place, answer_document(clip, answer, settings), output)
        about = {
            "id": name,
            "made": now(),
            "media": media,
            "text": text,
            "answer": answer.text,
            "frames": frames_key,
            "sampling": sampling,
            "mode": mode,
            "max_new_tokens": words,
        }
        whole = self._keep(place, answer, about, frames)
        write_json(place / ABOUT, about)
        if not (folder / ABOUT).is_file():
            shutil.rmtree(place, ignore_errors=True)
            raise InputError("That video was removed while it was asked about.")
        tell({"event": "answer", "question": about, "answer": whole, "steps": steps_of(place).state()})

    def _checked_question(self, text: Any) -> str:
        if not isinstance(text, str) or not text.strip():
            raise InputError('The question has no text; ask something about the video, such as "What moves?".')
        if len(text) > self.settings.most_words:
            raise InputError(f"The question has {len(text)} characters; at most {self.settings.most_words} are taken.")
        return " ".join(text.split())

    def _inputs(self, medium: dict, clip: Any, text: str, key: _Key) -> tuple[Any, EncodedVideo]:
        """Inputs of a question, and what the model has seen of the medium, which is kept for the next one."""
        kind = "image" if medium["kind"] == "picture" else "video"
        shown = clip.frames([0])[0] if kind == "image" else clip
        video = self._videos.pop(key, None)
        seen = shown if video is None else video
        messages = [{"role": "user", "content": [{"type": kind, kind: seen}, {"type": "text", "text": text}]}]
        inputs = self.processor.apply_chat_template(
            messages, tokenize=True, add_generation_prompt=True, return_dict=True, return_tensors="pt"
        ).to(self.model.device)
        if video is None:
            (video,) = self.model.encode_videos(**inputs)
        self._videos[key] = video
        while len(self._videos) > 1 and sum(map(_bytes, self._videos.values())) > self.settings.feature_bytes:
            gone, _ = self._videos.popitem(last=False)
            # Their corrections hold the same features.
            self._edited = OrderedDict((name, own) for name, own in self._edited.items() if own[2] != gone)
        return inputs, video

    # Correcting

    def correct(
        self, session: Session, question: str, action: str, step: dict[str, Any] | None
    ) -> Iterator[list[Event]]:
        """Corrects an answer: takes a `"step"`, or goes back (`"undo"`) or forward (`"redo"`).

        Args:
            session: Whose answer it is.
            question: The question's id.
            action: `"step"`, `"undo"` or `"redo"`.
            step: A step as [`TrackingSession.log`] has it, masks as COCO RLE.

        Yields:
            `"masks"` for every frame that is decided again, with the object's `number`; last `"answer"` or `"error"`.
        """

        def work(tell: Callable[[Event], None]) -> None:
            with _while_there(session.question(question), "That answer was removed while it was corrected."):
                self._correct(session, question, action, step, tell)

        return _events(work, self.settings.answer_seconds)

    def _correct(self, session: Session, question: str, action: str, step: Any, tell: Callable[[Event], None]) -> None:
        place = session.question(question)
        about = read_json(place / ABOUT)
        tell({"event": "status", "message": "correcting"})
        # Steps are read, taken and written in one turn: another tab may correct the same answer.
        with self._turn:
            steps = steps_of(place)
            edited, relay = self._corrigible(session, place, about, tell)
            relay.listener = lambda frame: tell(
                {"event": "masks", "frame": frame.frame_index, "number": frame.sequence_index, "masks": _masks(frame)}
            )
            try:
                steps.take(edited, action, step)
                frames = read_json(session.medium(about["media"]) / "frames" / about["frames"] / ABOUT)
                numbers = [one.number for one in edited.objects]
                whole = self._keep(place, edited.answer, about, frames, numbers)
                save_corrected(place, edited.answer)
                steps.save(place)
            except InputError:
                raise  # nothing has changed
            except BaseException:
                # What is on disk counts, and is taken from there the next time.
                self._edited.pop(place.name, None)
                raise
            finally:
                relay.listener = None
        tell({"event": "answer", "question": about, "answer": whole, "steps": steps.state()})

    def _corrigible(
        self, session: Session, place: Path, about: dict[str, Any], tell: Callable[[Event], None]
    ) -> tuple[TrackingSession, _Relay]:
        """An answer as it can be corrected; after a restart its steps are taken again."""
        found, key = self._edited.pop(place.name, None), (about["media"], about["frames"])
        if found is None:
            folder = session.medium(about["media"])
            medium = read_json(folder / ABOUT)
            with opened(folder, about["sampling"], self.processor, self.settings) as clip:
                _, video = self._inputs(medium, clip, about["text"], key)
            (output, answer), relay = load_state(place), _Relay()
            edited = self.model.edit(
                output, answer=answer, encoded_videos=[video], mask_mode=about["mode"], mask_callback=relay
            )
            # Many steps take long: between two frames, the work can be stopped.
            relay.listener = lambda _: tell({"event": "status", "message": "taking the earlier corrections again"})
            try:
                steps_of(place).replay(edited)
            finally:
                relay.listener = None
            found = edited, relay, key
        self._edited[place.name] = found
        while len(self._edited) > _SESSIONS_KEPT:
            self._edited.popitem(last=False)
        return found[:2]

    # Keeping

    def _keep(
        self,
        place: Path,
        answer: GroundedAnswer,
        about: dict[str, Any],
        frames: dict[str, Any],
        numbers: list[int] | None = None,
    ) -> dict[str, Any]:
        """Writes what the page shows of an answer, and returns it."""
        urls = frame_urls(about["media"], about["frames"], frames["count"])
        whole = player_document(answer, urls, (frames["height"], frames["width"]), title=about["text"])
        for place_of, shown in enumerate(whole["objects"]):
            shown["number"] = place_of if numbers is None else numbers[place_of]
        write_json(place / "shown.json", whole)
        return whole


class _Words(BaseStreamer):
    """Tells the words so far; the first call of a streamer is the prompt."""

    def __init__(self, processor: Any, tell: Callable[[Event], None]) -> None:
        self._tokenizer, self._tell = processor.tokenizer, tell
        self._tokens: list[int] | None = None

    def put(self, value: torch.Tensor) -> None:
        if self._tokens is None:
            self._tokens = []
            return
        self._tokens += value.reshape(-1).tolist()
        raw = self._tokenizer.decode(self._tokens, skip_special_tokens=True).strip()
        text, phrases = parse_grounded_text(raw, raw.count(SEG_TOKEN))
        self._tell({"event": "words", "text": text, "phrases": phrase_documents(phrases)})

    def end(self) -> None:
        self._tell({"event": "status", "message": "following objects"})


@contextlib.contextmanager
def _while_there(folder: Path, gone: str) -> Iterator[None]:
    """What fails because the folder was removed meanwhile fails in these words."""
    try:
        yield
    except (OSError, VideoGlammError) as error:
        if (folder / ABOUT).is_file():
            raise
        raise InputError(gone) from error


def _masks(frame: FrameMasks) -> list[dict[str, Any]]:
    rows = zip(frame.masks.numpy(), frame.object_scores.tolist(), strict=True)
    return [
        {"index": index, "mask": shown_mask(encode_rle(mask)), "score": round(score, 3)}
        for index, (mask, score) in enumerate(rows)
    ]


def _bytes(video: EncodedVideo) -> int:
    """How much memory an encoded video takes."""
    tensors = [video.visual_tokens, *video.patches.values()]
    if video.frame_features is not None:
        tensors += [video.frame_features.embedding, *video.frame_features.high_resolution]
    return sum(tensor.nbytes for tensor in tensors if tensor is not None)


def _events(work: Callable[[Callable[[Event], None]], None], seconds: float) -> Iterator[list[Event]]:
    """What a piece of work tells, while it runs in a thread; closing the iterator stops it."""
    told: queue.Queue[Event | None] = queue.Queue()
    stop, deadline = threading.Event(), time.monotonic() + seconds

    def tell(event: Event) -> None:
        # Frames wait for their listener, so that the work can be stopped in time; words are too quick for that.
        while event["event"] == "masks" and told.qsize() >= _AHEAD and not stop.is_set():
            time.sleep(_MOMENT)
        if stop.is_set():
            raise Stopped
        if time.monotonic() > deadline:
            raise ResourceError(f"This took longer than {seconds:.0f} seconds, and was ended. Ask about fewer frames.")
        told.put(event)

    def run() -> None:
        try:
            work(tell)
        except Stopped:
            pass
        except VideoGlammError as error:
            told.put({"event": "error", "message": str(error)})
        except Exception as error:
            full = is_out_of_memory(error)
            if not full:
                logger.exception("an answer failed")
            told.put({"event": "error", "message": _NO_MEMORY if full else _UNEXPECTED})
        finally:
            told.put(None)

    thread = threading.Thread(target=run, name="answering", daemon=True)
    thread.start()
    try:
        while True:
            events = _waiting(told)
            ended = None in events
            yield [event for event in events if event is not None]
            if ended:
                return
    finally:
        stop.set()
        # The model is free again only then.
        thread.join()


def _waiting(told: "queue.Queue[Event | None]") -> list[Event | None]:
    """What has been told since the last time; nothing, if nothing is told for a while."""
    events = []
    with contextlib.suppress(queue.Empty):
        events.append(told.get(timeout=_PULSE))
        while True:
            events.append(told.get_nowait())
    return events
