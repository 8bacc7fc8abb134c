"""Cases 7: generation with [SEG] forced, framewise and with memory, through converter, Auto classes and generate."""

import numpy as np
import pytest
import torch

from tests.conftest import force_seg, load_model
from tests.tiny_checkpoint import frames
from videoglamm_hf.image_streams import grounding_stream, normalize_grounding_frames
from videoglamm_hf.pixel_decoder import (
    decode_first_frame,
    decode_framewise,
    decode_tracked_frame,
    encode_frames,
    new_memory_bank,
    remember,
)

pytestmark = pytest.mark.parity
FRAMEWISE, FIRST_FRAME, TRACKED, STABLE = 1e-3, 1e-3, 2e-2, 1e-2
MASK_FRACTION = 5e-4


def worst(a: torch.Tensor, b: np.ndarray) -> float:
    return float((a.double() - torch.from_numpy(b).double()).abs().max())


def golden_masks(case) -> np.ndarray:
    """bool `[T, N, H, W]`."""
    shape = case.meta["bin_shape"]
    return np.unpackbits(case["bin"])[: np.prod(shape)].reshape(shape).astype(bool)


def low_res(logits: torch.Tensor, size: int) -> torch.Tensor:
    """`[N, T, s, s]` to the layout and sampling of the goldens, `[T, N, 64, 64]`."""
    return logits.transpose(0, 1)[..., :: size // 256, :: size // 256]


@pytest.mark.parametrize("size", [256, 1024])
@pytest.mark.parametrize("mode", ["framewise", "video"])
def test_video_question(mode, size, converted_tiny, converted_tiny_1024, ask, golden, hold):
    suffix = "" if size == 256 else "_sam1024"
    model = load_model(converted_tiny if size == 256 else converted_tiny_1024)
    asked = golden(f"A_case7_framewise{suffix}")
    case = golden(f"A_case7_{'framewise' if mode == 'framewise' else 'videobranch'}{suffix}")
    label = f"7 {mode} {size}"
    clip = frames(5, *asked.meta["HW"], asked.meta["frame_salt"])
    inputs = ask(asked.meta["question"], video=clip)
    # The larger goldens decode masks of the first three frames only.
    inputs["grounding_frames"] = [grounding_stream(clip[: asked.meta["T"]], size)]
    length = inputs["input_ids"].shape[1]
    output = model.generate(
        **inputs,
        max_new_tokens=asked.meta["N"],
        do_sample=False,
        mask_mode=mode,
        output_mask_logits=True,
        logits_processor=force_seg(asked.meta["force"], length),
    )
    assert output.sequences[0, length:].tolist() == case["output_ids"][0, -asked.meta["N"] :].tolist()
    hold(label, "prompt embeddings", worst(output.prompt_embeddings[0], case["seg_embeds"][:, 0]), 1e-4)
    low = low_res(output.mask_logits[0], size)
    hold(label, "low-res logits, frame 0", worst(low[:1], case["low"][:1]), FIRST_FRAME)
    later = FRAMEWISE if mode == "framewise" else TRACKED
    hold(label, "low-res logits, later frames", worst(low[1:], case["low"][1:]), later)
    hold(label, "object scores", worst(output.object_scores[0].T, case["score"][..., 0]), later)
    expected_iou = case["iou"][..., 0] if mode == "framewise" else case["ious"].max(-1)
    hold(label, "predicted IoU", worst(output.iou_scores[0].T, expected_iou), later)
    differing = (output.masks[0].transpose(0, 1).numpy() != golden_masks(case)).mean()
    hold(label, "fraction of differing mask pixels", differing, MASK_FRACTION)


def test_picture_question(model, ask, golden, hold):
    case = golden("A_case7_image_framewise")
    height, width = case.meta["bin_shape"][2:]
    inputs = ask(image=frames(1, height, width)[0])
    length = inputs["input_ids"].shape[1]
    output = model.generate(
        **inputs,
        max_new_tokens=4,
        do_sample=False,
        mask_mode="framewise",
        output_mask_logits=True,
        logits_processor=force_seg([0], length),
    )
    assert output.sequences[0, length:].tolist() == case["output_ids"][0, -4:].tolist()
    hold("7 picture", "prompt embeddings", worst(output.prompt_embeddings[0], case["seg_embeds"][:, 0]), 1e-4)
    hold("7 picture", "low-res logits", worst(low_res(output.mask_logits[0], 256), case["low"]), FRAMEWISE)
    differing = (output.masks[0].transpose(0, 1).numpy() != golden_masks(case)).mean()
    hold("7 picture", "fraction of differing mask pixels", differing, MASK_FRACTION)


@torch.no_grad()
def walk(model, prompts: torch.Tensor, clip: np.ndarray, mode: str) -> list[dict[str, torch.Tensor]]:
    """The pixel decoder's steps over a clip, with everything each step decides."""
    decoder, steps = model.pixel_decoder, []
    resized = grounding_stream(clip, decoder.image_size)
    bank = new_memory_bank(decoder)
    everything = torch.zeros(len(prompts), dtype=torch.long)
    for t in range(len(clip)):
        pixels = normalize_grounding_frames(resized[t : t + 1], decoder.image_size, torch.float32)
        features = encode_frames(decoder, pixels).select(everything)
        if mode == "framewise":
            masks, memory = decode_framewise(decoder, features, prompts), None
        elif t == 0:
            masks = decode_first_frame(decoder, features, prompts)
            memory = remember(decoder, features, masks, prompted=True)
            bank.condition(0, memory)
        else:
            masks = decode_tracked_frame(decoder, features, bank, t)
            memory = remember(decoder, features, masks, prompted=False)
            bank.append(t, memory)
        steps.append({"masks": masks, "memory": memory})
    return steps


def stack(steps: list[dict], name: str) -> torch.Tensor:
    return torch.stack([getattr(step["masks"], name) for step in steps])


def test_a_stable_single_mask_is_kept(fresh_model, golden, hold):
    case = golden("A_case7d_stable_single_mask")
    model = fresh_model()
    head = model.pixel_decoder.mask_decoder.output_hypernetworks_mlps[0].proj_out
    with torch.no_grad():
        head.weight *= case.meta["hypernet0_scale"]
        head.bias *= case.meta["hypernet0_scale"]
    steps = walk(model, torch.from_numpy(case["seg_embeds"][:, 0]), frames(2, 90, 160), "framewise")
    hold("7d stable single mask", "low-res logits", worst(stack(steps, "logits"), case["low"]), STABLE)
    hold("7d stable single mask", "predicted IoU", worst(stack(steps, "iou_scores"), case["iou"]), FRAMEWISE)


@pytest.mark.parametrize("name", ["A_case7_videobranch", "A_case7e_long_video", "A_case7f_occlusion"])
def test_tracking_step_by_step(name, fresh_model, golden, hold):
    """What masks cannot show: candidates' IoUs, object pointers and memory features of every frame."""
    case = golden(name)
    label = name.removeprefix("A_case").replace("_", " ")
    model = fresh_model()
    if "score_bias_shift" in case.meta:
        with torch.no_grad():
            model.pixel_decoder.mask_decoder.pred_obj_score_head.proj_out.bias += case.meta["score_bias_shift"]
    prompts = case["seg_embed"] if "seg_embed" in case else case["seg_embeds"][:, 0]
    num_frames, _, height, width = case.meta["bin_shape"]
    steps = walk(model, torch.from_numpy(prompts), frames(num_frames, height, width), "video")
    low = stack(steps, "logits")
    step = low.shape[-1] // case["low"].shape[-1]
    hold(label, "low-res logits", worst(low[..., ::step, ::step], case["low"]), TRACKED)
    hold(label, "candidates' predicted IoU", worst(stack(steps, "iou_scores"), case["ious"]), TRACKED)
    chosen = stack(steps, "iou_scores").argmax(-1).tolist()
    assert chosen == case.meta["best_idx"]
    hold(label, "object scores", worst(stack(steps, "object_scores"), case["score"][..., 0]), TRACKED)
    pointers = torch.stack([s["memory"].object_pointers for s in steps])
    step = pointers.shape[-1] // case["ptr"].shape[-1]
    hold(label, "object pointers", worst(pointers[..., ::step], case["ptr"]), TRACKED)
    position = steps[0]["memory"].position.double().numpy()
    hold(label, "memory position: sums (rel)", sums_difference(position, case["mempos_sums"], len(prompts)), 1e-5)
    memory = torch.stack([s["memory"].features for s in steps]).float()
    assert steps[0]["memory"].features.dtype == torch.bfloat16
    for t in range(num_frames):
        # bfloat16 keeps 8 bits, so sums of many rounded values are compared loosely.
        total, expected = memory[t].double().abs().sum().item(), case["memfeat_sums"][t][1]
        hold(label, f"memory features, frame {t}: |sum| (rel)", abs(total - expected) / expected, 2e-3)


def sums_difference(values: np.ndarray, expected: np.ndarray, num_objects: int) -> float:
    """Relative difference of (sum, absolute sum, squared sum); one copy per object or one in all."""
    found = np.array([values.sum(), np.abs(values).sum(), (values**2).sum()])
    return float(min((np.abs(found * n - expected) / np.abs(expected)).max() for n in (1, num_objects)))
