"""An engine without tensors: its tokens are bytes, and each choice says what its prompt says.

It stands where the model stands; scheduler, step thread, texts, protocol and connection around it are the real ones.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from collections.abc import Sequence as Seq
from dataclasses import dataclass, field

from hitchpost.errors import BadRequestError
from hitchpost_meta_reference.engine.decoding import Decoding
from hitchpost_meta_reference.engine.front import Front, TextDesk
from hitchpost_meta_reference.engine.protocol import ModelFacts, Submit, TextPrompt
from hitchpost_meta_reference.engine.scheduler import FixedSlots, Row, Scheduler, Sequence, StepBudget
from hitchpost_meta_reference.engine.step_thread import StepReport, StepThread
from hitchpost_meta_reference.engine.vocabulary import Vocabulary

END = 256
END_OF_MESSAGE = 257
TAG = 258
UNKNOWN = 999
NO_NUMBERS = 998
CONTEXT = 1000


@dataclass
class ParrotToken:
    token: int
    logprob: float = -0.5
    top: Seq[tuple[int, float]] = ((ord("a"), -0.5), (ord("b"), float("-inf")))


VOCABULARY = Vocabulary(
    lambda token: bytes([token]), {"<|eot_id|>": END, "<|eom_id|>": END_OF_MESSAGE, "<|python_tag|>": TAG}
)


class ParrotReader:
    """A prompt is text to repeat.

    `#` ends the turn, `%` the message, `@` is a special token, `&` one that nobody knows, and at `!` the model computes no numbers.
    """

    async def read(self, submit: Submit) -> list[Sequence]:
        assert isinstance(submit.prompt, TextPrompt)
        special = {ord("#"): END, ord("%"): END_OF_MESSAGE, ord("@"): TAG, ord("&"): UNKNOWN, ord("!"): NO_NUMBERS}
        tokens = tuple(special.get(byte, byte) for byte in submit.prompt.text.encode())
        if len(tokens) >= CONTEXT:
            raise BadRequestError("the prompt is too long", param="messages")
        if submit.prompt.text == "defect":
            raise LookupError("secret")
        limit = min(submit.max_tokens or CONTEXT, CONTEXT - len(tokens))
        return [Sequence(0, tokens, limit, stop_ids={END, END_OF_MESSAGE}) for _ in range(submit.n)]


@dataclass
class ParrotRunner:
    """Computes at once, or, after `pause`, one step per `allow`."""

    forgotten: list[int] = field(default_factory=list)
    rows_of_steps: list[int] = field(default_factory=list)
    error: Exception | None = None
    _permits: threading.Semaphore | None = None
    _is_held: bool = False

    def pause(self) -> None:
        self._permits = threading.Semaphore(0)

    def allow(self, steps: int = 1) -> None:
        assert self._permits is not None
        self._permits.release(steps)

    def is_held_after(self, steps: int) -> bool:
        """Whether so many steps are done and the next one has begun, which waits to be allowed: what comes now waits for its end."""
        return self._is_held and len(self.rows_of_steps) == steps

    def step(self, rows: Seq[Row]) -> Seq[ParrotToken | None]:
        permits = self._permits
        if permits is not None:
            self._is_held = True
            permits.acquire()
            self._is_held = False
        if self.error is not None:
            raise self.error
        self.rows_of_steps.append(len(rows))
        tokens = [self._next(row.sequence) for row in rows if row.samples]
        return [None if token == NO_NUMBERS else ParrotToken(token) for token in tokens]

    def forget(self, slot: int) -> None:
        self.forgotten.append(slot)

    def _next(self, sequence: Sequence) -> int:
        return sequence.prompt[sequence.generated % len(sequence.prompt)]


FACTS = ModelFacts(
    model_type="llm",
    embedding_dimension=1,
    context_length=CONTEXT,
    vocabulary_size=259,
    eos_ids=[END, END_OF_MESSAGE],
    checkpoint_format="meta",
    has_chat_template=False,
    template_knows_tools=False,
    special_tokens=["<|python_tag|>"],
    parameters=0,
    dtype="float32",
    device="cpu",
)


class ParrotEngine:
    """Builds the engine around a runner; `build` is what `EngineServer` wants."""

    def __init__(self, slots: int = 4) -> None:
        self.runner = ParrotRunner()
        self.slots = slots
        self.steps: StepThread | None = None
        self.loading_error: BaseException | None = None

    def build(self, report: Callable[[StepReport], None], fail: Callable[[str], None]) -> tuple[Front, StepThread]:
        if self.loading_error is not None:
            raise self.loading_error
        scheduler = Scheduler(FixedSlots(self.slots), StepBudget(beside_decoding=self.slots + 8, alone=64))
        decoding = Decoding(scheduler, self.runner)
        self.steps = StepThread([decoding], report, fail)
        return Front(FACTS, self.steps, text=TextDesk(VOCABULARY, ParrotReader(), decoding)), self.steps

    def has_orders(self, count: int = 1) -> bool:
        """Whether so many submits and cancels wait for the step in progress to end."""
        return self.steps is not None and self.steps._inbox.qsize() >= count

    async def end(self) -> None:
        """Returns when the step thread has run out, which tells of its last step by the event loop."""
        held, self.runner._permits = self.runner._permits, None
        if held is not None:
            held.release()
        if self.steps is not None:
            self.steps.end()
        await until(
            lambda: all(thread.name != "steps" for thread in threading.enumerate()), "the step thread has ended"
        )


async def until(condition: Callable[[], bool], what: str, timeout_s: float = 20.0) -> None:
    """Returns when the condition holds; fails, naming it, when it doesn't in time."""
    give_up = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < give_up, f"after {timeout_s:g} s still not: {what}"
        await asyncio.sleep(0.005)
