"""A figure as a section: seen, named for those who do not see it, and escaped."""

from __future__ import annotations

import base64
from html.parser import HTMLParser
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from advplug.cli import run
from advplug.report import figure_section
from advplug.report.style import figure

BAD = "<b>1 & 2</b> \"quoted\" 'twice'"


class Body(HTMLParser):
    """What a browser makes of the body: tags in their order, attributes of the image, text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.image: dict[str, str | None] = {}
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "img":
            self.image = dict(attrs)

    def handle_endtag(self, tag: str) -> None:
        self.tags.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        self.text += data


def line() -> Figure:
    drawn = figure(1.0)
    drawn.subplots().plot([0, 1], [0, 1], gid="the-line")
    return drawn


def test_the_image_stands_over_its_caption_and_needs_no_other_file() -> None:
    section = figure_section("A line", line(), alt="It rises.", caption="From zero to one.")
    body = Body(section.html)
    assert section.title == "A line"
    assert body.tags == ["figure", "div", "img", "/div", "figcaption", "/figcaption", "/figure"]
    assert body.image["alt"] == "It rises."
    assert body.text == "From zero to one."
    kind, _, content = str(body.image["src"]).partition(",")
    assert kind == "data:image/svg+xml;base64"
    assert 'id="the-line"' in base64.b64decode(content).decode()


def test_what_is_written_is_shown_as_it_is() -> None:
    section = figure_section(BAD, line(), alt=BAD, caption=BAD)
    body = Body(section.html)
    assert "b" not in body.tags
    assert body.image.keys() == {"src", "alt"}
    assert body.image["alt"] == body.text == section.title == BAD  # the page escapes the title


@pytest.mark.parametrize("threat", ["l2:min", "linf:0.1"])
def test_sections_of_a_case_know_runs_without_a_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], threat: str
) -> None:
    """The section on the landscape failed under a minimum norm, and the run warned of its own plugin."""
    monkeypatch.chdir(tmp_path)
    assert run(["evaluate", "kwta:mnist", "--attacks", "pgd", "--threat", threat, "--limit", "4", "--out", "run"]) == 0
    assert "failed in advplug_report_sections" not in capsys.readouterr().err
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert ("Why gradients fail" in page) == (threat != "l2:min")
