"""What a pass that reads component writes and attention rows costs, against the plain forward pass of its batch.

    python benchmarks/one_pass.py [--json FILE] [--sizes 4x900,8x1400] [--repeats 5] [--only plain,writes]
    python benchmarks/one_pass.py --device cuda --dtype bfloat16 --model random:llama-3.1-8b --sizes 16x900

Rows, all under `inference_mode` and with the logits of the last position alone unless everything is asked for:

- `plain`: Hugging Face's forward pass, SDPA.
- `writes`, `writes_and_rows`: ours; what each component writes at the last position, then also the attention
  rows of every layer from there.
- `bridge_writes`: TransformerBridge with a names filter for the same writes, as its documentation has it.
- `bridge_writes_tuned`: the same with a slice of the last position, its logits alone and no KV cache.
- `bridge_all`: TransformerBridge caching everything; up to 4,000 tokens, since it needs 50 GB for 8 × 1,400.
- `nnsight_writes`: nnsight saving the same writes at the last position.

Times are taken in rounds. Each round runs every variant once; the order is rotated from round to round, and every
other round runs backwards, so that none always follows the same one. A variant's ratio is the median over rounds
of its time over the plain time *of its round*: neighbours in time have the same machine, while a ratio of two
medians may compare a round with a busy machine to one with an idle machine. The bridge and nnsight change the
modules that they are given, so each gets a module of its own over the same weights; plain and ours have the model.

Peak memory is that of a fresh process for each variant which loads the model, makes one tiny pass and then the
pass: the peak of its resident memory during the pass (on CUDA of the memory that torch allocated), and how far that
is above what it held at rest; the median of three processes, since now and then one peaks a gigabyte higher than its
likes. Imports of a tool and the weights are in the peak, as they are in a user's process.

`rate` is the share of the machine's matrix rate, measured here with one square product: 2 operations for each
weight of a linear layer and token, without attention scores and without the unembedding. It is plain's work by which
all are measured; ours leaves out the last layer's MLP at tokens that are not read.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from optim_hunter.models.bridge import bridge, second_view
from optim_hunter.models.language import LanguageModel
from optim_hunter.models.loading import DTYPES
from optim_hunter.models.registry import open_language_model
from optim_hunter.observe.instruments import read_batch
from optim_hunter.observe.layouts import decoder_parts

Pass = Callable[[Tensor], object]
Size = tuple[int, int]

PEAKS = 3
"""Processes whose peak memory is measured for each variant."""

ALL_LIMIT = 4000
"""Tokens of a batch up to which everything is cached."""


def plain(model: LanguageModel) -> Pass:
    return partial(model.module, use_cache=False, logits_to_keep=1)


def ours(model: LanguageModel, rows: bool) -> Pass:
    parts = decoder_parts(model.module)
    return lambda tokens: read_batch(model.module, parts, tokens.tolist(), rows=rows)


def bridge_writes(model: LanguageModel, **options: Any) -> Pass:
    blocks = [
        f"blocks.{layer}.hook_{part}_out"
        for layer in range(model.module.config.num_hidden_layers)
        for part in ("attn", "mlp")
    ]
    return partial(bridge(model).run_with_cache, names_filter=["hook_embed", *blocks], **options)


def bridge_all(model: LanguageModel) -> Pass:
    return partial(bridge(model).run_with_cache, use_cache=False)


def nnsight_writes(model: LanguageModel) -> Pass:
    import nnsight

    envoy = nnsight.NNsight(second_view(model.module, "sdpa"))

    def run(tokens: Tensor) -> list[Tensor]:
        with envoy.trace(tokens, use_cache=False, logits_to_keep=1):
            writes = nnsight.save([envoy.model.embed_tokens.output[:, -1].clone()])
            for layer in envoy.model.layers:
                writes.append(layer.self_attn.output[0][:, -1].clone())
                writes.append(layer.mlp.output[:, -1].clone())
        return writes

    return run


VARIANTS: dict[str, Callable[[LanguageModel], Pass]] = {
    "plain": plain,
    "writes": partial(ours, rows=False),
    "writes_and_rows": partial(ours, rows=True),
    "bridge_writes": bridge_writes,
    "bridge_writes_tuned": partial(bridge_writes, pos_slice=-1, use_cache=False, logits_to_keep=1),
    "bridge_all": bridge_all,
    "nnsight_writes": nnsight_writes,
}


def variants_of(size: Size, only: str | None) -> list[str]:
    """The rows of a batch size; `plain`, to which all ratios are, is always among them."""
    left_out = set() if size[0] * size[1] <= ALL_LIMIT else {"bridge_all"}
    if only is not None:
        left_out |= set(VARIANTS) - {"plain", *only.split(",")}
    if importlib.util.find_spec("nnsight") is None:
        print("no nnsight here, its row is left out: pip install 'optim-hunter[bench]'", file=sys.stderr)
        left_out.add("nnsight_writes")
    return [name for name in VARIANTS if name not in left_out]


def draw_tokens(model: LanguageModel, size: Size) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, model.module.config.vocab_size, size, generator=generator).to(model.device)


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@torch.inference_mode()
def timed(work: Pass, tokens: Tensor) -> float:
    """Seconds of one pass; what it kept is freed after the clock has stopped."""
    gc.collect()
    synchronise(tokens.device)
    started = time.perf_counter()
    kept = work(tokens)
    synchronise(tokens.device)
    seconds = time.perf_counter() - started
    del kept
    return seconds


def alternate(passes: dict[str, Pass], tokens: Tensor, rounds: int) -> dict[str, list[float]]:
    """Seconds by variant and round, after one warm-up of each."""
    for work in passes.values():
        timed(work, tokens)
    times: dict[str, list[float]] = {name: [] for name in passes}
    names = list(passes)
    for number in range(rounds):
        first = number % len(names)
        rotated = names[first:] + names[:first]
        for name in rotated[:: -1 if number % 2 else 1]:
            times[name].append(timed(passes[name], tokens))
    return times


def matrix_rate(device: str, dtype: torch.dtype) -> float:
    """Floating-point operations a second of one large square product, the median of several."""
    side = 8192 if device.startswith("cuda") else 2048
    matrix = torch.randn(side, side, generator=torch.Generator().manual_seed(0)).to(device, dtype)
    times = [timed(matrix.__matmul__, matrix) for _ in range(12)]
    return 2 * side**3 / statistics.median(times[2:])


def weights_multiplied(module: Any) -> int:
    """Weights that each token is multiplied with on its way through the layers."""
    unembed = module.get_output_embeddings()
    linear = (part for part in module.modules() if isinstance(part, nn.Linear) and part is not unembed)
    return sum(part.weight.numel() for part in linear)


def resident_bytes(field: str) -> int:
    """VmRSS (now) or VmHWM (peak) of this process."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(field)).split()[1])


