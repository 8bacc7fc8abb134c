"""The frames that annotations are about: found, opened, and put beside what is written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from ..clip_sources import open_clip, read_image
from ..data.annotations import inner_name
from ..data.output_names import safe_name
from ..errors import InputError, MediaError
from ..media_files import folder_pictures, is_frame_file, short_name
from ..output_files import explained_writes
from ..picture_files import is_animation
from .progress import shown

_JPEG_QUALITY = 95
_BYTES_AT_ONCE = 2**27  # of decoded frames
_BESIDE = ("JPEGImages", "JPEGImages_24fps", "frames", "images", "videos", "rgb", "imgs")
_NO_MEDIA = {".json", ".xml", ".txt", ".csv", ".jsonl", ".zip", ".md"}


@dataclass(frozen=True)
class Media:
    """The frames of one video.

    Attributes:
        size: (height, width) as players show them.
        count: How many there are.
        pictures: Their files, in order, if it is a folder or list of pictures.
        file: The file, if it is a video. Neither where only numbers are known.
    """

    size: tuple[int, int]
    count: int
    pictures: tuple[Path, ...] | None = None
    file: Path | None = None

    def frame_name(self, frame: int, digits: int = 5) -> str:
        """What a frame is called: its file without ending, or its number."""
        return f"{frame:0{digits}d}" if self.pictures is None else self.pictures[frame].stem


def open_media(path: str | os.PathLike[str] | Sequence[str]) -> Media:
    """The frames of a video file, a folder of pictures or a list of pictures.

    Raises:
        MediaError: they cannot be read; the message names the file.
    """
    if isinstance(path, (list, tuple)):
        return _of_pictures([Path(one) for one in path])
    path = Path(path)
    if path.is_dir():
        return _of_pictures([Path(one) for one in folder_pictures(str(path))])
    if is_frame_file(path) and not is_animation(path):
        return _of_pictures([path])
    with open_clip(str(path)) as clip:
        return Media(tuple(map(int, clip.size)), len(clip), file=path)


def _of_pictures(paths: list[Path]) -> Media:
    height, width = read_image(str(paths[0])).shape[:2]
    return Media((int(height), int(width)), len(paths), pictures=tuple(paths))


class MediaFinder:
    """Finds the videos of annotations: what was given, or what lies beside them.

    Args:
        video: Video file, folder of frames, or folder of videos; None to look beside the annotations.
        roots: Folders to look into then.
    """

    def __init__(self, video: Path | None, roots: Sequence[Path]) -> None:
        if video is not None and not video.exists():
            raise MediaError(f"{short_name(str(video))}: no such video; check the path of --video")
        self.video, self.roots = video, list(dict.fromkeys(roots))
        self._taken: str | None = None
        self._stems: dict[Path, dict[str, Path]] = {}

    @property
    def is_single(self) -> bool:
        """Whether what was given is one video."""
        return self.video is not None and (self.video.is_file() or _holds_pictures(self.video))

    def find(self, name: str, where: str, frame_names: Sequence[str] = (), masks: Sequence[Path] = ()) -> Media:
        """The video of this name.

        Args:
            name: What the annotations call it, the name of a file or folder.
            where: What messages call its record.
            frame_names: What they call its frames, to be recognised by.
            masks: Pictures that are masks, and so no frames of it, wherever they lie.

        Raises:
            InputError: the name leads out of the folder.
            MediaError: there is none, or it cannot be read.
        """
        if not self.is_single:
            inner_name(name, f"{where}: the name of the video")
        if self.video is not None:
            if not self.is_single:
                found = self._named(self.video, name)
                if found is None:
                    names = ", ".join(sorted(path.name for path in self.video.iterdir())[:5])
                    raise MediaError(
                        f"{where}: {short_name(str(self.video))} holds no video called {name!r:.80}; it holds "
                        f"{names or 'nothing'}. Rename it, or give the video itself as --video"
                    )
                return _without(masks, found, where)
            if self._taken is not None and self._taken != name:
                raise MediaError(
                    f"{where}: the annotations are of several videos ({self._taken!r:.60} and {name!r:.60}), but "
                    f"{short_name(str(self.video))} is one; give a folder of videos with these names as --video"
                )
            self._taken = name
            return _without(masks, self.video, where)
        only_masks = {path.parent.resolve() for path in masks}
        for root in self.roots:
            for place in (*(root / beside for beside in _BESIDE), root):
                found = self._named(place, name) if place.is_dir() else None
                if found is not None and (found.resolve() not in only_masks or _other_pictures(found, masks)):
                    return _without(masks, found, where)
            for place in (*(root / beside for beside in _BESIDE), root):
                if frame_names and all((place / one).is_file() for one in frame_names):
                    return open_media(place)
        raise MediaError(
            f"{where}: no video or folder of frames {name!r:.80} lies beside the annotations; give it as --video"
        )

    def _named(self, folder: Path, name: str) -> Path | None:
        """A folder of pictures or a video file of this name in a folder."""
        place = folder / name
        if place.is_dir() and _holds_pictures(place):
            return place
        if place.is_file() and place.suffix.lower() not in _NO_MEDIA:
            return place
        if folder not in self._stems:
            files = [path for path in sorted(folder.iterdir(), reverse=True) if path.suffix.lower() not in _NO_MEDIA]
            files = [path for path in files if path.is_file() and (not is_frame_file(path) or is_animation(path))]
            self._stems[folder] = {path.stem: path for path in files}
        stems = self._stems[folder]
        return stems.get(name) or stems.get(Path(name).stem)


def _other_pictures(folder: Path, masks: Sequence[Path]) -> list[str]:
    """Pictures of a folder that are no masks."""
    those = {path.name for path in masks if path.parent.resolve() == folder.resolve()}
    return [one for one in folder_pictures(str(folder)) if Path(one).name not in those]


def _without(masks: Sequence[Path], found: Path, where: str) -> Media:
    """The frames at a place, where masks may lie among them."""
    if not masks or not found.is_dir() or found.resolve() not in {path.parent.resolve() for path in masks}:
        return open_media(found)
    others = _other_pictures(found, masks)
    if not others:
        raise MediaError(
            f"{where}: {short_name(str(found))} holds masks only; give the video or its frames as --video"
        )
    return open_media(others)


def _holds_pictures(folder: Path) -> bool:
    return folder.is_dir() and any(is_frame_file(path) for path in folder.iterdir())


def place_media(media: Media, folder: Path, name: str, copy: bool) -> tuple[Path | list[Path], bool]:
    """Puts a video below a folder, linked or copied.

    Args:
        media: The frames.
        folder: Where to.
        name: What it is to be called; pictures become a folder of that name.
        copy: Whether to copy; otherwise files are hard links, or copies where the file system has no such links.

    Returns:
        The file or the folder, and whether all of it is linked.

    Raises:
        MediaError: There is no video, or it cannot be read.
        OutputError: It cannot be written.
    """
    if media.pictures is None:
        if media.file is None:
            raise MediaError(f"{name}: its video is not known; give it as --video")
        target = folder / f"{safe_name(name)}{media.file.suffix}"
        return target, _placed(media.file, target, copy)
    target = folder / safe_name(name)
    with explained_writes(target):
        target.mkdir(parents=True, exist_ok=True)
    linked = True
    for path, file in zip(media.pictures, picture_names(media), strict=True):
        linked &= _placed(path, target / file, copy)
    return target, linked


def picture_names(media: Media) -> list[str]:
    """Names of the pictures in one folder, in whose natural order they stay: their own, or numbers."""
    assert media.pictures is not None
    names = [path.name for path in media.pictures]
    folders = {path.parent for path in media.pictures}
    if names == [safe_name(name) for name in names] and len(folders) == 1:
        there = [path for path in folder_pictures(str(folders.pop())) if Path(path) in set(media.pictures)]
        if there == [str(path) for path in media.pictures]:
            return names
    return [f"{i:06d}{path.suffix}" for i, path in enumerate(media.pictures)]


def _placed(source: Path, target: Path, copy: bool) -> bool:
    """Links or copies a file; says whether it is linked."""
    with explained_writes(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    source = source.resolve()
    if not source.is_file():
        raise MediaError(f"{short_name(str(source))}: no such file; check the path")
    if not copy:
        try:
            os.link(source, target)
            return True
        except OSError:  # another disk, or a file system without links
            pass
    with explained_writes(target):
        shutil.copyfile(source, target)
    return False


def write_frames(media: Media, frames: Sequence[int], folder: Path, progress: bool = False) -> dict[int, str]:
    """Puts pictures of a video into a folder: all of a folder of pictures, linked; of a file the annotated frames.

    Returns:
        The file's name by number of frame.

    Raises:
        MediaError: There is no video, or it cannot be read.
        OutputError: They cannot be written.
    """
    if media.pictures is not None:
        place_media(media, folder.parent, folder.name, copy=False)
        return dict(enumerate(picture_names(media)))
    if media.file is None:
        raise MediaError(f"{folder.name}: pictures of its frames are needed; give its video as --video")
    with explained_writes(folder):
        folder.mkdir(parents=True, exist_ok=True)
    names = {frame: f"{frame:05d}.jpg" for frame in frames}
    at_once = max(1, _BYTES_AT_ONCE // (3 * media.size[0] * media.size[1]))
    with open_clip(str(media.file)) as clip:
        for begin in shown(range(0, len(frames), at_once), "writing frames", "batch", progress):
            some = frames[begin : begin + at_once]
            for frame, pixels in zip(some, clip.frames(some), strict=True):
                with explained_writes(folder / names[frame]):
                    Image.fromarray(pixels).save(folder / names[frame], quality=_JPEG_QUALITY)
    return names


def check_size(found: Sequence[int] | None, media: Media, where: str) -> None:
    """Refuses masks of another size than their video.

    Raises:
        InputError: the message names both.
    """
    if found is not None and tuple(found) != tuple(media.size):
        raise InputError(
            f"{where}: its size is {found[1]}x{found[0]}, but the video is {media.size[1]}x{media.size[0]} (width x "
            "height); annotate the video in its own size, or give the frames that were annotated as --video"
        )
