"""Fine-tuning on one's own data in one call: checked, split, fitted to the machine, measured before and after."""

from typing import TYPE_CHECKING

from ..loading.kernel_messages import hold_kernel_messages
from ..startup.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from .adapter_tuning import TuneOptions, TuneResult, tune
    from .edits import add_sample, edited_sample

# What trains imports peft, which imports bitsandbytes.
hold_kernel_messages()

__getattr__, __dir__, __all__ = lazy_exports(__name__)
