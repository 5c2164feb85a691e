"""The report is one page that needs nothing else, tells all, and fits on a phone."""

from __future__ import annotations

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from onnx_files import WEIGHT, write_affine

from transload.convert.compare.comparison import compare_models
from transload.convert.compare.page import write_page
from transload.convert.compare.result import ComparedModel, Comparison
from transload.convert.options import ConvertOptions

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
VOID = {"meta", "br", "img", "hr"}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    folder = tmp_path_factory.mktemp("models")
    wrong = WEIGHT.copy()
    wrong[2, 1] += 1e-2
    one = write_affine(folder / "one<&>.onnx")
    return compare_models(str(one), str(write_affine(folder / "wrong.onnx", weight=wrong)), ConvertOptions())


class Checker(HTMLParser):
    """Fails on tags that do not close, and keeps addresses and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.text = ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "action", "data")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_whole_and_asks_for_nothing_from_elsewhere(found: Comparison) -> None:
    page = write_page(found)
    checked = Checker(page)
    assert checked.addresses == []
    assert not re.search(r"https?:|url\(|@import|<script", page)
    assert "one<&>.onnx" in checked.text and "one<&>" not in page


def test_the_page_tells_verdict_errors_worst_elements_inputs_and_coverage(found: Comparison) -> None:
    text = Checker(write_page(found)).text
    (component,) = found.components
    differing = [each for each in component.sets if not each.passed]
    assert f"Not the same: {len(differing)} of" in text
    assert "blame: the graph" in text
    for each in component.sets:
        assert each.case.name in text
    output = next(output for output in differing[0].outputs if not output.row.passed)
    assert f"{output.row.missed} of {output.row.size}" in text
    assert str(list(output.worst[0].index)) in text and output.worst[0].ours in text
    assert f"batch: sizes {', '.join(map(str, component.sizes['batch']))}" in text
    assert "x: float32[2,3]" in text


def test_the_histograms_count_every_element_of_every_defined_set(found: Comparison) -> None:
    (component,) = found.components
    wanted = sum(o.row.size for each in component.sets if each.case.result != "undefined" for o in each.outputs)
    (label,) = re.findall(r'aria-label="([^"]*)"', write_page(found))
    assert sum(int(part.rsplit(": ", 1)[1]) for part in label.split(", ")) == wanted


def test_models_that_agree_get_a_good_verdict(tmp_path: Path) -> None:
    one = str(write_affine(tmp_path / "one.onnx"))
    text = Checker(write_page(compare_models(one, one, ConvertOptions()))).text
    assert "The same: " in text and "Not the same" not in text and "DIFFERS" not in text
    assert "The same: 0" in Checker(write_page(Comparison(*(ComparedModel("m", "onnx", "e"),) * 2, ()))).text


@pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this machine; the other tests read the page's text instead"
)
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_is_no_wider_than_the_screen(found: Comparison, tmp_path: Path, width: int) -> None:
    page = tmp_path / "report.html"
    probe = "<script>document.title = [innerWidth, document.documentElement.scrollWidth].join()</script></body>"
    frame = f'<iframe id="f" width="{width}" height="800" srcdoc="PAGE"></iframe>'
    inner = write_page(found).replace("</body>", probe).replace("&", "&amp;").replace('"', "&quot;")
    outer = "<script>onload = () => { document.title = document.getElementById('f').contentDocument.title }</script>"
    page.write_text(frame.replace("PAGE", inner) + outer)
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", f"file://{page}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    title = re.search(r"<title>(\d+),(\d+)</title>", done.stdout)
    assert title is not None, done.stderr[-500:]
    inner_width, needed = map(int, title.groups())
    assert inner_width <= width and needed <= inner_width
