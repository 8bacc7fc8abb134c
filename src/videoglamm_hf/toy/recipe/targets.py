"""What a scene teaches: dense labels of its pixels, prompts for its objects, and the masks they ask for.

Shapes: F frames, g x g positions of a feature map, N prompts, C channels of a prompt, H x W size of a frame.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from videoglamm_hf.toy.shapes_world import COLOURS, DIRECTIONS, SHAPES, Scene, scene_targets

# Values besides the world's own: "any" in a prompt, "nothing" in a label.
ANY_COLOUR, ANY_SHAPE = len(COLOURS), len(SHAPES)
STILL, NOWHERE, UNCLEAR = len(DIRECTIONS), len(DIRECTIONS) + 1, -100
# Labels a position has, and how many numbers a head gives for each.
LABEL_SIZES = {
    "colour": ANY_COLOUR + 1,
    "shape": ANY_SHAPE + 1,
    "place": 2,
    "size": 1,
    "largest": 2,
    "smallest": 2,
    "edges": 16,
    "direction": NOWHERE + 1,
    "way": 2,
}

# A colour and a shape, as numbers; each may be "any".
Prompt = tuple[int, int]


class PromptCodes(nn.Module):
    """A fixed vector for every colour and shape; a prompt is the sum of two.

    The pixel decoder learns to find what the codes name, the language model to say them at [SEG]: apart, and so at
    the same time.

    Args:
        size: Channels of a prompt.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(7)
        rows = torch.linalg.qr(torch.randn(size, size, generator=generator))[0] * (0.5 * math.sqrt(size))
        self.register_buffer("colours", rows[: ANY_COLOUR + 1].clone(), persistent=False)
        self.register_buffer("shapes", rows[ANY_COLOUR + 1 : ANY_COLOUR + ANY_SHAPE + 2].clone(), persistent=False)

    def forward(self, prompts: torch.Tensor) -> torch.Tensor:
        """Prompts int64 `[..., 2]` to embeddings `[..., C]`."""
        return self.colours[prompts[..., 0]] + self.shapes[prompts[..., 1]]

    def unsure(self, prompts: torch.Tensor) -> torch.Tensor:
        """The same as a language model says pairs it never saw: of half of the parts, up to half are other parts."""
        return _mixed(self.colours, prompts[..., 0]) + _mixed(self.shapes, prompts[..., 1])


