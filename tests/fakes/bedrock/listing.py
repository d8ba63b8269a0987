"""What the fake region has."""

from typing import Any

PAGE_SIZE = 2
REGION_ARN = "arn:aws:bedrock:us-east-1:"


def summary(
    model: str, *, inputs: str = "TEXT", outputs: str = "TEXT", types: str = "ON_DEMAND", streams: bool = True
) -> dict[str, Any]:
    return {
        "modelArn": f"{REGION_ARN}:foundation-model/{model}",
        "modelId": model,
        "modelName": model,
        "providerName": model.partition(".")[0],
        "inputModalities": inputs.split(),
        "outputModalities": outputs.split(),
        "responseStreamingSupported": streams,
        "customizationsSupported": [],
        "inferenceTypesSupported": types.split(),
        "modelLifecycle": {"status": "ACTIVE"},
    }


SUMMARIES = [
    summary("meta.llama3-1-8b-instruct-v1:0"),
    summary("meta.llama3-2-11b-instruct-v1:0", inputs="TEXT IMAGE", types="INFERENCE_PROFILE"),
    summary("anthropic.claude-sonnet-4-v1:0", inputs="TEXT IMAGE", types="INFERENCE_PROFILE"),
    summary("amazon.nova-lite-v1:0", inputs="TEXT IMAGE"),
    summary("ai21.jamba-silent-v1:0", streams=False),
    summary("amazon.titan-embed-text-v1", outputs="EMBEDDING"),
    summary("amazon.titan-embed-text-v2:0", outputs="EMBEDDING"),
    summary("cohere.embed-english-v3", outputs="EMBEDDING"),
    summary("cohere.embed-v4:0", inputs="TEXT IMAGE", outputs="EMBEDDING"),
    summary("amazon.nova-2-multimodal-embeddings-v1:0", outputs="EMBEDDING"),
    summary("stability.image-core-v1:0", outputs="IMAGE"),
    summary("meta.llama3-1-8b-instruct-v1:0:128k", types="PROVISIONED"),
]


def profile(name: str, model: str, kind: str = "SYSTEM_DEFINED", account: str = "") -> dict[str, Any]:
    return {
        "inferenceProfileName": name,
        "inferenceProfileArn": f"{REGION_ARN}{account}:{'application-' if kind == 'APPLICATION' else ''}inference-profile/{name}",
        "inferenceProfileId": name,
        "models": [{"modelArn": f"{REGION_ARN}:foundation-model/{model}"}],
        "status": "ACTIVE",
        "type": kind,
        "createdAt": "2026-01-01T00:00:00Z",
        "updatedAt": "2026-01-01T00:00:00Z",
    }


PROFILES = [
    profile("us.meta.llama3-1-8b-instruct-v1:0", "meta.llama3-1-8b-instruct-v1:0"),
    profile("us.meta.llama3-2-11b-instruct-v1:0", "meta.llama3-2-11b-instruct-v1:0"),
    profile("global.anthropic.claude-sonnet-4-v1:0", "anthropic.claude-sonnet-4-v1:0"),
    profile("us.anthropic.claude-sonnet-4-v1:0", "anthropic.claude-sonnet-4-v1:0"),
    profile("us.amazon.nova-lite-v1:0", "amazon.nova-lite-v1:0"),
    profile("k9x2f7ab1c3d", "amazon.nova-lite-v1:0", "APPLICATION", "123456789012"),
]
