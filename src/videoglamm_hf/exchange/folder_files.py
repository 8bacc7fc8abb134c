"""Files of a folder by their endings; hidden ones, such as our own marker, are left out."""

from pathlib import Path


def files_of(folder: Path, ending: str, *, deeper: bool = False) -> list[Path]:
    """Files of this ending (".json") in a folder, in order; with `deeper` those one folder below, too."""
    found = [*folder.glob(f"*{ending}"), *(folder.glob(f"*/*{ending}") if deeper else ())]
    return sorted(path for path in found if not path.name.startswith(".") and path.is_file())
