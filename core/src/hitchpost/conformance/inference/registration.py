"""Checks of registration and refusal: which models a provider takes, and what it says to the others."""

from collections.abc import Awaitable, Callable
from typing import Any

from hitchpost.api import Api, Capability, Model, RegisterModelRequest, UnregisterModelRequest
from hitchpost.conformance.check import CheckFailed, NotApplicable, check, seen_error
from hitchpost.conformance.harness import PROVIDER_ID, Harness
from hitchpost.conformance.inference.subject import InferenceSubject, collected
from hitchpost.errors import BadRequestError, HitchpostError, NotFoundError, UnsupportedError

UNKNOWN = "no-such-model-of-this-provider"
OTHER_NAME = "under-another-name"


class RegistrationChecks(InferenceSubject):
    """Models come by configuration, by requests, and again at each start."""

    @check(
        "models.unknown",
        why="a misspelt name that is answered anyway is answered by another model, and nobody notices",
        advice="raise BadRequestError in register_model for what you don't serve, or NotFoundError when it is asked for, and say what there is",
    )
    async def test_unknown_model_is_refused(self, harness: Harness) -> None:
        """A model that the provider doesn't serve is refused at its registration, or when it is asked."""
        models = await harness.router(Api.models)
        try:
            request = RegisterModelRequest(model_id=UNKNOWN, provider_id=PROVIDER_ID)
            await harness.within(models.register_model(request, harness.context()), "the registration")
        except (BadRequestError, NotFoundError):
            return
        try:
            await self._ask_model(harness, UNKNOWN)
        except (BadRequestError, NotFoundError):
            return
        except HitchpostError as error:
            raise CheckFailed(f"asked for model {UNKNOWN!r} it raised {seen_error(error)}") from error
        finally:
            await models.unregister_model(UnregisterModelRequest(model_id=UNKNOWN), harness.context())
        raise CheckFailed(f"model {UNKNOWN!r} could be registered, and it answered")

    @check(
        "models.other-name",
        why="callers use the registered name; the backend knows the model by the provider's own",
        advice="ask the backend for context.resource.provider_resource_id, and don't change identifier and provider_id in register_model",
    )
    async def test_model_serves_under_another_name(self, harness: Harness) -> None:
        """The model, registered once more under another identifier, answers under it, until it is unregistered."""
        models = await harness.router(Api.models)
        request = RegisterModelRequest(
            model_id=OTHER_NAME,
            provider_model_id=self.model,
            provider_id=PROVIDER_ID,
            metadata=dict(self.model_metadata),
        )
        kept = await harness.within(models.register_model(request, harness.context()), "the registration")
        if (kept.identifier, kept.provider_id) != (OTHER_NAME, PROVIDER_ID):
            raise CheckFailed(f"register_model turned it into {kept!r}")
        await self._ask_model(harness, OTHER_NAME)
        unregistering = models.unregister_model(UnregisterModelRequest(model_id=OTHER_NAME), harness.context())
        await harness.within(unregistering, "the end of the registration")
        await self._ask_model(harness, self.model)

    @check(
        "models.announced-again",
        why="at each start, and when a provider recovers, every registration is announced again, without a caller",
        advice="accept a registration that is there already, answer None or the same, and cope with context None",
    )
    async def test_registration_is_announced_again(self, harness: Harness) -> None:
        """register_model and unregister_model take the same model again, with context None, and leave its identity alone."""
        async with harness.started() as provider:
            model = self.resource()
            for _ in range(2):
                answer = await harness.announce(provider, model)
                if answer is not None and not isinstance(answer, Model):
                    raise CheckFailed(f"register_model answered {type(answer).__name__}, neither a Model nor None")
                if answer is not None and (answer.identifier, answer.provider_id) != (model.identifier, PROVIDER_ID):
                    raise CheckFailed(f"register_model answered {answer!r} for {model!r}")
                await harness.hook(provider, "unregister_model", model=model, context=None)

    @check(
        "unsupported.operations",
        why="callers tell by the class of the error that they need not try again",
        advice="leave methods that you don't implement to the base class, or raise UnsupportedError",
    )
    async def test_undeclared_operations_are_unsupported(self, harness: Harness) -> None:
        """Chat, completion and embeddings that aren't declared raise `UnsupportedError`."""
        provider: Any = await harness.provider()
        context = harness.context(self.resource())
        calls: dict[Capability, Callable[[], Awaitable[Any]]] = {
            Capability.chat: lambda: provider.chat_completion(self.chat(), context),
            Capability.completion: lambda: provider.completion(self.completion(), context),
            Capability.embeddings: lambda: provider.embeddings(self.embedding_request("text"), context),
        }
        undeclared = {
            capability: call for capability, call in calls.items() if capability not in harness.spec.capabilities
        }
        if not undeclared:
            raise NotApplicable("chat, completion and embeddings are all declared")
        for capability, call in undeclared.items():
            try:
                await harness.within(call(), f"the request for {capability}")
            except UnsupportedError:
                continue
            except CheckFailed:
                raise
            except Exception as error:
                raise CheckFailed(f"{capability} isn't declared, and raises {seen_error(error)}") from error
            raise CheckFailed(f"{capability} isn't declared, but is answered")

    async def _ask_model(self, harness: Harness, model_id: str) -> None:
        router = await harness.router(Api.inference)
        if Capability.chat in harness.capabilities:
            stream = router.stream_chat_completion(self.chat(model_id=model_id), harness.context())
            await harness.within(collected(stream), "a streamed answer")
        elif Capability.completion in harness.capabilities:
            work = router.completion(self.completion(model_id=model_id), harness.context())
            await harness.within(work, "a completion")
        else:
            work = router.embeddings(self.embedding_request("text", model_id=model_id), harness.context())
            await harness.within(work, "the embeddings")


__all__ = ["RegistrationChecks"]
