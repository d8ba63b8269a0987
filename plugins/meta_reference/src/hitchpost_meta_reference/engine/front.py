"""The engine's side of the socket: clients come and go, requests become sequences or jobs, and tokens and vectors become events.

Everything here runs in the event loop of the engine's main thread; the tensors are in the step thread.
"""

import asyncio
import logging
from base64 import b64encode
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Protocol

from hitchpost.errors import BadBackendAnswerError, HitchpostError, UnsupportedError
from hitchpost_meta_reference.engine.answer import Answer
from hitchpost_meta_reference.engine.embedding_queue import EmbeddingJob
from hitchpost_meta_reference.engine.protocol import (
    Cancel,
    Done,
    Embed,
    Event,
    Failed,
    ModelFacts,
    Ping,
    Pong,
    ProtocolError,
    Ready,
    RequestFailed,
    Stats,
    Step,
    Submit,
    Vectors,
    encode,
    read_from_host,
)
from hitchpost_meta_reference.engine.scheduler import Sequence
from hitchpost_meta_reference.engine.step_thread import ComputedVectors, SampledToken, StepReport, StepThread
from hitchpost_meta_reference.engine.vocabulary import Vocabulary

MAX_UNSENT_BYTES = 64 * 1024 * 1024
"""A client that leaves more than this unread is gone or stuck."""

log = logging.getLogger("hitchpost.engine")


class RequestReader(Protocol):
    """Turns a request into sequences."""

    async def read(self, submit: Submit) -> list[Sequence]:
        """One sequence per choice, without ids. Raises HitchpostError where the request can't be served."""
        ...


class TextReader(Protocol):
    """Turns texts into token ids."""

    async def read(self, texts: list[str]) -> list[tuple[int, ...]]:
        """Those of each text, at least one. Raises HitchpostError where a text can't be served."""
        ...


class DecodingWork(Protocol):
    """What makes text of sequences, in the step thread."""

    def submit(self, sequence: Sequence) -> None: ...
    def cancel(self, sequence_ids: Collection[int]) -> None: ...


class EmbeddingWork(Protocol):
    """What makes vectors of texts, in the step thread."""

    def submit(self, job: EmbeddingJob) -> None: ...
    def cancel(self, job_id: int) -> None: ...


@dataclass(frozen=True, slots=True)
class TextDesk:
    """What requests for text need. `vocabulary`: what the model's tokens mean."""

    vocabulary: Vocabulary
    reader: RequestReader
    work: DecodingWork


@dataclass(frozen=True, slots=True)
class VectorDesk:
    """What requests for vectors need."""

    reader: TextReader
    work: EmbeddingWork


@dataclass(slots=True, eq=False)
class _Request:
    asked: Submit | Embed
    reading: asyncio.Task[None] | None = None
    answer: Answer | None = None
    sequence_ids: list[int] = field(default_factory=list)
    job_id: int | None = None
    tokens: int = 0
    """Of the texts that become vectors."""


@dataclass(slots=True, eq=False)
class _Client:
    writer: asyncio.StreamWriter
    requests: dict[int, _Request] = field(default_factory=dict)

    def send(self, frame: bytes) -> None:
        if self.writer.is_closing():
            return
        self.writer.write(frame)
        if self.writer.transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            log.warning("a client does not read what it asked for; its connection is cut")
            self.writer.transport.abort()


