"""How many tokens per second the engine of `inline::meta-reference` computes, beside a plain PyTorch loop in the same run.

    python bench/engine.py [--rounds 5] [--threads 2]

The model has the shape of SmolLM2 135M and random weights in bfloat16. Prefill is a prompt of 512 tokens. Decoding is of 1, 8 and 32 sequences at
once that begin with 256 tokens and grow by 24 in each round; tokens are of all sequences together. Figures are medians over interleaved rounds.

The engine's side is scheduler, decoder, cache and greedy sampling, without the process and the socket around them. The plain loop has the
same weights, one tensor of keys and values per layer, and bfloat16 all through, as most short programs do; the engine keeps residuals and
logits in float32.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable

# As the engine process has it; read when PyTorch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
import torch.nn.functional as F
from torch import Tensor

from hitchpost_meta_reference.engine.cache import SlotCache
from hitchpost_meta_reference.engine.decoder_config import DecoderConfig
from hitchpost_meta_reference.engine.model import Decoder, rotary_frequencies, rotate
from hitchpost_meta_reference.engine.runner import Runner
from hitchpost_meta_reference.engine.sampling import SamplingState
from hitchpost_meta_reference.engine.sampling_options import SamplingOptions
from hitchpost_meta_reference.engine.scheduler import FixedSlots, Scheduler, Sequence, StepBudget

SMOLLM2_135M = DecoderConfig(
    dim=576,
    n_layers=30,
    n_heads=9,
    n_kv_heads=3,
    head_dim=64,
    hidden_dim=1536,
    vocab_size=49152,
    norm_eps=1e-5,
    rope_theta=100_000.0,
    rope_scaling=None,
    attention_bias=False,
    mlp_bias=False,
    tied_embeddings=True,
    max_position=8192,
)
PROMPT_TOKENS = 512
CONTEXT_TOKENS = 256
DECODE_STEPS = 24
BATCHES = (1, 8, 32)
MAX_SEQ_LEN = 1024
CPU = torch.device("cpu")


def random_decoder() -> Decoder:
    """A decoder that isn't prepared yet: its weights are plain matrices."""
    torch.manual_seed(0)
    decoder = Decoder(SMOLLM2_135M, torch.bfloat16, CPU)
    with torch.no_grad():
        for name, parameter in decoder.named_parameters():
            parameter.fill_(1.0) if name.endswith("norm") else parameter.normal_(std=0.02)
    decoder.output = decoder.embedding
    return decoder


def prompt(length: int, seed: int) -> Tensor:
    return torch.randint(SMOLLM2_135M.vocab_size, (length,), generator=torch.Generator().manual_seed(seed))


class Engine:
    """Sequences under the real scheduler and runner."""

    def __init__(self, decoder: Decoder) -> None:
        decoder.prepare(MAX_SEQ_LEN)
        # As the engine plans on a processor.
        self._scheduler = Scheduler(FixedSlots(max(BATCHES)), StepBudget(beside_decoding=64 + max(BATCHES), alone=256))
        self._runner = Runner(decoder, SlotCache(SMOLLM2_135M, max(BATCHES), MAX_SEQ_LEN, torch.bfloat16, CPU))

    def begin(self, batch: int, length: int = CONTEXT_TOKENS) -> None:
        """Lets sequences of so many tokens wait, in place of those that were there."""
        for slot in self._scheduler.cancel(range(max(BATCHES))):
            self._runner.forget(slot)
        for number in range(batch):
            tokens = tuple(prompt(length, number).tolist())
            state = SamplingState(SamplingOptions(temperature=0.0))
            self._scheduler.submit(Sequence(number, tokens, MAX_SEQ_LEN - length, payload=state))

    def prefill_s(self) -> float:
        """Seconds from a prompt to its first token."""
        self.begin(1, PROMPT_TOKENS)
        began = time.perf_counter()
        while not self._step():
            pass
        return time.perf_counter() - began

    def decode_s(self) -> float:
        """Seconds of the next steps, in which all sequences decode."""
        while self._scheduler.waiting or not all(row.sequence.is_decoding for row in self._scheduler.plan()):
            self._step()
        began = time.perf_counter()
        for _ in range(DECODE_STEPS):
            self._step()
        return time.perf_counter() - began

    def _step(self) -> int:
        rows = self._scheduler.plan()
        tokens = [one.token for one in self._runner.step(rows) if one is not None]
        self._scheduler.complete(rows, tokens)
        return len(tokens)


