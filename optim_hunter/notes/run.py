"""Which blocks must run, and running them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from optim_hunter.experiments.cap import CAP
from optim_hunter.llama_model import VARIABLE
from optim_hunter.models.cache import CACHE, cache_folder
from optim_hunter.notes.document import Block
from optim_hunter.notes.kernel import running_kernel
from optim_hunter.notes.reliance import Names, names, relied_on
from optim_hunter.notes.results import Kept, Result, Setting, keys


class Reporter(Protocol):
    """Is told what runs."""

    def starts(self, block: Block, number: int, total: int) -> None:
        """Block `number` of `total` that must run, from 1, begins."""

    def ends(self, block: Block, result: Result, messages: str) -> None:
        """A block has ended; `messages` is what it wrote to stderr."""


@dataclass
class Run:
    """The results of all blocks, those kept and those made now.

    Attributes:
        results: by block; complete once the run is over.
        ran: indices of the blocks that ran now, in order.
    """

    results: dict[int, Result] = field(default_factory=dict)
    ran: list[int] = field(default_factory=list)

    @property
    def recalled(self) -> list[int]:
        """Indices of the blocks whose result is one that had been kept."""
        return [index for index in sorted(self.results) if index not in self.ran and index not in self.failed]

    @property
    def failed(self) -> list[int]:
        """Indices of the blocks without a result."""
        return sorted(index for index, result in self.results.items() if result.error is not None)


def run_blocks(blocks: Sequence[Block], setting: Setting, kept: Kept, reporter: Reporter) -> Run:
    """The result of every block: kept, or made in one interpreter that runs as few blocks as will do.

    A block that fails does not stop those after it. A result is kept at once, unless the block failed or relies on one
    that did; so nothing is lost where a later block, or the whole process, is stopped.
    """
    block_keys = keys([block.code for block in blocks], setting)
    read = [names(block.code) for block in blocks]
    run = Run({index: result for index, key in enumerate(block_keys) if (result := kept.get(key)) is not None})
    needed = blocks_to_run(read, set(run.results))
    if not needed:
        return run

    with running_kernel(setting.folder, _variables(setting)) as kernel:
        for number, index in enumerate(needed, start=1):
            reporter.starts(blocks[index], number, len(needed))
            run.results[index], messages = kernel.run(blocks[index].code)
            run.ran.append(index)
            if not {index, *relied_on(index, read)} & set(run.failed):
                kept.put(block_keys[index], run.results[index])
            reporter.ends(blocks[index], run.results[index], messages)
            if kernel.ended:
                break
    for index in set(needed) - set(run.results):
        run.results[index] = Result(error="Not run: the interpreter had ended before.")
    return run


def blocks_to_run(read: Sequence[Names], recalled: set[int]) -> list[int]:
    """Indices of the blocks without a kept result, and of those that they rely on, in order."""
    lacking = set(range(len(read))) - recalled
    return sorted(lacking.union(*(relied_on(index, read) for index in lacking)))


def _variables(setting: Setting) -> Mapping[str, str]:
    cap = "" if setting.cap is None else str(setting.cap)
    return {CAP: cap, VARIABLE: setting.model, CACHE: str(cache_folder().absolute())}
