"""Publishing: what goes up, what never does, and what the Hub may answer."""

import json
import runpy
import shutil
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import save_file
from transformers import AutoModel

from tests.hub.processes import save_adapter
from videoglamm_hf import CheckpointError, HubError, InputError, cli
from videoglamm_hf.fingerprints import fingerprints
from videoglamm_hf.hub import plan_push, push_folder

REPO = "someone/tiny"
# Stand for the real thing: an access token is a word of this shape.
TOKEN = "hf_" + "abcDEF123" * 4


def pushed(arguments: list[str], capsys: pytest.CaptureFixture) -> str:
    assert cli.main(["push", *arguments]) == 0, capsys.readouterr().err
    return capsys.readouterr().out


def test_a_dry_run_lists_what_is_pushed(hub, folder, capsys):
    (folder / ".env").write_text(f"HF_TOKEN={TOKEN}")
    (folder / ".cache").mkdir()
    (folder / "checkpoint-10").mkdir()
    shutil.copy(folder / "model.safetensors", folder / "checkpoint-10")
    for name in ("optimizer.pt", "rng_state.pth", "trainer_state.json", "training_args.bin"):
        (folder / name).write_bytes(b"state")
    for name in ("pytorch_model.bin", "notes.txt", "token", "other.safetensors"):
        (folder / name).write_bytes(b"anything")
    listed = pushed([str(folder), REPO, "--dry-run"], capsys)
    assert not hub.log and "nothing was pushed" in listed
    lines = [line.split() for line in listed.splitlines()]
    sizes = {words[2]: words for words in lines if words[1] in ("B", "kB", "MB")}
    reasons = {words[2]: " ".join(words[3:]) for words in lines if words[:2] == ["left", "out"]}
    del sizes["in"]  # the total
    assert reasons[".env"] == reasons[".cache"] == "(hidden)"
    assert reasons["checkpoint-10"] == "(a checkpoint of a Trainer)"
    assert (
        reasons["optimizer.pt"] == reasons["rng_state.pth"] == reasons["training_args.bin"] == "(state of a training)"
    )
    assert "pickle" in reasons["pytorch_model.bin"] and reasons["notes.txt"] == "(not part of a model)"

    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    url = pushed([str(folder), REPO], capsys).strip()
    files = hub.files(REPO)
    assert set(files) == set(sizes) and url.startswith(f"{hub.url}/{REPO}/commit/")
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert sizes["model.safetensors"][0] == f"{len(files['model.safetensors']) / 10**6:.1f}"
    assert files["model.safetensors"] == before[folder / "model.safetensors"]
    assert not any(str(folder.parent).encode() in content for content in files.values())


def test_a_model_card_is_made_of_the_facts(folder):
    (folder / "metrics.json").write_text(json.dumps([{"kind": "grounded", "iou": 0.81234}, {"kind": "a|b", "n": 3}]))
    plan = plan_push(folder, REPO)
    card = ModelCard(next(file.content for file in plan.files if file.path == "README.md").decode())
    assert card.data.library_name == "transformers" and card.data.license == "apache-2.0"
    assert card.data.pipeline_tag == "video-text-to-text" and "segmentation" in card.data.tags
    model = AutoModel.from_pretrained(folder)
    decoder = sum(p.numel() for p in model.pixel_decoder.parameters())
    assert f"| {decoder / 10**6:.1f} million |" in card.text
    assert REPO in card.text and "| kind | iou | n |" in card.text and "| grounded | 0.8123 |  |" in card.text
    assert "phi3" in card.text and "a\\|b" in card.text


@pytest.mark.parametrize("name", ["README.md", "MODEL_CARD.md"])
def test_a_card_that_somebody_wrote_is_kept(folder, name):
    (folder / name).write_text("---\nlicense: mit\ntags: [mine]\nbase_model: /data/x\n---\n\n# Mine\n\nAs it is.\n")
    plan = plan_push(folder, REPO)
    card = ModelCard(next(file.content for file in plan.files if file.path == "README.md").decode())
    assert card.text.strip() == "# Mine\n\nAs it is."
    assert card.data.license == "mit" and card.data.tags == ["mine"] and card.data.library_name == "transformers"
    assert "base_model" not in card.data.to_dict()
    assert "MODEL_CARD.md" not in {file.path for file in plan.files}


