"""What each command takes: a function per command, whose docstring is the command's description.

Apart from the commands themselves, so that help and mistyped options need nothing large to be imported.
"""

from argparse import ArgumentParser, BooleanOptionalAction
from typing import Any

from ..conversion.defaults import DEFAULT_ALPHA, PUBLISHED_CLIP
from ..evaluation.choices import BENCHMARKS, OBJECTS
from ..exchange.choices import DEFAULT_PHRASE, EXPORT_FORMATS, FRAMES_FROM, IMPORT_FORMATS
from ..exchange.choices import OBJECTS as JOINED_BY
from ..loading.choices import DTYPES, QUANTIZATIONS
from ..making.choices import SOURCES
from ..options import MASK_MODES

_OVERWRITE = "replace an output folder that this command wrote; what else lies in it stays"


def segment(parser: ArgumentParser) -> None:
    """Asks about a video; writes the answer, an overlay and a preview.

    About a folder of videos it asks one by one. Several processes share them (`torchrun --nproc-per-node N -m
    videoglamm_hf segment FOLDER ...`), and the same command again answers only what has no answer yet.
    """
    parser.add_argument("video", help="video file, URL, folder of frames, or folder of videos")
    parser.add_argument("question", help="what to ask")
    parser.add_argument(
        "--model",
        metavar="DIR",
        help="folder or Hub id of a converted model (default: the small one that ships, which knows coloured shapes)",
    )
    parser.add_argument(
        "--output",
        metavar="DIR",
        help="folder to write (default: NAME_answer beside you; of a folder of videos NAME_answers, a folder each)",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help=_OVERWRITE,
    )
    parser.add_argument("--max-new-tokens", type=int, default=512, metavar="N", help="longest answer (default: 512)")
    _sampling(parser.add_argument_group("which frames"))
    _tracking(parser.add_argument_group("how objects are followed"))
    parser.add_argument(
        "--legend",
        action=BooleanOptionalAction,
        help="say below the overlay which colour is which phrase (default: yes, but with --frames all no, so that the "
        "overlay has the size of the video)",
    )
    unsure = parser.add_argument_group("how sure it is (of a model that `videoglamm calibrate` has calibrated)")
    unsure.add_argument(
        "--abstain",
        type=float,
        metavar="PROBABILITY",
        help="leave out masks that are less probably right, such as 0.5, and say so (default: leave none out)",
    )
    _calibration(unsure)
    _quiet(parser)
    _loading(parser)
    parser.add_argument("--seed", type=int, help="sample the answer with this seed instead of taking the likeliest")


def app(parser: ArgumentParser) -> None:
    """Serves a page to work in: ask about a video, see words and masks appear, correct them, take them away.

    Only this machine reaches it, unless --host says otherwise. Videos and answers of every browser are kept apart, in
    a folder, and survive a restart.
    """
    parser.add_argument(
        "--model", metavar="DIR", help="folder or Hub id of a model (default: the small one that ships)"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine alone)")
    parser.add_argument("--port", type=int, help="port (default: the next free one from 7860)")
    parser.add_argument("--folder", metavar="DIR", help="where sessions are kept (default: ~/.cache/videoglamm/app)")
    parser.add_argument(
        "--share-nothing",
        action="store_true",
        help="keep nothing: sessions are removed when the server stops, and none of an earlier one is shown",
    )
    parser.add_argument("--auth", metavar="NAME:PASSWORD", help="ask everybody for this name and password")
    parser.add_argument(
        "--allow-urls", action="store_true", help="take addresses of videos, too; never ones of a private network"
    )
    limits = parser.add_argument_group("what is allowed")
    limits.add_argument("--max-upload", type=int, metavar="MB", default=200, help="largest file (default: 200)")
    limits.add_argument("--max-seconds", type=float, default=600, help="longest video (default: 600)")
    limits.add_argument("--max-frames", type=int, default=128, help="frames with masks an answer (default: 128)")
    limits.add_argument("--max-answer-seconds", type=float, default=600, help="longest work (default: 600)")
    limits.add_argument("--max-waiting", type=int, default=50, help="questions that may wait (default: 50)")
    limits.add_argument(
        "--max-disk", type=int, metavar="MB", default=5120, help="room of all sessions; the oldest go (default: 5120)"
    )
    parser.add_argument(
        "--space",
        metavar="DIR",
        help="write app.py and requirements.txt of a Hugging Face Space into a folder, and stop",
    )
    _quiet(parser)
    _loading(parser)


