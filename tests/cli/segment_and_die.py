"""`videoglamm`, whose second process is killed while it writes its second answer. Started by torchrun."""

import os
import signal
import sys

from videoglamm_hf import cli
from videoglamm_hf.cli import asking

write_mp4 = asking.write_mp4
written = []


def write_or_die(path, *args, **kwargs):
    written.append(path)
    if os.environ["RANK"] == "1" and len(written) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return write_mp4(path, *args, **kwargs)


asking.write_mp4 = write_or_die
sys.exit(cli.main(sys.argv[1:]))
