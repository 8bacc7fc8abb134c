"""One thing found in training data: where, why it matters, and what to do."""

from dataclasses import dataclass

# What keeps data from being trained on; what makes training worse; what is good to know.
ERROR, WARNING, NOTE = "error", "warning", "note"
LEVELS = (ERROR, WARNING, NOTE)


@dataclass(frozen=True)
class Finding:
    """One thing found.

    Attributes:
        level: One of `LEVELS`.
        kind: A short name, the same for all of its kind, as in `"object never appears"`.
        record: Where, as in `"train.jsonl:17"`, or a file, or a folder.
        text: What was found.
        why: Why it matters.
        fix: What to do.
    """

    level: str
    kind: str
    record: str
    text: str
    why: str
    fix: str
