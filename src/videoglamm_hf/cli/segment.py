"""`videoglamm segment`: asks about a video or about every video of a folder; writes answer, overlay and preview."""

import argparse
import os
import sys
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import AutoConfig

from ..clip import SampledClip
from ..errors import InputError, OutputError, ResourceError, is_out_of_memory
from ..grounded_answer import GroundedAnswer
from ..loading.models import answer_needs_less, load_model, load_processor
from ..media_files import is_url, short_name
from ..output_files import check_output
from ..processing_videoglamm import VideoGlammProcessor
from ..render.colors import object_colors
from ..render.terminal import colored_answer
from ..toy import TINY_MODEL
from .asking import ANSWER, ask, write_answer
from .output_names import safe_name
from .segment_folder import answer_videos, started_processes
from .video_folders import find_videos


def run(arguments: argparse.Namespace) -> None:
    """Asks about one video, or about every video of a folder."""
    if arguments.max_new_tokens < 1:
        raise InputError(f"--max-new-tokens is {arguments.max_new_tokens}; it must be at least 1.")
    if arguments.model is None:
        print("no --model: taking the small one that ships, which knows coloured shapes only", file=sys.stderr)
        arguments.model = str(TINY_MODEL)
    folder = Path(arguments.video)
    videos = find_videos(folder) if os.path.isdir(folder) else []
    if videos:
        _answer_folder(arguments, folder, videos)
    elif started_processes() > 1:
        name = short_name(arguments.video)
        raise InputError(f"{name} is one video: several processes can only share a folder of videos.")
    else:
        _answer_one(arguments)


def _answer_one(arguments: argparse.Namespace) -> None:
    output = Path(arguments.output or f"{safe_name(_stem(arguments.video))}_answer")
    inputs = _inputs(arguments)
    # What can be refused cheaply is refused before the model is loaded.
    check_output(output, overwrite=arguments.overwrite, inputs=inputs, kind=ANSWER)
    processor = load_processor(arguments.model)
    print(f"reading {short_name(arguments.video)}", file=sys.stderr)
    clip = _read(arguments.video, processor, arguments)
    model = load_model(arguments.model, arguments.dtype, arguments.device, arguments.quantization)
    answer = _ask(model, processor, clip, arguments)
    settings = _settings(arguments, arguments.video, model.config) | {"dtype": str(model.dtype).removeprefix("torch.")}
    write_answer(output, clip, answer, settings, overwrite=arguments.overwrite)
    spans = [(p.start, p.end, p.object_index) for p in answer.phrases if p.object_index is not None]
    colors = object_colors(len(answer.masks))
    print(colored_answer(answer.text, [s[:2] for s in spans], [colors[s[2]] for s in spans]))
    print(f"{len(answer.masks)} objects in {len(clip)} frames -> {output}/overlay.mp4, preview.png, answer.json")


def _answer_folder(arguments: argparse.Namespace, folder: Path, videos: list[Path]) -> None:
    output = Path(arguments.output or f"{safe_name(folder.resolve().name)}_answers")
    if output.exists() and output.samefile(folder):
        raise OutputError(f"{output} is the folder of the videos; give another --output.")
    processor = load_processor(arguments.model)
    config = AutoConfig.from_pretrained(arguments.model)

    def load(device: str | None) -> Callable[[Path, Path, bool], str]:
        model = load_model(arguments.model, arguments.dtype, device, arguments.quantization)
        dtype = str(model.dtype).removeprefix("torch.")

        def answer_video(video: Path, answer_folder: Path, progress: bool) -> str:
            inputs = [video, *_inputs(arguments)]
            check_output(answer_folder, overwrite=arguments.overwrite, inputs=inputs, kind=ANSWER)
            clip = _read(video, processor, arguments)
            answer = _ask(model, processor, clip, arguments, progress=progress)
            settings = _settings(arguments, video, config) | {"dtype": dtype}
            write_answer(answer_folder, clip, answer, settings, overwrite=arguments.overwrite, progress=progress)
            return answer.text

        return answer_video

    answer_videos(videos, output, lambda video: _settings(arguments, video, config), load, arguments)


def _stem(source: str) -> str:
    """What a path or URL is called, without its ending."""
    if is_url(source):
        parts = urllib.parse.urlsplit(source)
        source = "data" if parts.scheme == "data" else urllib.parse.unquote(parts.path) or str(parts.hostname)
    path = Path(source)
    return (path if path.name.strip(".") else path.resolve()).stem


def _inputs(arguments: argparse.Namespace) -> list[Path]:
    """What must not be replaced, as far as it is on this machine."""
    return [Path(name) for name in (arguments.video, arguments.model) if not is_url(name)]


def _read(video: str | Path, processor: VideoGlammProcessor, arguments: argparse.Namespace) -> SampledClip:
    return processor.video_processor.sample(video, **_sampling(arguments))


def _ask(
    model: Any, processor: VideoGlammProcessor, clip: SampledClip, arguments: argparse.Namespace, **options: Any
) -> GroundedAnswer:
    """Raises ResourceError if it does not fit into memory; the message says what would."""
    try:
        return ask(
            model,
            processor,
            clip,
            arguments.question,
            max_new_tokens=arguments.max_new_tokens,
            mask_mode=arguments.mode,
            seed=arguments.seed,
            **options,
        )
    except (RuntimeError, MemoryError, ResourceError) as error:
        if not (isinstance(error, ResourceError) or is_out_of_memory(error)):
            raise
        raise ResourceError(
            f"Out of memory while answering about {len(clip)} frames on {model.device}. These need less: "
            f"{answer_needs_less(arguments.quantization, len(clip))}. `videoglamm memory {arguments.model}` "
            "says how much."
        ) from error


def _sampling(arguments: argparse.Namespace) -> dict[str, float | int]:
    """The options given for reading videos."""
    given = {"fps": arguments.fps, "max_frames": arguments.max_frames}
    return {name: value for name, value in given.items() if value is not None}


def _settings(arguments: argparse.Namespace, video: str | Path, config: Any) -> dict[str, Any]:
    """What makes an answer, as `answer.json` records it."""
    return {
        "video": str(video),
        "question": arguments.question,
        "model": arguments.model,
        "mode": arguments.mode or config.mask_mode,
        "max_new_tokens": arguments.max_new_tokens,
        "quantization": arguments.quantization,
        "seed": arguments.seed,
        **_sampling(arguments),
    }
