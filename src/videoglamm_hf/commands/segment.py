"""`videoglamm segment`: asks about a video; writes the answer, an overlay and a preview."""

import argparse
import sys
from pathlib import Path

from ..errors import InputError, ResourceError, is_out_of_memory
from ..output_folder import check_output
from ..tracking import MASK_MODES
from ..video_io import read_clip
from ..visualization import colored_answer, object_colors
from .asking import ask, write_answer
from .loading import DTYPES, QUANTIZATIONS, answer_needs_less, load_model, load_processor


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
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
    parser.add_argument(
        "--quantization", choices=QUANTIZATIONS, default="none", help="of towers and language model (default: none)"
    )
    parser.add_argument("--device", help="cpu, cuda, mps, ... (default: the best there is)")
    parser.add_argument("--seed", type=int, help="sample the answer with this seed instead of taking the likeliest")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Asks, prints the answer, writes the folder."""
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
    model = load_model(arguments.model, arguments.dtype, arguments.device, arguments.quantization)
    try:
        answer = ask(
            model,
            processor,
            clip,
            arguments.question,
            max_new_tokens=arguments.max_new_tokens,
            mask_mode=arguments.mode,
            seed=arguments.seed,
        )
    except (RuntimeError, MemoryError, ResourceError) as error:
        if not (isinstance(error, ResourceError) or is_out_of_memory(error)):
            raise
        raise ResourceError(
            f"Out of memory while answering about {len(clip.frames)} frames on {model.device}. These need less: "
            f"{answer_needs_less(arguments.quantization, len(clip.frames))}. `videoglamm memory {arguments.model}` "
            "says how much."
        ) from error
    settings = {
        "video": arguments.video,
        "question": arguments.question,
        "model": arguments.model,
        "mode": arguments.mode or model.config.mask_mode,
        "max_new_tokens": arguments.max_new_tokens,
        "dtype": str(model.dtype).removeprefix("torch."),
        "quantization": arguments.quantization,
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
