"""From settings to a running engine: the one place where tokenizer, template, decoder, cache, scheduler and front meet."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from hitchpost.errors import BackendUnavailableError
from hitchpost_meta_reference.engine.cache import SlotCache
from hitchpost_meta_reference.engine.chat_template import load_chat_template
from hitchpost_meta_reference.engine.checkpoint import find_format, load_decoder
from hitchpost_meta_reference.engine.errors import ChatTemplateError, CheckpointError
from hitchpost_meta_reference.engine.files import read_json
from hitchpost_meta_reference.engine.front import Front
from hitchpost_meta_reference.engine.model import Decoder
from hitchpost_meta_reference.engine.protocol import ModelFacts
from hitchpost_meta_reference.engine.request_reader import CheckpointRequests
from hitchpost_meta_reference.engine.runner import Runner, use_available_threads
from hitchpost_meta_reference.engine.sampling import Sampled, SamplingState
from hitchpost_meta_reference.engine.scheduler import FixedSlots, Row, Scheduler, StepBudget
from hitchpost_meta_reference.engine.settings import DEFAULT_MAX_SEQ_LEN, EngineSettings
from hitchpost_meta_reference.engine.step_thread import StepFailedForGoodError, StepReport, StepThread
from hitchpost_meta_reference.engine.tokenizer import load_tokenizer
from hitchpost_meta_reference.engine.vocabulary import Vocabulary

# A processor computes some 16 tokens in the time that it reads the weights; a GPU hundreds.
_TOKENS_BESIDE_DECODING = {"cpu": 64, "cuda": 512}
_TOKENS_ALONE = {"cpu": 256, "cuda": 2048}

log = logging.getLogger("hitchpost.engine")


def load_engine(
    settings: EngineSettings, report: Callable[[StepReport], None], fail: Callable[[str], None]
) -> tuple[Front, StepThread]:
    """Loads the checkpoint and builds the engine around it, in the thread that will compute the steps.

    Args:
        report, fail: as of `StepThread`.

    Raises:
        BackendUnavailableError: the checkpoint can't be served; the message names files of it, not where they are.
    """
    try:
        return _load(settings, report, fail)
    except (CheckpointError, ChatTemplateError) as error:
        raise BackendUnavailableError(str(error)) from error
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise BackendUnavailableError(
            "there is not enough memory for the model; lower max_seq_len or max_batch_size, or take a smaller dtype"
        ) from error
    except OSError as error:
        raise BackendUnavailableError(
            f"the checkpoint can't be read: {error.strerror or type(error).__name__}"
        ) from error


def _load(
    settings: EngineSettings, report: Callable[[StepReport], None], fail: Callable[[str], None]
) -> tuple[Front, StepThread]:
    folder = Path(settings.checkpoint_dir)
    log.info("loading %s", folder)
    checkpoint_format = find_format(folder)
    device = _device(settings)
    if device.type == "cpu":
        log.info("computing with %d threads", use_available_threads())
    tokenizer = load_tokenizer(folder)
    template = load_chat_template(folder, tokenizer.special_tokens)
    decoder = load_decoder(folder, getattr(torch, settings.dtype) if settings.dtype else None, device)
    context_length = _context_length(settings, decoder)
    decoder.prepare(context_length)
    cache = _take_cache(decoder, settings.max_batch_size, context_length)
    budget = StepBudget(
        beside_decoding=settings.max_batch_size + _TOKENS_BESIDE_DECODING[device.type],
        alone=_TOKENS_ALONE[device.type],
    )
    steps = StepThread(
        Scheduler(FixedSlots(settings.max_batch_size), budget), GuardedRunner(Runner(decoder, cache)), report, fail
    )
    vocabulary = Vocabulary(
        tokenizer.token_bytes, tokenizer.special_tokens, has_space_prefix=tokenizer.has_space_prefix
    )
    requests = CheckpointRequests(
        tokenizer,
        template,
        vocabulary_size=decoder.config.vocab_size,
        context_length=context_length,
        max_token_chars=max(len(tokenizer.token_bytes(token)) for token in range(tokenizer.vocab_size)),
        defaults=_recommended_sampling(folder),
        new_state=SamplingState,
        seed=settings.seed,
    )
    facts = ModelFacts(
        context_length=context_length,
        vocabulary_size=decoder.config.vocab_size,
        eos_ids=sorted(tokenizer.eos_ids),
        checkpoint_format=checkpoint_format.value,
        has_chat_template=template is not None,
        template_knows_tools=template is not None and template.knows_tools,
        special_tokens=sorted(tokenizer.special_tokens),
        parameters=sum(parameter.numel() for parameter in decoder.parameters()),
        dtype=str(decoder.embedding.dtype).removeprefix("torch."),
        device=str(device),
    )
    return Front(facts, vocabulary, requests, steps), steps


class GuardedRunner:
    """A runner whose lost device is told from a step that failed."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def step(self, rows: Sequence[Row]) -> list[Sampled | None]:
        """See `Runner.step`.

        Raises:
            StepFailedForGoodError: the device is lost, and everything on it.
        """
        with _lost_device_told():
            return self._runner.step(rows)

    def forget(self, slot: int) -> None:
        """See `Runner.forget`; raises as `step` does."""
        with _lost_device_told():
            self._runner.forget(slot)


@contextmanager
def _lost_device_told() -> Iterator[None]:
    try:
        yield
    except torch.AcceleratorError as error:
        raise StepFailedForGoodError("the device failed, and the model on it is lost") from error


def _device(settings: EngineSettings) -> torch.device:
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise CheckpointError("device is 'cuda', but PyTorch finds none; leave it out or say 'cpu'")
    return torch.device(settings.device or ("cuda" if torch.cuda.is_available() else "cpu"))


def _context_length(settings: EngineSettings, decoder: Decoder) -> int:
    longest = decoder.config.max_position
    if settings.max_seq_len is None:
        return min(longest, DEFAULT_MAX_SEQ_LEN)
    if settings.max_seq_len > longest:
        raise CheckpointError(
            f"max_seq_len is {settings.max_seq_len}; the checkpoint was made for at most {longest} tokens"
        )
    return settings.max_seq_len


def _take_cache(decoder: Decoder, slots: int, context_length: int) -> SlotCache:
    config, dtype = decoder.config, decoder.embedding.dtype
    size = 2 * config.n_layers * config.n_kv_heads * config.head_dim * slots * context_length * dtype.itemsize
    log.info("taking %.2f GiB for a cache of %d slots of %d tokens", size / 2**30, slots, context_length)
    try:
        return SlotCache(config, slots, context_length, dtype, decoder.norm.device)
    except RuntimeError as error:  # what PyTorch raises for memory that the processor hasn't got
        raise MemoryError("no room for the cache") from error


def _recommended_sampling(folder: Path) -> Mapping[str, Any]:
    file = folder / "generation_config.json"
    if not file.is_file():
        return {}
    content = read_json(file)
    names = ("temperature", "top_p", "top_k", "repetition_penalty")
    return {name: content[name] for name in names if isinstance(content.get(name), int | float)}


__all__ = ["GuardedRunner", "load_engine"]