def test_code_that_a_folder_lacks_is_added(folder):
    for file in folder.glob("*.py"):
        file.unlink()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "auto_map": {}, "_name_or_path": str(folder)}))
    files = {file.path: file for file in plan_push(folder, REPO).files}
    assert files["modeling_videoglamm.py"].note == "of the package"
    sent = json.loads(files["config.json"].content)
    assert "_name_or_path" not in sent and "AutoModelForImageTextToText" in sent["auto_map"]


def test_an_adapter_goes_up_alone(hub, folder, tmp_path):
    save_adapter(folder, tmp_path / "adapter")
    push_folder(folder, REPO)
    push_folder(tmp_path / "adapter", "someone/adapter", base_model=REPO)
    files = hub.files("someone/adapter")
    assert set(files) == {"README.md", "adapter_config.json", "adapter_model.safetensors"}
    assert json.loads(files["adapter_config.json"])["base_model_name_or_path"] == REPO
    card = ModelCard(files["README.md"].decode())
    assert card.data.base_model == REPO and card.data.library_name == "peft"
    # peft leaves a form behind; it is nobody's card.
    assert "rank 8, alpha 16" in card.text and "[More Information Needed]" not in card.text


@pytest.mark.parametrize("where", ["PUT /lfs", "POST .*/commit/", "POST .*/preupload", "POST /api/repos/create"])
def test_a_lost_connection_publishes_nothing_and_the_next_try_goes_on(hub, folder, where):
    hub.drop = where
    with pytest.raises(HubError, match="Nothing was published; run the same command again"):
        push_folder(folder, REPO)
    assert REPO not in hub.repos or not hub.files(REPO)
    hub.drop, arrived = None, dict(hub.objects)
    hub.log.clear()
    push_folder(folder, REPO)
    assert set(hub.files(REPO)) == {file.path for file in plan_push(folder, REPO).files}
    assert not any(oid in line for oid in arrived for line in hub.log if line.startswith("PUT"))
    assert bool(arrived) == ("commit" in where)


@pytest.mark.parametrize(
    ("status", "message"), [(401, "hf auth login"), (403, "permission 'write'"), (500, "run the same command")]
)
def test_a_refusal_says_what_to_do(hub, folder, status, message, capsys):
    push_folder(folder, REPO)
    before = hub.files(REPO)
    hub.refuse = status
    (folder / "config.json").write_text((folder / "config.json").read_text() + " ")
    assert cli.main(["push", str(folder), REPO]) == 1
    printed = capsys.readouterr().err
    assert message in printed and "no such luck" in printed and "Traceback" not in printed
    assert hub.files(REPO) == before


def test_privacy_is_kept_or_refused(hub, folder):
    push_folder(folder, "someone/secret", private=True)
    push_folder(folder, "someone/secret")
    assert hub.repos["someone/secret"].private
    push_folder(folder, REPO)
    before = dict(hub.repos[REPO].commits)
    with pytest.raises(InputError, match="is public"):
        push_folder(folder, REPO, private=True)
    assert hub.repos[REPO].commits == before


def test_the_example_publishes_two_precisions(hub, folder, tmp_path, monkeypatch, capsys):
    save_adapter(folder, tmp_path / "adapter")
    script = Path(__file__).parents[2] / "examples" / "push_to_hub.py"
    monkeypatch.setattr("sys.argv", [str(script), str(folder), REPO, "--adapter", str(tmp_path / "adapter")])
    runpy.run_path(str(script), run_name="__main__")
    files = hub.files(REPO)
    assert len(files["model.safetensors"]) > 1.9 * len(files["model.bf16.safetensors"])
    assert json.loads(files["config.json"])["dtype"] == "float32"
    (tmp_path / "pushed").mkdir()
    for name, content in files.items():
        (tmp_path / "pushed" / name).write_bytes(content)
    pushed, before = AutoModel.from_pretrained(tmp_path / "pushed"), AutoModel.from_pretrained(folder)
    assert not torch.equal(pushed.lm_head.weight, before.lm_head.weight)


