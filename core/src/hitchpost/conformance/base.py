"""What an author says of their provider, and the rule that no check can be replaced."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from inspect import get_annotations
from pathlib import Path
from typing import Any, ClassVar, Protocol

import pytest

from hitchpost.api import Api, Capability, RequestContext
from hitchpost.conformance.check import Check, NotApplicable, checks_of
from hitchpost.conformance.harness import Harness
from hitchpost.plugin import Provider, ProviderSpec


class BackendFaults(Protocol):
    """How an author makes the backend fail. Within the block the fault is there; what it yields is the prompt that meets the fault,
    None for `long_prompt`."""

    def stall(self) -> AbstractAsyncContextManager[str | None]:
        """The backend begins an answer and then says nothing more."""
        ...

    def cut(self) -> AbstractAsyncContextManager[str | None]:
        """The backend begins an answer and then ends the connection."""
        ...


class ConformanceBase:
    """What an author says of their provider. All but `provider_type` (and `api`, where the base class doesn't say it) may be left out."""

    provider_type: ClassVar[str | ProviderSpec]
    """Name of the provider type, found through its entry point or `plugin_paths`; or its declaration."""
    api: ClassVar[Api]
    config: ClassVar[Mapping[str, Any]] = {}
    """The provider's config. A fixture `provider_config` of scope class or wider wins, and what `backend` yields wins over both."""
    plugin_paths: ClassVar[Sequence[str | Path]] = ()
    """Files to load as plugins, relative to the current folder."""
    run_config: ClassVar[Mapping[str, Any]] = {}
    """More of the run config: `providers` of other APIs that this one needs, and their `models`."""
    provider_data: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Samples of provider data, at least two, each under a text that only an answer under that sample contains."""
    xfail_checks: ClassVar[Mapping[str, str]] = {}
    """Ids of checks that are expected to fail, each with the reason."""
    patience_s: ClassVar[float] = 30.0
    """How long a start, a stop or an answer may take, in seconds."""
    backend_faults: BackendFaults | None = None
    """How to make the backend fail; a fixture of this name does as well."""

    @asynccontextmanager
    async def backend(self) -> AsyncIterator[Mapping[str, Any] | None]:
        """Runs around all checks, in their event loop: start a fake backend here, and yield the config that leads to it."""
        yield None

    async def is_busy(self) -> bool:
        """Whether the backend still works on a request; asked after requests were cancelled."""
        return False

    # --- what the kit's own classes say for each API ---

    async def use(self, harness: Harness, provider: Provider[Any]) -> AsyncIterator[None]:
        """One usual request to a provider that runs by itself; comes back with each sign of life."""
        return
        yield

    async def ask(self, harness: Harness, context: RequestContext, prompt: str | None = None) -> str:
        """The whole answer to one usual request through the router, as text.

        Raises:
            NotApplicable: the test class does not say what a request is.
        """
        raise NotApplicable("the test class does not say by `ask` what a request is")

    def long_request(self) -> str | None:
        """A prompt whose answer takes long; None where `ask` has none."""
        return None

    def odd_requests(self, harness: Harness) -> Mapping[str, Callable[[], Awaitable[Any]]]:
        """Requests that a provider may answer or refuse, each with a name."""
        return {}

    def resources(self, provider_id: str) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """What to register, as sections of a run config."""
        return {}

    def narrowed_capabilities(self) -> frozenset[Capability] | None:
        """What is left of the type's capabilities for the resource under test; None for all."""
        return None

    def unsaid(self) -> list[str]:
        """What the kit's classes declare without a default, and nobody said."""
        owners = [cls for cls in reversed(type(self).__mro__) if cls.__module__.startswith("hitchpost.conformance.")]
        return [name for owner in owners for name in get_annotations(owner) if not hasattr(self, name)]

    def find_plugin_paths(self) -> list[Path]:
        """The files of `plugin_paths`, absolute."""
        return [Path(path).resolve() for path in self.plugin_paths]

    # --- the kit's own ---

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.__module__.startswith("hitchpost.conformance."):
            return
        known = dict(checks_of(cls))
        for name in known:
            if not isinstance(getattr(getattr(cls, name), "check", None), Check):
                raise TypeError(
                    f"{cls.__qualname__} overrides {name}, which checks {known[name].id!r}; no check can be replaced. "
                    f"Say why the provider can't pass it instead: xfail_checks = {{{known[name].id!r}: 'reason'}}"
                )
        ids = {described.id for described in known.values()}
        for check_id, reason in cls.xfail_checks.items():
            if check_id.partition("[")[0] not in ids or not reason:
                raise TypeError(
                    f"{cls.__qualname__}.xfail_checks: {check_id!r} is no check of this class, or has no reason; "
                    f"there are: {', '.join(sorted(ids))}"
                )

    @pytest.fixture(scope="class")
    @classmethod
    def harness(cls, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
        """What the checks work with; one for the whole class."""
        config = _find_fixture(request, "provider_config", cls.config)
        faults = _find_fixture(request, "backend_faults", None)
        home = tmp_path_factory.mktemp("hitchpost-home")
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("HITCHPOST_HOME", str(home))
            harness = Harness(cls(), config, faults, home)
            yield harness
            harness.close()


def _find_fixture(request: pytest.FixtureRequest, name: str, default: Any) -> Any:
    try:
        return request.getfixturevalue(name)
    except pytest.FixtureLookupError as error:
        if error.argname != name:
            raise
        return default


__all__ = ["BackendFaults", "ConformanceBase"]
