"""What a folder given as a video holds: the frames of one video, or many videos."""

import re
from pathlib import Path

from ..media_files import is_frame_file
from ..picture_files import is_animation

# Names of video files; hidden files are left out.
_VIDEO_NAME = re.compile(
    r"[^.].*\.(3g[2p]|asf|avi|flv|m2ts|m4v|mkv|mov|mp4|mpe?g|mts|mxf|ogv|ts|vob|webm|wmv|y4m)", re.IGNORECASE
)


def find_videos(folder: Path) -> list[Path]:
    """The videos of a folder of videos, in order of their names; none if it is one video itself.

    A folder of frames holds still pictures and neither a video file nor an animated picture (GIF, APNG, WebP, AVIF):
    it is one video. In any other folder every video file, animated picture and folder of frames is a video; anything
    else in it is left alone, and deeper folders are not searched.
    """
    content = sorted(folder.iterdir())
    videos = {path for path in content if _is_video(path)}
    if not videos and any(is_frame_file(path) for path in content):
        return []
    return [path for path in content if path in videos or _holds_frames(path)]


def _is_video(path: Path) -> bool:
    if is_frame_file(path):
        return is_animation(path)
    return bool(_VIDEO_NAME.fullmatch(path.name)) and path.is_file()


def _holds_frames(folder: Path) -> bool:
    if not folder.is_dir() or folder.name.startswith("."):
        return False
    content = list(folder.iterdir())
    return any(is_frame_file(path) for path in content) and not any(_is_video(path) for path in content)
