"""XML that others wrote, read without what can make a small file large: no document types, so no entities."""

import zipfile
from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from ..errors import InputError
from ..limits import lift, limit

MAX_XML_BYTES = limit("VIDEOGLAMM_MAX_XML_BYTES", 2**30)
# An archive that unpacks to more than this many times its size was made to fill disks; annotations come to a tenth.
_LARGEST_RATIO = 500


def read_xml(path: Path) -> Element:
    """The root of an XML file, or of `annotations.xml` in a zip archive.

    Raises:
        InputError: it cannot be read, is too large, has a document type, or is no XML.
    """
    builder = TreeBuilder()
    parser = expat.ParserCreate()
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = _refuse
    try:
        parser.Parse(_content(path), True)
        return builder.close()
    except _DocumentTypeError as error:
        raise InputError(
            f"{path}: has a document type, which CVAT never writes; remove it (<!DOCTYPE ...>)"
        ) from error
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise InputError(f"{path}: is no XML: {error}; export it again") from error


def _content(path: Path) -> bytes:
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                inner = next((one for one in archive.infolist() if one.filename == "annotations.xml"), None)
                if inner is None:
                    raise InputError(_without_xml(path, archive))
                _check_bytes(inner.file_size, f"{path}: annotations.xml")
                return archive.read(inner)
        if path.suffix.lower() == ".zip":
            raise InputError(f"{path}: is no zip archive, or one that was cut short; export or download it again")
        _check_bytes(path.stat().st_size, str(path))
        return path.read_bytes()
    except InputError:
        raise
    except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise InputError(f"{path}: cannot be read: {error}; check the path, or export it again") from error


def _without_xml(path: Path, archive: zipfile.ZipFile) -> str:
    """What an archive is that CVAT's formats do not come in, and what to do with it."""
    files = [one for one in archive.infolist() if not one.is_dir()]
    size = sum(one.file_size for one in files)
    held = ", ".join(repr(one.filename[:60]) for one in files[:3]) + (", ..." if len(files) > 3 else "")
    found = f"{path}: has no annotations.xml in it, as exports of CVAT for images and for video have"
    if not files:
        return f"{found}; it is empty: export it again"
    found += f"; it holds {len(files)} files ({held}), {size / 2**20:.1f} MiB unpacked"
    if size > _LARGEST_RATIO * max(1, path.stat().st_size):
        return f"{found}, more than {_LARGEST_RATIO} times its own size: do not unpack it; export it again"
    return f"{found}. If it is of another format, unpack it and give the folder"


def _check_bytes(size: int, what: str) -> None:
    if size > MAX_XML_BYTES:
        raise InputError(
            f"{what}: is {size} bytes of XML, and the most is {MAX_XML_BYTES}; export fewer videos at once, or, if "
            f"you trust it, {lift('VIDEOGLAMM_MAX_XML_BYTES')}"
        )


class _DocumentTypeError(Exception):
    pass


def _refuse(*_: object) -> None:
    raise _DocumentTypeError
