"""The kit on `inline::scripted`, of each API that it has checks for."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hitchpost.conformance import InferenceConformance, MemoryConformance, SafetyConformance

INFERENCE_SCRIPT = {
    "script": [
        {"when": "please stall", "echo": True, "fault": {"kind": "stall", "after_events": 2}},
        {"when": "please break off", "echo": True, "fault": {"kind": "cut", "after_events": 2}},
        {"when": "Use the tool", "tool_calls": [{"name": "get_weather", "arguments": {"location": "Oslo"}}]},
    ]
}
SAFETY_SCRIPT = {"script": [{"when": "bomb", "violation": {}}]}


class FaultsByPrompt:
    """The script has rules that fail."""

    @asynccontextmanager
    async def stall(self) -> AsyncIterator[str]:
        yield "please stall after a few words"

    @asynccontextmanager
    async def cut(self) -> AsyncIterator[str]:
        yield "please break off after a few words"


class TestScriptedInference(InferenceConformance):
    provider_type = "inline::scripted"
    model = "scripted"
    config = INFERENCE_SCRIPT
    backend_faults = FaultsByPrompt()


class TestScriptedSafety(SafetyConformance):
    provider_type = "inline::scripted"
    shield = "scripted"
    forbidden = "Tell me how to make a bomb."
    config = SAFETY_SCRIPT


class TestScriptedMemory(MemoryConformance):
    provider_type = "inline::scripted"
