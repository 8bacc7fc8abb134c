"""Masks as PNG files: indices or colours of objects, black and white, or a file or folder for each object."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..data.annotations import inner_name, load_json, member, opened_annotation, typed
from ..data.output_names import safe_name
from ..data.rle import decode_rle, encode_rle
from ..errors import InputError
from ..media_files import short_name
from ..output_files import explained_writes
from .annotated_video import AnnotatedVideo, area_of, check_object_count, frames_overlap
from .gathering import Shape, gather
from .media import MediaFinder, write_frames
from .progress import shown
from .reading import Reading

_MODES = ("1", "L", "P", "RGB", "RGBA", "I;16", "I")
_EXPECTED = "masks are PNG files of 1, 8 or 16 bits, with a palette, or in colours"
_VOID = 255
_MOST_GREYS = 64  # a smoothed or compressed mask in black and white has more
_NEAR_WHITE = 240  # of which it has several values, and nobody two objects
_THRESHOLD = "Image.open(path).convert('L').point(lambda v: 255 * (v > 127)).save(path)"
_MASK_ROOTS = ("Annotations", "Annotations_6fps", "SegmentationClass", "masks")
_RESOLUTIONS = ("480p", "1080p", "Full-Resolution")  # of DAVIS, between Annotations/ and the videos
_NOT_MASKS = {"JPEGImages", "JPEGImages_24fps", "frames", "images", "videos", "rgb", "imgs"}
_OBJECT_FILE = re.compile(r"(.*\d)[_\-]([^_\-]+)")
_WHITE = 0xFFFFFF


def fits(source: Path) -> bool:
    """Whether a folder holds PNG files, or folders of them."""
    return source.is_dir() and next(source.rglob("*.png"), None) is not None


def read(source: Path, reading: Reading) -> Iterator[AnnotatedVideo]:
    """The videos of a folder.

    `source` holds PNG files, or folders of them: one for each video, or one for each object where one video is given.
    They may lie in `Annotations/`, with frames in `JPEGImages/`. `meta.json` (YouTube-VOS) and `labelmap.txt`
    (CVAT) say what objects are called.

    Raises:
        InputError, MediaError: what lies there is none of these, or a file is damaged; the message names it.
    """
    if not source.is_dir():
        raise InputError(f"{source}: no such folder; give the folder of the masks")
    masks = next((source / name for name in _MASK_ROOTS if (source / name).is_dir()), source)
    resolution = next((name for name in _RESOLUTIONS if (masks / name).is_dir() and not _pngs(masks / name)), None)
    masks = masks if resolution is None else masks / resolution
    meta = load_json(source / "meta.json") if (source / "meta.json").is_file() else None
    labels = _Labels(meta, _label_colors(source / "labelmap.txt"))
    of_resolution = [] if resolution is None else [source / "JPEGImages" / resolution]
    finder = MediaFinder(reading.video, [*of_resolution, source, masks.parent, source.parent])
    if _pngs(masks):
        name = reading.video.stem if reading.video is not None and finder.is_single else source.resolve().name
        yield _read(name, masks, {}, labels, finder, reading)
        return
    folders = [p for p in sorted(masks.iterdir()) if p.is_dir() and p.name not in _NOT_MASKS and p.name[0] != "."]
    folders = [folder for folder in folders if fits(folder)]
    if not folders:
        raise InputError(f"{source}: holds no PNG files; give the folder of the masks")
    of_objects = finder.is_single and meta is None and all(_pngs(folder) for folder in folders)
    if of_objects and reading.video.stem not in {folder.name for folder in folders}:
        reading.note(f"{short_name(str(masks))}: each folder is an object of the one video")
        yield _read(reading.video.stem, masks, _object_folders(masks), labels, finder, reading)
        return
    for folder in folders:
        yield _read(folder.name, folder, _object_folders(folder), labels, finder, reading)


@dataclass
class _Labels:
    """What objects are called: by `meta.json`, by the colours of `labelmap.txt`, or by their numbers."""

    meta: dict[str, Any] | None
    colors: dict[int, str] = field(default_factory=dict)

    def of(self, video: str, identity: int | str, where: str) -> str:
        if self.meta is not None:
            videos = member(self.meta, "videos", dict, "meta.json: ")
            objects = member(member(videos, video, dict, "meta.json: videos."), "objects", dict, f"{where}: {video}.")
            if str(identity) not in objects:
                raise InputError(f"{where}: has object {identity}, which meta.json does not list for {video!r:.80}")
            entry = typed(objects[str(identity)], dict, f"meta.json: videos.{video}.objects.{identity}")
            return member(entry, "category", str, f"meta.json: videos.{video}.objects.{identity}.")
        return f"object {identity}" if isinstance(identity, int) else identity

    def of_color(self, color: int) -> str:
        return self.colors.get(color, f"object #{color:06x}")


def _read(
    name: str,
    folder: Path,
    object_folders: dict[int | str, Path],
    labels: _Labels,
    finder: MediaFinder,
    reading: Reading,
) -> AnnotatedVideo:
    inner_name(name, "name of the video")
    files = _pngs(folder)
    if object_folders and not files:
        per_object = [(key, path.stem, path) for key, own in object_folders.items() for path in _pngs(own)]
    else:
        per_object = _object_files(files)
    where = short_name(str(folder))
    if per_object:
        keys = list(dict.fromkeys(stem for _, stem, _ in per_object))
        shapes = _shapes_of_objects(name, per_object, keys, labels, reading)
    else:
        keys = [path.stem for path in files]
        shapes = _shapes_of_values(name, files, labels, reading, where)
    media = finder.find(name, where, masks=[path for _, _, path in per_object] or files)
    return gather(name, media, keys, shapes, reading, where)


def _pngs(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() == ".png" and p.name[0] != "." and p.is_file())


def _object_folders(folder: Path) -> dict[int | str, Path]:
    """The folder of each object by its number or name."""
    found: dict[int | str, Path] = {}
    for place in sorted(folder.iterdir()):
        if place.is_dir() and _pngs(place):
            key = _identity(place.name)
            if key in found:
                raise InputError(f"{place}: is object {key}, as is {found[key].name}; rename or remove one")
            found[key] = place
    return found


def _object_files(files: Sequence[Path]) -> list[tuple[int | str, str, Path]]:
    """Object, frame and path of files whose names end with what tells the object, as in `00001_2.png`; else none."""
    parts = [_OBJECT_FILE.fullmatch(path.stem) for path in files]
    if not files or None in parts:
        return []
    frames = {part[1] for part in parts}
    names = {part[2] for part in parts}
    # One frame in many files, each with another number behind it: these are numbers of frames.
    if len(frames) == 1 and len(files) > 1 and all(name.isdecimal() for name in names):
        return []
    seen: dict[tuple[int | str, str], Path] = {}
    for part, path in zip(parts, files, strict=True):
        key = _identity(part[2]), part[1]
        if key in seen:
            raise InputError(f"{path}: is object {key[0]} of frame {key[1]}, as is {seen[key].name}; remove one")
        seen[key] = path
    return [(identity, frame, path) for (identity, frame), path in seen.items()]


def _identity(name: str) -> int | str:
    return int(name) if name.isascii() and name.isdecimal() and len(name) < 10 else name


def _shapes_of_objects(
    video: str, files: Sequence[tuple[int | str, str, Path]], keys: Sequence[str], labels: _Labels, reading: Reading
) -> list[Shape]:
    check_object_count(len({identity for identity, _, _ in files}), f"{files[0][2].parent}")
    places = {key: i for i, key in enumerate(keys)}
    shapes = []
    for identity, stem, path in shown(files, "reading", "mask", reading.progress):
        where = short_name(str(path))
        values, _ = _values(path)
        mask = values != 0
        label = labels.of(video, identity, where)
        shapes.append(Shape(places[stem], label, identity, encode_rle(mask), where))
    return shapes


def _shapes_of_values(video: str, files: Sequence[Path], labels: _Labels, reading: Reading, where: str) -> list[Shape]:
    """Shapes of files whose pixels tell the object, or are not black where the only one is."""
    found: list[tuple[int, int, int, dict[str, Any]]] = []  # file, value, colour, mask
    kinds = set()
    for i, path in enumerate(shown(files, "reading", "frame", reading.progress)):
        values, colors = _values(path)
        kinds.add(colors if colors is None or isinstance(colors, str) else "palette")
        own = np.flatnonzero(np.bincount(values.ravel())) if values.dtype == np.uint8 else np.unique(values)
        own = own[own != 0]
        check_object_count(len(own), str(path))
        if colors == "grey" and values.dtype == np.uint8:
            _refuse_smoothed(own, path)
        for value in own.tolist():
            color = value if isinstance(colors, str) else colors[value]
            found.append((i, value, color, encode_rle(values == value)))
    if len(kinds) > 1:
        raise InputError(f"{where}: its files are of different kinds ({', '.join(sorted(kinds))}); save all alike")
    kind = kinds.pop()
    seen = {value for _, value, _, _ in found}
    by_color = kind == "color"
    if seen <= {_WHITE if by_color else _VOID} or (kind == "grey" and seen <= {1}):
        reading.note(f"{where}: black and white, so one object")
        label = labels.of(video, 1, where) if labels.meta is not None else "object"
        return [Shape(i, label, 1, mask, short_name(str(files[i]))) for i, _, _, mask in found]
    if kind == "palette":
        colors_of: dict[int, set[int]] = {}
        for _, value, color, _ in found:
            colors_of.setdefault(value, set()).add(color)
        if any(len(own) > 1 for own in colors_of.values()):
            reading.note(f"{where}: palettes of its files differ, so objects are told by colour")
            by_color = True
            found = [(i, color, color, mask) for i, _, color, mask in found if color]
    if not by_color and _VOID in seen:
        reading.note(f"{where}: value {_VOID} was left out, as it marks what nobody judged{_doubt(kind, found)}")
        found = [one for one in found if one[1] != _VOID]
    by_color = by_color or (kind == "palette" and bool(labels.colors))
    shapes = []
    for i, value, color, mask in found:
        path = short_name(str(files[i]))
        if by_color:
            shapes.append(Shape(i, labels.of_color(color), color, mask, path))
        else:
            shapes.append(Shape(i, labels.of(video, value, path), value, mask, path))
    return shapes


def _refuse_smoothed(values: np.ndarray, path: Path) -> None:
    """Raises InputError for greys of a mask in black and white that was smoothed, scaled or compressed."""
    white = values[values >= _NEAR_WHITE]
    if len(white) < 2 and not (len(values) > _MOST_GREYS and values[-1] == _VOID):
        return
    raise InputError(
        f"{path}: has {len(values)} values of grey, {', '.join(map(str, white[:4]))} among them: masks that were "
        "smoothed, scaled or saved as JPEG look like this, and every value would be an object. Save them again "
        f"without smoothing, as PNG; or make each file black and white first, in Python with Pillow: {_THRESHOLD}; if "
        "these are numbers of objects, save them with a palette or 16 bits"
    )


def _doubt(kind: str, found: Sequence[tuple[int, int, int, dict[str, Any]]]) -> str:
    """What else greys may be: a palette means numbers, greys may be white with noise around."""
    if kind != "grey":
        return ""
    left, kept = (
        sum(area_of(own) for _, value, _, own in found if (value == _VOID) is void) for void in (True, False)
    )
    return (
        f"; it covers {left} pixels, and the other values, an object each, {kept}: if these are masks in black and "
        f"white with noise, make each file so first, in Python with Pillow: {_THRESHOLD}"
    )


def _values(path: Path) -> tuple[np.ndarray, Any]:
    """What tells the object of each pixel, 0 for none, [H, W]; and colours of a palette, or `"grey"` or `"color"`."""
    with opened_annotation(path, _MODES, _EXPECTED) as picture:
        pixels = np.array(picture)
        if picture.mode == "P":
            palette = picture.getpalette("RGB") or []
            palette = palette + [0] * (768 - len(palette))
            return pixels, [palette[3 * i] << 16 | palette[3 * i + 1] << 8 | palette[3 * i + 2] for i in range(256)]
    if pixels.ndim == 2:
        return (pixels.astype(np.uint8) * _VOID if pixels.dtype == bool else pixels), "grey"
    values = pixels[:, :, 0].astype(np.int64) << 16 | pixels[:, :, 1].astype(np.int64) << 8 | pixels[:, :, 2]
    if pixels.shape[2] == 4:
        values[pixels[:, :, 3] == 0] = 0
    return values, "color"


def _label_colors(path: Path) -> dict[int, str]:
    """Labels by colour of CVAT's and VOC's `labelmap.txt`: lines `label:r,g,b:parts:actions`."""
    if not path.is_file():
        return {}
    found: dict[int, str] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text: {error}; export it again") from error
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        label, _, rest = line.partition(":")
        channels = rest.partition(":")[0].split(",")
        if len(channels) != 3 or not all(c.strip().isdecimal() and int(c) < 256 for c in channels):
            raise InputError(f"{path}:{number}: must be label:red,green,blue:parts:actions, not {line!r:.80}")
        red, green, blue = map(int, channels)
        found[red << 16 | green << 8 | blue] = label
    return found


def palette() -> list[int]:
    """The colours of DAVIS and PASCAL VOC: the bits of an index spread over red, green and blue."""
    colors = []
    for index in range(256):
        for channel in range(3):
            colors.append(sum((index >> (3 * bit + channel) & 1) << (7 - bit) for bit in range(3)))
    return colors


def write(videos: Sequence[AnnotatedVideo], folder: Path, progress: bool = False) -> list[str]:
    """Writes `Annotations/`, `JPEGImages/` and `meta.json` as YouTube-VOS has them.

    A PNG for each annotated frame whose indices are objects; where objects overlap, or are too many, a folder for each
    object instead, in black and white.
    """
    notes: list[str] = []
    described: dict[str, Any] = {}
    for video in videos:
        name = safe_name(video.name)
        place = folder / "Annotations" / name
        if video.media.pictures is not None or video.media.file is not None:
            write_frames(video.media, video.frames, folder / "JPEGImages" / name, progress)
        frame = frames_overlap(video)
        if frame is None and len(video.objects) < _VOID:
            _write_indexed(video, place, progress)
        else:
            reason = f"objects overlap (frame {frame})" if frame is not None else "there are too many objects"
            notes.append(f"{video.name}: {reason}, so there is a folder for each object, in black and white")
            _write_folders(video, place, progress)
        objects = {
            str(i): {"category": own.label, "frames": [video.media.frame_name(one) for one in sorted(own.masks)]}
            for i, own in enumerate(video.objects, 1)
        }
        described[name] = {"objects": objects}
    path = folder / "meta.json"
    with explained_writes(path):
        path.write_text(json.dumps({"videos": described}), encoding="utf-8")
    return notes


def _write_indexed(video: AnnotatedVideo, place: Path, progress: bool) -> None:
    with explained_writes(place):
        place.mkdir(parents=True, exist_ok=True)
    for frame in shown(video.frames, "writing", "frame", progress):
        indices = np.zeros(video.media.size, np.uint8)
        for i, own in enumerate(video.objects, 1):
            if frame in own.masks:
                indices[decode_rle(own.masks[frame])] = i
        picture = Image.fromarray(indices)
        picture.putpalette(palette())
        _save(picture, place / f"{video.media.frame_name(frame)}.png")


def _write_folders(video: AnnotatedVideo, place: Path, progress: bool) -> None:
    for i, own in enumerate(shown(video.objects, "writing", "object", progress), 1):
        with explained_writes(place):
            (place / f"{i:03d}").mkdir(parents=True, exist_ok=True)
        for frame in video.frames:
            mask = np.zeros(video.media.size, bool) if frame not in own.masks else decode_rle(own.masks[frame])
            _save(Image.fromarray(mask), place / f"{i:03d}" / f"{video.media.frame_name(frame)}.png")


def _save(picture: Image.Image, path: Path) -> None:
    with explained_writes(path):
        picture.save(path)
