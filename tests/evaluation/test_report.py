"""The page of an evaluation, its intervals and factors, and two evaluations side by side."""

import base64
import io
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.evaluation.shapes_folders import clips, write_mevis
from videoglamm_hf import cli
from videoglamm_hf.data.rle import encode_rle
from videoglamm_hf.evaluation.factors import factors_of, grouped
from videoglamm_hf.evaluation.intervals import bootstrap_interval, figure_intervals

HOSTILE = '<script>alert("x")</script> the red & "blue" thing'


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    data = write_mevis(folder / "mevis", clips(4))
    about = json.loads((data / "meta_expressions.json").read_text())
    about["videos"]["clip0"]["expressions"]["1"]["exp"] = HOSTILE
    (data / "meta_expressions.json").write_text(json.dumps(about))
    given = ["evaluate", "mevis", "--data", str(data), "--output", str(folder / "run"), "--device", "cpu", "-q"]
    assert cli.main([*given, "--prompt", "Please segment {phrase}."]) == 0
    return folder / "run"


def test_page_stands_alone_and_shows_every_question(run):
    text = (run / "report.html").read_text()
    tags = Page(text).tags
    for tag, attributes in tags:
        assert tag not in ("link", "iframe") and not (tag == "script" and "src" in attributes)
        assert all(not str(attributes.get(name, "data:")).startswith("http") for name in ("src", "href"))
    pictures = [attributes["src"] for tag, attributes in tags if tag == "img"]
    assert len(pictures) == 16  # eight questions, among the worst and by chance
    with Image.open(io.BytesIO(base64.b64decode(pictures[0].partition(",")[2]))) as picture:
        assert picture.n_frames == 3 and picture.width > 2 * picture.height
    scores = json.loads((run / "scores.json").read_text())
    for name, (j, f) in scores["per_expression"].items():
        assert name in text and f"{50 * (j + f):.1f}" in text
    for figure, (low, high) in scores["intervals"].items():
        assert low <= scores["figures"][figure] <= high
        assert f"{100 * low:.1f} to {100 * high:.1f}" in text
    assert "<script>alert" not in text and "&lt;script&gt;alert" in text


def test_compare(run, tmp_path, capsys):
    other = Path(shutil.copytree(run, tmp_path / "other"))
    scores = json.loads((other / "scores.json").read_text())
    pairs = scores["per_expression"]
    better = {name: [min(1.0, j + 0.1), f] for name, (j, f) in pairs.items()}
    better.pop("clip3_1")
    better["clip2_0"] = [0.0, 0.0]
    (other / "scores.json").write_text(json.dumps(scores | {"per_expression": better}))
    assert cli.main(["compare", str(run), str(other), "--output", str(tmp_path / "page.html")]) == 0
    printed = capsys.readouterr().out
    assert "7 questions in both, 1 only in A, 0 only in B" in printed
    change = np.mean([better[name][0] - pairs[name][0] for name in better])
    assert f"{100 * change:+.2f}" in next(line for line in printed.splitlines() if re.match(r"J ", line))
    assert printed.partition("moved most:")[2].split()[0] == "clip2_0"
    page = (tmp_path / "page.html").read_text()
    assert "clip2_0" in page and "<script>" not in page


def test_compare_refuses(run, tmp_path, capsys):
    other = Path(shutil.copytree(run, tmp_path / "other"))
    scores = json.loads((other / "scores.json").read_text())
    for content, said in (
        ({**scores, "benchmark": "revos"}, "different benchmarks"),
        ({**scores, "per_expression": {"elsewhere": [1, 1]}}, "no question in common"),
        ({**scores, "per_expression": {"clip0_0": ["x", None]}}, "not as they were written"),
        ([], "no scores"),
    ):
        (other / "scores.json").write_text(json.dumps(content))
        assert cli.main(["compare", str(run), str(other)]) == 1
        assert said in capsys.readouterr().err
    assert cli.main(["compare", str(run), str(tmp_path / "nowhere")]) == 1


def test_interval_of_equal_values_and_of_none():
    assert bootstrap_interval([0.4] * 5, list("abcde")) == pytest.approx((0.4, 0.4))
    assert np.isnan(bootstrap_interval([], [])).all()


