"""Segments, padding and shared stems: a token is read alike however the prompt before it was cut and batched."""

import math
from contextlib import contextmanager

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures.architectures import MIXTURE, TRIED, VOUCHED, WINDOW, random_model
from optim_hunter.observe import instruments
from optim_hunter.observe.agreement import disagreement
from optim_hunter.observe.attend import AttentionPass
from optim_hunter.observe.attribution import closure_error
from optim_hunter.observe.instruments import Capture, advance, read, read_batch
from optim_hunter.observe.last_layer import narrow_last_mlp
from optim_hunter.observe.layouts import decoder_parts
from optim_hunter.observe.posed import common_prefix, stems
from optim_hunter.observe.streams import Stream
from optim_hunter.observe.sums import GroupSums

CPU = torch.device("cpu")
tokens = st.integers(1, 2000)
prompts = st.lists(tokens, min_size=1, max_size=12)


@pytest.fixture(scope="module")
def llama():
    module = random_model(VOUCHED["llama"])
    module.set_attn_implementation("sdpa")
    return module, decoder_parts(module)


@contextmanager
def counted(modules):
    """How many tokens, padding included, go into each of the modules that run."""
    tokens = []
    count = lambda _, args: tokens.append(args[0].shape[:-1].numel())  # noqa: E731
    handles = [module.register_forward_pre_hook(count) for module in modules]
    try:
        yield tokens
    finally:
        for handle in handles:
            handle.remove()


def assert_read_alike(seen, row, alone):
    torch.testing.assert_close(seen.logits[row], alone.logits[0], atol=1e-4, rtol=0)
    torch.testing.assert_close(seen.writes[row], alone.writes[0], atol=1e-4, rtol=0)
    torch.testing.assert_close(seen.rows[row], alone.rows[0], atol=1e-5, rtol=0)


@settings(max_examples=25)
@given(rows=st.lists(st.lists(st.lists(tokens, max_size=6), min_size=3, max_size=3), min_size=1, max_size=4),
       last=st.data())  # fmt: skip
def test_segments_and_padding_change_nothing(llama, rows, last):
    module, parts = llama
    rows = [[[7, *row[0]], *row[1:], [*row[2], last.draw(tokens)]] for row in rows]
    stream = Stream.start(len(rows), CPU)
    for segment in range(3):
        advance(module, parts, stream, [row[segment] for row in rows])
    seen = read(module, parts, stream, [row[3] for row in rows], Capture(rows=True))
    for place, row in enumerate(rows):
        whole = [token for segment in row for token in segment]
        assert_read_alike(seen, place, read_batch(module, parts, [whole], rows=True))


@settings(max_examples=25)
@given(shared=st.lists(prompts, min_size=1, max_size=3), queries=st.integers(1, 3), data=st.data())
def test_rows_that_share_a_stem_are_read_as_whole_prompts(llama, shared, queries, data):
    module, parts = llama
    branches = [[data.draw(prompts) for _ in range(queries)] for _ in shared]
    stem = Stream.start(len(shared), CPU)
    advance(module, parts, stem, shared)
    stream = stem.branch(queries)
    seen = read(module, parts, stream, [branch for row in branches for branch in row], Capture(rows=True))
    after = read(module, parts, stream, [[5]] * queries * len(shared), Capture(rows=True))
    for row, start in enumerate(shared):
        for query in range(queries):
            whole, place = [*start, *branches[row][query]], row * queries + query
            assert_read_alike(seen, place, read_batch(module, parts, [whole], rows=True))
            assert_read_alike(after, place, read_batch(module, parts, [[*whole, 5]], rows=True))


@pytest.mark.parametrize("name", [*VOUCHED, *TRIED])
def test_every_architecture_continues_a_stem(name):
    """With prompts longer than the local layers of Gemma and Mistral see, and rows of unlike length."""
    module = random_model((VOUCHED | TRIED)[name])
    parts = decoder_parts(module)
    generator = torch.Generator().manual_seed(2)
    draw = [torch.randint(1, 2000, (length,), generator=generator).tolist() for length in (14, 11, 9, 3, 5, 12)]
    assert len(draw[0]) > WINDOW
    stem = Stream.start(2, CPU)
    advance(module, parts, stem, [draw[0][:6], draw[1][:2]])
    advance(module, parts, stem, [draw[0][6:], draw[1][2:]])
    stream = stem.branch(2)
    seen = read(module, parts, stream, draw[2:], Capture(rows=True))
    after = read(module, parts, stream, [[9], [], [8], [7]], Capture(rows=True))
    for place, (start, rest) in enumerate(zip((0, 0, 1, 1), draw[2:], strict=True)):
        whole = [*draw[start], *rest]
        assert_read_alike(seen, place, read_batch(module, parts, [whole], rows=True))
        if place != 1:
            whole.append((9, 0, 8, 7)[place])
            assert_read_alike(after, place, read_batch(module, parts, [whole], rows=True))


def test_several_positions_are_read_at_once(llama):
    module, parts = llama
    prompts = [[3, 4, 5, 6, 7], [8, 9, 10]]
    stream = Stream.start(2, CPU, keep=False)
    look = Capture(rows=True, heads=True, positions=[[-3, -1], [-2, -1]])
    seen = read(module, parts, stream, prompts, look)
    for row, places in enumerate(look.positions):
        for index, place in enumerate(places):
            until = prompts[row][: len(prompts[row]) + place + 1]
            alone = read_batch(module, parts, [until], rows=True, heads=True)
            torch.testing.assert_close(seen.writes[row, index], alone.writes[0, -1], atol=1e-4, rtol=0)
            torch.testing.assert_close(seen.heads_input[row, index], alone.heads_input[0, -1], atol=1e-4, rtol=0)
            row_so_far = seen.rows[row][:, :, index, : len(until)]
            torch.testing.assert_close(row_so_far, alone.rows[0][:, :, -1], atol=1e-5, rtol=0)
    assert float(seen.rows_error.max()) < 1e-5


