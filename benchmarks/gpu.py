"""Everything that needs a GPU, in two halves of four minutes: the tests marked `gpu`, and the figures.

    python benchmarks/gpu.py                 both halves; one JSON in results/gpu, and the GPU part of RESULTS.md
    python benchmarks/gpu.py --half tests    one of them; the JSON keeps what it has of the other
    python benchmarks/gpu.py --only batch    figures of that name; the JSON keeps the others
    python benchmarks/gpu.py --tiny          tries the figures' code on a CPU, on the small model; writes nothing else
                                             than `--json FILE`

Without a GPU it names what is skipped and writes nothing. Each half is a process of its own that is ended when its
time is over; what it had found by then is in the file.
"""

import argparse
import re
import signal
import subprocess
import sys
from pathlib import Path

import torch

import gpu_results
from gpu_run import header

HERE = Path(__file__).resolve().parent
HALVES = ("tests", "figures")
# Seconds of a half: after the first it begins nothing any more, after the second it is asked to end, after the third
# ended.
LAST_BEGIN, ASKED_TO_END, ENDED = 205, 230, 240


def run_half(half: str, options: list[str], limits: tuple[float, float] = (ASKED_TO_END, ENDED)) -> bool:
    """Runs a half; False if it ended badly or had to be ended."""
    command = [sys.executable, str(HERE / f"gpu_{half}.py"), *options]
    with subprocess.Popen(command) as child:
        try:
            return child.wait(limits[0]) == 0
        except subprocess.TimeoutExpired:
            print(f"{half}: ended after {limits[0]} seconds", flush=True)
        # As by a person, so that it removes its temporary files.
        child.send_signal(signal.SIGINT)
        try:
            child.wait(limits[1] - limits[0])
        except subprocess.TimeoutExpired:
            child.kill()
        return False


def default_json() -> Path:
    """A file of its own for each device and day."""
    about = header(tiny=False)
    device = re.sub(r"[^a-z0-9]+", "-", about["device"].lower()).strip("-")
    return gpu_results.FOLDER / f"{about['date']}-{device}.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--half", choices=HALVES, help="only this one (default: both; of --tiny, the figures)")
    parser.add_argument("--only", metavar="NAME", help="only the figures that have this in their names")
    parser.add_argument("--tiny", action="store_true", help="the small model on a CPU, to try the code")
    parser.add_argument("--json", type=Path, help="file of the run (default: by device and day, in results/gpu)")
    arguments = parser.parse_args()
    on_gpu = torch.cuda.is_available() and not arguments.tiny
    path = arguments.json or (default_json() if on_gpu else None)
    options = ["--tiny"] if arguments.tiny else []
    options += ["--json", str(path)] if path and (on_gpu or arguments.tiny) else []
    options += ["--only", arguments.only] if arguments.only else []
    half = "figures" if arguments.only else arguments.half
    halves = (half,) if half else HALVES[arguments.tiny :]
    ended = [run_half(half, [*options, "--seconds", str(LAST_BEGIN)]) for half in halves]
    if on_gpu and path.exists():
        gpu_results.write(path)
        print(f"{path}\n{gpu_results.RESULTS}")
    sys.exit(0 if all(ended) else 1)


if __name__ == "__main__":
    main()
