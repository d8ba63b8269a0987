"""The engine's side of the socket: clients come and go, requests become sequences, and tokens become events.

Everything here runs in the event loop of the engine's main thread; the tensors are in the step thread.
"""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Protocol

from hitchpost.errors import BadBackendAnswerError, HitchpostError
from hitchpost_meta_reference.engine.answer import Answer
from hitchpost_meta_reference.engine.protocol import (
    Cancel,
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
    encode,
    read_from_host,
)
from hitchpost_meta_reference.engine.scheduler import Sequence
from hitchpost_meta_reference.engine.step_thread import SampledToken, StepReport, StepThread
from hitchpost_meta_reference.engine.vocabulary import Vocabulary

MAX_UNSENT_BYTES = 64 * 1024 * 1024
"""A client that leaves more than this unread is gone or stuck."""

log = logging.getLogger("hitchpost.engine")


class RequestReader(Protocol):
    """Turns a request into sequences."""

    async def read(self, submit: Submit) -> list[Sequence]:
        """One sequence per choice, without ids. Raises HitchpostError where the request can't be served."""
        ...


@dataclass(slots=True, eq=False)
class _Request:
    submit: Submit
    reading: asyncio.Task[None] | None = None
    answer: Answer | None = None
    sequence_ids: list[int] = field(default_factory=list)


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
        vocabulary: what the model's tokens mean.
        reader: turns requests into sequences.
        steps: computes the sequences; it tells `report` what came out.
    """

    def __init__(self, facts: ModelFacts, vocabulary: Vocabulary, reader: RequestReader, steps: StepThread) -> None:
        self._facts = facts
        self._vocabulary = vocabulary
        self._reader = reader
        self._steps = steps
        self._stats = Stats()
        self._clients: set[_Client] = set()
        self._sequences: dict[int, tuple[_Client, _Request, int]] = {}
        self._sequence_ids = count(1)

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
                    case Submit():
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
        self._stats = report.stats
        outbox: dict[_Client, list[Event]] = {}
        for token in report.tokens:
            self._take(token, outbox)
        for sequence_id, error in report.failed.items():
            self._fail(sequence_id, error, outbox)
        is_idle = report.stats.running == report.stats.waiting == 0
        for client in list(self._clients) if is_idle else list(outbox):
            client.send(encode(Step(report.stats, outbox.get(client, []))))

    def give_up(self, message: str) -> None:
        """Tells every client that the engine can't go on."""
        for client in self._clients:
            client.send(encode(Failed(message)))

    def _begin(self, client: _Client, submit: Submit) -> None:
        if submit.request_id in client.requests:
            raise ProtocolError(f"request id {submit.request_id} is in use")
        request = client.requests[submit.request_id] = _Request(submit)
        request.reading = asyncio.create_task(self._read(client, request))

    async def _read(self, client: _Client, request: _Request) -> None:
        submit = request.submit
        try:
            sequences = await self._reader.read(submit)
            request.answer = Answer(submit, len(sequences[0].prompt), self._vocabulary)
        except HitchpostError as error:
            self._refuse(client, submit.request_id, error)
            return
        except Exception:
            log.exception("a request could not be read")
            self._refuse(client, submit.request_id, HitchpostError("the engine could not read the request"))
            return
        for choice, sequence in enumerate(sequences):
            sequence.sequence_id = next(self._sequence_ids)
            sequence.request = (client, submit.group or submit.request_id)
            self._sequences[sequence.sequence_id] = (client, request, choice)
            request.sequence_ids.append(sequence.sequence_id)
            self._steps.submit(sequence)

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

    def _drop(self, sequence_ids: Iterable[int]) -> None:
        running = [sequence_id for sequence_id in sequence_ids if self._sequences.pop(sequence_id, None)]
        if running:
            self._steps.cancel(running)

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
            del client.requests[request.submit.request_id]

    def _fail(self, sequence_id: int, error: HitchpostError, outbox: dict[_Client, list[Event]]) -> None:
        client, request, _ = self._sequences.get(sequence_id, (None, None, 0))
        if client is None or request is None:
            return
        request_id = request.submit.request_id
        outbox.setdefault(client, []).append(RequestFailed(request_id, error.code, error.message))
        self._cancel(client, request_id)


__all__ = ["MAX_UNSENT_BYTES", "Front", "RequestReader"]
