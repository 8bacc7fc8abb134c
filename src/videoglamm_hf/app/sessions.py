"""What belongs to one browser, on disk: media, questions, answers.

A session is known by a secret that only its browser has; its folder is named by a digest of it, so that the folder
tells nobody the secret. Media and questions have ids that this module makes; an id from outside is looked up among
them, and never becomes a path.
"""

import hashlib
import json
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..errors import InputError, ResourceError
from ..output_files import replacing_file
from .settings import AppSettings

_SECRET = re.compile(r"[A-Za-z0-9_-]{40,64}")
_ID = re.compile(r"[0-9a-f]{16}")
ABOUT = "about.json"
# How files are called while they come in, and seconds without a byte after which nobody sends them any more.
UPLOAD = ".upload-"
_ABANDONED = 3600.0


class Session:
    """The media and questions of one browser.

    Attributes:
        folder: Where they are.
        name: The folder's name; no secret.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.name = folder, folder.name

    def media(self) -> list[dict[str, Any]]:
        """What was uploaded, oldest first."""
        return self._listed("media")

    def questions(self) -> list[dict[str, Any]]:
        """What was asked, oldest first."""
        return self._listed("questions")

    def medium(self, name: Any) -> Path:
        """The folder of a medium.

        Raises:
            InputError: There is none of this id.
        """
        return self._found("media", name, "That video is gone: it made room for newer ones. Upload it again.")

    def question(self, name: Any) -> Path:
        """The folder of a question.

        Raises:
            InputError: There is none of this id.
        """
        return self._found("questions", name, "That answer is gone: it made room for newer ones. Ask again.")

    def new(self, kind: str) -> tuple[str, Path]:
        """A new, empty folder for a medium or a question, and its id. Only with `about.json` in it, it counts."""
        name = secrets.token_hex(8)
        folder = self.folder / kind / name
        folder.mkdir(parents=True)
        return name, folder

    def remove(self, kind: str, name: Any) -> None:
        """Removes a medium with its questions, or a question."""
        folder = self.medium(name) if kind == "media" else self.question(name)
        # First it stops to count, then its questions are looked for: one that is answered meanwhile finds it gone.
        (folder / ABOUT).unlink(missing_ok=True)
        for gone in (*(_asked_about(folder) if kind == "media" else ()), folder):
            shutil.rmtree(gone, ignore_errors=True)

    def _listed(self, kind: str) -> list[dict[str, Any]]:
        found = []
        for path in (self.folder / kind).glob(f"*/{ABOUT}"):
            with suppress(OSError, ValueError):
                found.append(read_json(path))
        return sorted(found, key=lambda about: about["made"])

    def _found(self, kind: str, name: Any, gone: str) -> Path:
        folder = self.folder / kind / name if isinstance(name, str) and _ID.fullmatch(name) else None
        if folder is None or not (folder / ABOUT).is_file():
            raise InputError(gone)
        with suppress(FileNotFoundError):  # what was used longest ago makes room first
            os.utime(folder)
        return folder


class Sessions:
    """All sessions of an app, in one folder.

    Args:
        settings: Where they are, and how much room they have.
    """

    def __init__(self, settings: AppSettings) -> None:
        self.settings = settings
        self._lock = threading.Lock()
        self._busy: dict[str, int] = {}
        self._promised = 0
        settings.folder.mkdir(parents=True, exist_ok=True)
        if not settings.keep:
            self.clear()

    @staticmethod
    def secret() -> str:
        """A new session's secret."""
        return secrets.token_urlsafe(32)

    def of(self, secret: Any) -> Session:
        """The session that a secret belongs to. Until something is put into it, it takes no room.

        Raises:
            InputError: It is none.
        """
        if not (isinstance(secret, str) and _SECRET.fullmatch(secret)):
            raise InputError("This page has lost its session; load it again.")
        digest = hashlib.sha256(secret.encode()).hexdigest()[:32]
        return Session(self.settings.folder / digest)

    @contextmanager
    def busy(self, session: Session) -> Iterator[None]:
        """While something of a session is used, nothing of it makes room for others."""
        with self._lock:
            self._busy[session.name] = self._busy.get(session.name, 0) + 1
        try:
            yield
        finally:
            with self._lock:
                self._busy[session.name] -= 1

    @contextmanager
    def room(self, needed: int) -> Iterator[None]:
        """While as many bytes are written, nobody else is given that room; see `make_room`."""
        self.make_room(needed)
        with self._lock:
            self._promised += needed
        try:
            yield
        finally:
            with self._lock:
                self._promised -= needed

    def make_room(self, needed: int, keep: Collection[Path] = ()) -> None:
        """Removes what was used longest ago, of sessions that are not at work, until there is room.

        Args:
            needed: Bytes that are to be written.
            keep: Folders that stay.

        Raises:
            ResourceError: There is not enough even then.
        """
        with self._lock:
            needed += self._promised
            self._forget_uploads()
            entries = []
            for path in self.settings.folder.glob("*/*/*"):
                with suppress(FileNotFoundError):  # its owner may remove it meanwhile
                    if path.is_dir():
                        entries.append((path.stat().st_mtime, folder_bytes(path), path))
            used = sum(size for _, size, _ in entries)
            sizes = {path: size for _, size, path in entries}
            for _, _, path in sorted(entries, key=lambda entry: entry[0]):
                if used + needed <= self.settings.disk_bytes:
                    return
                if path not in keep and not self._busy.get(path.parent.parent.name):
                    gone = [path, *(_asked_about(path) if path.parent.name == "media" else ())]
                    for folder in gone:
                        shutil.rmtree(folder, ignore_errors=True)
                        used -= sizes.pop(folder, 0)
            if used + needed > self.settings.disk_bytes:
                raise ResourceError("The server has no room left at the moment. Try a smaller file, or again later.")

    def _forget_uploads(self) -> None:
        """Removes what a server that was killed left of files on their way in."""
        for path in self.settings.folder.glob(f"*/{UPLOAD}*"):
            with suppress(OSError):
                if not self._busy.get(path.parent.name) and time.time() - path.stat().st_mtime > _ABANDONED:
                    path.unlink()

    def clear(self) -> None:
        """Removes all sessions."""
        for path in self.settings.folder.iterdir():
            if re.fullmatch("[0-9a-f]{32}", path.name):
                shutil.rmtree(path, ignore_errors=True)


def _asked_about(medium: Path) -> list[Path]:
    """Folders of the questions about a medium, which cannot be shown without it."""
    session = Session(medium.parent.parent)
    about = [one for one in session.questions() if one["media"] == medium.name]
    return [session.folder / "questions" / one["id"] for one in about]


def folder_bytes(folder: Path) -> int:
    """How much a folder holds, in bytes."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Writes aside first, and then renames."""
    with replacing_file(path) as aside:
        aside.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8", errors="backslashreplace")


def now() -> float:
    """Seconds, for the order of things."""
    return round(time.time(), 3)
