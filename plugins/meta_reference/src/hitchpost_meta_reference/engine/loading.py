"""From settings to a running engine: the one place where tokenizer, template, model, cache, scheduler and front meet."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from hitchpost.errors import BackendUnavailableError
from hitchpost_meta_reference.engine.cache import SlotCache
from hitchpost_meta_reference.engine.chat_template import load_chat_template
from hitchpost_meta_reference.engine.checkpoint import CheckpointFormat, find_format, load_decoder
from hitchpost_meta_reference.engine.decoding import Decoding
from hitchpost_meta_reference.engine.embedders import DecoderEmbedder, EncoderEmbedder
from hitchpost_meta_reference.engine.embedding import Embedder, Embedding
from hitchpost_meta_reference.engine.embedding_queue import EmbeddingQueue, Tokens
from hitchpost_meta_reference.engine.encoder_checkpoint import load_encoder
from hitchpost_meta_reference.engine.encoder_config import is_encoder, sentence_config
from hitchpost_meta_reference.engine.errors import ChatTemplateError, CheckpointError
from hitchpost_meta_reference.engine.files import read_json
from hitchpost_meta_reference.engine.front import Front, TextDesk, VectorDesk
from hitchpost_meta_reference.engine.model import Decoder
from hitchpost_meta_reference.engine.protocol import ModelFacts
from hitchpost_meta_reference.engine.request_reader import CheckpointRequests
from hitchpost_meta_reference.engine.runner import Runner, use_available_threads
from hitchpost_meta_reference.engine.sampling import Sampled, SamplingState
from hitchpost_meta_reference.engine.scheduler import FixedSlots, Row, Scheduler, StepBudget
from hitchpost_meta_reference.engine.settings import DEFAULT_MAX_SEQ_LEN, EngineSettings
from hitchpost_meta_reference.engine.step_thread import StepFailedForGoodError, StepReport, StepThread
from hitchpost_meta_reference.engine.text_reader import CheckpointTexts, decoder_encoding, encoder_encoding
from hitchpost_meta_reference.engine.tokenizer import load_tokenizer
from hitchpost_meta_reference.engine.vocabulary import Vocabulary

log = logging.getLogger("hitchpost.engine")

Report = Callable[[StepReport], None]
Fail = Callable[[str], None]

# A processor computes some 16 tokens in the time that it reads the weights; a GPU hundreds.
_TOKENS_BESIDE_DECODING = {"cpu": 64, "cuda": 512}
_TOKENS_ALONE = {"cpu": 256, "cuda": 2048}
# Larger batches of texts gain nothing on a processor, and whoever comes next waits for the batch in progress.
_TOKENS_OF_TEXTS = {"cpu": 1024, "cuda": 16_384}
_TEXTS_AT_ONCE = 256


def load_engine(settings: EngineSettings, report: Report, fail: Fail) -> tuple[Front, StepThread]:
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


def _load(settings: EngineSettings, report: Report, fail: Fail) -> tuple[Front, StepThread]:
    folder = Path(settings.checkpoint_dir)
    log.info("loading %s", folder)
    checkpoint_format = find_format(folder)
    device = _device(settings)
    if device.type == "cpu":
        log.info("computing with %d threads", use_available_threads())
    if checkpoint_format is CheckpointFormat.hugging_face and is_encoder(folder):
        return _load_encoder(settings, folder, device, report, fail)
    return _load_decoder(settings, folder, device, report, fail)


def _load_encoder(
    settings: EngineSettings, folder: Path, device: torch.device, report: Report, fail: Fail
) -> tuple[Front, StepThread]:
    encoder = load_encoder(folder, _dtype(settings), device)
    encoder.prepare()
    config = sentence_config(folder, encoder.config.max_position)
    # A limit of the config may be above what the checkpoint recommends, not above its positions.
    max_tokens = config.max_tokens
    if settings.max_seq_len is not None:
        max_tokens = _context_length(settings, encoder.config.max_position)
    work = _embedding(EncoderEmbedder(encoder, config), device)
    steps = StepThread([work], report, fail)
    encode = encoder_encoding(folder, max_tokens, lowercases=config.lowercases)
    texts = CheckpointTexts(encode, max_tokens=max_tokens, vocabulary_size=encoder.config.vocab_size)
    facts = ModelFacts(
        model_type="embedding",
        context_length=max_tokens,
        embedding_dimension=encoder.config.dim,
        vocabulary_size=encoder.config.vocab_size,
        eos_ids=[],
        checkpoint_format="hugging_face",
        has_chat_template=False,
        template_knows_tools=False,
        special_tokens=[],
        parameters=sum(parameter.numel() for parameter in encoder.parameters()),
        dtype=_name(encoder.embedding.dtype),
        device=str(device),
    )
    return Front(facts, steps, vectors=VectorDesk(texts, work)), steps


def _load_decoder(
    settings: EngineSettings, folder: Path, device: torch.device, report: Report, fail: Fail
) -> tuple[Front, StepThread]:
    tokenizer = load_tokenizer(folder)
    template = load_chat_template(folder, tokenizer.special_tokens)
    decoder = load_decoder(folder, _dtype(settings), device)
    context_length = _context_length(settings, decoder.config.max_position)
    decoder.prepare(context_length)
    decoding = _decoding(decoder, settings.max_batch_size, context_length)
    embedding = _embedding(DecoderEmbedder(decoder), device)
    steps = StepThread([decoding, embedding], report, fail)
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
    texts = CheckpointTexts(
        decoder_encoding(tokenizer, context_length),
        max_tokens=context_length,
        vocabulary_size=decoder.config.vocab_size,
    )
    facts = ModelFacts(
        model_type="llm",
        context_length=context_length,
        embedding_dimension=decoder.config.dim,
        vocabulary_size=decoder.config.vocab_size,
        eos_ids=sorted(tokenizer.eos_ids),
        checkpoint_format=find_format(folder).value,
        has_chat_template=template is not None,
        template_knows_tools=template is not None and template.knows_tools,
        special_tokens=sorted(tokenizer.special_tokens),
        parameters=sum(parameter.numel() for parameter in decoder.parameters()),
        dtype=_name(decoder.embedding.dtype),
        device=str(device),
    )
    text = TextDesk(vocabulary, requests, decoding)
    return Front(facts, steps, text=text, vectors=VectorDesk(texts, embedding)), steps


def _decoding(decoder: Decoder, slots: int, context_length: int) -> Decoding:
    device = decoder.norm.device
    cache = _take_cache(decoder, slots, context_length)
    budget = StepBudget(
        beside_decoding=slots + _TOKENS_BESIDE_DECODING[device.type],
        alone=_TOKENS_ALONE[device.type],
    )
    return Decoding(Scheduler(FixedSlots(slots), budget), GuardedRunner(Runner(decoder, cache)))


def _embedding(embedder: Embedder, device: torch.device) -> Embedding:
    queue = EmbeddingQueue(max_batch_tokens=_TOKENS_OF_TEXTS[device.type], max_batch_texts=_TEXTS_AT_ONCE)
    return Embedding(queue, GuardedEmbedder(embedder))


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


class GuardedEmbedder:
    """The same for an embedder."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    def embed(self, texts: Sequence[Tokens]) -> Sequence[bytes | None]:
        """See `Embedder`.

        Raises:
            StepFailedForGoodError: the device is lost, and everything on it.
        """
        with _lost_device_told():
            return self._embedder.embed(texts)


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


def _dtype(settings: EngineSettings) -> torch.dtype | None:
    return getattr(torch, settings.dtype) if settings.dtype else None


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _context_length(settings: EngineSettings, longest: int) -> int:
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


__all__ = ["GuardedEmbedder", "GuardedRunner", "load_engine"]
