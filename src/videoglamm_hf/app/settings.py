"""What one app allows: sizes, times and room, so that nobody takes it from the others."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class AppSettings:
    """How an app is run.

    Attributes:
        folder: Where sessions are kept: media, questions, answers. They survive a restart.
        upload_bytes: Largest file.
        most_seconds: Longest video.
        most_pixels: Most pixels of a frame.
        most_frames: Most frames that get masks in one answer.
        most_words: Longest question, in characters.
        answer_seconds: Longest time one answer may take.
        waiting: Most questions waiting at once.
        disk_bytes: Room of all sessions together; when it is used up, what was used longest ago goes.
        feature_bytes: Memory for what the model has seen of videos, so that further questions need not look again; 16
            frames of the published model take 300 MB.
        keep: Whether sessions outlive the server.
    """

    folder: Path
    upload_bytes: int = 200 * 2**20
    most_seconds: float = 600.0
    most_pixels: int = 3840 * 2160
    most_frames: int = 128
    most_words: int = 2000
    answer_seconds: float = 600.0
    waiting: int = 50
    disk_bytes: int = 5 * 2**30
    feature_bytes: int = 4 * 2**30
    keep: bool = True
