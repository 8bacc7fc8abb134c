"""Colours of objects and pictures."""

import colorsys

from ..errors import InputError

Color = tuple[int, int, int]

# Okabe and Ito's colours, told apart with every kind of colour vision, the most different ones first.
_PALETTE: tuple[Color, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (204, 121, 167),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
)

BACKGROUND: Color = (24, 25, 29)
TEXT: Color = (238, 239, 242)
MUTED: Color = (176, 179, 188)


def object_colors(n: int) -> list[Color]:
    """Colours (r, g, b), 0 to 255, of objects 0 to n - 1. Object i always has the same one.

    Raises:
        InputError: n is negative.
    """
    if n < 0:
        raise InputError(f"the number of colours must not be negative, not {n}")
    return [object_color(index) for index in range(n)]


def object_color(index: int) -> Color:
    """The colour of object `index`."""
    if index < len(_PALETTE):
        return _PALETTE[index]
    # Steps of the golden ratio never come near an earlier hue soon; lightness and saturation alternate.
    hue = (0.28 + 0.618034 * index) % 1
    red, green, blue = colorsys.hls_to_rgb(hue, (0.42, 0.72, 0.57)[index % 3], (0.9, 0.65)[index % 2])
    return round(255 * red), round(255 * green), round(255 * blue)
