"""Origins and precedence over any course of events, restarts included, against a model that is easy to check by eye."""

import asyncio
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from hitchpost.api import Api, Model, RequestContext
from hitchpost.errors import BackendUnavailableError, BadRequestError, ConflictError, NotFoundError
from hitchpost.registry import Origin
from tests.plugged import CONTEXT, Echo
from tests.registry.house import House, file_at, model

IDENTIFIERS = st.sampled_from(["a", "b", "c"])
PROVIDERS = st.sampled_from(["p", "q"])
VALUES = st.integers(0, 2)
CONFIGS = st.dictionaries(IDENTIFIERS, st.tuples(PROVIDERS, VALUES), max_size=2)
PRESETS = {"a": model("a", "p", value="preset"), "c": model("c", "q", value="preset")}


class Remembering(Echo):
    """Keeps what it is told in a place that outlives the host, as a provider with a disk does."""

    def __init__(self, memory: dict[str, Model], wishes: "Wishes") -> None:
        self.memory = memory
        self.wishes = wishes

    async def register_model(self, model: Model, context: RequestContext | None) -> None:
        if self.wishes.refuses:
            raise BadRequestError("not served")
        self.memory[model.identifier] = model

    async def unregister_model(self, model: Model, context: RequestContext | None) -> None:
        if self.wishes.fails:
            raise BackendUnavailableError("down")
        self.memory.pop(model.identifier, None)


class Wishes:
    """How a provider behaves from now on."""

    refuses = False
    fails = False


class OriginsMachine(RuleBasedStateMachine):
    """One host at a time on one file, with two providers."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.file = file_at(Path(self.folder.name) / "registry.db")
        self.memories: dict[str, dict[str, Model]] = {"p": {}, "q": {}}
        self.wishes = {"p": Wishes(), "q": Wishes()}
        self.config: Mapping[str, Model] = {}
        self.api: dict[str, Model] = {}
        self.is_settled = True

    @initialize(config=CONFIGS)
    def begin(self, config: dict[str, tuple[str, int]]) -> None:
        self.runner.run(self._start(config))

    def teardown(self) -> None:
        if hasattr(self, "house"):
            self.runner.run(self.house.stop())
        self.runner.close()
        self.folder.cleanup()

    # --- what can happen ---

    @rule(identifier=IDENTIFIERS, provider=PROVIDERS, value=VALUES)
    def register(self, identifier: str, provider: str, value: int) -> None:
        wanted = model(identifier, provider, value=value)
        origin, known = self.winner(identifier)
        outcome = self.attempt(self.house.announcer.register(wanted, CONTEXT))
        if origin in (Origin.config, Origin.api):
            if known.provider_id == provider:
                assert outcome == known
            else:
                assert isinstance(outcome, ConflictError)
                assert f"registered at provider {known.provider_id} ({origin.name})" in outcome.message
        elif self.wishes[provider].refuses:
            assert isinstance(outcome, BadRequestError)
        else:
            assert outcome == wanted
            self.api[identifier] = wanted

    @rule(identifier=IDENTIFIERS)
    def unregister(self, identifier: str) -> None:
        origin, known = self.winner(identifier)
        outcome = self.attempt(self.house.announcer.unregister(identifier, CONTEXT))
        if origin is None:
            assert isinstance(outcome, NotFoundError)
        elif origin is not Origin.api:
            assert isinstance(outcome, ConflictError)
            assert f"comes from origin {origin.name}" in outcome.message
        else:
            assert outcome is None
            del self.api[identifier]
            if self.wishes[known.provider_id].fails or self.wishes[known.provider_id].refuses:
                self.is_settled = False

    @rule(config=CONFIGS)
    def restart(self, config: dict[str, tuple[str, int]]) -> None:
        self.runner.run(self.house.stop())
        self.runner.run(self._start(config))

    @rule(provider=PROVIDERS, refuses=st.booleans(), fails=st.booleans())
    def change_mood(self, provider: str, refuses: bool, fails: bool) -> None:
        self.wishes[provider].refuses, self.wishes[provider].fails = refuses, fails
        self.is_settled = False

    @rule()
    def recover(self) -> None:
        for provider_id, wishes in self.wishes.items():
            wishes.refuses = wishes.fails = False
            self.runner.run(self.house.announcer.announce_all(provider_id))
        self.is_settled = True

    # --- what must hold ---

    @precondition(lambda self: hasattr(self, "house"))
    @invariant()
    def identifiers_belong_to_the_highest_origin(self) -> None:
        expected = {
            identifier: (known.provider_id, origin.name)
            for identifier in ("a", "b", "c")
            for origin, known in [self.winner(identifier)]
            if origin is not None
        }
        assert self.house.owners() == expected
        for identifier in expected:
            entry = self.house.registry.find(identifier)
            assert entry is not None
            assert entry.resource == self.winner(identifier)[1]

    @precondition(lambda self: self.is_settled)
    @invariant()
    def providers_know_exactly_what_is_registered_at_them(self) -> None:
        for provider_id, memory in self.memories.items():
            expected: dict[str, Model] = {}
            for resources in (PRESETS, self.api, self.config):
                expected |= {name: known for name, known in resources.items() if known.provider_id == provider_id}
            assert memory == (expected if hasattr(self, "house") else {})

    def winner(self, identifier: str) -> tuple[Origin | None, Any]:
        for origin, resources in ((Origin.config, self.config), (Origin.api, self.api), (Origin.preset, PRESETS)):
            if identifier in resources:
                return origin, resources[identifier]
        return None, None

    def attempt(self, work: Any) -> Any:
        try:
            return self.runner.run(work)
        except (BadRequestError, ConflictError, NotFoundError) as error:
            return error

    async def _start(self, config: dict[str, tuple[str, int]]) -> None:
        self.config = {name: model(name, owner, value=value) for name, (owner, value) in config.items()}
        self.house = House(config=self.config.values(), presets=PRESETS.values())
        for provider_id, memory in self.memories.items():
            provider = Remembering(memory, self.wishes[provider_id])
            self.house.hooks.register_provider(Api.inference, provider_id, provider)
            setattr(self.house, provider_id, provider)
        await self.house.start(self.file)
        if any(wishes.refuses or wishes.fails for wishes in self.wishes.values()):
            self.is_settled = False


TestOrigins = OriginsMachine.TestCase
TestOrigins.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestOrigins.pytestmark = [pytest.mark.timeout(300)]  # type: ignore[attr-defined]
