"""Sample a corpus of stories from a small language model, for claims that need text and have no hub.

    python scripts/sample_stories.py MODEL_FOLDER --characters 6000000 --out optim_hunter/data/stories.txt.gz

Temperature 1, seeded, whole stories only: a story counts when the model ends it within its context.
Stories longer than the context are therefore missing from the corpus, and the record beside the file says
how many were dropped for that reason.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import time
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache

SEPARATOR = "\n<|endoftext|>\n"


def draw(probabilities: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """One token a row [batch, 1] by inverting the cumulative distribution: one random number a row, not one a token."""
    cumulative = probabilities.cumsum(-1, dtype=torch.float64)
    points = torch.rand(len(cumulative), 1, generator=generator, dtype=torch.float64) * cumulative[:, -1:]
    return torch.searchsorted(cumulative, points, right=True)


@torch.inference_mode()
def sample_batch(model, start: int, ends: set[int], batch: int, generator: torch.Generator) -> tuple[list, int]:
    """Token ids of the stories that ended within the context, and how many did not."""
    tokens = torch.full((batch, 1), start)
    cache, stories = DynamicCache(config=model.config), []
    for _ in range(model.config.max_position_embeddings - 1):
        logits = model(tokens[:, -1:], past_key_values=cache, use_cache=True).logits[:, -1]
        drawn = draw(torch.softmax(logits, -1), generator)
        tokens = torch.cat([tokens, drawn], dim=1)
        ended = torch.tensor([int(token) in ends for token in drawn])
        stories += [row[1:-1].tolist() for row in tokens[ended]]
        if ended.any():
            tokens = tokens[~ended]
            cache.batch_select_indices((~ended).nonzero().flatten())
        if not len(tokens):
            break
    return stories, len(tokens)


def sample_corpus(folder: Path, characters: int, batch: int, seed: int) -> tuple[str, dict]:
    """Whole stories worth at least `characters` characters, and the record of how they were made."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, use_safetensors=True).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    generator = torch.Generator().manual_seed(seed)
    ends = {tokenizer.bos_token_id, tokenizer.eos_token_id}
    stories, dropped, length, started = [], 0, 0, time.monotonic()
    while length < characters:
        sampled, unfinished = sample_batch(model, tokenizer.bos_token_id, ends, batch, generator)
        texts = [text for text in (tokenizer.decode(ids).strip() for ids in sampled) if text]
        stories, dropped = stories + texts, dropped + unfinished
        length += sum(map(len, texts))
        print(f"{length:,} of {characters:,} characters, {time.monotonic() - started:.0f} s", flush=True)
    text = SEPARATOR.join(stories) + "\n"
    weights = (folder / "model.safetensors").read_bytes()
    return text, {
        "what": "Stories sampled from stories15M (Karpathy, llama2.c, MIT licence; trained on TinyStories)",
        "command": "python scripts/sample_stories.py MODEL_FOLDER "
        f"--characters {characters} --batch {batch} --seed {seed}",
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        "temperature": 1.0,
        "context_tokens": model.config.max_position_embeddings,
        "stories": len(stories),
        "dropped_for_length": dropped,
        "missing": "stories longer than the model's context were dropped, so long stories are missing",
        "characters": len(text),
        "text_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "licence": "MIT",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="Hugging Face folder of the model")
    parser.add_argument("--characters", type=int, default=6_000_000)
    parser.add_argument("--batch", type=int, default=192)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    text, record = sample_corpus(arguments.model, arguments.characters, arguments.batch, arguments.seed)
    arguments.out.write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))
    arguments.out.with_suffix("").with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
