"""Prints every lower bound of pyproject.toml as a pin: the constraints of `make test-oldest`."""

import re
from pathlib import Path

import tomllib

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
# The oldest build for the CPU that the tests run with.
TORCH = "torch==2.13.0"


def pins() -> list[str]:
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    requirements = sum(project["optional-dependencies"].values(), project["dependencies"])
    found = (re.match(r"([\w-]+)>=([\d.]+)", requirement) for requirement in requirements)
    return sorted({f"{m[1]}=={m[2]}" for m in found if m and m[1] != "torch"} | {TORCH})


if __name__ == "__main__":
    print("\n".join(pins()))
