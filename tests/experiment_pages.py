"""Pages of the experiments as tests read them, and where their tests keep what was seen."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

import pytest

from optim_hunter import sklearn_regressors


def keep_apart(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store of the tests' own, fragments instead of pages, and no cap."""
    monkeypatch.setenv("OPTIM_HUNTER_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.setenv("OPTIM_HUNTER_NOTES", "1")
    monkeypatch.delenv("OPTIM_HUNTER_SEEDS_CAP", raising=False)


class Page(HTMLParser):
    """The text of a page, its tables as rows of cells, and its figures by caption."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words, self.rows, self.figures = "", [], {}
        self._caption, self._data = "", False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._tag = tag
        self._data = tag == "script" and ("type", "application/json") in attrs
        if tag == "tr":
            self.rows.append([])

    def handle_data(self, data: str) -> None:
        if not data.strip():
            return
        if self._data:
            self.figures[self._caption] = json.loads(data)
        elif self._tag == "figcaption":
            self._caption = data
        elif self._tag in ("td", "th"):
            self.rows[-1].append(data)
        if self._tag not in ("script", "style"):
            self.words += data

    def figure(self, words: str) -> dict[str, Any]:
        """The one figure whose caption holds these words."""
        (found,) = [figure for caption, figure in self.figures.items() if words in caption]
        return found


# Logit differences

GIVEN = [
    getattr(sklearn_regressors, name)
    for name in ("linear_regression", "knn_regression", "baseline_average", "baseline_last", "baseline_random")
]
