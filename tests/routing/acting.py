"""A gate in front of a provider that does what a test says."""

from typing import Any

from pydantic import BaseModel

from hitchpost.api import Api, Model, RequestContext
from hitchpost.config import ProviderLimits
from hitchpost.plugin import Provider
from hitchpost.routing import ProviderGate, ProviderState

MODEL = Model(identifier="m", provider_resource_id="m", provider_id="p")


class Acting(Provider[Any]):
    """Does what a test puts into it: `act` is awaited for a whole answer, `play` is an async generator function for a stream.

    Where a request is a function of the context, that is awaited instead.
    """

    def __init__(self) -> None:
        self.act: Any = None
        self.play: Any = None

    async def answer(self, request: Any, context: RequestContext) -> Any:
        return await (request(context) if callable(request) else self.act())

    def stream(self, request: Any, context: RequestContext) -> Any:
        return self.play()


def make_gate(
    provider: Provider[Any] | None = None, *, provider_data: type[BaseModel] | None = None, **limits: Any
) -> ProviderGate:
    gate = ProviderGate(Api.inference, "p", "inline::test", ProviderLimits(**limits), provider_data=provider_data)
    gate.provider = provider or Acting()
    gate.set_state(ProviderState.ready)
    return gate