@pytest.mark.parametrize(
    ("segments", "positions", "all_tokens", "read_tokens"),
    [
        ([[3, 4, 5, 6], [8, 9, 10]], None, 8, 2),
        ([[3, 4, 5, 6], [8, 9, 10]], [[-3, -1], [0, 1]], 8, 2 + 3),
        ([[3, 4, 5, 6], [8, 9, 10]], [[1, 1], [-1, -1]], 8, 2 + 1),
        ([[3], [8]], None, 2, 2),
        ([[3, 4], []], None, 4, 2),
    ],
)
@pytest.mark.parametrize("name", VOUCHED)
def test_the_last_mlp_runs_at_what_is_read_and_the_others_at_all_tokens(
    name, segments, positions, all_tokens, read_tokens
):
    module = random_model(VOUCHED[name])
    parts = decoder_parts(module)
    with counted(parts.mlp_output) as tokens:
        read(module, parts, Stream.start(2, CPU), segments, Capture(positions=positions))
    assert tokens == [all_tokens, all_tokens, read_tokens]


def test_of_what_is_not_read_the_last_mlp_runs_at_one_token(llama):
    module, parts = llama
    with counted(parts.mlp_output) as tokens:
        advance(module, parts, Stream.start(2, CPU), [[3, 4, 5, 6], [8, 9, 10]])
    assert tokens[-2:] == [8, 2]


def test_a_token_read_where_the_last_mlp_did_not_run_gives_no_number(llama, monkeypatch):
    """Zeros there would close the sums, and the write would be believed."""
    module, parts = llama
    withheld = lambda parts, columns, *rest: narrow_last_mlp(parts, columns[:, :0], *rest)  # noqa: E731
    monkeypatch.setattr(instruments, "narrow_last_mlp", withheld)
    seen = read(module, parts, Stream.start(1, CPU), [[3, 4, 5]], Capture(positions=[[0, -1]]))
    assert math.isnan(closure_error(seen.writes[0, 0], seen.residual[0, 0]))
    assert closure_error(seen.writes[0, 1], seen.residual[0, 1]) < 1e-5


def test_who_edits_or_listens_sees_all_tokens_of_the_last_mlp(llama):
    module, parts = llama
    shapes = []
    edit = lambda _, args: shapes.append(args[0].shape)  # noqa: E731
    listen = lambda _, __, output: shapes.append(output.shape)  # noqa: E731
    handles = [parts.last_mlp.register_forward_pre_hook(edit), parts.last_mlp.register_forward_hook(listen)]
    read(module, parts, Stream.start(1, CPU), [[3, 4, 5]], Capture())
    for handle in handles:
        handle.remove()
    assert shapes == [(1, 3, 48), (1, 3, 48)]


def test_sums_are_over_all_tokens_of_the_last_mlp_too(llama):
    module, parts = llama
    asked = GroupSums(parts.mlp_output, [[0, 0, 1, 1], [0, 1, 1]], 2)
    prompts = [[3, 4, 5, 6], [8, 9, 10]]
    with counted(parts.mlp_output) as tokens:
        advanced = advance(module, parts, Stream.start(2, CPU), prompts, asked)
        seen = read(module, parts, Stream.start(2, CPU), prompts, Capture(sums=asked))
    assert set(tokens) == {8}
    torch.testing.assert_close(advanced, seen.sums)


def test_a_mixture_of_experts_runs_whole():
    module = random_model(MIXTURE)
    parts = decoder_parts(module)
    assert parts.last_mlp is None
    assert disagreement(module, parts) < 1e-4


def test_a_batch_without_padding_needs_no_mask():
    stream = Stream.start(2, CPU)
    stream.extend([[1, 2, 3], [4, 5, 6]])
    assert AttentionPass(stream, 3, None).mask(None, None) is None
    assert AttentionPass(stream, 3, None).mask(None, 3) is None
    assert AttentionPass(stream, 3, None).mask(None, 2) is not None
    stream.extend([[1], [2]])
    assert AttentionPass(stream, 1, None).mask(None, None) is None


# what prompts share


@given(st.lists(st.integers(0, 3), max_size=6), st.lists(prompts, min_size=1, max_size=4))
def test_common_prefix_is_the_longest_that_leaves_a_token_of_each(start, rests):
    joined = [[*start, *rest] for rest in rests]
    shared = common_prefix(joined)
    assert shared >= min(len(start), *(len(prompt) - 1 for prompt in joined))
    assert len({tuple(prompt[:shared]) for prompt in joined}) == 1
    assert all(len(prompt) > shared for prompt in joined)
    if shared < min(map(len, joined)) - 1:
        assert len({prompt[shared] for prompt in joined}) > 1


@given(st.lists(st.lists(prompts, min_size=1, max_size=3), min_size=1, max_size=3))
def test_stems_only_grow_and_fit_into_every_later_prompt(levels):
    lengths = stems(levels)
    assert lengths == sorted(lengths)
    for level, length in enumerate(lengths):
        later = [prompt for below in levels[level:] for prompt in below]
        assert len({tuple(prompt[:length]) for prompt in later}) == 1
        assert all(len(prompt) > length for prompt in later)
