"""What is this provider's own."""

import asyncio
import logging
from pathlib import Path

import pytest
from hitchpost.api import ChatCompletionRequest, RequestContext, UserMessage
from hitchpost.plugin import ProviderDeps

from hitchpost_acme.config import AcmeConfig
from hitchpost_acme.provider import AcmeInference


async def ask(config: AcmeConfig, text: str) -> str:
    """The whole answer to one message."""
    deps = ProviderDeps(provider_id="acme", state_dir=Path("unused"), log=logging.getLogger("acme"))
    provider = AcmeInference(config, deps)
    await provider.start()
    request = ChatCompletionRequest(model_id="acme-small", messages=[UserMessage(content=text)])
    answer = await provider.chat_completion(request, RequestContext(request_id="test"))
    await provider.stop()
    return answer.choices[0].text


@pytest.mark.parametrize(
    ("text", "answer"),
    [("Hello there!", "Good day to you."), ("What now?", "acme-small hears: What now?")],
)
def test_answers_by_its_table_and_else_repeats(text: str, answer: str) -> None:
    config = AcmeConfig(answers={"hello": "Good day to you."})

    assert asyncio.run(ask(config, text)) == answer
