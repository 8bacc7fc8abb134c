"""What bitsandbytes says of kernels for 4 bits on a CPU while it is imported: told where 4 bits are used, else not."""

import logging

_LOGGER = logging.getLogger("bitsandbytes.backends.cpu.ops")
# The one message; whatever else it says is told at once.
_MESSAGE = "Failed to load CPU gemm_4bit_forward"


class _Held(logging.Filter):
    """Keeps the message back."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def filter(self, record: logging.LogRecord) -> bool:
        if not str(record.msg).startswith(_MESSAGE):
            return True
        self.records.append(record)
        return False


_HELD = _Held()


def hold_kernel_messages() -> None:
    """From now on the message waits until something is quantised; before what imports bitsandbytes, as peft does."""
    _LOGGER.addFilter(_HELD)


def tell_kernel_messages() -> None:
    """Tells what was held back, and holds nothing back any more: 4 bits are used."""
    _LOGGER.removeFilter(_HELD)
    records, _HELD.records = _HELD.records, []
    for record in records:
        _LOGGER.handle(record)
