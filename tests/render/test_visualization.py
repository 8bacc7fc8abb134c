"""Pictures for people: only what is promised changes, everything fits, nothing crashes on odd text."""

import itertools
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from tests.test_clips import real_video
from videoglamm_hf.clip_sources import read_clip
from videoglamm_hf.errors import InputError
from videoglamm_hf.render.video_encoding import write_mp4
from videoglamm_hf.render.visualization import (
    colored_answer,
    contact_sheet,
    draw_legend,
    object_colors,
    overlay_masks,
    render_video,
)

ODD_TEXTS = [
    "",
    " ",
    "two\nlines\tand tabs",
    "日本語 中文 العربية",
    "emoji 🙂👩‍👩‍👧",
    "naïve café — “quoted”…",
    "\ud800 lone surrogate",
    "\x00\x1b[31m control",
    "a" * 3000,
    "word " * 600,
]


def ramp(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // width, y * 255 // height, (x + y) % 256], -1).astype(np.uint8)


def disks(count: int, frames: int, height: int, width: int) -> np.ndarray:
    """bool [N, T, H, W]: disks that walk to the right."""
    y, x = np.mgrid[:height, :width]
    masks = np.zeros((count, frames, height, width), bool)
    for n, t in itertools.product(range(count), range(frames)):
        center = (height * (n + 1) / (count + 1), width * (t + 1) / (frames + 1))
        masks[n, t] = np.hypot(y - center[0], x - center[1]) < min(height, width) / 5
    return masks


# Colours


def seen_with_missing_cones(color: tuple[int, int, int]) -> list[np.ndarray]:
    """The colour in linear light for a trichromat, a deuteranope and a protanope (Viénot et al. 1999)."""
    linear = (np.array(color) / 255) ** 2.2
    deuteranope = np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]])
    protanope = np.array([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]])
    return [np.clip(matrix @ linear, 0, 1) ** (1 / 2.2) * 255 for matrix in (np.eye(3), deuteranope, protanope)]


def test_the_first_colors_differ_for_every_eye():
    seen = [seen_with_missing_cones(color) for color in object_colors(7)]
    for one, other in itertools.combinations(seen, 2):
        assert min(np.linalg.norm(a - b) for a, b in zip(one, other, strict=True)) > 25


def test_many_colors_are_stable_and_distinct():
    colors = object_colors(40)
    assert len(set(colors)) == 40
    assert all(object_colors(n) == colors[:n] for n in range(40))
    assert all(0 <= channel <= 255 and isinstance(channel, int) for color in colors for channel in color)
    first = np.array(object_colors(16), float)
    distances = np.linalg.norm(first[:, None] - first, axis=-1) + 1e9 * np.eye(16)
    assert distances.min() > 30


def test_a_negative_number_of_colors_is_refused():
    with pytest.raises(InputError, match="-1"):
        object_colors(-1)


# Masks over frames


frames_and_masks = st.tuples(st.integers(0, 4), st.integers(1, 40), st.integers(1, 40)).flatmap(
    lambda size: st.tuples(
        arrays.arrays(np.uint8, (*size[1:], 3)),
        arrays.arrays(bool, size),
    )
)


@given(frames_and_masks, st.floats(0, 1))
def test_nothing_outside_the_masks_changes(pair, alpha):
    frame, masks = pair
    before = frame.copy()
    result = overlay_masks(frame, masks, alpha=alpha)
    outside = ~masks.any(axis=0)
    assert result.shape == frame.shape and result.dtype == np.uint8
    assert np.array_equal(result[outside], frame[outside])
    assert np.array_equal(frame, before)


@given(frames_and_masks)
def test_opaque_masks_show_the_topmost_object(pair):
    frame, masks = pair
    result = overlay_masks(frame, masks, alpha=1)
    for n, color in enumerate(object_colors(len(masks))):
        visible = masks[n] & ~masks[n + 1 :].any(axis=0)
        assert (result[visible] == color).all()


@given(frames_and_masks)
def test_inside_pixels_are_tinted_or_contour(pair):
    frame, masks = pair
    result = overlay_masks(frame, masks, alpha=0.25)
    for n, color in enumerate(object_colors(len(masks))):
        visible = masks[n] & ~masks[n + 1 :].any(axis=0)
        tinted = np.rint(0.75 * frame[visible] + 0.25 * np.array(color))
        is_tint = (np.abs(result[visible] - tinted) <= 1).all(axis=-1)
        is_contour = (result[visible] == color).all(axis=-1)
        assert (is_tint | is_contour).all()


