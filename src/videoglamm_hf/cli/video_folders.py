"""What a folder given as a video holds: the frames of one video, or many videos."""

import re
from pathlib import Path

from ..errors import InputError
from ..media_files import is_frame_file

# Names of video files; hidden files are left out. A GIF in a folder is a picture.
_VIDEO_NAME = re.compile(
    r"[^.].*\.(3g[2p]|asf|avi|flv|m2ts|m4v|mkv|mov|mp4|mpe?g|mts|mxf|ogv|ts|vob|webm|wmv|y4m)", re.IGNORECASE
)


def find_videos(folder: Path) -> list[Path]:
    """The videos of a folder of videos, in order of their names; none if it is one video itself.

    Pictures in a folder are the frames of one video. Without pictures, every video file and every folder of frames in
    it is a video; anything else in it is left alone, and deeper folders are not searched.

    Raises:
        InputError: If pictures and video files lie side by side.
    """
    content = sorted(folder.iterdir())
    pictures = [path for path in content if is_frame_file(path)]
    videos = [path for path in content if _VIDEO_NAME.fullmatch(path.name) and path.is_file()]
    if pictures and videos:
        raise InputError(
            f"{folder} holds pictures ({pictures[0].name}) and videos ({videos[0].name}): give a folder of frames, "
            "which is one video, or a folder of videos."
        )
    if pictures:
        return []
    return [path for path in content if path in videos or _holds_frames(path)]


def _holds_frames(folder: Path) -> bool:
    if not folder.is_dir() or folder.name.startswith("."):
        return False
    return any(is_frame_file(path) for path in folder.iterdir())
