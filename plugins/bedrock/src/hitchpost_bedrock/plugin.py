"""What the entry point `bedrock` names: provider types as data, nothing heavy is imported."""

from collections.abc import Sequence

from hitchpost import hookimpl
from hitchpost.api import Api, Capability
from hitchpost.plugin import ProviderSpec


@hookimpl
def provider_specs() -> Sequence[ProviderSpec]:
    """The provider types of this distribution."""
    return [
        ProviderSpec(
            api=Api.inference,
            provider_type="remote::bedrock",
            config="hitchpost_bedrock.inference.config:BedrockInferenceConfig",
            factory="hitchpost_bedrock.inference.provider:BedrockInference",
            requires_modules=("boto3",),
            provider_data="hitchpost_bedrock.aws.credentials:AwsProviderData",
            capabilities=frozenset(
                {
                    Capability.chat,
                    Capability.completion,
                    Capability.embeddings,
                    Capability.json_schema,
                    Capability.parallel_tool_calls,
                    Capability.stop,
                    Capability.tool_choice,
                    Capability.tools,
                    Capability.vision,
                }
            ),
            description="The models of Amazon Bedrock: chat by Converse, Llama completion, and Titan, Cohere and Nova embeddings.",
            extra="hitchpost-bedrock",
        )
    ]