@pytest.mark.parametrize(("side", "thickness"), [(90, 1), (360, 2), (1080, 6)])
def test_contours_are_closed_and_grow_with_the_frame(side, thickness):
    frame = np.zeros((side, side, 3), np.uint8)
    masks = np.zeros((1, side, side), bool)
    low, high = side // 4, side * 3 // 4
    masks[0, low:high, low:high] = True
    color = object_colors(1)[0]
    contour = (overlay_masks(frame, masks, alpha=0) == color).all(axis=-1)
    edge = np.zeros_like(contour)
    edge[low:high, low:high] = True
    edge[low + thickness : high - thickness, low + thickness : high - thickness] = False
    middle = side // 2
    assert np.array_equal(contour[middle], edge[middle])
    assert np.array_equal(contour[:, middle], edge[:, middle])
    assert contour[low, low:high].all() and contour[low:high, high - 1].all()


def test_contours_are_equally_thick_all_around():
    side, radius, thickness = 1080, 400, 6
    y, x = np.mgrid[:side, :side]
    masks = (np.hypot(y - side / 2, x - side / 2) < radius)[None]
    contour = overlay_masks(np.zeros((side, side, 3), np.uint8), masks, alpha=0).any(axis=-1)
    across, diagonal = contour[side // 2, side // 2 :].sum(), contour.diagonal()[side // 2 :].sum() * 2**0.5
    assert across == thickness
    assert diagonal == pytest.approx(thickness, rel=0.25)


def test_a_mask_over_the_whole_frame_has_no_contour():
    frame = ramp(30, 40)
    assert np.array_equal(overlay_masks(frame, np.ones((1, 30, 40), bool), alpha=0), frame)


@pytest.mark.parametrize(
    "arguments",
    [
        {"masks": np.zeros((1, 8, 9), bool)},
        {"masks": np.zeros((8, 8), bool)},
        {"masks": np.zeros((1, 8, 8), np.uint8)},
        {"masks": None},
        {"frame": np.zeros((8, 8, 3), np.float32)},
        {"frame": np.zeros((8, 8), np.uint8)},
        {"frame": np.zeros((0, 8, 3), np.uint8)},
        {"colors": [(1, 2, 3), (4, 5, 6)]},
        {"alpha": 1.5},
        {"alpha": float("nan")},
    ],
)
def test_overlays_that_do_not_fit_are_refused(arguments):
    fitting = {"frame": np.zeros((8, 8, 3), np.uint8), "masks": np.zeros((1, 8, 8), bool)}
    with pytest.raises(InputError):
        overlay_masks(**{**fitting, **arguments})


# Legends


@pytest.mark.parametrize(("height", "width"), [(1, 1), (48, 64), (64, 48), (272, 640), (2160, 3840)])
def test_legends_stand_below_the_frame_and_show_their_colors(height, width):
    frame = ramp(height, width)
    colors = object_colors(3)
    result = draw_legend(frame, ["a dog", "the man in the very long coat " * 20, "x"], colors)
    assert result.dtype == np.uint8 and result.shape[1:] == (width, 3)
    assert np.array_equal(result[:height], frame)
    strip = result[height:].reshape(-1, 3)
    assert len(strip)
    if width > 40:
        assert all((strip == color).all(axis=-1).any() for color in colors)
        assert (strip.min(axis=-1) > 150).any()  # some text in light letters


def test_legends_wrap_into_rows():
    frame = ramp(300, 400)
    heights = [draw_legend(frame, ["a phrase"] * n, object_colors(n)).shape[0] - 300 for n in (0, 1, 2, 20)]
    assert heights[0] == 0 < heights[1] == heights[2] < heights[3] / 3


def test_legends_grow_with_the_frame():
    small = draw_legend(ramp(480, 640), ["a dog"], object_colors(1)).shape[0] - 480
    large = draw_legend(ramp(2160, 3840), ["a dog"], object_colors(1)).shape[0] - 2160
    assert large > 3 * small


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_any_text_can_be_drawn(text):
    frame = ramp(60, 80)
    assert draw_legend(frame, [text], object_colors(1)).shape[1] == 80
    sheet = contact_sheet([frame], disks(1, 1, 60, 80), [text], title=text)
    assert sheet.height >= 60


def test_accents_are_drawn_as_plain_letters():
    frame = ramp(100, 400)
    color = object_colors(1)
    assert np.array_equal(draw_legend(frame, ["café – ñ"], color), draw_legend(frame, ["cafe - n"], color))


def test_legends_need_a_color_for_each_label():
    with pytest.raises(InputError, match="1 colours for 2 labels"):
        draw_legend(ramp(10, 10), ["a", "b"], object_colors(1))


# Videos


def test_rendered_videos_have_one_size_and_are_made_one_by_one(tmp_path):
    taken = []

    def frames():
        for number in range(5):
            taken.append(number)
            yield ramp(48, 64)

    rendered = render_video(frames(), disks(2, 5, 48, 64), ["a disk", "another disk"])
    first = next(rendered)
    assert taken == [0]
    rest = list(rendered)
    assert len(rest) == 4 and all(frame.shape == first.shape for frame in rest)
    assert first.shape[0] > 240 and first.shape[1] == 320  # five times as large, and a legend
    assert not np.array_equal(first, rest[0])
    write_mp4(tmp_path / "rendered.mp4", [first, *rest], fps=5)
    assert len(read_clip(tmp_path / "rendered.mp4", fps=None).array) == 5


def test_large_videos_keep_their_size():
    frame, masks = ramp(300, 400), disks(1, 1, 300, 400)
    rendered = next(render_video([frame], masks, ["a disk"]))
    assert np.array_equal(rendered[:300], overlay_masks(frame, masks[:, 0]))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 500), (500, 2), (3, 3000)])
