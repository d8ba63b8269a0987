"""Its provider type is sound until a provider starts: the hook `list_models` is no coroutine function."""

from pydantic import BaseModel, ConfigDict

from hitchpost import hookimpl
from hitchpost.api import Capability, Finish, FinishReason, Model, TextDelta, content_text
from hitchpost.plugin import InferenceProvider, ProviderSpec


class PlainHookConfig(BaseModel):
    """Nothing can be set."""

    model_config = ConfigDict(extra="forbid")


class PlainHook(InferenceProvider[PlainHookConfig]):
    """Repeats the last message, and has a hook that nobody can await."""

    def list_models(self):
        return [Model(provider_resource_id="plain-hook")]

    async def stream_chat_completion(self, request, context):
        yield TextDelta(content_text(request.messages[-1].content))
        yield Finish(reason=FinishReason.stop)


@hookimpl
def provider_specs():
    return [
        ProviderSpec(
            api="inference",
            provider_type="inline::plain-hook",
            config="plain_hook_plugin:PlainHookConfig",
            factory="plain_hook_plugin:PlainHook",
            capabilities=frozenset({Capability.chat}),
            description="has a provider hook that is no coroutine function",
        )
    ]
