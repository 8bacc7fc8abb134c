"""Activations recomputed in the backward pass, with the gradients of a pass that kept them."""

from collections.abc import Callable
from functools import partial
from typing import Any

from torch.utils.checkpoint import checkpoint


class NonReentrantCheckpointingMixin:
    """Reentrant checkpoints see positional tensors only: SAM 2's layers, called by keyword, would lose gradients.

    A request for them (`prepare_model_for_kbit_training` makes one) gets the others, which are never wrong.

    From 5.24 on transformers calls it activation checkpointing and warns of the old names, which peft and this
    package's users with older versions know; here both are good.
    """

    @property
    def is_gradient_checkpointing(self) -> bool:
        """Whether some module recomputes its activations."""
        return any(getattr(module, "gradient_checkpointing", False) for module in self.modules())

    def gradient_checkpointing_enable(
        self, gradient_checkpointing_kwargs: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        enable = getattr(self, "_activation_checkpointing_enable", None) or super().gradient_checkpointing_enable
        enable(gradient_checkpointing_kwargs, **kwargs)

    def gradient_checkpointing_disable(self) -> None:
        disable = getattr(self, "_activation_checkpointing_disable", None) or super().gradient_checkpointing_disable
        disable()

    def _set_gradient_checkpointing(
        self, enable: bool = True, gradient_checkpointing_func: Callable = checkpoint, **kwargs: Any
    ) -> None:
        options = getattr(gradient_checkpointing_func, "keywords", {})
        safe = partial(checkpoint, **{**options, "use_reentrant": False})
        super()._set_gradient_checkpointing(enable=enable, gradient_checkpointing_func=safe, **kwargs)