def test_extreme_shapes_can_be_shown(height, width):
    frame, masks = ramp(height, width), np.ones((1, 2, height, width), bool)
    rendered = list(render_video([frame] * 2, masks, ["everything"]))
    assert max(rendered[0].shape[:2]) < 4000
    assert max(contact_sheet([frame] * 2, masks, ["everything"]).size) < 4000


def test_videos_without_objects_are_only_frames():
    frame = ramp(300, 400)
    assert np.array_equal(next(render_video([frame], np.zeros((0, 1, 300, 400), bool), [])), frame)


def test_enlarged_masks_stay_in_place():
    masks = np.zeros((1, 1, 20, 20), bool)
    masks[0, 0, 5:10, 5:10] = True
    rendered = next(render_video([np.zeros((20, 20, 3), np.uint8)], masks, [""]))
    lit = rendered[:240].any(axis=-1)
    rows, columns = np.nonzero(lit)
    assert (rows.min(), rows.max()) == (columns.min(), columns.max()) == (60, 119)


@pytest.mark.parametrize(
    ("frames", "labels", "message"),
    [
        ([ramp(8, 8)] * 2, ["a"], "only 2 frames"),
        ([ramp(8, 8)] * 4, ["a"], "frame 3"),
        ([ramp(8, 8), ramp(8, 9)], ["a"], "frame 1 is 9x8"),
        ([ramp(8, 8)] * 3, ["a", "b"], r"expected \[2, T, H, W\]"),
        ([], ["a"], "only 0 frames"),
    ],
)
def test_videos_that_do_not_fit_their_masks_are_refused(frames, labels, message):
    with pytest.raises(InputError, match=message):
        list(render_video(frames, np.zeros((1, 3, 8, 8), bool), labels))


# Contact sheets


def test_sheets_show_frames_spread_over_the_video():
    frames = [np.full((90, 160, 3), 10 * t, np.uint8) for t in range(20)]
    sheet = np.asarray(contact_sheet(frames, np.zeros((0, 20, 90, 160), bool), [], max_tiles=4))
    shades, counts = np.unique(sheet[(sheet == sheet[..., :1]).all(axis=-1)][:, 0], return_counts=True)
    assert shades[counts > 20_000].tolist() == [0, 60, 130, 190]


def text_free(sheet: Image.Image) -> int:
    return sum(sheet.convert("L").point(lambda v: 255 * (v > 200)).histogram()[255:])


def test_title_legend_and_times_are_drawn():
    frames, masks = [np.zeros((90, 160, 3), np.uint8)] * 3, np.zeros((1, 3, 90, 160), bool)
    plain = contact_sheet(frames, masks[:0], [])
    titled = contact_sheet(frames, masks[:0], [], title="What is it?\nA black frame.")
    labelled = contact_sheet(frames, masks, ["a phrase"])
    assert titled.height > plain.height and labelled.height > plain.height
    assert titled.width == labelled.width == plain.width
    assert text_free(titled) > text_free(plain) > 0  # bright letters; the plain sheet has frame numbers
    timed = contact_sheet(frames, masks[:0], [], timestamps=[0.0, 1.5, 61.25])
    assert timed.size == plain.size and timed != plain


