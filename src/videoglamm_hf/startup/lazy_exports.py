"""Names that are imported when they are first asked for."""

import ast
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any


def lazy_exports(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """What a package assigns to `__getattr__`, `__dir__` and `__all__` (PEP 562).

    The names are those that the package's file imports under `if TYPE_CHECKING:`, so that editors and type checkers
    read the same list.

    Args:
        package: The package's `__name__`.
    """
    statements = ast.parse(sys.modules[package].__spec__.loader.get_source(package)).body
    block = next(statement for statement in statements if isinstance(statement, ast.If))
    modules = {alias.name: imported.module for imported in block.body for alias in imported.names}

    def get(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f"{package}.{modules[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    def listed() -> list[str]:
        return sorted({*vars(sys.modules[package]), *modules})

    return get, listed, sorted(modules)