def watch(parser: ArgumentParser) -> None:
    """Asks about what is going on in a camera or stream, and follows what is named, frame by frame.

    The first answer comes after a window of some seconds; what it names is followed from there. Frames that come
    faster than they can be followed are missed, and counted. Ctrl-C ends it, and what was written stays.
    """
    parser.add_argument(
        "source", help="number of a camera (0), URL of a stream (rtsp://...), - for a pipe, or a file, growing or not"
    )
    parser.add_argument("question", help="what to ask")
    parser.add_argument(
        "--model", metavar="DIR", help="folder or Hub id of a model (default: the small one that ships)"
    )
    parser.add_argument(
        "--output", metavar="DIR", help="folder for masks.jsonl, overlay.mp4, latest.png (default: none)"
    )
    parser.add_argument("--overwrite", action="store_true", help=_OVERWRITE)
    parser.add_argument(
        "--window", type=float, default=4.0, metavar="SECONDS", help="how much an answer is about (default: 4)"
    )
    parser.add_argument("--every", type=float, metavar="SECONDS", help="ask again this often (default: once)")
    parser.add_argument(
        "--background", action="store_true", help="ask beside tracking, so that no frame waits for words"
    )
    parser.add_argument(
        "--every-frame", action="store_true", help="miss no frame: the source waits, and a file is read at any speed"
    )
    parser.add_argument(
        "--duration", type=float, metavar="SECONDS", help="end after so long (default: with the source)"
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=10.0,
        metavar="SECONDS",
        help="without a frame for so long, a camera has stopped, and a file has ended (default: 10)",
    )
    parser.add_argument("--max-new-tokens", type=int, default=512, metavar="N", help="longest answer (default: 512)")
    _calibration(parser)
    _loading(parser)
    _quiet(parser)


def _calibration(parser: Any) -> None:
    parser.add_argument(
        "--calibration", metavar="FILE", help="what `videoglamm calibrate` wrote (default: the model's own, if any)"
    )


def _loading(parser: Any) -> None:
    parser.add_argument("--dtype", choices=(*DTYPES, "auto"), default="auto", help="precision (default: as stored)")
    parser.add_argument(
        "--quantization", choices=QUANTIZATIONS, default="none", help="of towers and language model (default: none)"
    )
    parser.add_argument("--device", help="cpu, cuda, mps, ... (default: the best there is)")


def _sampling(parser: Any) -> None:
    parser.add_argument(
        "--frames",
        choices=("sampled", "all"),
        default="sampled",
        help="which frames get masks: those that are taken for the answer (sampled, the default), or every frame of "
        "the video (all; the overlay then plays as the video does, with its times, size and sound). The options below "
        "say what is taken for the answer",
    )
    parser.add_argument("--fps", type=float, help="frames per second taken from the video (default: the model's own)")
    parser.add_argument("--num-frames", type=int, metavar="N", help="take N frames, evenly spread, in place of --fps")
    parser.add_argument(
        "--max-frames", type=int, metavar="N", help="most frames taken, evenly thinned out (default: the model's own)"
    )
    parser.add_argument("--start-time", type=float, metavar="SECONDS", help="take frames from here on")
    parser.add_argument("--end-time", type=float, metavar="SECONDS", help="take frames up to here")


