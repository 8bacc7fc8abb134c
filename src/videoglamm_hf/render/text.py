"""Text that Pillow's own font can draw, cut to a width."""

import bisect
import unicodedata

from PIL import ImageFont


def drawable(text: str) -> str:
    """One line of what Pillow's font can draw: blanks for other spaces, no accents, plain dashes."""
    drawn = []
    for character in unicodedata.normalize("NFKD", " ".join(text.split())):
        category = unicodedata.category(character)
        if category == "Pd":
            drawn.append("-")
        elif category[0] != "C" and category != "Mn":
            drawn.append(character)
    return "".join(drawn)


def elided(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """The text, or as much of its beginning as fits the width with an ellipsis."""
    if font.getlength(text) <= width:
        return text
    fitting = bisect.bisect_right(range(len(text)), width, key=lambda n: font.getlength(f"{text[:n].rstrip()}…"))
    return f"{text[: max(0, fitting - 1)].rstrip()}…"


def wrapped(text: str, font: ImageFont.FreeTypeFont, width: float) -> list[str]:
    """Lines no wider than the width, broken between words; a longer word is elided."""
    lines: list[str] = []
    for word in text.split():
        word = elided(word, font, width)
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] = f"{lines[-1]} {word}"
        else:
            lines.append(word)
    return lines