@pytest.mark.parametrize(
    "repo", ["", "tiny", "a/b/c", "https://huggingface.co/a/b", "a//b", "a/-b", "a/b.git", "a b/c", "a--b/c"]
)
def test_names_that_are_none(hub, folder, repo):
    with pytest.raises(InputError, match="USER/NAME"):
        push_folder(folder, repo)
    assert not hub.log


def break_folder(folder, how):
    config = json.loads((folder / "config.json").read_text())
    if how == "empty":
        shutil.rmtree(folder)
        folder.mkdir()
    elif how == "gone":
        shutil.rmtree(folder)
    elif how == "another model":
        (folder / "config.json").write_text('{"model_type": "VideoGPT+"}')
    elif how == "pickles":
        (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    elif how == "cut weights":
        (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-10])
    elif how == "missing shard":
        (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
        index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    elif how == "shard elsewhere":
        (folder / "model.safetensors").unlink()
        (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../secret"}}')
    elif how == "no index":
        (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    elif how == "no processor":
        (folder / "processor_config.json").unlink()
    elif how == "half the code":
        (folder / "tracking.py").unlink()
    elif how == "cut json":
        (folder / "config.json").write_text("{")
    elif how == "wrong sizes":
        config["spatial_config"]["num_attention_heads"] = 7
        (folder / "config.json").write_text(json.dumps(config))
    elif how == "a path":
        (folder / "config.json").write_text(json.dumps({**config, "trained_on": ["/data/clips"]}))
    elif how == "a path in the card":
        (folder / "README.md").write_text("# Mine\n\nTrained in /home/me/runs.\n")
    elif how == "a token":
        (folder / "README.md").write_text(f"# Mine\n\n    HF_TOKEN={TOKEN} python train.py\n")
    elif how == "broken metadata":
        (folder / "README.md").write_text("---\nlicense: [mit\n---\n# Mine\n")
    elif how == "metrics":
        (folder / "metrics.json").write_text("0.5")


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("empty", "holds no model"),
        ("gone", "is no folder"),
        ("another model", "videoglamm convert"),
        ("pickles", "pytorch_model.bin may be pickles"),
        ("cut weights", "model.safetensors is missing or damaged"),
        ("missing shard", "model-00001-of-00002|model-00002-of-00002"),
        ("shard elsewhere", "no index of safetensors"),
        ("no index", "no model.safetensors.index.json"),
        ("no processor", "has no processor"),
        ("half the code", "tracking.py, which is not there"),
        ("cut json", "cannot be read as JSON"),
        ("wrong sizes", "builds no model"),
        ("a path", r"/data/clips.*trained_on\.0"),
        ("a path in the card", "README.md names the local path '/home/me"),
        ("a token", "README.md holds what looks like an access token"),
        ("broken metadata", "metadata of .*README.md"),
        ("metrics", "metrics.json must hold"),
    ],
)
def test_folders_that_are_refused(hub, folder, how, message, capsys):
    break_folder(folder, how)
    with pytest.raises(CheckpointError, match=message):
        push_folder(folder, REPO)
    assert cli.main(["push", str(folder), REPO, "--dry-run"]) == 1
    assert "Traceback" not in capsys.readouterr().err and not hub.log


def test_a_variant_joins_a_model_and_leaves_it_alone(hub, folder):
    AutoModel.from_pretrained(folder).to(torch.bfloat16).save_pretrained(folder, variant="bf16", max_shard_size="5MB")
    with pytest.raises(InputError, match="holds no model that a variant could join"):
        push_folder(folder, REPO, variant="bf16")
    assert REPO not in hub.repos
    push_folder(folder, REPO)
    before = hub.files(REPO)
    assert {"model.safetensors", "model.safetensors.index.bf16.json"} <= set(before)
    (folder / "config.json").write_text((folder / "config.json").read_text().replace('"bfloat16"', '"float16"'))
    (folder / "model.safetensors.index.bf16.json").write_text(
        (folder / "model.safetensors.index.bf16.json").read_text() + "\n"
    )
    push_folder(folder, REPO, variant="bf16", revision="other")
    after = hub.files(REPO, "other")
    assert {name for name in after if after[name] != before.get(name)} == {"model.safetensors.index.bf16.json"}


def test_new_shards_take_the_place_of_old_ones(hub, folder):
    push_folder(folder, REPO)
    model = AutoModel.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="20MB")
    push_folder(folder, REPO)
    names = {name for name in hub.files(REPO) if name.endswith((".safetensors", ".index.json"))}
    assert "model.safetensors.index.json" in names and "model.safetensors" not in names and len(names) > 2
    push_folder(folder, REPO, revision="other")
    model.save_pretrained(folder)
    push_folder(folder, REPO, revision="other")
    assert {n for n in hub.files(REPO, "other") if "safetensors" in n} == {"model.safetensors"}
    assert names == {name for name in hub.files(REPO) if "safetensors" in name}


