"""RESULTS.md has one marked section per kind of device, which is replaced; what is written around it stays."""

import re
from collections.abc import Iterable
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "RESULTS.md"


def replace_section(kind: str, lines: Iterable[str], path: Path = RESULTS) -> None:
    """Replaces the section of `"cpu"` or `"gpu"`."""
    begin, end = f"<!-- {kind} figures -->", f"<!-- end of {kind} figures -->"
    replaced, count = re.subn(
        f"{begin}.*?{end}", lambda _: "\n".join([begin, *lines, end]), path.read_text(), flags=re.DOTALL
    )
    if not count:
        raise SystemExit(f"{path} has no section {begin!r} ... {end!r}.")
    path.write_text(replaced)
