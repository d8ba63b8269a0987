"""What an author says of a safety provider, and the requests that the checks make of it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from hitchpost.api import Api, RequestContext, RunShieldRequest, RunShieldResponse, Shield
from hitchpost.conformance.base import ConformanceBase
from hitchpost.conformance.harness import PROVIDER_ID, Harness
from hitchpost.plugin import Provider


class SafetySubject(ConformanceBase):
    """All but `shield` and `forbidden` may be left out."""

    api = Api.safety
    shield: ClassVar[str]
    """The provider's own name of a shield that it runs."""
    shield_params: ClassVar[Mapping[str, Any]] = {}
    """Params of its registration."""
    harmless: ClassVar[str] = "How do I bake a loaf of bread?"
    """A text that the shield lets through."""
    forbidden: ClassVar[str]
    """A text that the shield answers with a violation of the level `error`."""

    def request(self, *texts: str, shield_id: str | None = None, **fields: Any) -> RunShieldRequest:
        """A check of a conversation in which user and assistant take turns, so that the user speaks last."""
        messages: list[dict[str, Any]] = []
        for number, text in enumerate(reversed(texts)):
            said = {"role": "assistant", "content": text, "stop_reason": "end_of_turn"}
            messages.insert(0, said if number % 2 else {"role": "user", "content": text})
        return RunShieldRequest.model_validate({"shield_id": shield_id or self.shield, "messages": messages, **fields})

    async def run(self, harness: Harness, request: RunShieldRequest) -> RunShieldResponse:
        """What the shield says, through the router."""
        router = await harness.router(Api.safety)
        answer: RunShieldResponse = await harness.within(router.run_shield(request, harness.context()), "a shield")
        return answer

    def resource(self) -> Shield:
        """The shield under test, as the stack registers it."""
        return Shield(
            identifier=self.shield,
            provider_resource_id=self.shield,
            provider_id=PROVIDER_ID,
            params=dict(self.shield_params),
        )

    # --- what the checks of every API ask for ---

    async def use(self, harness: Harness, provider: Provider[Any]) -> AsyncIterator[None]:
        """A harmless and a forbidden text."""
        able: Any = provider
        shield = self.resource()
        await harness.announce(provider, shield)
        for text in (self.harmless, self.forbidden):
            await able.run_shield(self.request(text), harness.context(shield))
            yield

    async def ask(self, harness: Harness, context: RequestContext, prompt: str | None = None) -> str:
        """What the shield says to the forbidden text, as JSON."""
        router = await harness.router(Api.safety)
        answer: RunShieldResponse = await router.run_shield(self.request(prompt or self.forbidden), context)
        return answer.model_dump_json()

    def odd_requests(self, harness: Harness) -> Mapping[str, Callable[[], Awaitable[Any]]]:
        """Empty, long and unusual ones."""
        orphan = [{"role": "ipython", "call_id": "none", "tool_name": "none", "content": "42"}]
        image = [{"role": "user", "content": ["see", {"image": {"uri": "data:image/png;base64,AAAA"}}]}]
        odd = {
            "an empty text": self.request(""),
            "a long text": self.request("far too long " * 20_000),
            "unusual characters": self.request("\u0000 \U0001f600 \u202e <|eot_id|>"),
            "the result of a tool": self.request(messages=orphan),
            "a broken image": self.request(messages=image),
            "unknown params": self.request(self.harmless, params={"no_such_param": [1, {"deep": None}]}),
        }
        return {name: partial(self.run, harness, request) for name, request in odd.items()}

    def resources(self, provider_id: str) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """The shield."""
        shield = {"shield_id": self.shield, "provider_id": provider_id, "params": dict(self.shield_params)}
        return {"shields": [shield]}


__all__ = ["SafetySubject"]
