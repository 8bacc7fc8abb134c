"""What a run on a GPU found so far: one JSON file, whole after every step, so that a killed run leaves what it has."""

import gc
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from videoglamm_hf.output_files import replacing_file

GIB = 2**30


class Record:
    """One half (`"tests"` or `"figures"`) of the file of a run.

    Args:
        path: The JSON file. What it holds of the other half stays, if it is of the same device; None keeps nothing.
        half: Name of the half; what the file held of it is forgotten, unless `keep` says otherwise.
        header: What is true of the whole run: device, date, versions.
        limit: Seconds after which nothing is begun any more.
        keep: Replace entry by entry.
    """

    def __init__(
        self,
        path: Path | None,
        half: str,
        header: dict[str, Any],
        limit: float = float("inf"),
        keep: bool = False,
    ) -> None:
        self.path = path
        self.started, self.limit = time.monotonic(), limit
        kept = {}
        if path is not None and path.exists():
            kept = json.loads(path.read_text())
        if kept.get("device") != header["device"]:
            kept = {}
        self.entries: dict[str, dict[str, Any]] = kept.get(half, {}) if keep else {}
        self.contents = kept | header | {half: self.entries}
        self._write()

    @property
    def out_of_time(self) -> bool:
        return time.monotonic() - self.started > self.limit

    def put(self, name: str, entry: dict[str, Any]) -> None:
        """Notes a result, prints it, writes the file."""
        self.entries[name] = entry
        print(f"{name}: {in_words(entry)}", flush=True)
        self._write()

    def measure(self, name: str, function: Callable[[], dict[str, Any]]) -> None:
        """Notes what a function returns, its seconds and peak of memory; or that it failed, and how."""
        if self.out_of_time:
            self.put(name, {"not run": f"{self.limit:.0f} seconds were over"})
            return
        start = time.monotonic()
        on_cuda = torch.cuda.is_available()
        # Of whatever kind: the figures after it are wanted.
        try:
            if on_cuda:
                torch.cuda.reset_peak_memory_stats()
            entry = function()
            if on_cuda:
                entry = {"peak GiB": round(torch.cuda.max_memory_allocated() / GIB, 2)} | entry
        except Exception as error:
            entry = {"failed": f"{type(error).__name__}: {(str(error) or 'without a message').splitlines()[0]}"}
        self.put(name, entry | {"took seconds": round(time.monotonic() - start, 1)})
        # A failed one's tensors hung on its traceback until here.
        gc.collect()
        if on_cuda and not _broken():
            torch.cuda.empty_cache()

    def _write(self) -> None:
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with replacing_file(self.path) as aside:
            aside.write_text(json.dumps(self.contents, indent=1) + "\n")


def in_words(entry: dict[str, Any]) -> str:
    """An entry on one line."""
    return ", ".join(f"{key} {value}" for key, value in entry.items())


def _broken() -> bool:
    """Whether an earlier error of a kernel has ended the use of the device in this process."""
    try:
        torch.cuda.synchronize()
    except RuntimeError:
        return True
    return False
