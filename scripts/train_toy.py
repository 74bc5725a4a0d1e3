"""Train the toy from scratch: a small Llama that regresses in context on noisy lines, in a vocabulary of its own.

    OMP_NUM_THREADS=1 python scripts/train_toy.py --work /tmp/toy --out optim_hunter/data/toy

Each step draws its data by its number alone, so that a run which was stopped goes on where its last checkpoint (in
`--work`, every 100 steps) was, and ends with the same weights up to rounding. docs/toy.md says what came of it.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from scipy import stats
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from optim_hunter.models import cache
from optim_hunter.tasks.datasets import LARGEST_OUTPUT, LARGEST_X, SMALLEST_OUTPUT, dataset
from optim_hunter.tasks.regressors import predict

SPECIAL = ("[UNK]", "[BOS]", "[EOS]")
LABELS = ("\n\n\n\n\n", "\n\nx 0: ", "x 0: ", "\n\n", "\ny", ": ", ".0")
PIECES = tuple("0123456789.- \n")
"""For what training never shows: the decimals of a mean, a minus sign."""
PATTERN = r"\n{5}|\n\nx 0: |x 0: |\n\n|\ny|: |(?<![0-9.])[1-9]?[0-9]\.0(?![0-9])|[1-9][0-9]{2}|\.0(?![0-9])|[\s\S]"

START = ("[BOS]", "\n\n\n\n\n", "x 0: ")
"""A prompt begins with these; every further example with a blank line and the label as one token."""
TOKENS_OF_EXAMPLE = 6
"""Label, x, two tokens of the label of y, y, its decimal."""

VALIDATION_SEEDS = 2**30
HELD_OUT_SEEDS = 2**30 + 2**20
TRAINING_SEEDS = 2**31
"""First seeds of `noisy-line` for each purpose. Claims use those from 0 on."""

RIVALS = {"mean": "baseline_average", "kNN": "knn_regression", "least squares": "linear_regression"}


@dataclass(frozen=True)
class Recipe:
    """What decides the weights.

    Rates of learning rise to their peak over `warmup` steps, and a cosine takes them to 0. The first `short_steps`
    steps show `short_examples` examples, the others `examples`; an output is asked of every one, so that a sequence
    is a prompt of any smaller number. The target is no single number but a normal density around the output, of
    standard deviation `blur`: it tells which numbers are near each other.
    """

    seed: int = 0
    steps: int = 1200
    batch: int = 64
    examples: int = 11
    short_examples: int = 6
    short_steps: int = 400
    warmup: int = 100
    matrix_rate: float = 0.02
    other_rate: float = 0.003
    blur: float = 12.0
    layers: int = 10
    width: int = 64
    heads: int = 4
    mlp: int = 192

    def examples_at(self, step: int) -> int:
        """Examples of the sequences of a step."""
        return self.short_examples if step < self.short_steps else self.examples

    def rate_at(self, step: int) -> float:
        """The share of the peak rates."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        return 0.5 + 0.5 * math.cos(math.pi * (step - self.warmup) / (self.steps - self.warmup))


def build_tokenizer() -> PreTrainedTokenizerFast:
    """A feature such as `37.0` is one token; an output such as `487.0` two, the whole number and its decimal."""
    features = [f"{x}.0" for x in range(LARGEST_X + 1)]
    outputs = [str(y) for y in range(SMALLEST_OUTPUT, LARGEST_OUTPUT + 1)]
    entries = dict.fromkeys([*SPECIAL, *LABELS, *PIECES, *features, *outputs])
    tokenizer = Tokenizer(models.WordLevel({entry: index for index, entry in enumerate(entries)}, SPECIAL[0]))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(PATTERN), behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    unknown, start, end = SPECIAL
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token=unknown, bos_token=start, eos_token=end, pad_token=end
    )


