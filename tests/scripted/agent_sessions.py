"""A session with a scripted agent, and what is read off its events, written short."""

from collections.abc import AsyncIterator
from typing import Any

from hitchpost.api import (
    AnyMemoryBank,
    CreateTurnRequest,
    GetSessionRequest,
    InsertDocumentsRequest,
    RegisterMemoryBankRequest,
    RequestContext,
    Session,
    StepComplete,
    StepProgress,
    StepStart,
    Turn,
    TurnComplete,
    TurnEvent,
    TurnStart,
    UnregisterMemoryBankRequest,
)
from hitchpost.scripted.agents.provider import ScriptedAgents
from hitchpost.scripted.memory.provider import ScriptedMemory

CONFIG = {"model": "scripted", "instructions": "Be brief.", "enable_session_persistence": False}
SEARCH = {"type": "brave_search", "api_key": "k"}
WEATHER = {
    "type": "function_call",
    "function_name": "get_weather",
    "description": "the weather",
    "parameters": {"city": {"param_type": "str"}},
}
MEMORY = {"type": "memory", "memory_bank_configs": [{"type": "keyvalue", "bank_id": "facts", "keys": ["fact"]}]}
CALL_SEARCH = {"when": "news", "tool_calls": [{"name": "brave_search", "arguments": {"query": "news"}}]}
CALL_WEATHER = {"when": "weather", "tool_calls": [{"name": "get_weather", "arguments": {"city": "Oslo"}}]}
FROM_TOOL = {"to": "tool", "text": "The tool said so."}


class Banks:
    """Registrations at one memory provider."""

    def __init__(self, memory: ScriptedMemory) -> None:
        self.memory = memory
        self.registered: dict[str, AnyMemoryBank] = {}

    async def register_memory_bank(self, request: RegisterMemoryBankRequest, context: RequestContext) -> Any:
        bank = request.resource("scripted")
        await self.memory.register_memory_bank(bank, context)
        return self.registered.setdefault(request.memory_bank_id, bank)  # type: ignore[arg-type]

    async def unregister_memory_bank(self, request: UnregisterMemoryBankRequest, context: RequestContext) -> None:
        await self.memory.unregister_memory_bank(self.registered.pop(request.memory_bank_id), context)


class Conversation:
    """An agent with a session, and its calls written short."""

    def __init__(self, provider: ScriptedAgents, context: RequestContext, banks: Banks | None) -> None:
        self.provider = provider
        self.context = context
        self.banks = banks
        self.ids: dict[str, str] = {}

    def request(self, *messages: str | dict[str, Any], **fields: Any) -> CreateTurnRequest:
        listed = [
            message if isinstance(message, dict) else {"role": "user", "content": message} for message in messages
        ]
        return CreateTurnRequest.model_validate({**self.ids, "messages": listed, **fields})

    def events(self, *messages: str | dict[str, Any], **fields: Any) -> AsyncIterator[TurnEvent]:
        return self.provider.stream_turn(self.request(*messages, **fields), self.context)

    async def streamed(self, *messages: str | dict[str, Any], **fields: Any) -> list[TurnEvent]:
        return [event async for event in self.events(*messages, **fields)]

    async def turn(self, *messages: str | dict[str, Any], **fields: Any) -> Turn:
        return await self.provider.create_turn(self.request(*messages, **fields), self.context)

    async def session(self, **fields: Any) -> Session:
        return await self.provider.get_session(GetSessionRequest(**self.ids, **fields), self.context)


def order(events: list[TurnEvent]) -> list[str]:
    """The events by name, with progress of a step once."""
    names: list[str] = []
    for event in events:
        match event:
            case TurnStart():
                names.append("turn_start")
            case StepStart():
                names.append(f"start {event.step_type}")
            case StepProgress():
                if names[-1] != f"progress {event.step_type}":
                    names.append(f"progress {event.step_type}")
            case StepComplete():
                names.append(f"complete {event.step.step_type}")
            case TurnComplete():
                names.append("turn_complete")
    return names


def steps(turn: Turn) -> list[str]:
    return [step.step_type for step in turn.steps]


def tool_result(text: str = "12 degrees") -> dict[str, Any]:
    return {"role": "ipython", "call_id": "c", "tool_name": "get_weather", "content": text}


async def keep_fact(conversation: Conversation, text: str, document_id: str = "fact") -> None:
    """Puts a document into the bank `facts`."""
    assert conversation.banks is not None
    announced = RegisterMemoryBankRequest.model_validate(
        {"memory_bank_id": "facts", "params": {"memory_bank_type": "keyvalue"}}
    )
    await conversation.banks.register_memory_bank(announced, conversation.context)
    documents = [{"document_id": document_id, "content": text}]
    request = InsertDocumentsRequest.model_validate({"bank_id": "facts", "documents": documents})
    await conversation.banks.memory.insert_documents(request, conversation.context)
