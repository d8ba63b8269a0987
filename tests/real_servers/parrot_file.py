"""A model in llama.cpp's format that always says the same pieces, whatever it is asked: each token is followed by one other."""

from collections.abc import Sequence
from pathlib import Path

import gguf
import numpy as np

SPECIAL = ("<|begin|>", "<|end|>", "<|user|>", "<|assistant|>")
TEMPLATE = """{%- if tools -%}<|user|>Call tools by
<tool_call>
{"name": NAME, "arguments": OBJECT}
</tool_call>
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}<|end|>{%- endif -%}
{%- for message in messages -%}
{{- "<|assistant|>" if message.role == "assistant" else "<|user|>" -}}
{{- message.content or "" -}}
{%- for call in message.tool_calls or [] -%}
{{- '<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' + (call.function.arguments | tojson) + '}\\n</tool_call>' -}}
{%- endfor -%}
<|end|>
{%- endfor -%}
{%- if add_generation_prompt -%}<|assistant|>{%- endif -%}"""


def write_parrot(file: Path, pieces: Sequence[str]) -> None:
    """Writes a Llama whose layers add nothing: what follows a token is in the last matrix alone.

    Args:
        file: what to write.
        pieces: what it says, one token each; all different.
    """
    tokens = [*map(chr, _printable_bytes()), *map(_spelled, pieces), *SPECIAL]
    size = len(tokens) + -len(tokens) % 32
    tokens += [f"<|unused{number}|>" for number in range(size - len(tokens))]
    said = [
        tokens.index("<|assistant|>"),
        *(tokens.index(_spelled(piece)) for piece in pieces),
        tokens.index("<|end|>"),
    ]
    following = np.zeros((size, size), np.float32)
    following[said[1:], said[:-1]] = 10.0
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_context_length(4096)
    writer.add_embedding_length(size)
    writer.add_block_count(1)
    writer.add_feed_forward_length(32)
    writer.add_head_count(1)
    writer.add_head_count_kv(1)
    writer.add_rope_dimension_count(size)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama-bpe")
    writer.add_token_list(tokens)
    control, normal = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    writer.add_token_types([control if token.startswith("<|") else normal for token in tokens])
    writer.add_token_merges([f"{tokens[0]} {tokens[0]}"])
    writer.add_bos_token_id(tokens.index("<|begin|>"))
    writer.add_eos_token_id(tokens.index("<|end|>"))
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)
    ones, square = np.ones(size, np.float32), np.zeros((size, size), np.float32)
    writer.add_tensor("token_embd.weight", np.eye(size, dtype=np.float32))
    writer.add_tensor("output_norm.weight", ones)
    writer.add_tensor("output.weight", following)
    for name in ("attn_norm", "ffn_norm"):
        writer.add_tensor(f"blk.0.{name}.weight", ones)
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        writer.add_tensor(f"blk.0.{name}.weight", square)
    for name, shape in (("ffn_gate", (32, size)), ("ffn_up", (32, size)), ("ffn_down", (size, 32))):
        writer.add_tensor(f"blk.0.{name}.weight", np.zeros(shape, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _printable_bytes() -> list[int]:
    """The characters by which byte-level vocabularies spell the 256 bytes."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return plain + [256 + number for number in range(256 - len(plain))]


def _spelled(piece: str) -> str:
    return piece.replace("\n", chr(256 + 10)).replace(" ", chr(256 + 32))
