"""XML that others wrote, read without what can make a small file large: no document types, so no entities."""

import zipfile
from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from ..errors import InputError
from ..limits import lift, limit

MAX_XML_BYTES = limit("VIDEOGLAMM_MAX_XML_BYTES", 2**30)


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
                    raise InputError(f"{path}: has no annotations.xml in it; unpack it, and give the XML file")
                _check_bytes(inner.file_size, path)
                return archive.read(inner)
        _check_bytes(path.stat().st_size, path)
        return path.read_bytes()
    except InputError:
        raise
    except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise InputError(f"{path}: cannot be read: {error}; check the path, or export it again") from error


def _check_bytes(size: int, path: Path) -> None:
    if size > MAX_XML_BYTES:
        raise InputError(f"{path}: has more than {MAX_XML_BYTES} bytes of XML; {lift('VIDEOGLAMM_MAX_XML_BYTES')}")


class _DocumentTypeError(Exception):
    pass


def _refuse(*_: object) -> None:
    raise _DocumentTypeError