def test_variants_and_options_that_do_not_fit(folder):
    with pytest.raises(CheckpointError, match="no weights of variant 'fp16', only one without a name"):
        plan_push(folder, REPO, variant="fp16")
    with pytest.raises(InputError, match="only an adapter"):
        plan_push(folder, REPO, base_model=REPO)


@pytest.mark.parametrize(
    ("named", "given", "message"),
    [
        (None, None, "names no base model.*--base-model"),
        ("/data/model", None, "local path '/data/model'.*--base-model"),
        ("./model", None, "local path"),
        ("someone/unknown", None, "'someone/unknown' is not on the Hub.*--base-model"),
        ("/data/model", "no such/name", "is not on the Hub"),
    ],
)
def test_adapters_whose_base_nobody_knows(hub, tmp_path, named, given, message):
    config = {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "base_model_name_or_path": named}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    save_file({"a": torch.zeros(2)}, tmp_path / "adapter_model.safetensors")
    with pytest.raises(CheckpointError, match=message):
        push_folder(tmp_path, "someone/adapter", base_model=given)
    assert "someone/adapter" not in hub.repos


@pytest.mark.parametrize(
    ("base", "said"),
    [("/data/model", "local path '/data/model'"), (None, "names no base model"), ("someone/unknown", None)],
)
def test_a_dry_run_of_an_adapter_needs_no_base_model(hub, folder, tmp_path, capsys, base, said):
    adapter = tmp_path / "adapter"
    save_adapter(folder, adapter)
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": base}))
    listed = pushed([str(adapter), REPO, "--dry-run"], capsys)
    assert "adapter_model.safetensors" in listed and "nothing was pushed" in listed and not hub.log
    assert (said or "") in listed and ("--base-model" in listed) == bool(said)
    plan = plan_push(adapter, REPO)
    assert not any(b"/data/model" in file.content for file in plan.files if isinstance(file.content, bytes))
    with pytest.raises(CheckpointError, match=r"--base-model"):
        push_folder(adapter, REPO)
    assert not hub.repos.get(REPO)


SECRET = "/gpfs/alice/run7"


