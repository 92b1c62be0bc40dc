"""Reports read back: every element of a page, and names that would break out of one."""

from __future__ import annotations

from collections import Counter
from html.parser import HTMLParser

from heatlift.report.pages import Page
from heatlift.report.questions import Question

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)> \"'</title></style>{{0}} $x^2$\n& 漢字 🙂"
VOID = {"meta", "br", "img", "input", "wbr"}


class Elements(HTMLParser):
    """Every element with its attributes, the text of scripts apart, and whether the tags match."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        (self.scripts if self._open and self._open[-1] == "script" else self.text).append(data)

    def values(self, attribute: str) -> list[str]:
        return [attrs[attribute] or "" for _, attrs in self.elements if attribute in attrs]

    def tags(self) -> Counter[str]:
        return Counter(tag for tag, _ in self.elements)


def asked(page: Page, identity: str) -> Question:
    """One of an audit's questions."""
    return {question.identity: question for question in page.questions}[identity]