class Front:
    """All clients and their requests.

    Args:
        facts: told to each client that comes.
        steps: computes sequences and jobs; it tells `report` what came out.
        text, vectors: how requests for the one and the other are served; None: not at all.
    """

    def __init__(
        self, facts: ModelFacts, steps: StepThread, *, text: TextDesk | None = None, vectors: VectorDesk | None = None
    ) -> None:
        self._facts = facts
        self._steps = steps
        self._text = text
        self._vectors = vectors
        self._stats = Stats()
        self._clients: set[_Client] = set()
        self._sequences: dict[int, tuple[_Client, _Request, int]] = {}
        self._jobs: dict[int, tuple[_Client, _Request]] = {}
        self._ids = count(1)
        """Of sequences and jobs."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves a client until it goes; then nothing of what it asked goes on.

        Raises:
            ProtocolError: the client sent what nobody can read.
        """
        client = _Client(writer)
        self._clients.add(client)
        try:
            client.send(encode(Ready(self._facts)))
            while (message := await read_from_host(reader)) is not None:
                match message:
                    case Submit() | Embed():
                        self._begin(client, message)
                    case Cancel():
                        self._cancel(client, message.request_id)
                    case Ping():
                        client.send(encode(Pong(replace(self._stats, step_age_s=self._steps.step_age_s()))))
        finally:
            self._clients.discard(client)
            for request_id in list(client.requests):
                self._cancel(client, request_id)

    def report(self, report: StepReport) -> None:
        """Tells each client what the step brought it; the figures go to all when nothing is left to do."""
        self._stats = stats = report.stats
        outbox: dict[_Client, list[Event]] = {}
        for token in report.outcome.tokens:
            self._take(token, outbox)
        for vectors in report.outcome.vectors:
            self._take_vectors(vectors, outbox)
        for failed_id, error in report.outcome.failed.items():
            self._fail(failed_id, error, outbox)
        is_idle = stats.running == stats.waiting == stats.texts_waiting == 0
        for client in list(self._clients) if is_idle else list(outbox):
            client.send(encode(Step(report.stats, outbox.get(client, []))))

    def give_up(self, message: str) -> None:
        """Tells every client that the engine can't go on."""
        for client in self._clients:
            client.send(encode(Failed(message)))

    def _begin(self, client: _Client, asked: Submit | Embed) -> None:
        if asked.request_id in client.requests:
            raise ProtocolError(f"request id {asked.request_id} is in use")
        request = client.requests[asked.request_id] = _Request(asked)
        request.reading = asyncio.create_task(self._read(client, request, asked))

    async def _read(self, client: _Client, request: _Request, asked: Submit | Embed) -> None:
        try:
            if isinstance(asked, Submit):
                await self._read_prompt(client, request, asked)
            else:
                await self._read_texts(client, request, asked)
        except HitchpostError as error:
            self._refuse(client, asked.request_id, error)
        except Exception:
            log.exception("a request could not be read")
            self._refuse(client, asked.request_id, HitchpostError("the engine could not read the request"))

    async def _read_prompt(self, client: _Client, request: _Request, submit: Submit) -> None:
        if self._text is None:
            raise UnsupportedError("this model makes vectors, not text", param="model")
        sequences = await self._text.reader.read(submit)
        request.answer = Answer(submit, len(sequences[0].prompt), self._text.vocabulary)
        for choice, sequence in enumerate(sequences):
            sequence.sequence_id = next(self._ids)
            sequence.request = (client, submit.group or submit.request_id)
            self._sequences[sequence.sequence_id] = (client, request, choice)
            request.sequence_ids.append(sequence.sequence_id)
            self._steps.order(self._text.work.submit, sequence)

    async def _read_texts(self, client: _Client, request: _Request, embed: Embed) -> None:
        if self._vectors is None:
            raise UnsupportedError("this model makes text, not vectors", param="model")
        texts = await self._vectors.reader.read(embed.texts)
        request.tokens = sum(map(len, texts))
        request.job_id = next(self._ids)
        self._jobs[request.job_id] = (client, request)
        self._steps.order(self._vectors.work.submit, EmbeddingJob(request.job_id, texts))

    def _refuse(self, client: _Client, request_id: int, error: HitchpostError) -> None:
        del client.requests[request_id]
        client.send(encode(Step(self._stats, [RequestFailed(request_id, error.code, error.message, error.param)])))

    def _cancel(self, client: _Client, request_id: int) -> None:
        request = client.requests.pop(request_id, None)
        if request is None:
            return
        if request.reading is not None:
            request.reading.cancel()
        self._drop(request.sequence_ids)
        if self._vectors is not None and request.job_id in self._jobs:
            del self._jobs[request.job_id]
            self._steps.order(self._vectors.work.cancel, request.job_id)

    def _drop(self, sequence_ids: Iterable[int]) -> None:
        running = [sequence_id for sequence_id in sequence_ids if self._sequences.pop(sequence_id, None)]
        if running and self._text is not None:
            self._steps.order(self._text.work.cancel, running)

    def _take(self, token: SampledToken, outbox: dict[_Client, list[Event]]) -> None:
        # Absent: it was cancelled, or ended by a stop string, while this step was being computed.
        client, request, choice = self._sequences.get(token.sequence_id, (None, None, 0))
        if client is None or request is None or request.answer is None:
            return
        answer = request.answer
        try:
            outbox.setdefault(client, []).extend(answer.take(choice, token.sampled, token.end))
        except Exception:
            log.exception("a token could not be read")
            self._fail(
                token.sequence_id,
                BadBackendAnswerError("the engine could not read the model's answer; its log says why"),
                outbox,
            )
            return
        if token.end is not None:
            del self._sequences[token.sequence_id]
        elif answer.is_over(choice):
            self._drop([token.sequence_id])
        if answer.is_done:
            del client.requests[request.asked.request_id]

    def _take_vectors(self, computed: ComputedVectors, outbox: dict[_Client, list[Event]]) -> None:
        # Absent: it was cancelled while this step was being computed.
        client, request = self._jobs.get(computed.job_id, (None, None))
        if client is None or request is None:
            return
        request_id = request.asked.request_id
        events = outbox.setdefault(client, [])
        numbers = b64encode(b"".join(computed.vectors.values())).decode()
        events.append(Vectors(request_id, list(computed.vectors), numbers))
        if computed.are_last:
            events.append(Done(request_id, request.tokens, 0))
            del self._jobs[computed.job_id], client.requests[request_id]

    def _fail(self, failed_id: int, error: HitchpostError, outbox: dict[_Client, list[Event]]) -> None:
        client, request, *_ = self._sequences.get(failed_id) or self._jobs.get(failed_id) or (None, None)
        if client is None or request is None:
            return
        request_id = request.asked.request_id
        outbox.setdefault(client, []).append(RequestFailed(request_id, error.code, error.message))
        self._cancel(client, request_id)


__all__ = ["MAX_UNSENT_BYTES", "Front", "RequestReader", "TextDesk", "TextReader", "VectorDesk"]