def _tracking(parser: Any) -> None:
    parser.add_argument(
        "--mode",
        choices=MASK_MODES,
        help="how masks are decoded. video: one frame is decided from the answer, and memory carries every object "
        "through the others. framewise: every frame is decided from the answer on its own, as in training. anchored: "
        "some frames are decided from the answer, and memory fills in the others from both sides (default: the "
        "model's own)",
    )
    parser.add_argument(
        "--prompt-frame",
        type=int,
        metavar="N",
        help="with --mode video, the frame that is decided from the answer, counted from 0 among those with masks; "
        "from there objects are followed forward and backward (default: 0)",
    )
    parser.add_argument(
        "--num-anchors",
        type=int,
        metavar="N",
        help="with --mode anchored, how many frames are decided from the answer (default: 5)",
    )
    parser.add_argument(
        "--max-objects-per-batch",
        type=int,
        metavar="N",
        help="objects that are followed at once: fewer take less memory (default: all, or on a CPU as is fastest)",
    )


def _quiet(parser: ArgumentParser) -> None:
    parser.add_argument("-q", "--quiet", action="store_true", help="print results, warnings and errors only")


def convert(parser: ArgumentParser) -> None:
    """Converts a checkpoint of the original VideoGLaMM to a folder that transformers loads.

    The checkpoint is the release, or a language model (Phi-3, Llama) with --adapter, --internvideo2, --sam2 and
    --clip around it. One of these three parts without --checkpoint becomes a folder of its own.
    """
    parser.add_argument(
        "--checkpoint", metavar="DIR", help="folder of the original checkpoint, or of a language model (Phi-3, Llama)"
    )
    parser.add_argument(
        "--adapter",
        action="append",
        default=[],
        metavar="PATH",
        help="LoRA and trained modules laid over the checkpoint: VideoGPT+'s folder, a DeepSpeed folder, or a "
        "consolidated state dict; again for the next one",
    )
    parser.add_argument(
        "--lora-alpha",
        type=float,
        metavar="NUMBER",
        help=f"LoRA's alpha where an adapter's files do not say it (default: {DEFAULT_ALPHA}, the original's)",
    )
    parser.add_argument(
        "--untrained-parts",
        action="store_true",
        help="start projectors, [SEG] projection and the row of [SEG] at new values if no file holds them",
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="folder to write")
    parser.add_argument(
        "--clip",
        metavar="ID_OR_DIR",
        help=f"CLIP's folder or Hub id (default: `clip` in the checkpoint's folder, else {PUBLISHED_CLIP})",
    )
    parser.add_argument(
        "--internvideo2",
        metavar="FILE",
        help="InternVideo2's own file, in place of the checkpoint's temporal tower",
    )
    parser.add_argument("--sam2", metavar="FILE", help="SAM 2's own file, in place of the checkpoint's pixel decoder")
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="JSON with any part of a VideoGlammConfig: what the tensors' shapes cannot tell",
    )
    parser.add_argument("--dtype", choices=DTYPES, help="dtype to store (default: the checkpoint's own)")
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help=_OVERWRITE,
    )
    _quiet(parser)


def verify(parser: ArgumentParser) -> None:
    """Checks that a model folder is whole, a line per check."""
    parser.add_argument("folder", help="folder of a converted or fine-tuned model")
    parser.add_argument(
        "--no-generate", action="store_true", help="do not load the model: everything else takes little memory"
    )
    _quiet(parser)


def export(parser: ArgumentParser) -> None:
    """Writes a model of transformers back in the layout of the original VideoGLaMM."""
    parser.add_argument("--model", required=True, metavar="DIR", help="folder of a converted or fine-tuned model")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder to write")
    parser.add_argument(
        "--like",
        metavar="DIR",
        help="original checkpoint, or a folder converted from it, whose config.json and tokenizer are taken "
        "(default: what converting kept in the model's folder `original`)",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help=_OVERWRITE,
    )
    _quiet(parser)


def push(parser: ArgumentParser) -> None:
    """Publishes a model or an adapter on the Hugging Face Hub."""
    parser.add_argument("folder", metavar="DIR", help="folder that save_pretrained or `videoglamm convert` wrote")
    parser.add_argument("repo", metavar="REPO", help="USER/NAME on the Hub; made if it does not exist")
    parser.add_argument("--private", action="store_true", help="make the repository private")
    parser.add_argument("--variant", metavar="NAME", help="add only the weights saved with this variant name")
    parser.add_argument("--revision", metavar="BRANCH", help="branch to push to, made if missing (default: main)")
    parser.add_argument("--base-model", metavar="REPO", help="Hub id of the model that an adapter belongs to")
    parser.add_argument("--license", metavar="ID", help="licence for the model card (default: apache-2.0)")
    parser.add_argument("--dry-run", action="store_true", help="list what would be pushed, and push nothing")


