"""Which format something is in, by what is in it."""

import json
from pathlib import Path
from typing import Any

from ..data.annotations import load_json
from ..errors import InputError
from . import coco, label_studio, labelme, png, sam2_json, ytvos
from .choices import IMPORT_FORMATS
from .folder_files import files_of

_OF_JSON = {"ytvos": ytvos, "coco": coco, "sam2-json": sam2_json, "labelme": labelme, "label-studio": label_studio}


def format_of(source: Path) -> str:
    """The name of a format, one of `IMPORT_FORMATS` but `"auto"`.

    Raises:
        InputError: there is nothing, or nothing of a format that is known.
    """
    if not source.exists():
        raise InputError(f"{source}: no such file or folder; check the path")
    if source.is_file():
        return _of_file(source)
    if (source / "meta.json").is_file():
        return "ytvos"
    if files_of(source, ".xml") and not files_of(source, ".json"):
        return "cvat"
    reasons = []
    for path in files_of(source, ".json", deeper=True):
        try:
            return _of_file(path)
        except InputError as error:  # of another tool; what is meant may lie beside it
            reasons.append(str(error))
    if png.fits(source):
        return "png"
    if reasons:
        raise InputError(reasons[0])
    raise InputError(f"{source}: holds nothing of a known format ({', '.join(IMPORT_FORMATS[1:])}); give --format")


def _of_file(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix in (".xml", ".zip"):
        return "cvat"
    if suffix == ".json":
        if path.name == "meta.json":
            return "ytvos"
        document: Any = load_json(path, (dict, list))
        for name, module in _OF_JSON.items():
            if module.fits(document):
                return name
        keys = ", ".join(map(json.dumps, list(document)[:5])) if isinstance(document, dict) else "a list"
        raise InputError(f"{path}: its format is not known (it holds {keys:.200}); give --format")
    raise InputError(f"{path}: its format is not known; give --format, or a folder, JSON or XML file")
