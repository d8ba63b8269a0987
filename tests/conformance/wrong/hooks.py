"""What a provider can do wrong with its hooks."""

from dataclasses import dataclass
from typing import Any

from hitchpost.api import Model, RequestContext
from hitchpost.errors import BadRequestError
from hitchpost.plugin import ProviderDeps
from tests.conformance.right.inference import RightConfig, RightInference
from tests.conformance.wrong.case import wrong_inference


@wrong_inference("hooks.coroutines", "list_models of PlainHook can't be awaited")
class PlainHook(RightInference):
    def list_models(self) -> Any:
        return [Model(provider_resource_id="right")]


@wrong_inference("hooks.arguments", "register_model asks for request")
class StrangeArgument(RightInference):
    async def register_model(self, model: Model, request: Any) -> None:
        return None


@wrong_inference("hooks.known-names", "has register_models, but the hook is called register_model")
class Misspelt(RightInference):
    async def register_models(self, model: Model) -> None:
        return None


@wrong_inference("hooks.identity", "with one config are equal")
class EqualToOthers(RightInference):
    def __eq__(self, other: object) -> bool:
        return isinstance(other, EqualToOthers) and other.config == self.config

    __hash__ = RightInference.__hash__


@dataclass
class First:
    """Holds on to the first object of a class."""

    provider: Any = None


FIRST = First()


@wrong_inference("hooks.register-again", "after a retry list_models is still a method of the first object")
class HooksOfTheFirst(RightInference):
    def __init__(self, config: RightConfig, deps: ProviderDeps) -> None:
        super().__init__(config, deps)
        FIRST.provider = FIRST.provider or self
        self.list_models = super(HooksOfTheFirst, FIRST.provider).list_models  # type: ignore[method-assign]


@wrong_inference("hooks.list", "list_models answered str in place of Model")
class ListsNames(RightInference):
    async def list_models(self) -> Any:
        return ["right"]


@wrong_inference("models.announced-again", "BadRequestError: it is registered already")
class RefusesTheSecondTime(RightInference):
    def __init__(self, config: RightConfig, deps: ProviderDeps) -> None:
        super().__init__(config, deps)
        self.known: set[str] = set()

    async def register_model(self, model: Model, context: RequestContext | None) -> None:
        if model.identifier in self.known:
            raise BadRequestError("it is registered already")
        self.known.add(model.identifier)