def test_a_long_title_wraps_inside_the_sheet():
    frames, masks = [np.zeros((90, 160, 3), np.uint8)], np.zeros((0, 1, 90, 160), bool)
    short = contact_sheet(frames, masks, [], title="short")
    long = contact_sheet(frames, masks, [], title="a long answer with many words " * 30)
    assert long.width == short.width and long.height > short.height + 100
    margin = np.asarray(long)[:, -20:]
    assert (margin == margin[0, 0]).all()


def test_objects_keep_their_colors_from_video_to_sheet():
    frames, masks = [np.zeros((270, 480, 3), np.uint8)] * 2, disks(3, 2, 270, 480)
    labels = ["one", "two", "three"]
    pictures = (next(render_video(frames, masks, labels)), np.asarray(contact_sheet(frames, masks, labels)))
    for picture, color in itertools.product(pictures, object_colors(3)):
        assert (picture.reshape(-1, 3) == color).all(axis=-1).sum() > 50


@pytest.mark.parametrize("count", range(1, 10))
def test_any_number_of_tiles_fits(count):
    sheet = contact_sheet([ramp(90, 160)] * count, np.zeros((0, count, 90, 160), bool), [], max_tiles=9)
    assert 400 < sheet.width <= 1600 and sheet.height <= 2000


def test_small_objects_stay_visible_on_small_tiles():
    frames, masks = [np.zeros((1080, 1920, 3), np.uint8)] * 8, np.zeros((1, 8, 1080, 1920), bool)
    masks[:, :, 500:503, 900:903] = True
    sheet, empty = (np.asarray(contact_sheet(frames, m, [""])) for m in (masks, np.zeros_like(masks)))
    color = np.array(object_colors(1)[0])
    assert np.sum((sheet == color).all(axis=-1)) >= np.sum((empty == color).all(axis=-1)) + 8


def test_a_real_recording_can_be_shown(tmp_path):
    clip = read_clip(real_video("carphone_pristine.mp4"), num_frames=5)
    masks = disks(2, 5, *clip.array.shape[1:3])
    sheet = contact_sheet(clip.array, masks, ["a face", "a tie"], timestamps=clip.seconds, title="Who?\nA man.")
    sheet.save(tmp_path / "sheet.png")
    assert Image.open(tmp_path / "sheet.png").size == sheet.size


@pytest.mark.parametrize(
    "arguments",
    [
        {"frames": []},
        {"frames": [ramp(8, 8)] * 2},
        {"frames": [ramp(8, 8)] * 2 + [ramp(9, 8)]},
        {"labels": ["a", "b"]},
        {"timestamps": [0.0]},
        {"max_tiles": 0},
    ],
)
def test_sheets_that_do_not_fit_are_refused(arguments):
    fitting = {"frames": [ramp(8, 8)] * 3, "masks": np.zeros((1, 3, 8, 8), bool), "labels": ["a"]}
    with pytest.raises(InputError):
        contact_sheet(**{**fitting, **arguments})


# Answers


def test_phrases_are_colored_in_the_terminal():
    answer = colored_answer("A man on a bike.", [(2, 5), (11, 15)], [(1, 2, 3), (4, 5, 6)])
    assert answer == "A \x1b[1;38;2;1;2;3mman\x1b[0m on a \x1b[1;38;2;4;5;6mbike\x1b[0m."


def test_an_answer_cannot_control_the_terminal():
    answer = colored_answer("a\x1b[2J\x07b\nc", [(0, 1)], [(9, 9, 9)])
    assert answer == "\x1b[1;38;2;9;9;9ma\x1b[0m␛[2J␇b\nc"


@settings(max_examples=60)
@given(st.text(max_size=40).filter(lambda text: text.isprintable()), st.data())
def test_the_text_itself_is_kept(text, data):
    edges = st.integers(0, len(text))
    spans = data.draw(st.lists(st.tuples(edges, edges).map(lambda pair: tuple(sorted(pair))), max_size=4))
    colored = colored_answer(text, spans, object_colors(len(spans)))
    assert re.sub(r"\x1b\[[0-9;]*m", "", colored) == text


def test_later_spans_count_where_they_overlap():
    answer = colored_answer("abcd", [(0, 4), (1, 2)], [(1, 1, 1), (2, 2, 2)])
    pieces = re.findall(r"\x1b\[1;38;2;(\d);\d;\dm(\w+)\x1b\[0m", answer)
    assert pieces == [("1", "a"), ("2", "b"), ("1", "cd")]


@pytest.mark.parametrize("spans", [[(0, 9)], [(-1, 2)], [(3, 1)], []])
def test_spans_must_fit_the_text(spans):
    with pytest.raises(InputError):
        colored_answer("abc", spans, [(0, 0, 0)])
