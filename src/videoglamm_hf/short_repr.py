"""What results print: the shapes of tensors in place of their numbers."""

from dataclasses import fields
from typing import Any

_MOST_ITEMS = 4


def short_repr(result: Any) -> str:
    """A dataclass with the fields that are set, tensors as their dtype and shape."""
    values = {field.name: getattr(result, field.name) for field in fields(result)}
    shown = ", ".join(f"{name}={_short(value)}" for name, value in values.items() if value is not None)
    return f"{type(result).__name__}({shown})"


def _short(value: Any) -> str:
    if hasattr(value, "shape"):
        kind = str(value.dtype).removeprefix("torch.") if hasattr(value, "dtype") else type(value).__name__
        return f"{kind}{list(value.shape)}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {_short(own)}" for key, own in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        items = [_short(item) for item in value[:_MOST_ITEMS]]
        more = [f"... {len(value)} in all"] if len(value) > _MOST_ITEMS else []
        return f"[{', '.join(items + more)}]"
    text = repr(value)
    return text if len(text) <= 200 and "\n" not in text else f"<{type(value).__name__}>"
