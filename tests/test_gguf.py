"""A quantised GGUF file as a folder of plain weights."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import numpy as np

from optim_hunter.models import loading, sources


def write_gguf(path: Path, weights: dict[str, np.ndarray]) -> None:
    """A llama of one layer, two heads and 32 dimensions, in Q4_1 where a weight is a matrix."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(32)
    writer.add_block_count(1)
    writer.add_feed_forward_length(32)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_rope_freq_base(10_000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(4)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(["<s>", "a", "b", "ab"])
    writer.add_token_types([3, 1, 1, 1])
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    for name, weight in weights.items():
        if weight.ndim == 1:
            writer.add_tensor(name, weight)
        else:
            kind = gguf.GGMLQuantizationType.Q4_1
            writer.add_tensor(name, gguf.quants.quantize(weight, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_a_gguf_file_becomes_plain_float32(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    rows = {"attn_q": 32, "attn_k": 16, "attn_v": 16, "attn_output": 32, "ffn_gate": 32, "ffn_up": 32, "ffn_down": 32}
    shapes = {"token_embd": (4, 32), "output_norm": (32,), "blk.0.attn_norm": (32,), "blk.0.ffn_norm": (32,)}
    shapes |= {f"blk.0.{name}": (count, 32) for name, count in rows.items()}
    weights = {f"{name}.weight": generator.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    write_gguf(tmp_path / "tiny.gguf", weights)
    (tmp_path / "out").mkdir()
    loading.dequantise(tmp_path / "tiny.gguf", tmp_path / "out")
    kind = gguf.GGMLQuantizationType.Q4_1
    expected = gguf.quants.dequantize(gguf.quants.quantize(weights["blk.0.ffn_down.weight"], kind), kind)
    module = loading.load_model(tmp_path / "out", "float32", "cpu")
    assert np.array_equal(module.model.layers[0].mlp.down_proj.weight.numpy(), expected)
    assert loading.load_tokenizer(tmp_path / "out")("abab")["input_ids"] == [3, 3]
    assert "quantization_config" not in json.loads((tmp_path / "out" / "config.json").read_text())
    assert sources.missing_file(tmp_path / "out") is None
