"""The errors this package raises on purpose; each says what was wrong, where, and what to do."""


class VideoGlammError(Exception):
    """Base of every error raised on purpose by this package."""


class InputError(VideoGlammError, ValueError):
    """A message, prompt, array or option that cannot be used as given."""


class MediaError(VideoGlammError, OSError):
    """A video, picture or folder of frames that cannot be read or written."""


class CheckpointError(VideoGlammError, ValueError):
    """A checkpoint that is incomplete, inconsistent, damaged or unsafe to read."""


class CheckpointFileError(CheckpointError, OSError):
    """A file of a checkpoint that is missing or cannot be read."""


class TrainingError(VideoGlammError, ValueError):
    """Training that cannot go on, such as a loss that is not a number."""


class OutputError(VideoGlammError, OSError):
    """An output path that cannot be written or would overwrite something."""


class ResourceError(VideoGlammError, OSError):
    """Not enough memory or disk for what was asked; the message names the setting that lowers the need."""


class HubError(VideoGlammError, OSError):
    """The Hugging Face Hub cannot be reached, or refuses what was asked."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out, of an accelerator or of the CPU."""
    # PyTorch's own error is told by its name, for errors are no reason to import it.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    # PyTorch's CPU allocator, MPS and the operating system only say so in words.
    words = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory")
    return isinstance(error, (RuntimeError, OSError)) and any(phrase in str(error).lower() for phrase in words)