def check_data(parser: ArgumentParser) -> None:
    """Finds what is wrong with training data, and says why it matters and what to do.

    Beside what keeps data from being trained on: objects that never appear or cover a few pixels, one phrase for two
    objects, objects that show only between the frames that the model is asked with, validation videos that are trained
    on, phrases named far more often than others.
    """
    parser.add_argument(
        "data",
        help="JSONL file, one sample per line; or a folder with samples.jsonl, or train.jsonl and validation.jsonl",
    )
    parser.add_argument(
        "--model",
        metavar="DIR",
        help="the model that will be trained, whose sizes and sampling count (default: those of the published one)",
    )
    parser.add_argument("--report", metavar="FILE", help="HTML page to write, with samples to look at")
    parser.add_argument("--all", action="store_true", help="print every finding, not the first of each kind")
    _quiet(parser)


def import_data(parser: ArgumentParser) -> None:
    """Brings masks of other tools in as training data.

    Which frame of the video an annotation means is found out, printed, and can be said (docs/own_data.md).
    """
    parser.add_argument("source", help="file or folder of annotations")
    parser.add_argument("--format", choices=IMPORT_FORMATS, default="auto", help="its format (default: found out)")
    parser.add_argument(
        "--video",
        metavar="PATH",
        help="video file, folder of frames, or folder of videos (default: what lies beside the annotations)",
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="folder to write")
    parser.add_argument("--overwrite", action="store_true", help=_OVERWRITE)
    parser.add_argument("--copy", action="store_true", help="copy videos into the folder (default: link them)")
    parser.add_argument(
        "--split",
        type=float,
        metavar="PART",
        help="part of the videos that goes to validation.jsonl, such as 0.2; the others go to train.jsonl",
    )
    words = parser.add_argument_group("how sentences name objects")
    words.add_argument(
        "--phrase", default=DEFAULT_PHRASE, metavar="TEXT", help=f"of a label (default: '{DEFAULT_PHRASE}')"
    )
    words.add_argument(
        "--phrases", metavar="FILE", help="CSV with columns label, phrase, and video if wanted, in place of --phrase"
    )
    words.add_argument("--ask", action="store_true", help="ask for the phrase of each label on the terminal")
    frames = parser.add_argument_group("which frames are meant")
    frames.add_argument(
        "--frames-from",
        choices=FRAMES_FROM,
        default="auto",
        help="what tells the frame: names of pictures, numbers, or the order (default: names if they fit)",
    )
    frames.add_argument(
        "--first-frame",
        type=int,
        metavar="N",
        help="number that the annotations give to the first frame of the video (default: found out)",
    )
    frames.add_argument(
        "--frame-step",
        type=int,
        metavar="N",
        help="frames of the video from one number of the annotations to the next (default: as the format says, or 1)",
    )
    shapes = parser.add_argument_group("what is an object")
    shapes.add_argument(
        "--objects",
        choices=JOINED_BY,
        default="auto",
        help="where no track joins shapes over time: one object for each label, or for each shape (default: for each "
        "label, if no frame has one twice)",
    )
    shapes.add_argument("--boxes-as-masks", action="store_true", help="take boxes for masks (default: leave them out)")
    _quiet(parser)


