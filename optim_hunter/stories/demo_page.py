"""The page of the stories laboratory: one HTML file that needs no network.

What it shows lies in it as one safetensors file, compressed; scripts known by their hashes read it and write text.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup
from safetensors.numpy import save

from optim_hunter.claim import UserError
from optim_hunter.evidence import fragment
from optim_hunter.stories.demo import ShownGroup
from optim_hunter.stories.demo_rules import PageRules
from optim_hunter.tasks.corpus import Corpus
from optim_hunter.tasks.stories import token_names, tokenizer_sha256

if TYPE_CHECKING:
    from tokenizers import Tokenizer

LIMIT = 4_000_000
"""The most bytes of a page."""

MARK = '<meta name="generator" content="optim-hunter demo">'
"""Near the beginning of every page; a file without it is never overwritten."""

SCRIPTS = (
    "demo_tokens.js", "demo_network.js", "demo_rules.js", "demo_model.js", "demo_elements.js", "demo_search.js",
    "demo_views.js", "demo_tabs.js", "demo_rule_views.js", "demo_rules_tab.js", "demo.js",
)  # fmt: skip
NO_RULES = PageRules()


def demo_html(
    groups: Sequence[ShownGroup],
    corpus: Corpus,
    tokenizer: Tokenizer,
    limit: int = LIMIT,
    rules: PageRules = NO_RULES,
) -> str:
    """The page, with as many of the examples as `limit` bytes leave room for: those of the first stories.

    Raises:
        UserError: the weights alone are too large.
    """
    page = _page(groups, corpus, tokenizer, 1.0, rules)
    if _size(page) <= limit:
        return page
    bare = _size(_page(groups, corpus, tokenizer, 0.0, rules))
    if bare > limit:
        raise UserError(
            f"a page of {len(groups)} word groups takes {bare:,} bytes without any example, above the {limit:,} that "
            "it may have: ask for fewer groups with --group"
        )
    share = 1.0
    while (size := _size(page)) > limit:
        share *= 0.99 * (limit - bare) / (size - bare)
        page = _page(groups, corpus, tokenizer, share, rules)
    return page


def _size(page: str) -> int:
    return len(page.encode())


def _page(groups: Sequence[ShownGroup], corpus: Corpus, tokenizer: Tokenizer, share: float, rules: PageRules) -> str:
    data = gzip.compress(pack(groups, corpus, tokenizer, share, rules), mtime=0)
    page = fragment.render(
        "demo.html",
        mark=Markup(MARK),
        corpus=corpus,
        scripts=SCRIPTS,
        data=Markup(base64.b64encode(data).decode("ascii")),
    )
    return fragment.allow_only(page, [fragment.template_text(name) for name in SCRIPTS])


def pack(
    groups: Sequence[ShownGroup], corpus: Corpus, tokenizer: Tokenizer, share: float, rules: PageRules = NO_RULES
) -> bytes:
    """A safetensors file of what is shown, with JSON under `page` in the metadata.

    For group number `n` its arrays are `n.weights` [position, token, class] and `n.offsets` [class] (nats), `n.counts`
    [position, token, class] (windows), `n.examples` [window, position] (tokens) and `n.labels` [window] (classes). Of
    the examples the first `share` is there. The one-layer model's arrays (`demo_network.py`) are `network.…`.
    """
    arrays = {f"network.{name}": array for name, array in rules.arrays.items()}
    for number, shown in enumerate(groups):
        kept = int(share * len(shown.examples.labels))
        arrays |= {
            f"{number}.weights": np.ascontiguousarray(shown.weights),
            f"{number}.offsets": shown.offsets,
            f"{number}.counts": shown.counts,
            f"{number}.examples": shown.examples.tokens[:kept].astype(np.uint16),
            f"{number}.labels": shown.examples.labels[:kept].astype(np.uint16),
        }
    return save(arrays, metadata={"page": json.dumps(_description(groups, corpus, tokenizer, rules))})


def _description(
    groups: Sequence[ShownGroup], corpus: Corpus, tokenizer: Tokenizer, rules: PageRules
) -> dict[str, Any]:
    names = token_names(tokenizer)
    token = {name: number for number, name in enumerate(names)}
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return {
        "names": names,
        "merges": [[token[left], token[right]] for left, right in merges],
        "tokenizer_sha256": tokenizer_sha256(tokenizer),
        "corpus": {"name": corpus.name, "sha256": corpus.sha256, "stories": len(corpus.stories)},
        "groups": [{"name": one.group.name, "words": one.group.words, **one.figures} for one in groups],
        "books": rules.books,
        "network": rules.network,
    }