def _mixed(codes: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Rows `[...]` of codes `[n, C]`, half of them mixed with others, few of these much."""
    share, happens = torch.rand(2, *rows.shape, device=rows.device)
    others = (2 * torch.randn(*rows.shape, len(codes), device=rows.device)).softmax(-1) @ codes
    return torch.lerp(codes[rows], others, (0.5 * share * (happens < 0.5))[..., None])


def prompt_of(words: str) -> Prompt:
    """The colour and shape a phrase names.

    >>> prompt_of("all red shapes")
    (0, 4)
    """
    parts = [word.removesuffix("s") for word in words.split()]
    colour = next((COLOURS.index(word) for word in parts if word in COLOURS), ANY_COLOUR)
    return colour, next((SHAPES.index(word) for word in parts if word in SHAPES), ANY_SHAPE)


def object_prompts(scene: Scene) -> list[Prompt]:
    """Colour and shape of every object."""
    return [(COLOURS.index(o.colour), SHAPES.index(o.shape)) for o in scene.objects]


def draw_prompts(scene: Scene, count: int, generator: np.random.Generator) -> list[Prompt]:
    """Every object by its name, and as many groups and absent objects as there is room for.

    Most absent ones have the colour of an object that is there: what tells them apart is the shape alone.
    """
    there = object_prompts(scene)
    allowed = {(COLOURS.index(c), SHAPES.index(s)) for c, s in scene.config.seen_pairs()}
    prompts = there[:count]
    while len(prompts) < count:
        colour, shape = there[generator.integers(len(there))]
        if generator.random() < 0.4:
            prompts.append((colour, ANY_SHAPE) if generator.random() < 0.5 else (ANY_COLOUR, shape))
            continue
        if generator.random() < 0.2:
            colour = int(generator.integers(len(COLOURS)))
        prompt = (colour, int(generator.integers(len(SHAPES))))
        if prompt in allowed and prompt not in there:
            prompts.append(prompt)
    return prompts


def draw_shape_prompts(count: int, generator: np.random.Generator) -> list[Prompt]:
    """All shapes in any order, whatever their colour, as often as there is room."""
    return [(ANY_COLOUR, int(shape)) for shape in np.resize(generator.permutation(ANY_SHAPE), count)]


def prompt_masks(scene: Scene, prompts: Sequence[Prompt], frames: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """What prompts ask for.

    Returns:
        Masks, bool `[N, F, H, W]`, and whether the scene has such an object at all, bool `[N]`.
    """
    labels, there = scene.labels[list(frames)], object_prompts(scene)
    masks, exists = np.zeros((len(prompts), *labels.shape), bool), np.zeros(len(prompts), bool)
    for i, (colour, shape) in enumerate(prompts):
        for number, (own_colour, own_shape) in enumerate(there, start=1):
            if colour in (own_colour, ANY_COLOUR) and shape in (own_shape, ANY_SHAPE):
                masks[i] |= labels == number
                exists[i] = True
    return masks, exists


def grey(video: np.ndarray) -> np.ndarray:
    """Frames uint8 `[T, H, W, 3]` without their colours: shapes learnt from these are told in colours never seen."""
    return np.repeat(video.mean(-1, keepdims=True).astype(np.uint8), 3, axis=-1)


def dense_labels(scene: Scene, frames: Sequence[int], grid: int, coloured: bool = True) -> dict[str, torch.Tensor]:
    """What is at each position of a feature map.

    Args:
        grid: Side of the feature map.
        coloured: Whether objects' colours can be seen.

    Returns:
        `colour`, `shape` and `direction` of the object at the position's centre, int64 `[F, g * g]`; `place`, where
        that object's centre is from here, float32 `[F, g * g, 2]`; `size`, the root of its area, 0 where there is
        none, so that it can be pooled, `[F, g * g, 1]`; `largest` and `smallest`, 1 where it is by far that of its
        scene, int64 `[F, g * g]`; `way`, how far it goes from the first to the last frame,
        `[F, g * g, 2]`; `edges`, which sixteenths of the position show any object, `[F, g * g, 16]`.
    """
    frames, count = list(frames), len(frames)
    labels = scene.labels[frames]
    cell = labels.shape[1] // grid
    centres = labels[:, cell // 2 :: cell, cell // 2 :: cell]
    fine = labels[:, cell // 8 :: cell // 4, cell // 8 :: cell // 4] > 0
    edges = fine.reshape(count, grid, 4, grid, 4).transpose(0, 1, 3, 2, 4).reshape(count, grid**2, 16)
    targets = scene_targets(scene)
    directions = [_direction(name) for name in targets.directions]
    colours, shapes = zip(*object_prompts(scene), strict=True)
    if not coloured:
        colours = [UNCLEAR] * len(colours)
    # Row 0 is the background.
    paths = np.stack([np.zeros((count, 2)), *(o.centres[frames] for o in scene.objects)], 1)
    travels = paths[-1] - paths[0]
    sizes = np.sqrt([0, *(o.area for o in scene.objects)])
    here = (np.arange(grid) + 0.5) / grid
    to_centre = paths[np.arange(count)[:, None, None], centres] - np.stack(np.meshgrid(here, here), -1)
    return {
        "colour": _flat([ANY_COLOUR, *colours], centres),
        "shape": _flat([ANY_SHAPE, *shapes], centres),
        "largest": _flat([0, *_is(targets.largest, len(colours))], centres),
        "smallest": _flat([0, *_is(targets.smallest, len(colours))], centres),
        "direction": _flat([NOWHERE, *directions], centres),
        # Scaled to values of a few.
        "place": torch.from_numpy(8 * to_centre.reshape(count, -1, 2)).float(),
        "size": torch.from_numpy(10 * sizes[centres].reshape(count, -1, 1)).float(),
        "way": torch.from_numpy(5 * travels[centres].reshape(count, -1, 2)).float(),
        "edges": torch.from_numpy(edges).float(),
    }


class DenseHead(nn.Module):
    """Reads dense labels off features by one linear map; only used to teach what it reads from.

    Shapes are learnt after their parts, so those are labels too: where edges are, where the object's centre lies.

    Args:
        size: Channels of the features.
        names: Which labels, of `LABEL_SIZES`.
    """

    def __init__(
        self, size: int, names: Sequence[str] = ("colour", "shape", "place", "size", "largest", "smallest", "edges")
    ) -> None:
        super().__init__()
        self.names = tuple(names)
        self.linear = nn.Linear(size, sum(LABEL_SIZES[name] for name in self.names))

    def forward(self, features: torch.Tensor, labels: dict[str, torch.Tensor]) -> torch.Tensor:
        """Loss of features `[F, g * g, C]`."""
        outputs = self.linear(features).split([LABEL_SIZES[name] for name in self.names], dim=-1)
        covered = labels["shape"] < ANY_SHAPE
        losses = []
        for name, output in zip(self.names, outputs, strict=True):
            label = labels[name]
            if name in ("place", "way"):
                losses.append(F.smooth_l1_loss(output[covered], label[covered]))
            elif name == "size":
                losses.append(F.smooth_l1_loss(output, label))
            elif name == "edges":
                losses.append(F.binary_cross_entropy_with_logits(output, label))
            else:
                losses.append(F.cross_entropy(output.flatten(0, 1), label.flatten(), ignore_index=UNCLEAR))
        return torch.stack(losses).sum()


def _is(which: int | None, count: int) -> list[int]:
    """1 for one object, 0 for the others; unclear where it is none."""
    return [UNCLEAR if which is None else int(i == which) for i in range(count)]


def _direction(name: str | None) -> int:
    return UNCLEAR if name is None else STILL if name == "still" else DIRECTIONS.index(name)


def _flat(values: Sequence[int], numbers: np.ndarray) -> torch.Tensor:
    """A value per position, int64 `[F, g * g]`."""
    return torch.from_numpy(np.array(values)[numbers].reshape(len(numbers), -1))
