"""Several processes of one command, as a launcher (`torchrun`, `accelerate launch`) starts them."""

import os
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from accelerate import PartialState
from accelerate.utils import gather_object
from tqdm.auto import tqdm

# Processes that are done wait for the one with the longest videos.
PATIENCE = timedelta(days=7)


def started_processes() -> int:
    """How many processes a launcher started."""
    return int(os.environ.get("WORLD_SIZE", 1))


def joined(device: str | None) -> PartialState | None:
    """Meets the other processes; None if there are none.

    Args:
        device: What the command is to run on; None for the best there is.
    """
    if started_processes() == 1:
        return None
    return PartialState(cpu=device == "cpu" or not torch.accelerator.is_available(), timeout=PATIENCE)


def own_device(wanted: str | None, processes: PartialState | None) -> str | None:
    """This process's own device of the kind that is wanted."""
    if processes is None or (wanted is not None and wanted != processes.device.type):
        return wanted
    return str(processes.device)


def wait_for_all(found: Sequence[Any], bar: tqdm, count: Callable[[], int], index: int) -> list[Any]:
    """What all processes found, once all are done; the main one's bar counts what the others finish.

    Args:
        found: What this process found.
        bar: Its bar.
        count: How much all of them have done so far.
        index: Which process this is; 0 is the main one.
    """
    everyone = dist.barrier(async_op=True)
    while index == 0 and not everyone.is_completed():
        bar.n = max(bar.n, count())
        bar.refresh()
        time.sleep(0.2)
    everyone.wait()
    gathered = gather_object(list(found))
    dist.destroy_process_group()
    bar.n = bar.total
    bar.refresh()
    return gathered
