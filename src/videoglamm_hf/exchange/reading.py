"""How annotations are to be read, and what a reader had to assume."""

from dataclasses import dataclass, field
from pathlib import Path

from ..data.rle import is_whole
from ..errors import InputError
from .choices import FRAMES_FROM, OBJECTS


@dataclass
class Reading:
    """What a person has said, and what was assumed where they have not.

    Attributes:
        video: The video file, folder of frames, or folder of videos; None to look beside the annotations.
        first_frame: Number that the annotations give to the first frame of the source; None to find out.
        frame_step: Frames of the source from one number of the annotations to the next; None for what the format says.
        frames_from: What tells which frame is meant, one of `FRAMES_FROM`.
        objects: What makes shapes of several frames one object where nothing joins them, one of `OBJECTS`.
        boxes_as_masks: Whether boxes are taken for masks.
        progress: Whether to show bars.
        notes: What was assumed, in sentences.
    """

    video: Path | None = None
    first_frame: int | None = None
    frame_step: int | None = None
    frames_from: str = "auto"
    objects: str = "auto"
    boxes_as_masks: bool = False
    progress: bool = False
    notes: list[str] = field(default_factory=list)
    _noted: set[str] = field(default_factory=set, repr=False)

    def __post_init__(self) -> None:
        if self.video is not None:
            self.video = Path(self.video)
        for name, value, least in (("first_frame", self.first_frame, 0), ("frame_step", self.frame_step, 1)):
            if value is not None and (not is_whole(value) or value < least):
                raise InputError(f"{name} must be a whole number from {least}, not {value!r:.40}")
        for name, value, choices in (
            ("frames_from", self.frames_from, FRAMES_FROM),
            ("objects", self.objects, OBJECTS),
        ):
            if value not in choices:
                raise InputError(f"{name} must be one of {', '.join(choices)}, not {value!r:.40}")

    def note(self, text: str) -> None:
        """Tells what was assumed, once."""
        if text not in self._noted:
            self._noted.add(text)
            self.notes.append(text)
