"""Cases 3, 4, 6: visual tokens, picture path, the language model with full and with a biting window; prompts."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import GOLDEN
from tests.parity.test_preprocessing import relative, sums
from tests.tiny_checkpoint import frames
from videoglamm_hf.chat_templates import PHI3_CHAT_TEMPLATE, render_messages
from videoglamm_hf.conversion.original_tokenizer import load_original_tokenizer
from videoglamm_hf.prompting import PromptEncoder

pytestmark = pytest.mark.parity
TOLERANCE = 1e-4
PHI3_TOKENIZER = Path(os.environ.get("PHI3_TOKENIZER", Path(__file__).parents[3] / "shared" / "phi3_tokenizer"))


def worst(a: torch.Tensor, b: np.ndarray) -> float:
    return float((a.double() - torch.from_numpy(b).double()).abs().max())


def without_placeholders(ids: list[int], model_or_config) -> list[int]:
    """Ids with every run of visual placeholders taken out."""
    config = getattr(model_or_config, "config", model_or_config)
    return [i for i in ids if i not in (config.image_token_id, config.video_token_id)]


@torch.no_grad()
def test_video_tokens(model, ask, golden, hold):
    case = golden("A_case3_video_tokens")
    inputs = ask(video=frames(case.meta["T"], *case.meta["HW"], case.meta["frame_salt"]))
    temporal = model.model.temporal_tower(
        inputs["temporal_pixel_values_videos"][0, :4][None], feature_layer=-2
    ).last_hidden_state[0]
    hold("3 video tokens", "temporal tower", worst(temporal[::5], case["iv_feat"]), TOLERANCE)
    spatial = model.get_image_features(inputs["pixel_values_videos"][0, :1]).last_hidden_state[0]
    hold("3 video tokens", "spatial tower", worst(spatial[::4], case["clip_feat"]), TOLERANCE)
    merged = model.get_video_features(
        inputs["pixel_values_videos"], inputs["temporal_pixel_values_videos"]
    ).pooler_output[0]
    hold("3 video tokens", "merged visual tokens", worst(merged, case["merged"]), TOLERANCE)


@torch.no_grad()
def test_picture(model, ask, golden, hold):
    case = golden("A_case4_image")
    inputs = ask(image=frames(1, *case.meta["HW"], case.meta["frame_salt"])[0])
    text = [i for i in case["input_ids"][0].tolist() if i != -200]
    assert without_placeholders(inputs["input_ids"][0].tolist(), model) == text
    tokens = model.get_image_features(inputs["pixel_values"]).pooler_output[0]
    hold("4 picture", "visual tokens", worst(tokens[::2], case["tokens"]), TOLERANCE)
    states = model.model(**only_model_inputs(inputs)).last_hidden_state[0]
    assert len(states) == case["seq_len"]
    tail = len(case["hidden_tail"])
    hold("4 picture", "last hidden states", worst(states[-tail:], case["hidden_tail"]), TOLERANCE)
    hold("4 picture", "logits", worst(model.lm_head(states)[-tail:], case["logits_tail"]), TOLERANCE)


@torch.no_grad()
@pytest.mark.parametrize("name", ["A_case6_llm", "A_case6b_sliding_window"])
def test_language_model(name, fresh_model, processor, golden, hold):
    case = golden(name)
    # The original's window W lets W + 1 keys through.
    model = fresh_model()
    model.model.language_model.config.sliding_window = case.meta["sliding_window"] + 1
    turns = [
        ("user", "Can you segment the red disc?"),
        ("assistant", "Sure, it is [SEG]."),
        ("user", "And the blue one?"),
        ("assistant", "It is [SEG] and [SEG]."),
    ]
    messages = [{"role": role, "content": [{"type": "text", "text": text}]} for role, text in turns]
    messages[0]["content"].insert(0, {"type": "video", "video": frames(5, 90, 160)})
    inputs = processor.apply_chat_template(messages, tokenize=True, return_dict=True, return_tensors="pt")
    ids = inputs["input_ids"][0]
    assert without_placeholders(ids.tolist(), model) == [i for i in case["input_ids"][0].tolist() if i != -200]
    predicting = (ids == model.config.seg_token_id).nonzero()[:, 0] - 1
    assert predicting.tolist() == case["seg_positions"].tolist()
    states = model.model(**only_model_inputs(inputs)).last_hidden_state[0]
    logits = model.lm_head(states)
    tail = len(case["hidden_tail"])
    label = name.removeprefix("A_case").replace("_", " ")
    hold(label, "hidden states, every 16th", worst(states[::16], case["hidden_stride"]), TOLERANCE)
    hold(label, "hidden states, tail", worst(states[-tail:], case["hidden_tail"]), TOLERANCE)
    hold(label, "logits, tail", worst(logits[-tail:], case["logits_tail"]), TOLERANCE)
    hold(label, "logits: sums (rel)", relative(sums(logits.numpy()), case["logits_sums"]), 1e-5)


def test_natural_greedy(model, ask, golden, hold):
    """Nothing forced: greedy words equal the original's, with masks asked for and none generated."""
    case = golden("A_case7_natural_greedy")
    question = golden("A_case7_framewise").meta["question"]
    inputs = ask(question, video=frames(5, 90, 160))
    output = model.generate(**inputs, max_new_tokens=10, do_sample=False)
    assert output.sequences[0, output.prompt_length :].tolist() == case["output_ids"][0, -10:].tolist()
    assert output.masks[0].shape == (0, 5, 90, 160)
    with torch.no_grad():
        embeds = model.model.embed_inputs(
            output.sequences,
            video_features=model.get_video_features(
                inputs["pixel_values_videos"], inputs["temporal_pixel_values_videos"]
            ).pooler_output,
        )
        states = model.model(inputs_embeds=embeds[:, :-1]).last_hidden_state[0]
    assert len(states) == case.meta["hidden_len"]
    hold("7 natural greedy", "last hidden states", worst(states[-16:], case["last_hidden_tail"]), TOLERANCE)


