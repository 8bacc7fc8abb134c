"""`videoglamm segment`: asks about a video or about every video of a folder; writes answer, overlay and previews."""

import argparse
import contextlib
import os
import sys
import urllib.parse
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from ..calibration_file import CALIBRATION_FILE, read_calibration
from ..clip import SampledClip
from ..data.output_names import safe_name
from ..errors import InputError, OutputError, ResourceError, is_out_of_memory
from ..grounded_answer import GroundedAnswer, check_threshold
from ..loading.models import answer_needs_less, load_config, load_model, load_processor
from ..media_files import is_url, short_name, without_file_scheme
from ..output_files import check_output
from ..processing_videoglamm import VideoGlammProcessor
from ..render.colors import object_colors
from ..render.terminal import colored_answer
from .answer_file import note_of
from .asking import ANSWER, ask, every_frame, write_answer
from .model_choice import CALIBRATE, model_or_small, take_calibration
from .processes import started_processes
from .screen import library_bars, say, shows_colors, shows_progress
from .segment_folder import answer_videos
from .video_folders import find_videos
from .wording import counted, percent

# Options of `segment` by what takes them.
_SAMPLING = ("fps", "num_frames", "max_frames", "start_time", "end_time")
_TRACKING = ("prompt_frame", "num_anchors", "max_objects_per_batch")


def run(arguments: argparse.Namespace) -> None:
    """Asks about one video, or about every video of a folder."""
    if arguments.max_new_tokens < 1:
        raise InputError(f"--max-new-tokens is {arguments.max_new_tokens}; it must be at least 1.")
    if not arguments.question.strip():
        raise InputError('The question has no text; ask something about the video, such as "What moves?".')
    if arguments.abstain is not None:
        check_threshold(arguments.abstain)
    arguments.model = model_or_small(arguments)
    _check_calibration(arguments)
    arguments.video = without_file_scheme(arguments.video)
    folder = Path(arguments.video)
    videos = find_videos(folder) if os.path.isdir(folder) else []
    with library_bars(shows_progress(arguments.quiet)):
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
    say(f"reading {short_name(arguments.video)}", arguments.quiet)
    with _read(arguments.video, processor, arguments) as clip:
        model = _loaded(arguments, arguments.device)
        answer = _answered(model, processor, clip, output, arguments.video, arguments, shows_progress(arguments.quiet))
    print(_shown(answer))
    if note := note_of(answer):
        print(note, file=sys.stderr)
    if not arguments.quiet:
        for line in _sureness(answer):
            print(line)
        found = f"{counted(len(answer.masks), 'object')} in {counted(len(clip), 'frame')}"
        print(f"{found} -> {output}/overlay.mp4, preview.html, preview.png, answer.json")


def _answer_folder(arguments: argparse.Namespace, folder: Path, videos: list[Path]) -> None:
    output = Path(arguments.output or f"{safe_name(folder.resolve().name)}_answers")
    if output.exists() and output.samefile(folder):
        raise OutputError(f"{output} is the folder of the videos; give another --output.")
    processor = load_processor(arguments.model)
    config = load_config(arguments.model)

    def load(device: str | None) -> Callable[[Path, Path], tuple[str, str | None]]:
        model = _loaded(arguments, device)

        def answer_video(video: Path, answer_folder: Path) -> tuple[str, str | None]:
            inputs = [video, *_inputs(arguments)]
            check_output(answer_folder, overwrite=arguments.overwrite, inputs=inputs, kind=ANSWER)
            with _read(video, processor, arguments) as clip:
                answer = _answered(model, processor, clip, answer_folder, video, arguments, False)
            return answer.text, note_of(answer)

        return answer_video

    answer_videos(videos, output, lambda video: _settings(arguments, video, config), load, arguments)


def _answered(
    model: Any,
    processor: VideoGlammProcessor,
    clip: SampledClip,
    output: Path,
    video: str | Path,
    arguments: argparse.Namespace,
    progress: bool,
) -> GroundedAnswer:
    """Asks, and writes the answer."""
    answer = _ask(model, processor, clip, arguments, progress=progress)
    if arguments.abstain is not None:
        answer = answer.abstain(arguments.abstain)
    settings = _settings(arguments, video, model.config) | {"dtype": str(model.dtype).removeprefix("torch.")}
    every = arguments.frames == "all"
    write_answer(
        output,
        clip,
        answer,
        settings,
        overwrite=arguments.overwrite,
        progress=progress,
        legend=not every if arguments.legend is None else arguments.legend,
        like_source=every,
    )
    return answer


def _shown(answer: GroundedAnswer) -> str:
    """The words of an answer for the terminal, or for whatever stands in its place."""
    spans = [(p.start, p.end, p.object_index) for p in answer.phrases if p.object_index is not None]
    colors = object_colors(len(answer.masks))
    spans = spans if shows_colors() else []
    return colored_answer(answer.text, [s[:2] for s in spans], [colors[s[2]] for s in spans])


def _sureness(answer: GroundedAnswer) -> list[str]:
    """How sure a calibrated model is, in words."""
    found = []
    if answer.probabilities is not None and len(answer.masks):
        sure = zip(answer.labels, answer.probabilities.tolist(), strict=True)
        found.append("sure of the mask: " + ", ".join(f"{label} {percent(own)}" for label, own in sure))
    if answer.presence_probability is not None:
        found.append(f"sure that it is there at all: {percent(answer.presence_probability)}")
    return found


def _check_calibration(arguments: argparse.Namespace) -> None:
    """Refuses --abstain without a calibration, as far as can be told before the model is loaded."""
    if arguments.calibration is not None:
        read_calibration(arguments.calibration)
        return
    folder = Path(arguments.model)
    if arguments.abstain is not None and folder.is_dir() and not (folder / CALIBRATION_FILE).exists():
        raise InputError(f"--abstain needs a calibrated model, and {folder} has no {CALIBRATION_FILE}; {CALIBRATE}.")


def _loaded(arguments: argparse.Namespace, device: str | None) -> Any:
    """The model, with the calibration that is asked for.

    Raises:
        InputError: With --abstain or --calibration, if there is none of these weights and of this mask mode.
    """
    model = load_model(arguments.model, arguments.dtype, device, arguments.quantization)
    take_calibration(model, arguments.calibration, arguments.mode, needed=arguments.abstain is not None)
    return model


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


@contextlib.contextmanager
def _read(video: str | Path, processor: VideoGlammProcessor, arguments: argparse.Namespace) -> Iterator[SampledClip]:
    """The video's frames, as they are asked for."""
    options = _given(arguments, _SAMPLING)
    if "num_frames" in options:
        # A number that is asked for is not thinned out by the model's own limit.
        options.setdefault("max_frames", options["num_frames"])
    if arguments.frames == "all":
        clip = every_frame(processor, video, **options)
    else:
        clip = processor.video_processor.sample(video, **options)
    with clip.clip:
        yield clip


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
            seed=arguments.seed,
            bounded=arguments.frames == "all",
            tracking={"mask_mode": arguments.mode, **_given(arguments, _TRACKING)},
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


def _given(arguments: argparse.Namespace, names: Iterable[str]) -> dict[str, Any]:
    """Those of some options that were given."""
    return {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}


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
        **_given(arguments, (*_SAMPLING, *_TRACKING)),
        **_given(arguments, ("abstain", "calibration")),
        **({"frames": arguments.frames} if arguments.frames != "sampled" else {}),
    }
