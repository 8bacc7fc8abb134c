"""The command line: `videoglamm segment` asks about a video, `videoglamm convert` reads original checkpoints,
`videoglamm check-data` finds what is wrong with training data."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm
from transformers import AutoModel, AutoProcessor, set_seed
from transformers.generation.streamers import BaseStreamer

from .conversion import convert
from .data import validate_jsonl
from .errors import InputError, OutputError, VideoGlammError
from .mask_rle import encode_rle
from .output_folder import check_output, replacing_folder
from .processing_videoglamm import GroundedAnswer, VideoGlammProcessor
from .tracking import MASK_MODES
from .video_io import VideoClip, read_clip, write_mp4
from .visualization import colored_answer, contact_sheet, object_colors, render_video

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16, "auto": "auto"}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; errors made for people end with one line and exit status 1."""
    parser = argparse.ArgumentParser(prog="videoglamm", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    _add_segment(commands.add_parser("segment", help="ask about a video and get words and masks"))
    convert_parser = commands.add_parser("convert", help="convert a checkpoint of the original code")
    convert.add_arguments(convert_parser)
    convert_parser.set_defaults(run=convert.run)
    check = commands.add_parser("check-data", help="find what is wrong with a JSONL file of training samples")
    check.add_argument("file", help="JSONL file, one sample per line")
    check.set_defaults(run=_check_data)
    arguments = parser.parse_args(argv)
    try:
        arguments.run(arguments)
    except VideoGlammError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


def _add_segment(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("video", help="video file, URL, or folder of frames")
    parser.add_argument("question", help="what to ask")
    parser.add_argument("--model", required=True, metavar="DIR", help="folder or Hub id of a converted model")
    parser.add_argument("--output", metavar="DIR", help="folder to write (default: NAME_answer beside you)")
    parser.add_argument("--overwrite", action="store_true", help="replace an output folder that exists")
    parser.add_argument("--mode", choices=MASK_MODES, help="how masks are decoded (default: the model's own)")
    parser.add_argument("--max-new-tokens", type=int, default=512, metavar="N", help="longest answer (default: 512)")
    parser.add_argument("--fps", type=float, help="frames per second taken from the video (default: the model's own)")
    parser.add_argument("--max-frames", type=int, help="most frames taken (default: the model's own)")
    parser.add_argument("--dtype", choices=DTYPES, default="auto", help="precision (default: as stored)")
    parser.add_argument("--device", help="cpu, cuda, mps, ... (default: the best there is)")
    parser.add_argument("--seed", type=int, help="sample the answer with this seed instead of taking the likeliest")
    parser.set_defaults(run=_segment)


def _segment(arguments: argparse.Namespace) -> None:
    name = arguments.video.rstrip("/").rsplit("/", 1)[-1]
    output = Path(arguments.output or f"{Path(name).stem}_answer")
    if arguments.max_new_tokens < 1:
        raise InputError(f"--max-new-tokens is {arguments.max_new_tokens}; it must be at least 1.")
    # What can be refused cheaply is refused before the model is loaded.
    check_output(output, overwrite=arguments.overwrite)
    sampling = {k: v for k, v in (("fps", arguments.fps), ("max_frames", arguments.max_frames)) if v is not None}
    processor = load_processor(arguments.model)
    print(f"reading {arguments.video}", file=sys.stderr)
    clip = read_clip(arguments.video, **{"fps": processor.fps, "max_frames": processor.max_frames, **sampling})
    model = load_model(arguments.model, arguments.dtype, arguments.device)
    answer = ask(
        model,
        processor,
        clip,
        arguments.question,
        max_new_tokens=arguments.max_new_tokens,
        mask_mode=arguments.mode,
        seed=arguments.seed,
    )
    settings = {
        "video": arguments.video,
        "question": arguments.question,
        "model": arguments.model,
        "mode": arguments.mode or model.config.mask_mode,
        "max_new_tokens": arguments.max_new_tokens,
        "dtype": str(model.dtype).removeprefix("torch."),
        "seed": arguments.seed,
        **sampling,
    }
    write_answer(output, clip, answer, settings, overwrite=arguments.overwrite)
    spans = [(p.start, p.end, p.object_index) for p in answer.phrases if p.object_index is not None]
    colors = object_colors(len(answer.masks))
    print(colored_answer(answer.text, [s[:2] for s in spans], [colors[s[2]] for s in spans]))
    print(
        f"{len(answer.masks)} objects in {len(clip.frames)} frames -> {output}/overlay.mp4, preview.png, answer.json"
    )


def _check_data(arguments: argparse.Namespace) -> None:
    problems = validate_jsonl(arguments.file)
    for problem in problems:
        print(problem)
    if problems:
        raise InputError(f"{arguments.file} has {len(problems)} problem{'s' * (len(problems) > 1)}.")
    print(f"{arguments.file}: no problems found.")


def load_processor(folder: str) -> VideoGlammProcessor:
    """The processor of a converted model.

    Raises:
        InputError: If the folder or Hub id holds no VideoGLaMM model.
    """
    try:
        processor = AutoProcessor.from_pretrained(folder)
    except (OSError, ValueError, KeyError) as error:
        raise _not_a_model(folder, error) from error
    if not hasattr(processor, "post_process_grounded_generation"):
        raise _not_a_model(folder, "it holds something else")
    return processor


def load_model(folder: str, dtype: str = "auto", device: str | None = None) -> Any:
    """A converted model in evaluation mode, on the best device there is unless told.

    Raises:
        InputError: If the folder or Hub id holds no VideoGLaMM model, or the device cannot be used.
    """
    if device is None:
        accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        device = accelerator.type if accelerator is not None else "cpu"
    try:
        model = AutoModel.from_pretrained(folder, dtype=DTYPES[dtype])
    except (OSError, ValueError, KeyError) as error:
        raise _not_a_model(folder, error) from error
    try:
        return model.to(device).eval()
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"The model cannot be put on {device!r}: {str(error).splitlines()[0]}") from error


def _not_a_model(folder: str, reason: object) -> InputError:
    first_line = (str(reason) or type(reason).__name__).splitlines()[0]
    return InputError(
        f"{folder} cannot be loaded as a VideoGLaMM model: {first_line}. Checkpoints of the original code are "
        "converted with `videoglamm convert`."
    )


class _TokenProgress(BaseStreamer):
    """Counts generated tokens; the first call of a streamer is the prompt."""

    def __init__(self, bar: tqdm) -> None:
        self.bar, self.seen_prompt = bar, False

    def put(self, value: torch.Tensor) -> None:
        self.bar.update(int(self.seen_prompt))
        self.seen_prompt = True

    def end(self) -> None:
        self.bar.close()


def ask(
    model: Any,
    processor: VideoGlammProcessor,
    clip: VideoClip,
    question: str,
    *,
    max_new_tokens: int,
    mask_mode: str | None = None,
    seed: int | None = None,
    **generate_options: Any,
) -> GroundedAnswer:
    """One question about one clip, with progress bars for words and masks.

    Raises:
        InputError: If the question cannot be asked.
    """
    messages = [
        {
            "role": "user",
            "content": [{"type": "video", "video": clip.frames}, {"type": "text", "text": question}],
        }
    ]
    inputs = processor.apply_chat_template(
        messages, tokenize=True, add_generation_prompt=True, return_dict=True, return_tensors="pt"
    )
    inputs["frame_timestamps"] = [list(clip.timestamps)]
    if seed is not None:
        set_seed(seed)
    words = tqdm(desc="answering", unit="token", leave=False)
    with tqdm(desc="segmenting", total=len(clip.frames), unit="frame", leave=False) as frames:
        output = model.generate(
            **inputs.to(model.device),
            max_new_tokens=max_new_tokens,
            mask_mode=mask_mode,
            do_sample=seed is not None,
            streamer=_TokenProgress(words),
            mask_callback=lambda _: frames.update(),
            **generate_options,
        )
    return processor.post_process_grounded_generation(output)[0]


def write_answer(
    output: Path, clip: VideoClip, answer: GroundedAnswer, settings: dict[str, Any], *, overwrite: bool = False
) -> None:
    """Writes `answer.json`, `overlay.mp4` and `preview.png`; the folder appears only when all are complete.

    Raises:
        OutputError: If the folder cannot be written, or has contents and may not be replaced.
    """
    check_output(output, overwrite=overwrite)
    masks = answer.masks.numpy()
    with replacing_folder(output) as folder:
        document = answer_document(clip, answer, settings)
        (folder / "answer.json").write_text(json.dumps(document, indent=1, ensure_ascii=False), encoding="utf-8")
        rendered = render_video(clip.frames, masks, answer.labels)
        frames = tqdm(rendered, desc="writing overlay.mp4", total=len(clip.frames), unit="frame", leave=False)
        write_mp4(folder / "overlay.mp4", frames, fps=_playback_rate(clip))
        sheet = contact_sheet(
            clip.frames,
            masks,
            answer.labels,
            timestamps=clip.timestamps,
            title=f"{settings['question']}\n{answer.text}",
        )
        try:
            sheet.save(folder / "preview.png")
        except OSError as error:
            raise OutputError(f"{output}/preview.png cannot be written: {error}") from error


def answer_document(clip: VideoClip, answer: GroundedAnswer, settings: dict[str, Any]) -> dict[str, Any]:
    """What `answer.json` holds: words, phrases with spans, COCO-RLE masks per object and frame, times, settings."""
    objects = [
        {
            "index": index,
            "phrase": answer.labels[index],
            "masks": [encode_rle(mask) for mask in per_frame.numpy()],
            "object_scores": [round(score, 4) for score in answer.object_scores[index].tolist()],
        }
        for index, per_frame in enumerate(answer.masks)
    ]
    return {
        "text": answer.text,
        "raw_text": answer.raw_text,
        "phrases": [
            {"text": p.text, "start": p.start, "end": p.end, "object_index": p.object_index} for p in answer.phrases
        ],
        "objects": objects,
        "timestamps": answer.timestamps,
        "size": {"height": clip.frames.shape[1], "width": clip.frames.shape[2]},
        "settings": settings,
    }


def _playback_rate(clip: VideoClip) -> float:
    """Frames per second at which the sampled frames last as long as the video did."""
    times = clip.timestamps
    if len(times) < 2 or times[-1] <= times[0]:
        return 1.0
    return min(60.0, (len(times) - 1) / (times[-1] - times[0]))


if __name__ == "__main__":
    sys.exit(main())