def only_model_inputs(inputs) -> dict[str, torch.Tensor]:
    return {k: v for k, v in inputs.items() if k not in ("grounding_frames", "original_sizes", "frame_timestamps")}


def messages_of(case: dict) -> tuple[list[dict], bool]:
    """A golden prompt's conversation, and whether it ends with the opening of an answer."""
    if case["kind"] == "chat":
        content = [{"type": case["type"]}, {"type": "text", "text": case["question"]}]
        return [{"role": "user", "content": content}], True
    messages = []
    for turn in case["source"]:
        role = {"human": "user", "gpt": "assistant"}[turn["from"]]
        content, text = [], turn["value"]
        for kind in ("video", "image"):
            if f"<{kind}>" in text:
                content.append({"type": kind})
                text = text.replace(f"<{kind}>", "").strip()
        messages.append({"role": role, "content": [*content, {"type": "text", "text": text}]})
    return messages, False


def check_prompt(case: dict, encoder: PromptEncoder, num_frames: int, start_end: bool) -> None:
    messages, opens_answer = messages_of(case)
    parts = render_messages(
        messages, PHI3_CHAT_TEMPLATE, add_generation_prompt=opens_answer, image_start_end=start_end
    )
    assert "".join(text for text, _, _ in parts).replace("<video>", "<image>" * num_frames) == case["prompt"]
    ids, answer_mask = encoder.encode(encoder.pieces(parts), {"<video>": num_frames, "<image>": 1})
    placeholders = {encoder.added["<video>"][0], encoder.added["<image>"][0]}
    ids = [-200 if i in placeholders else i for i in ids]
    assert ids == case["input_ids"]
    if "labels" in case:
        assert [i if mask else -100 for i, mask in zip(ids, answer_mask, strict=True)] == case["labels"]


PROMPTS = json.loads((GOLDEN / "prompts.json").read_text())
PHI3_PROMPTS = json.loads((GOLDEN / "prompts_phi3.json").read_text())


@pytest.mark.parametrize("start_end", [False, True])
def test_prompts_of_the_tiny_tokenizer(original_tiny, start_end):
    tokenizer, absorbing = load_original_tokenizer(original_tiny, image_start_end=False)
    if start_end:
        # These goldens have all four, as the original's oldest loader adds them.
        extra = ["<im_start>", "<im_end>", "<vid_start>", "<vid_end>"]
        tokenizer.add_tokens(extra, special_tokens=True)
        absorbing = [*absorbing, *extra]
    tokenizer.add_tokens(["<image>", "<video>"], special_tokens=True)
    encoder = PromptEncoder(tokenizer, absorbing)
    cases = [case for case in PROMPTS["cases"] if case["use_mm_start_end"] == start_end]
    assert len(cases) == 9
    for case in cases:
        check_prompt(case, encoder, PROMPTS["num_frames"], start_end)


@pytest.mark.skipif(not PHI3_TOKENIZER.is_dir(), reason="the Phi-3 vocabulary is not here; set PHI3_TOKENIZER")
@pytest.mark.parametrize("setting", list(PHI3_PROMPTS))
def test_prompts_of_the_real_vocabulary(setting, tmp_path):
    """Exact ids with the Phi-3 vocabulary, with and without BOS and start/end tokens."""
    group = PHI3_PROMPTS[setting]
    folder = tmp_path / "tokenizer"
    folder.mkdir()
    for file in PHI3_TOKENIZER.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    options = json.loads((folder / "tokenizer_config.json").read_text())
    options["add_bos_token"] = "bos=True" in setting
    (folder / "tokenizer_config.json").write_text(json.dumps(options))
    start_end = "start_end=True" in setting
    tokenizer, absorbing = load_original_tokenizer(folder, image_start_end=start_end)
    assert len(tokenizer) == group["len_tokenizer"]
    assert tokenizer.convert_tokens_to_ids("[SEG]") == group["seg_id"]
    tokenizer.add_tokens(["<image>", "<video>"], special_tokens=True)
    encoder = PromptEncoder(tokenizer, absorbing)
    for case in group["cases"]:
        check_prompt(case, encoder, group["num_frames"], start_end)


@pytest.mark.skipif(not PHI3_TOKENIZER.is_dir(), reason="the Phi-3 vocabulary is not here; set PHI3_TOKENIZER")
@pytest.mark.parametrize(
    ("text", "ids"),
    [
        # Runs of spaces, from the slow tokenizer: a merge's rank is its SentencePiece score, not its id.
        ("A  m", [319, 29871, 286]),
        ("A    >", [319, 1678, 1405]),
    ],
)
def test_runs_of_spaces_of_the_real_vocabulary(text, ids):
    tokenizer, _ = load_original_tokenizer(PHI3_TOKENIZER, image_start_end=False)
    assert tokenizer(text, add_special_tokens=False).input_ids == ids


def test_merges_survive_saving(original_tiny, processor):
    """The converted processor's tokenizer is the one the checkpoint had, after a round trip through disk."""
    tokenizer, _ = load_original_tokenizer(original_tiny, image_start_end=False)
    for text in ("A  m", "two   spaces and   more", " leading", "ünïcode\n\n", "The red disc."):
        assert processor.tokenizer(text).input_ids == tokenizer(text).input_ids
