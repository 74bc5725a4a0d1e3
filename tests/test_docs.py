"""The code in docs/ runs as it stands."""

import re
from pathlib import Path

import torch

DOCS = Path(__file__).parent.parent / "docs"


def test_the_interventions_of_the_engines_page_run():
    (code,) = re.findall(r"```python\n(.*?)```", (DOCS / "engine.md").read_text(encoding="utf-8"), re.DOTALL)
    shown: dict = {}
    exec(code, shown)
    assert len(shown["drop"]) == 30
    model, prompt = shown["engine"].model, shown["prompt"]
    with torch.inference_mode():
        logits = model.module(torch.tensor([prompt])).logits[0, -1]
    torch.testing.assert_close(shown["clean"].logits, logits, atol=1e-3, rtol=0)
    assert max(shown["drop"]) > 1
