"""Activations recomputed in the backward pass, with the gradients of a pass that kept them."""

from collections.abc import Callable
from functools import partial
from typing import Any

from torch.utils.checkpoint import checkpoint


class NonReentrantCheckpointingMixin:
    """Reentrant checkpoints see positional tensors only: SAM 2's layers, called by keyword, would lose gradients.

    A request for them (`prepare_model_for_kbit_training` makes one) gets the others, which are never wrong.
    """

    def _set_gradient_checkpointing(
        self, enable: bool = True, gradient_checkpointing_func: Callable = checkpoint, **kwargs: Any
    ) -> None:
        options = getattr(gradient_checkpointing_func, "keywords", {})
        safe = partial(checkpoint, **{**options, "use_reentrant": False})
        super()._set_gradient_checkpointing(enable=enable, gradient_checkpointing_func=safe, **kwargs)
