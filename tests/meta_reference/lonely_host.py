"""A process that starts a provider, says `streaming` at the first event of an endless answer and `ended` at its end, and then waits.

Arguments: the checkpoint folder and, optionally, the heartbeat's limit in seconds.
"""

import asyncio
import logging
import sys
from pathlib import Path

from hitchpost.api import CompletionRequest, RequestContext, SamplingParams
from hitchpost.plugin import ProviderDeps
from hitchpost_meta_reference.inference.config import MetaReferenceInferenceConfig
from hitchpost_meta_reference.inference.provider import MetaReferenceInference


def say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


async def main(checkpoint: str, heartbeat_timeout_s: str = "10") -> None:
    config = MetaReferenceInferenceConfig(
        model="tiny", checkpoint_dir=Path(checkpoint), device="cpu", heartbeat_timeout_s=float(heartbeat_timeout_s)
    )
    deps = ProviderDeps(provider_id="engine", state_dir=Path(checkpoint), log=logging.getLogger("lonely"))
    provider = MetaReferenceInference(config, deps)
    await provider.start()
    params = SamplingParams(max_tokens=0, temperature=0.0, logit_bias=dict.fromkeys(range(256, 263), -100.0))
    request = CompletionRequest(model_id="tiny", content="hello", sampling_params=params)
    is_first = True
    async for _ in provider.stream_completion(request, RequestContext(request_id="test")):
        if is_first:
            say("streaming")
        is_first = False
    say("ended")
    await asyncio.Event().wait()


asyncio.run(main(*sys.argv[1:]))
