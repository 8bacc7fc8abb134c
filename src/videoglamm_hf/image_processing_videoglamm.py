"""Pictures to tensors: what the spatial tower and the pixel decoder see of them."""

from typing import Any

import torch
from transformers import BatchFeature
from transformers.image_processing_utils import BaseImageProcessor

from .clip_sources import read_image
from .configuration_videoglamm import AUTO_MAP
from .errors import InputError
from .explained_loading import ExplainedLoadingMixin
from .image_streams import grounding_stream, spatial_stream
from .options import BOOKKEEPING, check_names, check_return_tensors, check_side, converted


class VideoGlammImageProcessor(ExplainedLoadingMixin, BaseImageProcessor):
    r"""
    Pixels of pictures, for [`VideoGlammProcessor`].

    Args:
        spatial_image_size, grounding_image_size: Input sides of the spatial tower and the pixel decoder, in pixels.
    """

    _called = "image processor"
    # Saving copies the code along, so that the folder loads without this package.
    _auto_class = "AutoImageProcessor"
    model_input_names = ["pixel_values", "grounding_frames", "original_sizes"]

    def __init__(self, spatial_image_size: int = 336, grounding_image_size: int = 1024, **kwargs: Any) -> None:
        own = ("spatial_image_size", "grounding_image_size")
        check_names([name for name in kwargs if name not in BOOKKEEPING], own, "of the image processor")
        super().__init__(**kwargs)
        check_side("spatial_image_size", spatial_image_size)
        check_side("grounding_image_size", grounding_image_size)
        self.spatial_image_size = spatial_image_size
        self.grounding_image_size = grounding_image_size

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "auto_map": {"AutoImageProcessor": AUTO_MAP["AutoImageProcessor"]}}

    def preprocess(self, images: Any, return_tensors: str | None = "pt", **kwargs: Any) -> BatchFeature:
        r"""
        Args:
            images: A picture (path, URL, PIL image, uint8 array `[H, W, 3]`, tensor) or a list of them, nested or not.
            return_tensors: `"pt"`, `"np"`, or None for lists of arrays.

        Returns:
            `pixel_values` float32 `[I, 3, spatial_image_size, spatial_image_size]`, `grounding_frames` (per picture,
            uint8 `[1, 3, h, w]`) and `original_sizes` int64 `[I, 2]` (height, width).

        Raises:
            InputError: A picture or an option cannot be used.
            MediaError: A picture cannot be read.
        """
        check_names(kwargs, (), "of the image processor")
        check_return_tensors(return_tensors)
        pictures = [read_image(image)[None] for image in flat_images(images)]
        if not pictures:
            raise InputError("There is no picture; give at least one.")
        outputs = {
            "pixel_values": torch.cat([spatial_stream(p, self.spatial_image_size) for p in pictures]),
            "grounding_frames": [grounding_stream(p, self.grounding_image_size) for p in pictures],
            "original_sizes": torch.tensor([p.shape[1:3] for p in pictures], dtype=torch.long),
        }
        return BatchFeature(converted(outputs, return_tensors))


def flat_images(images: Any) -> list[Any]:
    """Pictures in order, whatever lists they are in; an array of four dimensions is a list."""
    if images is None:
        return []
    if isinstance(images, (list, tuple)) or getattr(images, "ndim", 0) == 4:
        return [picture for inner in images for picture in flat_images(inner)]
    return [images]


__all__ = ["VideoGlammImageProcessor"]