def build_model(recipe: Recipe, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """The architecture with its first weights.

    A number ends an answer, so that its tokens are listed among those that end a text. First weights are larger than
    usual (standard deviation 0.1): what blocks write then outweighs the embedding, and an untrained model answers with
    a token of any kind instead of repeating the last one.
    """
    torch.manual_seed(recipe.seed)
    numbers = sorted(index for token, index in tokenizer.get_vocab().items() if token[0].isdigit())
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=recipe.width,
            intermediate_size=recipe.mlp,
            num_hidden_layers=recipe.layers,
            num_attention_heads=recipe.heads,
            max_position_embeddings=256,
            tie_word_embeddings=True,
            initializer_range=0.1,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=[tokenizer.eos_token_id, *numbers],
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    start_numbers_as_waves(model, tokenizer)
    return model


@torch.no_grad()
def start_numbers_as_waves(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    """Let a number's embedding start as sinusoids of the number, of wavelengths from 16 to 2,000, with some noise.

    As sinusoids tell a Transformer which positions are near each other (Vaswani et al. 2017, section 3.5), these tell
    it which numbers are; without them most of the training goes into that. Training changes them like all weights.
    """
    half = model.config.hidden_size // 2
    lengths = 16 * (2000 / 16) ** (torch.arange(half) / (half - 1))
    embedding = model.model.embed_tokens.weight
    for token, index in tokenizer.get_vocab().items():
        if token.removesuffix(".0").isdigit():
            turns = 2 * torch.pi * float(token) / lengths
            embedding[index] = 0.1 * 2**0.5 * torch.cat([turns.sin(), turns.cos()]) + 0.2 * embedding[index]


class Sequences:
    """Examples of `noisy-line` as tokens, as the tokenizer reads their prompts."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        ids = tokenizer.get_vocab()
        self.start = torch.tensor([ids[token] for token in START])
        self.name = torch.tensor([ids["\ny"], ids[": "]])
        self.label, self.decimal = ids["\n\nx 0: "], ids[".0"]
        self.first_feature, self.first_output = ids["0.0"], ids[str(SMALLEST_OUTPUT)]

    def draw(self, first_seed: int, batch: int, examples: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens [sequence, token] of the examples of `batch` seeds, and their outputs [sequence, example]."""
        drawn = [dataset("noisy-line").rounded(examples, seed) for seed in range(first_seed, first_seed + batch)]
        features = torch.from_numpy(np.stack([x[:, 0] for x, _ in drawn])).long()
        outputs = torch.from_numpy(np.stack([y for _, y in drawn])).long()
        tokens = torch.full((batch, examples, TOKENS_OF_EXAMPLE), self.label)
        tokens[..., 1] = self.first_feature + features
        tokens[..., 2:4] = self.name
        tokens[..., 4] = self.first_output + outputs - SMALLEST_OUTPUT
        tokens[..., 5] = self.decimal
        return torch.cat([self.start.expand(batch, -1), tokens.flatten(1)[:, 1:]], dim=1), outputs

    def places(self, examples: int) -> torch.Tensor:
        """Positions of the tokens that predict an output [example]."""
        return len(START) + 2 + TOKENS_OF_EXAMPLE * torch.arange(examples)


class Training:
    """Model, optimizers (Muon for the matrices of the layers, AdamW for embedding and norms), and the log so far."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe, self.tokenizer = recipe, build_tokenizer()
        self.model, self.sequences = build_model(recipe, self.tokenizer), Sequences(self.tokenizer)
        named = list(self.model.named_parameters())
        matrices = [one for name, one in named if one.ndim == 2 and "embed" not in name]
        others = [one for name, one in named if one.ndim != 2 or "embed" in name]
        self.optimizers: dict[torch.optim.Optimizer, float] = {
            torch.optim.Muon(matrices, lr=recipe.matrix_rate, weight_decay=0.01): recipe.matrix_rate,
            torch.optim.AdamW(others, lr=recipe.other_rate, betas=(0.9, 0.98), weight_decay=0.0): recipe.other_rate,
        }
        self.step, self.seconds, self.loss = 0, 0.0, float("nan")
        self.curve: list[dict[str, float]] = []

    def loss_of(self, first_seed: int, examples: int) -> torch.Tensor:
        """Cross entropy of the outputs of a batch with their blurred targets (nats, mean)."""
        tokens, outputs = self.sequences.draw(first_seed, self.recipe.batch, examples)
        hidden = self.model.model(tokens, use_cache=False).last_hidden_state
        numbers = torch.arange(SMALLEST_OUTPUT, LARGEST_OUTPUT + 1)
        target = torch.softmax(-(((numbers - outputs[..., None]) / self.recipe.blur) ** 2) / 2, dim=-1)
        predicted = torch.log_softmax(self.model.lm_head(hidden[:, self.sequences.places(examples)]), dim=-1)
        first = self.sequences.first_output
        return -(target * predicted[..., first : first + len(numbers)]).sum(-1).mean()

    def train_step(self) -> None:
        """One step of both optimizers; `loss` is a running mean over about 20 steps."""
        share, recipe = self.recipe.rate_at(self.step), self.recipe
        for optimizer, peak in self.optimizers.items():
            for group in optimizer.param_groups:
                group["lr"] = peak * share
        loss = self.loss_of(TRAINING_SEEDS + self.step * recipe.batch, recipe.examples_at(self.step))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad()
        self.loss = loss.item() if self.step == 0 else 0.95 * self.loss + 0.05 * loss.item()
        self.step += 1

    def run(self, work: Path) -> None:
        """Train to the last step; log and checkpoint every 100."""
        before, started = self.seconds, time.monotonic()
        while self.step < self.recipe.steps:
            self.train_step()
            self.seconds = before + time.monotonic() - started
            if self.step % 100 == 0:
                self.note(self.recipe.examples_at(self.step - 1))
                self.save(work)

    def note(self, examples: int) -> None:
        """Add the loss, and the errors of model and mean on the validation seeds, to the curve."""
        answers, outputs = answer(self.model, self.sequences, VALIDATION_SEEDS, 256, examples)
        errors = np.abs(answers - outputs[:, -1]), np.abs(outputs[:, :-1].mean(1) - outputs[:, -1])
        self.curve.append(
            {
                "step": self.step,
                "loss": round(self.loss, 3),
                "examples": examples,
                "error": round(float(errors[0].mean()), 1),
                "error_of_mean": round(float(errors[1].mean()), 1),
                "seconds": round(self.seconds),
            }
        )
        print(json.dumps(self.curve[-1]), flush=True)

    def save(self, work: Path) -> None:
        """Write weights, the optimizers' states and the log; the log last, since it tells that the rest is whole."""
        tensors = {f"model/{name}": one for name, one in self.model.named_parameters()}
        for place, optimizer in enumerate(self.optimizers):
            for index, state in optimizer.state_dict()["state"].items():
                tensors |= {f"{place}/{index}/{name}": one for name, one in state.items()}
        target = work / f"step-{self.step}.safetensors"
        save_file({name: one.detach().contiguous() for name, one in tensors.items()}, target)
        log = {"recipe": asdict(self.recipe), "step": self.step, "seconds": self.seconds, "loss": self.loss}
        part = work / "log.json.part"
        part.write_text(json.dumps(log | {"curve": self.curve}, indent=1), encoding="utf-8")
        part.replace(work / "log.json")
        for older in work.glob("step-*.safetensors"):
            if older != target:
                older.unlink()

    def resume(self, work: Path) -> None:
        """Go back to the last checkpoint, if there is one."""
        if not (work / "log.json").exists():
            return
        log = json.loads((work / "log.json").read_text(encoding="utf-8"))
        if log["recipe"] != asdict(self.recipe):
            raise SystemExit(f"{work} holds a run of another recipe: choose another folder for --work")
        self.step, self.seconds, self.loss, self.curve = (log[key] for key in ("step", "seconds", "loss", "curve"))
        tensors = load_file(work / f"step-{self.step}.safetensors")
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                parameter.copy_(tensors[f"model/{name}"])
        for place, optimizer in enumerate(self.optimizers):
            optimizer.load_state_dict(optimizer.state_dict() | {"state": _states(tensors, str(place))})


def _states(tensors: dict[str, torch.Tensor], place: str) -> dict[int, dict[str, torch.Tensor]]:
    """The state of one optimizer out of a checkpoint: parameter → name → tensor."""
    found: dict[int, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        kind, parameter, name = key.split("/", 2) if key.count("/") == 2 else ("", "", "")
        if kind == place:
            found.setdefault(int(parameter), {})[name] = tensor
    return found


@torch.inference_mode()
def answer(
    model: LlamaForCausalLM, sequences: Sequences, first_seed: int, seeds: int, examples: int
) -> tuple[np.ndarray, np.ndarray]:
    """The likeliest number for the last of the examples of each seed [seed], and all outputs [seed, example]."""
    tokens, outputs = sequences.draw(first_seed, seeds, examples)
    place = sequences.places(examples)[-1]
    logits = model.lm_head(model.model(tokens[:, : place + 1], use_cache=False).last_hidden_state[:, -1])
    return logits.argmax(-1).numpy() - sequences.first_output + SMALLEST_OUTPUT, outputs.numpy().astype(float)


def errors_of_rivals(first_seed: int, seeds: int, examples: int) -> Iterator[dict[str, float]]:
    """Absolute errors of the rivals on the last of the examples of each seed."""
    for seed in range(first_seed, first_seed + seeds):
        x, y = dataset("noisy-line").rounded(examples, seed)
        fitted = {name: predict(regressor, x[:-1], y[:-1], x[-1:], seed)[0] for name, regressor in RIVALS.items()}
        yield {name: abs(float(one) - y[-1]) for name, one in fitted.items()}


def held_out(model: LlamaForCausalLM, sequences: Sequences, examples: int, seeds: int = 1000) -> dict[str, Any]:
    """Errors on lines that were never drawn before, and by how much rivals err more: mean and 95 % t interval."""
    answers, outputs = answer(model, sequences, HELD_OUT_SEEDS, seeds, examples)
    own = np.abs(answers - outputs[:, -1])
    rivals = list(errors_of_rivals(HELD_OUT_SEEDS, seeds, examples))
    gains = {}
    for name in RIVALS:
        gain = np.array([one[name] for one in rivals]) - own
        half = stats.t.ppf(0.975, seeds - 1) * gain.std(ddof=1) / seeds**0.5
        gains[name] = [round(float(value), 1) for value in (gain.mean(), gain.mean() - half, gain.mean() + half)]
    return {"seeds": seeds, "examples": examples - 1, "error": round(float(own.mean()), 1), "gain_over": gains}


def export(training: Training, out: Path) -> None:
    """Write the model in float16, its tokenizer, and the record of how it was made."""
    model = training.model.half().eval()
    model.save_pretrained(out)
    training.tokenizer.save_pretrained(out)
    record = {
        "what": "Llama trained from scratch to regress in context on noisy lines (optim_hunter/tasks/datasets.py)",
        "command": "python scripts/train_toy.py --work FOLDER --out optim_hunter/data/toy",
        "recipe": asdict(training.recipe),
        "parameters": sum(one.numel() for one in model.parameters()),
        "weights_sha256": cache.sha256([out / "model.safetensors"]),
        "seconds": round(training.seconds),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "held_out": held_out(model.float(), training.sequences, training.recipe.examples),
        "curve": training.curve,
    }
    (out / "training.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def make_folder(option: str, folder: Path) -> None:
    """Make a folder before the training, so that none of it is lost for want of a place."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise SystemExit(f"{option} {folder} cannot be written ({error.strerror}): name another folder") from None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder of checkpoint and log")
    parser.add_argument("--out", type=Path, required=True, help="folder of the finished model")
    parser.add_argument("--seed", type=int, default=0, help="of the first weights; data are the same (default: 0)")
    arguments = parser.parse_args()
    for option, folder in (("--work", arguments.work), ("--out", arguments.out)):
        make_folder(option, folder)
    training = Training(Recipe(seed=arguments.seed))
    training.resume(arguments.work)
    training.run(arguments.work)
    export(training, arguments.out)


if __name__ == "__main__":
    main()
