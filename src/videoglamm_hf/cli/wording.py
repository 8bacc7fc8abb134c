"""Words that fit their numbers."""


def counted(number: int, noun: str, several: str | None = None) -> str:
    """A number and its noun, and how it is written of several if not with an s.

    >>> counted(0, "object"), counted(1, "object"), counted(2, "object")
    ('no objects', '1 object', '2 objects')
    """
    return f"{number or 'no'} {noun if number == 1 else several or noun + 's'}"


def percent(share: float) -> str:
    """A probability for people, never quite certain.

    >>> percent(0.934), percent(0.9999), percent(0.0001)
    ('93 %', '99 %', '1 %')
    """
    return f"{min(99, max(1, round(100 * share)))} %"