@torch.inference_mode()
def measure_peak(model: LanguageModel, work: Pass, size: Size) -> dict[str, int]:
    """Peak memory of one pass in this process, and what it held before; in bytes."""
    work(draw_tokens(model, (2, 8)))
    gc.collect()
    tokens = draw_tokens(model, size)
    if model.device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
        rest = torch.cuda.memory_allocated()
        work(tokens)
        return {"peak_bytes": torch.cuda.max_memory_allocated(), "rest_bytes": rest}
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts anew
    rest = resident_bytes("VmRSS")
    work(tokens)
    return {"peak_bytes": resident_bytes("VmHWM"), "rest_bytes": rest}


def median_peak(name: str, size: Size, arguments: argparse.Namespace) -> dict[str, int | None]:
    """`measure_peak` in fresh processes: the one with the median peak."""
    unknown: dict[str, int | None] = {"peak_bytes": None, "rest_bytes": None}
    peaks = [one for _ in range(PEAKS) if (one := peak_of(name, size, arguments)) is not None]
    return sorted(peaks, key=lambda one: one["peak_bytes"])[len(peaks) // 2] if peaks else unknown


def peak_of(name: str, size: Size, arguments: argparse.Namespace) -> dict[str, Any] | None:
    """`measure_peak` in a fresh process; None, with the reason on stderr, where it cannot be measured."""
    if not arguments.device.startswith("cuda") and not Path("/proc/self/clear_refs").exists():
        print("no /proc/self/clear_refs here: peak memory is not measured", file=sys.stderr)
        return None
    options = [f"--model={arguments.model}", f"--device={arguments.device}", f"--dtype={arguments.dtype}"]
    command = [sys.executable, __file__, f"--peak-of={name}", f"--sizes={size[0]}x{size[1]}", *options]
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    if child.returncode != 0:
        last = (child.stderr.strip().splitlines() or ["killed, so likely out of memory"])[-1]
        print(f"{name}: peak memory is not measured ({last})", file=sys.stderr)
        return None
    return json.loads(child.stdout.splitlines()[-1])


def capture(model: LanguageModel, size: Size, rate: float, arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Rows of one batch size."""
    names = variants_of(size, arguments.only)
    passes = {name: VARIANTS[name](model) for name in names}
    times = alternate(passes, draw_tokens(model, size), arguments.repeats)
    operations = 2 * weights_multiplied(model.module) * size[0] * size[1]
    for name in names:
        seconds = statistics.median(times[name])
        ratios = [mine / base for mine, base in zip(times[name], times["plain"], strict=True)]
        yield {
            "name": name,
            "tokens": f"{size[0]}x{size[1]}",
            "ratio": statistics.median(ratios),
            "seconds": seconds,
            **median_peak(name, size, arguments),
            "tokens_per_second": size[0] * size[1] / seconds,
            "rate": operations / seconds / rate,
        }


def line(row: dict[str, Any]) -> str:
    timing = "{name:20} {tokens:>8}  ratio {ratio:5.2f}  {seconds:8.3f} s".format(**row)
    speed = "{tokens_per_second:9,.0f} tokens/s  rate {rate:4.0%}".format(**row)
    if row["peak_bytes"] is None:
        return f"{timing}  {speed}"
    peak, above = row["peak_bytes"] / 1e9, (row["peak_bytes"] - row["rest_bytes"]) / 1e9
    return f"{timing}  {speed}  peak {peak:6.2f} GB, {above:6.2f} above rest"


def sizes_of(text: str) -> list[Size]:
    """`4x900,8x1400` → prompts × tokens of each batch."""
    pairs = [one.split("x") for one in text.split(",")]
    return [(int(prompts), int(tokens)) for prompts, tokens in pairs]


def arguments_of_command_line() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the rows here")
    parser.add_argument("--model", default="smollm2-135m", help="a name of the registry")
    parser.add_argument("--sizes", type=sizes_of, default="4x900,8x1400", help="prompts x tokens of each batch")
    parser.add_argument("--repeats", type=int, default=5, help="rounds that are timed")
    parser.add_argument("--only", metavar="NAMES", help="these rows alone, separated by commas")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=DTYPES)
    parser.add_argument("--peak-of", choices=VARIANTS, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    arguments = arguments_of_command_line()
    model = open_language_model(arguments.model, arguments.device, arguments.dtype)
    if arguments.peak_of:
        print(json.dumps(measure_peak(model, VARIANTS[arguments.peak_of](model), arguments.sizes[0])))
        return
    rate = matrix_rate(arguments.device, DTYPES[arguments.dtype])
    print(f"{arguments.model}, {arguments.dtype}, {torch.get_num_threads()} threads; {rate / 1e12:.2f} TFLOP/s")
    table = []
    for size in arguments.sizes:
        for row in capture(model, size, rate, arguments):
            table.append(row)
            print(line(row), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