def make_data(parser: ArgumentParser) -> None:
    """Makes grounded sentences of data sets that have none.

    The pixel decoder makes masks of boxes, and a language model behind an endpoint of OpenAI's form writes a sentence
    for each video (key: OPENAI_API_KEY of the environment). What it will cost is said first. The same command again
    goes on where the last one was ended (docs/make_data.md).
    """
    parser.add_argument("source", choices=SOURCES, help="which data set")
    parser.add_argument("--data", required=True, metavar="DIR", help="its folder (docs/make_data.md: what lies where)")
    parser.add_argument("--split", metavar="NAME", help="which part of it (default: the one for training)")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder to write")
    parser.add_argument("--copy", action="store_true", help="copy videos into the folder (default: link them)")
    parser.add_argument("--limit", type=int, metavar="N", help="the first N videos alone (default: all)")
    boxes = parser.add_argument_group("who makes masks of boxes")
    boxes.add_argument("--model", metavar="DIR", help="folder or Hub id of a model, needed for data with boxes only")
    boxes.add_argument("--dtype", choices=(*DTYPES, "auto"), default="auto", help="precision (default: as stored)")
    boxes.add_argument("--device", help="cpu, cuda, mps, ... (default: the best there is)")
    words = parser.add_argument_group("who writes sentences")
    words.add_argument("--writer", metavar="URL", help="endpoint, as in https://host/v1 (default: an estimate alone)")
    words.add_argument("--writer-model", metavar="NAME", help="name of the language model there")
    words.add_argument(
        "--pictures",
        type=int,
        default=0,
        metavar="N",
        help="show it so many frames of each video, objects in boxes with their numbers; it must be one that can see "
        "(default: 0)",
    )
    words.add_argument("--price-in", type=float, metavar="X", help="of a million tokens read, for the estimate")
    words.add_argument("--price-out", type=float, metavar="X", help="of a million tokens written, for the estimate")
    words.add_argument("--yes", action="store_true", help="go on after the estimate without being asked")
    _quiet(parser)


def export_data(parser: ArgumentParser) -> None:
    """Writes training data or an answer in the format of another tool."""
    parser.add_argument("data", help="folder that import-data wrote, JSONL file, or answer.json of segment")
    parser.add_argument("--format", choices=EXPORT_FORMATS, required=True, help="what to write (docs/own_data.md)")
    parser.add_argument("--video", metavar="PATH", help="video of an answer (default: the one it names)")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder to write")
    parser.add_argument("--overwrite", action="store_true", help=_OVERWRITE)
    _quiet(parser)


def calibrate(parser: ArgumentParser) -> None:
    """Learns from held-out data how sure an answer is.

    Of each object the probability that its mask is right (IoU with the truth at least 0.5), and of each answer that
    what was asked about is there at all. Written to calibration.json in the model's folder, answers have both from
    then on. The figures are of videos that the fit has not seen.
    """
    parser.add_argument(
        "data",
        help="JSONL file that the model was not trained on; or a folder: the first of validation.jsonl, test.jsonl "
        "and samples.jsonl that is there",
    )
    parser.add_argument(
        "--model", metavar="DIR", help="folder or Hub id of a model (default: the small one that ships)"
    )
    parser.add_argument(
        "--output", metavar="FILE", help="file to write (default: calibration.json in the model's folder)"
    )
    parser.add_argument("--report", metavar="FILE", help="HTML page to write, with the reliability diagram")
    parser.add_argument("--split", metavar="NAME", help="take NAME.jsonl of a folder")
    parser.add_argument("--limit", type=int, metavar="N", help="take the first N videos")
    parser.add_argument(
        "--mask-mode",
        choices=MASK_MODES,
        action="append",
        default=[],
        help="how masks are decoded, which each has a calibration of its own; again for the next one (default: all)",
    )
    parser.add_argument("--max-new-tokens", type=int, default=512, metavar="N", help="longest answer (default: 512)")
    _loading(parser)
    _quiet(parser)


