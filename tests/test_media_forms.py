"""Whatever form a video or picture is given in, in messages and in calls, the model sees the same."""

import base64
import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from videoglamm_hf import InputError
from videoglamm_hf.data.jsonl_lines import located
from videoglamm_hf.loading.models import load_processor
from videoglamm_hf.render.video_encoding import write_mp4
from videoglamm_hf.toy import TINY_MODEL

FRAMES = np.random.default_rng(0).integers(0, 256, (4, 40, 56, 3), dtype=np.uint8)
TEXT = {"type": "text", "text": "What moves?"}


@pytest.fixture(scope="module")
def processor():
    return load_processor(str(TINY_MODEL))


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> SimpleNamespace:
    folder = tmp_path_factory.mktemp("a folder, 100 % ours")
    write_mp4(folder / "a clip.mp4", FRAMES, fps=4)
    Image.fromarray(FRAMES[0]).save(folder / "a picture.png")
    return SimpleNamespace(video=folder / "a clip.mp4", image=folder / "a picture.png")


def data_url(path: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


FILES = {
    "pathlib.Path": lambda path: path,
    "file URL": lambda path: path.as_uri(),
    "file URL of localhost": lambda path: path.as_uri().replace("file://", "file://localhost"),
    "file URL, blanks as they are": lambda path: "file://" + str(path).replace("%", "%25"),
    "data URL": lambda path: data_url(path, "video/mp4" if path.suffix == ".mp4" else "image/png"),
    "bytes": lambda path: path.read_bytes(),
    "bytearray": lambda path: bytearray(path.read_bytes()),
    "BytesIO": lambda path: io.BytesIO(path.read_bytes()),
    "open file": lambda path: path.open("rb"),
}
ARRAYS = {
    "channels first": lambda array: np.moveaxis(array, -1, -3),
    "tensor": lambda array: torch.from_numpy(array),
    "tensor, channels first": lambda array: torch.from_numpy(array).movedim(-1, -3),
    "float64 from 0 to 1": lambda array: array / 255,
    "float32 from 0 to 1": lambda array: (array / 255).astype(np.float32),
    "tensor from 0 to 1, channels first": lambda array: torch.from_numpy(array).movedim(-1, -3) / 255,
    "half precision": lambda array: (torch.from_numpy(array) / 255).half(),
    "list": lambda array: list(array),
    "list of tensors from 0 to 1": lambda array: list(torch.from_numpy(array).movedim(-1, -3) / 255),
}


def asked(processor, part: dict):
    message = [{"role": "user", "content": [part, TEXT]}]
    return processor.apply_chat_template(message, tokenize=True, add_generation_prompt=True)


def assert_same(found, expected) -> None:
    assert found.keys() == expected.keys()
    for name in found:
        for one, other in zip(found[name], expected[name], strict=True):
            assert one == other if isinstance(one, list) else torch.equal(one, other), name


@pytest.mark.parametrize("form", FILES)
@pytest.mark.parametrize("kind", ["video", "image"])
def test_files_in_every_form(processor, files, kind, form):
    path = getattr(files, kind)
    expected = asked(processor, {"type": kind, kind: str(path)})
    assert len(expected["grounding_frames"][0]) == (4 if kind == "video" else 1)
    assert_same(asked(processor, {"type": kind, kind: FILES[form](path)}), expected)
    called = processor(text=TEXT["text"], **{f"{kind}s": FILES[form](path)})
    assert_same(called, expected)


@pytest.mark.parametrize("form", ARRAYS)
@pytest.mark.parametrize("kind", ["video", "image"])
def test_arrays_in_every_form(processor, kind, form):
    if kind == "image" and form.startswith("list"):
        pytest.skip("a list is of pictures")
    array = FRAMES if kind == "video" else FRAMES[0]
    expected = asked(processor, {"type": kind, kind: array})
    given = ARRAYS[form](array)
    assert_same(asked(processor, {"type": kind, kind: given}), expected)
    assert_same(processor(text=TEXT["text"], **{f"{kind}s": given}), expected)


def test_parts_as_other_interfaces_name_them(processor, files):
    for kind in ("video", "image"):
        path = getattr(files, kind)
        expected = asked(processor, {"type": kind, "path": path})
        for source in (path.as_uri(), str(path), data_url(path, "application/octet-stream")):
            given = {"type": f"{kind}_url", f"{kind}_url": {"url": source}}
            assert_same(asked(processor, given), expected)
            assert_same(asked(processor, {**given, f"{kind}_url": source}), expected)
        assert_same(asked(processor, {"type": kind, "base64": data_url(path, "").partition(",")[2]}), expected)


def test_a_file_url_in_a_jsonl_file_is_not_below_its_folder(files):
    assert located(files.video.as_uri(), Path("elsewhere")) == str(files.video)


@pytest.mark.parametrize("kind", ["video", "image"])
def test_the_text_of_a_prompt_needs_no_source(processor, files, kind):
    def text(part: dict) -> str:
        return processor.apply_chat_template([{"role": "user", "content": [part, TEXT]}], add_generation_prompt=True)

    prompt = text({"type": kind})
    assert f"<{kind}>" in prompt and text({"type": f"{kind}_url"}) == prompt
    assert_same(
        processor(text=prompt, **{f"{kind}s": str(getattr(files, kind))}),
        asked(processor, {"type": kind, "path": str(getattr(files, kind))}),
    )
    with pytest.raises(InputError, match=f"give the {kind} once"):
        asked(processor, {"type": kind})


@pytest.mark.parametrize(
    "options",
    [
        {"fps": np.float32(2)},
        {"fps": np.array(2.0)},
        {"num_frames": np.int64(2)},
        {"num_frames": torch.tensor(2)},
        {"start_time": np.float64(0.5), "end_time": np.int32(1)},
    ],
    ids=str,
)
def test_options_may_be_scalars_of_arrays(processor, files, options):
    plain = {name: value.item() for name, value in options.items()}
    expected = asked(processor, {"type": "video", "path": files.video, **plain})
    assert_same(asked(processor, {"type": "video", "path": files.video, **options}), expected)
    assert_same(processor(text=TEXT["text"], videos=files.video, **options), expected)


def test_other_floats_and_shapes_are_refused_by_name(processor):
    for wrong, words in ((FRAMES.astype(np.float32), "from 0 to 255"), (FRAMES / 127.5 - 1, "from -1 to 1")):
        for kind, given in (("video", wrong), ("image", wrong[0])):
            with pytest.raises(InputError, match=words):
                asked(processor, {"type": kind, kind: given})
    with pytest.raises(InputError, match=r"shape \[4, 40, 56\]"):
        processor(text=TEXT["text"], videos=FRAMES[..., 0])
