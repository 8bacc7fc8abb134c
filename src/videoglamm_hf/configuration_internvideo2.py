"""Configuration of the temporal tower, the vision encoder of InternVideo2-Stage2."""

from transformers import PreTrainedConfig


class InternVideo2Config(PreTrainedConfig):
    r"""
    Configuration of [`InternVideo2Model`]. The defaults are the 1B encoder VideoGLaMM was trained with
    (`InternVideo2-stage2_1b-224p-f4`).

    Args:
        hidden_size (`int`, defaults to 1408): Width of the encoder.
        intermediate_size (`int`, defaults to 6144): Hidden width of each block's MLP; the original computes
            `int(hidden_size * 48 / 11)`.
        num_hidden_layers (`int`, defaults to 40): Number of transformer blocks stored in the checkpoint.
        num_attention_heads (`int`, defaults to 16): Attention heads of each block.
        num_channels (`int`, defaults to 3): Channels of the input frames.
        image_size (`int`, defaults to 224): Height and width of the input frames, in pixels.
        patch_size (`int`, defaults to 14): Height and width of one patch, in pixels.
        num_frames (`int`, defaults to 4): Frames in one input clip; the position table has one entry per patch
            of every frame plus one for the class token.
        hidden_act (`str`, defaults to `"gelu"`): Activation of the MLP (GELU by erf).
        rms_norm_eps (`float`, defaults to 1e-6): Epsilon of every RMSNorm.
        attention_dropout (`float`, defaults to 0.0): Dropout of the attention weights while training.
        layer_scale_init_value (`float`, defaults to 1e-5): Initial value of LayerScale.
        initializer_range (`float`, defaults to 0.02): Standard deviation of new weights.
    """

    model_type = "internvideo2"

    hidden_size: int = 1408
    intermediate_size: int = 6144
    num_hidden_layers: int = 40
    num_attention_heads: int = 16
    num_channels: int = 3
    image_size: int = 224
    patch_size: int = 14
    num_frames: int = 4
    hidden_act: str = "gelu"
    rms_norm_eps: float = 1e-6
    attention_dropout: float = 0.0
    layer_scale_init_value: float = 1e-5
    initializer_range: float = 0.02


__all__ = ["InternVideo2Config"]