def tune(parser: ArgumentParser) -> None:
    """Tunes a model on your own data and measures it before and after.

    It checks the data, holds some videos out, chooses LoRA or QLoRA, a batch and how many frames, so that they fit the
    machine, ends when it gets no better, and keeps the best.

    A page compares before and after on the videos held out. The same command again goes on where the last one was
    ended.
    """
    parser.add_argument("data", help="JSONL file or folder, such as import-data writes")
    parser.add_argument(
        "--model", metavar="DIR", help="folder or Hub id of a model (default: the small one that ships)"
    )
    parser.add_argument(
        "--output", required=True, metavar="DIR", help="folder for the adapter and all that is measured"
    )
    parser.add_argument(
        "--from-edits",
        action="append",
        default=[],
        metavar="FILE",
        help="JSONL file of corrected answers, for the training part too; again for the next one",
    )
    parser.add_argument(
        "--recipe", choices=("paper", "lora", "projectors"), default="paper", help="what trains beside LoRA"
    )
    parser.add_argument("--rank", type=int, default=8, metavar="N", help="of LoRA (default: 8)")
    parser.add_argument("--alpha", type=int, default=16, metavar="N", help="of LoRA (default: 16)")
    parser.add_argument("--learning-rate", type=float, default=3e-4, metavar="X", help="highest (default: 0.0003)")
    parser.add_argument(
        "--epochs",
        type=float,
        default=10.0,
        metavar="N",
        help="passes over the data at most; it ends earlier when it gets no better (default: 10)",
    )
    parser.add_argument("--max-steps", type=int, default=-1, metavar="N", help="in place of --epochs")
    parser.add_argument(
        "--quantization",
        choices=("auto", "none", "nf4"),
        default="auto",
        help="nf4 is QLoRA, none LoRA (default: auto, LoRA where it fits)",
    )
    parser.add_argument("--batch-size", type=int, metavar="N", help="samples of a step (default: what fits, 4 in all)")
    parser.add_argument(
        "--frames",
        type=int,
        metavar="N",
        help="most frames of a sample whose masks are learned at once (default: what fits, 5 at most)",
    )
    parser.add_argument(
        "--max-new-tokens",
        type=int,
        default=128,
        metavar="N",
        help="longest answer when it is measured (default: 128)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of split, order and new weights (default: 0)"
    )
    parser.add_argument(
        "--report-to", default="none", metavar="NAME", help="tensorboard, trackio, wandb, ... (default: none)"
    )
    parser.add_argument("--device", help="cpu, cuda, mps, ... (default: the best there is)")
    _quiet(parser)


def check_answer(parser: ArgumentParser) -> None:
    """Finds what is wrong with an answer.json.

    It is checked against the format that is described in videoglamm_hf/cli/answer.schema.json, and its parts against
    each other: every mask fills its frame, every phrase is in the text.
    """
    parser.add_argument("file", help="answer.json that `videoglamm segment` wrote")


def cache_features(parser: ArgumentParser) -> None:
    """Computes what frozen towers see of a dataset, once."""
    parser.add_argument("dataset", help="JSONL file, one sample per line")
    parser.add_argument("output", metavar="DIR", help="folder to write; what is in it already is kept")
    parser.add_argument("--model", required=True, metavar="DIR", help="folder or Hub id of the model to train")
    parser.add_argument(
        "--frames", action="store_true", help="also keep the pixel decoder's features of all mask frames"
    )
    parser.add_argument("--dtype", choices=(*DTYPES, "auto"), default="auto", help="precision (default: as stored)")
    parser.add_argument("--device", help="cpu, cuda, mps, ... (default: the best there is)")
    _quiet(parser)


def memory(parser: ArgumentParser) -> None:
    """Says how much memory a model and an answer need, without loading the model."""
    parser.add_argument("model", nargs="?", help="folder, Hub id or config.json (default: the published sizes)")
    parser.add_argument("--quantization", choices=QUANTIZATIONS, default="none", help="of the weights (default: none)")
    parser.add_argument(
        "--dtype",
        choices=(*DTYPES, "auto"),
        default="auto",
        help="precision (default: as stored; bfloat16 if that is not known)",
    )
    parser.add_argument("--frames", type=int, default=16, metavar="N", help="frames of the video (default: 16)")
    parser.add_argument("--objects", type=int, default=2, metavar="N", help="objects in the answer (default: 2)")
    parser.add_argument("--tokens", type=int, default=64, metavar="N", help="tokens of the answer (default: 64)")