class PlainLoop:
    """The same model as a short program computes it: a batch of sequences of one length."""

    def __init__(self, decoder: Decoder) -> None:
        self._weights = [
            {name: parameter.data.clone() for name, parameter in block.named_parameters()} for block in decoder.blocks
        ]
        self._embedding = decoder.embedding.data.clone()
        self._norm = decoder.norm.data.bfloat16()
        angles = torch.outer(torch.arange(MAX_SEQ_LEN).float(), rotary_frequencies(SMOLLM2_135M))
        self._cosines, self._sines = angles.cos().unsqueeze(1), angles.sin().unsqueeze(1)

    def begin(self, batch: int) -> None:
        """Keys and values of so many sequences that have some tokens already; which ones makes no difference to the time."""
        config = SMOLLM2_135M
        shape = (config.n_layers, 2, batch, config.n_kv_heads, MAX_SEQ_LEN, config.head_dim)
        self._cache = torch.randn(shape, dtype=torch.bfloat16)
        self._tokens = torch.stack([prompt(1, number) for number in range(batch)])
        self._length = CONTEXT_TOKENS

    @torch.inference_mode()
    def _next(self, tokens: Tensor, start: int) -> Tensor:
        """The next token of each sequence, shape (batch,), after `tokens`, shape (batch, length)."""
        config, (batch, length) = SMOLLM2_135M, tokens.shape
        end = start + length
        x = F.embedding(tokens, self._embedding)
        heads, kv_heads = config.n_heads, config.n_kv_heads
        for weights, cache in zip(self._weights, self._cache, strict=True):
            y = F.rms_norm(x, (config.dim,), weights["attention_norm"].bfloat16(), config.norm_eps)
            split = F.linear(y, weights["qkv"]).view(batch, length, -1, config.head_dim)
            turned = rotate(split[:, :, : heads + kv_heads], self._cosines[start:end], self._sines[start:end])
            cache[0, :, :, start:end] = turned[:, :, heads:].transpose(1, 2)
            cache[1, :, :, start:end] = split[:, :, heads + kv_heads :].transpose(1, 2)
            mixed = F.scaled_dot_product_attention(
                turned[:, :, :heads].transpose(1, 2),
                cache[0, :, :, :end],
                cache[1, :, :, :end],
                is_causal=length > 1,
                enable_gqa=True,
            )
            x = x + F.linear(mixed.transpose(1, 2).reshape(batch, length, -1), weights["attention_output"])
            y = F.rms_norm(x, (config.dim,), weights["feed_forward_norm"].bfloat16(), config.norm_eps)
            gate, up = F.linear(y, weights["gate_up"]).chunk(2, dim=-1)
            x = x + F.linear(F.silu(gate) * up, weights["down"])
        last = F.rms_norm(x[:, -1], (config.dim,), self._norm, config.norm_eps)
        return F.linear(last, self._embedding).argmax(-1)

    def prefill_s(self) -> float:
        """Seconds from a prompt to its first token."""
        self.begin(1)
        tokens = prompt(PROMPT_TOKENS, 0).unsqueeze(0)
        began = time.perf_counter()
        self._next(tokens, 0)
        return time.perf_counter() - began

    def decode_s(self) -> float:
        """Seconds of the next steps."""
        began = time.perf_counter()
        for _ in range(DECODE_STEPS):
            self._tokens = self._next(self._tokens, self._length).unsqueeze(1)
            self._length += 1
        return time.perf_counter() - began


def tokens_per_s(rounds: int, tokens: int, *measures: Callable[[], float]) -> list[float]:
    """Median tokens per second of each side, the rounds taken in turns; a first round is not counted."""
    taken = [[measure() for measure in measures] for _ in range(rounds + 1)]
    return [tokens / statistics.median(times) for times in zip(*taken[1:], strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    decoder = random_decoder()
    plain = PlainLoop(decoder)
    engine = Engine(decoder)
    rows = [("prefill", tokens_per_s(options.rounds, PROMPT_TOKENS, engine.prefill_s, plain.prefill_s))]
    for batch in BATCHES:
        engine.begin(batch)
        plain.begin(batch)
        tokens = batch * DECODE_STEPS
        rows.append((f"decode, batch {batch}", tokens_per_s(options.rounds, tokens, engine.decode_s, plain.decode_s)))
    print(f"{'tokens per second':24}{'engine':>10}{'plain loop':>12}{'ratio':>8}")
    for name, (ours, theirs) in rows:
        print(f"{name:24}{ours:10.1f}{theirs:12.1f}{ours / theirs:8.2f}")


if __name__ == "__main__":
    main()
