"""Prints every lower bound of pyproject.toml as a pin: the constraints of `make test-oldest`."""

import re
from pathlib import Path

import tomllib

ROOT = Path(__file__).parents[1]


def pins() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    requirements = sum(project["optional-dependencies"].values(), project["dependencies"])
    found = (re.match(r"([\w-]+)>=([\d.]+)", requirement) for requirement in requirements)
    # Older builds of torch on the index are for CUDA: the tested one stays.
    torch = re.search(r"^torch==.*$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)[0]
    return sorted({f"{m[1]}=={m[2]}" for m in found if m and m[1] != "torch"} | {torch})


if __name__ == "__main__":
    print("\n".join(pins()))
