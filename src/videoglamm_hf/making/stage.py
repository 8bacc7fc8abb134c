"""A stage's folder: one finished file per video, so that a run that was ended goes on."""

import contextlib
import json
from pathlib import Path
from typing import Any

from ..data.output_names import safe_name
from ..errors import InputError
from ..output_files import explained_writes, replacing_file

_FORMAT = "videoglamm-make-data-1"


class Stage:
    """What one stage has made.

        NAME.json         settings
        NAME/VIDEO.json   what is finished

    Args:
        output: Folder of all stages.
        name: Of this one.
        settings: What every file in it depends on.

    Raises:
        InputError: It holds what was made with other settings; both are named.
        OutputError: It cannot be written.
    """

    def __init__(self, output: Path, name: str, settings: dict[str, Any]) -> None:
        self.folder = output / name
        self._settings = output / f"{name}.json", {"format": _FORMAT, **settings}
        found = read_json(self._settings[0])
        for key in settings if found is not None else ():
            if found.get(key) != settings[key]:
                raise InputError(
                    f"{self.folder}: was made with {key} {found.get(key)!r:.200}, not {settings[key]!r:.200}; give "
                    f"another --output, or delete it and {name}.json to make it anew"
                )

    def has(self, video: str) -> bool:
        """Whether a video is finished."""
        return self._file(video).exists()

    def read(self, video: str, *members: str) -> dict[str, Any]:
        """What was made of a video that is finished, with these members.

        Raises:
            InputError: The file is not as it was written.
        """
        found = read_json(self._file(video))
        if found is None:
            raise InputError(f"{self._file(video)}: no such file; run the same command again")
        missing = [name for name in members if not isinstance(found.get(name), (str, list))]
        if missing:
            raise InputError(f"{self._file(video)}: {missing[0]}: missing; delete the file, and run again")
        return found

    def write(self, video: str, document: dict[str, Any]) -> None:
        """Finishes a video.

        Raises:
            OutputError: It cannot be written.
        """
        if not self._settings[0].exists():
            write_json(*self._settings)
        write_json(self._file(video), document)

    def remove(self, video: str) -> None:
        """Takes a file away, if there is one."""
        with contextlib.suppress(OSError):
            self._file(video).unlink(missing_ok=True)

    def _file(self, video: str) -> Path:
        return self.folder / f"{safe_name(video)}.json"


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a file of ours; None if there is none.

    Raises:
        InputError: It is not as it was written.
    """
    try:
        found = json.loads(path.read_bytes())
        if not isinstance(found, dict):
            raise ValueError("it holds no object")
        return found
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: is not as it was written ({error}); delete it, and run again") from error


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Writes a file, which appears whole or not at all.

    Raises:
        OutputError: It cannot be written.
    """
    with explained_writes(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing_file(path) as aside:
            aside.write_text(json.dumps(document) + "\n", encoding="utf-8")
