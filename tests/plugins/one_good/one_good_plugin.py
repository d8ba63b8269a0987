"""A stranger's plugin that works, to show that the rest is served while others are broken."""

from pydantic import BaseModel, ConfigDict

from hitchpost import hookimpl
from hitchpost.api import Capability, Finish, FinishReason, Model, TextDelta, content_text
from hitchpost.plugin import InferenceProvider, ProviderSpec


class ParrotConfig(BaseModel):
    """Nothing can be set."""

    model_config = ConfigDict(extra="forbid")


class Parrot(InferenceProvider[ParrotConfig]):
    """Repeats the last message."""

    async def list_models(self):
        return [Model(provider_resource_id="parrot")]

    async def stream_chat_completion(self, request, context):
        yield TextDelta(content_text(request.messages[-1].content))
        yield Finish(reason=FinishReason.stop)


@hookimpl
def provider_specs():
    return [
        ProviderSpec(
            api="inference",
            provider_type="inline::parrot",
            config="one_good_plugin:ParrotConfig",
            factory="one_good_plugin:Parrot",
            capabilities=frozenset({Capability.chat}),
            description="repeats what it hears",
        )
    ]
