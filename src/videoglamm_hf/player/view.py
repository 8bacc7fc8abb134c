"""An answer beside the frames it is about: in a notebook, or as a file."""

import base64
import html
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..clip import Clip
from ..clip_sources import open_clip
from ..errors import InputError
from ..grounded_answer import GroundedAnswer
from ..output_files import explained_writes, replacing_file
from .document import player_document
from .page import player_page

# Longer sides of pictures are made smaller: a page of 32 frames has some 2 MB.
MOST_SIDE = 720
_QUALITY = 82
_HEIGHT = 720


@dataclass(frozen=True, repr=False)
class AnswerView:
    """What [`GroundedAnswer.show`] returns: a notebook shows it.

    Attributes:
        page: HTML, whole by itself.
    """

    page: str

    def __repr__(self) -> str:
        return f"AnswerView({len(self.page) / 1e6:.1f} MB of HTML; a notebook shows it, `save` writes it)"

    def _repr_html_(self) -> str:
        # A frame of its own: its styles and scripts meet none of the notebook's, and can reach nothing of it.
        page = html.escape(self.page, quote=True)
        return (
            f'<iframe srcdoc="{page}" sandbox="allow-scripts" title="answer with masks" '
            f'style="width: 100%; height: {_HEIGHT}px; border: 0"></iframe>'
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the page.

        Raises:
            OutputError: It cannot be written.
        """
        with explained_writes(Path(path)), replacing_file(Path(path)) as aside:
            aside.write_text(self.page, encoding="utf-8", errors="backslashreplace")


def answer_view(answer: GroundedAnswer, video: Any = None, *, title: str = "") -> AnswerView:
    """An answer to look at.

    Args:
        answer: The answer.
        video: The frames below the masks: what [`open_clip`] takes, of which those at the answer's times are shown, or
            one picture per frame of the answer. None: masks alone.
        title: A heading, such as the question.

    Raises:
        InputError: The video has other frames than the answer.
        MediaError: The video cannot be read.
    """
    count, size = answer.masks.shape[1], tuple(answer.masks.shape[-2:])
    urls = [""] * count if video is None else _pictures(answer, video)
    return AnswerView(player_page(player_document(answer, urls, size, title=title)))


def picture_url(frame: np.ndarray, most_side: int = MOST_SIDE) -> str:
    """A frame, uint8 `[H, W, 3]`, as a `data:` URL, no side longer than a limit."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg(frame, most_side)).decode('ascii')}"


def jpeg(frame: np.ndarray, most_side: int = MOST_SIDE) -> bytes:
    """A frame as JPEG, no side longer than a limit."""
    picture = Image.fromarray(np.ascontiguousarray(frame))
    picture.thumbnail((most_side, most_side))
    written = io.BytesIO()
    picture.save(written, "JPEG", quality=_QUALITY)
    return written.getvalue()


def _pictures(answer: GroundedAnswer, video: Any) -> list[str]:
    count, (height, width) = answer.masks.shape[1], answer.masks.shape[-2:]
    with video if isinstance(video, Clip) else open_clip(video) as clip:
        places = range(count) if len(clip) == count else _places(clip.seconds, answer.timestamps)
        if len(places) != count:
            raise InputError(
                f"The answer has {count} frames, and the video {len(clip)}; give the video that was asked about."
            )
        urls = []
        for place in places:
            frame = clip.frames([place])[0]
            if len(answer.masks) and frame.shape[:2] != (height, width):
                found = f"{frame.shape[1]}x{frame.shape[0]}"
                raise InputError(f"The masks are {width}x{height}, and the frames of {clip.source} {found}.")
            urls.append(picture_url(frame))
        return urls


def _places(seconds: Sequence[float], wanted: Sequence[float]) -> list[int]:
    """Which frame is on the screen at each time; none if a time is beyond all."""
    if not len(seconds) or not len(wanted) or max(wanted) > seconds[-1] + 1:
        return []
    return [int(np.abs(np.asarray(seconds) - time).argmin()) for time in wanted]