def leak(folder: Path, where: str) -> None:
    """Puts a path or a token where a training may leave one."""

    def change(name: str, **values) -> None:
        path = folder / name
        path.write_text(json.dumps({**(json.loads(path.read_text()) if path.exists() else {}), **values}))

    if where == "weights":
        path = folder / "model.safetensors"
        save_file({"a": torch.zeros(2)}, path, metadata={"format": "pt", "source": SECRET})
    elif where == "weights' text":
        save_file({"a": torch.zeros(2)}, folder / "model.safetensors", metadata={"cmd": f"train --out {SECRET}"})
    elif where == "a key":
        change("config.json", results={SECRET: 1})
    elif where == "metrics":
        change("metrics.json", set=SECRET)
    elif where == "a network path":
        change("config.json", trained_on="\\\\server\\share")
    elif where == "the card's metadata":
        (folder / "README.md").write_text(f"---\ndatasets: [{SECRET}]\n---\n# Mine\n")
    elif where == "the card":
        (folder / "README.md").write_text(
            f"# Mine\n\nA fine-tuned version of [{SECRET}](https://huggingface.co/x/y).\n"
        )
    elif where == "the folder itself":
        (folder / "NOTICE").write_text(f"Trained in {folder.resolve()}\n")
    elif where == "code":
        (folder / "tracking.py").write_text((folder / "tracking.py").read_text() + f"\n# {SECRET}\n")
    elif where.endswith("token"):
        kinds = {
            "hub": TOKEN,
            "github": "ghp_" + "a1B2" * 9,
            "cloud": "AKIA" + "ABCD" * 4,
            "private key": "-----BEGIN ",
        }
        kinds["private key"] += "OPENSSH PRIVATE KEY-----"
        value = kinds[where.removesuffix(" token")]
        (folder / "chat_template.jinja").write_text((folder / "chat_template.jinja").read_text() + f"{{# {value} #}}")
    elif where == "the tokenizer":
        change("tokenizer.json", note=TOKEN)


LEAKS = ["weights", "weights' text", "a key", "metrics", "a network path", "the card's metadata", "the card", "code"]
LEAKS += ["the folder itself", "the tokenizer", "hub token", "github token", "cloud token", "private key token"]


@pytest.mark.parametrize("where", LEAKS)
def test_no_path_and_no_token_goes_up(hub, folder, where):
    leak(folder, where)
    with pytest.raises(CheckpointError, match=r"names the local path|looks like an access token"):
        push_folder(folder, REPO)
    assert not hub.log


def test_what_a_training_leaves_stays(hub, folder, capsys):
    """Files of a Trainer are not taken at all, and where a model came from is taken out of those that are."""
    for name in ("training_args.bin", "training_args.json", "trainer_state.json", "optimizer.pt", "all_results.json"):
        (folder / name).write_text(f"{SECRET} {TOKEN}")
    (folder / "runs").mkdir()
    (folder / "runs" / "events.json").write_text(SECRET)
    for name in ("config.json", "tokenizer_config.json", "processor_config.json", "generation_config.json"):
        if (folder / name).exists():
            value = json.loads((folder / name).read_text())
            value |= {"_name_or_path": SECRET, "name_or_path": SECRET, "nested": {"_name_or_path": SECRET}}
            (folder / name).write_text(json.dumps(value))
    push_folder(folder, REPO)
    files = hub.files(REPO)
    assert not any(SECRET.encode() in content or TOKEN.encode() in content for content in files.values())
    assert not [path for path in files if path.startswith(("train", "optimizer", "all_results", "runs"))]


def test_harmless_texts_go_up(folder):
    """Templates, links and placeholders are no leaks."""
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config["chat_template"] = "{{ 'Q:\\n\\nuser' }}\n{{ '\\\\nhome' }}"
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    text = "See https://example.org/data/set and /path/to/model, a/data/b, ../x; `cd C:\\n`; and/or, 1/2.\n"
    (folder / "README.md").write_text(f"# Mine\n\n{text}")
    assert plan_push(folder, REPO).problem is None


def test_saving_changes_no_fingerprint(folder, tmp_path):
    model = AutoModel.from_pretrained(folder)
    before = fingerprints(model)
    model.save_pretrained(tmp_path / "saved")
    assert fingerprints(model) == before == fingerprints(AutoModel.from_pretrained(tmp_path / "saved"))