def test_interval_draws_videos_not_samples():
    """A video asked about a hundred times is one video."""
    values = [0.0] * 100 + [1.0] * 100
    videos = ["a"] * 100 + ["b"] * 100
    assert bootstrap_interval(values, videos) == (0.0, 1.0)
    low, high = bootstrap_interval(values, [str(n) for n in range(200)])
    assert 0.42 < low < 0.5 < high < 0.58


def test_interval_of_a_ratio_is_of_sums():
    samples = {"a": {"found": 1, "all": 1}, "b": {"found": 0, "all": 99}}
    ratios = {"recall": ["found", "all"]}
    low, high = figure_intervals(samples, {"a": "a", "b": "b"}, ratios, {})["recall"]
    assert (low, high) == (0.0, 1.0)
    samples = {str(n): {"found": 1 + n % 2, "all": 2} for n in range(400)}
    low, high = figure_intervals(samples, {name: name for name in samples}, ratios, {})["recall"]
    assert 0.72 < low < 0.75 < high < 0.78


def test_what_is_no_mean_of_samples_has_no_interval():
    samples = {"a": {"METEOR": 0.2, "miou": 0.4}, "b": {"METEOR": 0.6, "miou": 0.6}}
    found = figure_intervals(samples, {"a": "a", "b": "b"}, {}, {"METEOR": 0.37, "miou": 0.5})
    assert found == {"miou": [0.4, 0.6]}


def test_a_ratio_without_any_denominator_has_no_interval():
    samples = {"a": {"found": 0, "all": 0}}
    assert figure_intervals(samples, {"a": "a"}, {"recall": ["found", "all"]}, {"recall": 0.0}) == {}


def test_factors():
    def box(left: int) -> dict:
        mask = np.zeros((30, 40), bool)
        mask[10:20, left : left + 12] = True
        return encode_rle(mask)

    factors = factors_of([[box(0), None, box(20), None]], others=2)
    assert factors == {
        "size": pytest.approx(10),
        "frames": 4,
        "objects": 1,
        "motion": pytest.approx(100 * 10 / 50),
        "hidden": pytest.approx(100 / 3),
        "others": 2,
    }
    assert factors_of([[None, None]], 0) == factors_of([], 0) == {}


@given(st.lists(st.integers(-5, 9), min_size=1, max_size=60))
def test_groups_hold_every_value_once(values):
    ranges = grouped(values)
    assert len(ranges) <= 4
    for value in values:
        assert sum(low <= value <= high for low, high in ranges) == 1


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
def test_search_in_a_browser(run, tmp_path):
    asking = """<script>search.value = "CLIP2"; search.dispatchEvent(new Event("input"));</script></body>"""
    page = tmp_path / "page.html"
    page.write_text((run / "report.html").read_text().replace("</body>", asking))
    program = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-quic"]
    program += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    shown = subprocess.run(
        [*program, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
    ).stdout
    assert re.search(r'id="found"[^>]*>2 questions<', shown)
    hidden = re.findall(r'<article class="sample" data-name="([^"]*)" hidden', shown)
    assert {name[:5] for name in hidden} == {"clip0", "clip1", "clip3"}


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
def test_a_sample_is_looked_at_closely(run):
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: the extra `browser`")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page, errors = browser.new_page(), []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto((run / "report.html").as_uri())
        page.locator("button.closer").first.click()
        canvas = page.locator("dialog .vg-canvas")
        assert canvas.is_visible() and page.locator("dialog .vg-line").is_visible()
        both = canvas.evaluate("(canvas) => canvas.toDataURL()")
        page.locator("dialog .vg-line").evaluate("(e) => { e.value = 0; e.dispatchEvent(new Event('input')); }")
        answered = canvas.evaluate("(canvas) => canvas.toDataURL()")
        page.locator("dialog .vg-line").evaluate("(e) => { e.value = 100; e.dispatchEvent(new Event('input')); }")
        assert len({both, answered, canvas.evaluate("(canvas) => canvas.toDataURL()")}) == 3
        page.locator("dialog form button").click()
        assert canvas.is_hidden() and not errors
        browser.close()