def score(parser: ArgumentParser) -> None:
    """Scores what was predicted for a benchmark, with the figures of its authors' own code.

    What has no prediction, or one that cannot be read, scores 0 and is listed in the output.
    """
    parser.add_argument("benchmark", choices=BENCHMARKS, help="whose figures (docs/evaluation.md says where data lie)")
    parser.add_argument(
        "--data", required=True, metavar="DIR", help="folder of the benchmark as its authors ship it, with the truth"
    )
    parser.add_argument("--predictions", required=True, metavar="DIR", help="folder of what was predicted")
    parser.add_argument(
        "--output",
        required=True,
        metavar="FILE",
        help="JSON file to write: the figures, those of every expression, and what they depend on; an older one is "
        "replaced",
    )
    _judging(parser)
    _quiet(parser)


def _judging(parser: ArgumentParser) -> None:
    """What `evaluate` and `score` have in common."""
    parser.add_argument("--split", help="which part of the data (default: the one that papers report)")
    parser.add_argument(
        "--objects",
        choices=OBJECTS,
        default="last",
        help="which object of an answer counts where a benchmark takes one mask (default: last)",
    )
    parser.add_argument(
        "--moments",
        action="store_true",
        help="vidstg, hc-stvg: score the moment that answers say, too (default: it is given)",
    )
    parser.add_argument(
        "--text-encoder",
        metavar="DIR",
        help="gcg: folder or Hub id of the encoder that compares phrases; the original's is bert-base-uncased "
        "(default: words in common, whose recall is called recall_by_words)",
    )
    parser.add_argument(
        "--judge",
        metavar="URL",
        help="gcg, folder: endpoint of OpenAI's form (https://host/v1) whose model judges captions; the key is taken "
        "from OPENAI_API_KEY",
    )
    parser.add_argument("--judge-model", metavar="NAME", help="name of that model there")


def evaluate(parser: ArgumentParser) -> None:
    """Asks a model everything a benchmark asks, and scores the answers as its authors' own code does.

    Every answer is a file in the output folder as soon as it is there: the same command again goes on where the last
    one ended. Several processes share the videos: `accelerate launch --num-processes N -m videoglamm_hf evaluate ...`.
    """
    parser.add_argument("benchmark", choices=BENCHMARKS, help="what is asked (docs/evaluation.md says where data lie)")
    parser.add_argument("--data", required=True, metavar="DIR", help="folder of the benchmark as its authors ship it")
    parser.add_argument(
        "--model", metavar="DIR", help="folder or Hub id of a model (default: the small one that ships)"
    )
    parser.add_argument(
        "--output",
        required=True,
        metavar="DIR",
        help="folder of the run: a new one, or one to go on with",
    )
    parser.add_argument("--limit", type=int, metavar="N", help="ask about the first N videos only")
    parser.add_argument(
        "--shard", metavar="I/N", help="ask about every N-th video, from number I on; whoever ends last scores"
    )
    parser.add_argument(
        "--merge",
        action="extend",
        nargs="+",
        default=[],
        metavar="DIR",
        help="take over the answers of other shards' folders",
    )
    parser.add_argument("--prompt", help="what is asked, with a place for {phrase} (default: what the original asks)")
    _judging(parser)
    parser.add_argument("--mask-mode", choices=MASK_MODES, help="how masks are decoded (default: the model's own)")
    parser.add_argument("--max-new-tokens", type=int, default=512, metavar="N", help="longest answer (default: 512)")
    _loading(parser)
    _quiet(parser)


def compare(parser: ArgumentParser) -> None:
    """Says what differs between two evaluations, question by question, and how sure that is."""
    parser.add_argument("first", metavar="RUN_A", help="folder that `videoglamm evaluate` wrote")
    parser.add_argument("second", metavar="RUN_B", help="another one, of the same benchmark")
    parser.add_argument("--output", metavar="FILE", help="HTML file to write, too; an older one is replaced")


COMMANDS = (
    *(
        segment,
        app,
        watch,
        convert,
        verify,
        export,
        push,
        import_data,
        export_data,
        make_data,
        check_data,
        check_answer,
    ),
    *(tune, calibrate, cache_features, memory),
    *(score, evaluate, compare),
)
