"""The tools that an agent may be configured with, told apart by `type`."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from hitchpost.api.content import URL
from hitchpost.api.tools import ToolParamDefinition
from hitchpost.api.wire_model import FewEntries, Items, WireModel

# --- values ---

NullIsEmpty = BeforeValidator(lambda value: [] if value is None else value)
"""An explicit null stands for an empty list."""
ShieldIds = Annotated[Items[str], NullIsEmpty]


class RemoteExecution(WireModel):
    """Where a tool would run elsewhere. Read for compatibility; no tool runs there."""

    url: Annotated[URL, BeforeValidator(lambda value: {"uri": value} if isinstance(value, str) else value)]
    method: Literal["GET", "POST", "PUT", "DELETE"]
    params: dict[str, Any] | None = None
    headers: dict[str, Any] | None = None
    body: dict[str, Any] | None = None


class AgentTool(WireModel):
    """What every tool has: shields around it."""

    input_shields: ShieldIds = Field(default_factory=list)
    output_shields: ShieldIds = Field(default_factory=list)


class RemotableTool(AgentTool):
    """A tool that clients may declare with a place to run."""

    remote_execution: RemoteExecution | None = None


class BraveSearchTool(RemotableTool):
    """Search of the web; `engine` names whose."""

    type: Literal["brave_search"] = "brave_search"
    api_key: str = Field(repr=False)
    engine: Literal["brave", "bing"] = "brave"


class WolframAlphaTool(RemotableTool):
    """Questions to Wolfram Alpha."""

    type: Literal["wolfram_alpha"] = "wolfram_alpha"
    api_key: str = Field(repr=False)


class PhotogenTool(RemotableTool):
    """Makes images."""

    type: Literal["photogen"] = "photogen"


class CodeInterpreterTool(RemotableTool):
    """Runs Python code."""

    type: Literal["code_interpreter"] = "code_interpreter"
    enable_inline_code_execution: bool = True


class FunctionCallTool(RemotableTool):
    """A tool of the client's: the turn ends with the call, and the next turn brings its result."""

    type: Literal["function_call"] = "function_call"
    function_name: str
    description: str
    parameters: Annotated[dict[str, ToolParamDefinition], FewEntries]


class VectorBankChoice(WireModel):
    """Retrieve from a vector bank."""

    type: Literal["vector"] = "vector"
    bank_id: str


class KeyValueBankChoice(WireModel):
    """Retrieve documents by their ids."""

    type: Literal["keyvalue"] = "keyvalue"
    bank_id: str
    keys: Items[str]


class KeywordBankChoice(WireModel):
    """Retrieve from a keyword bank."""

    type: Literal["keyword"] = "keyword"
    bank_id: str


class GraphBankChoice(WireModel):
    """Retrieve what speaks of the entities."""

    type: Literal["graph"] = "graph"
    bank_id: str
    entities: Items[str]


BankChoice = Annotated[
    VectorBankChoice | KeyValueBankChoice | KeywordBankChoice | GraphBankChoice,
    Field(discriminator="type"),
]


class DefaultQueryGenerator(WireModel):
    """The query is the text of the messages, joined by `sep`."""

    type: Literal["default"] = "default"
    sep: str = " "


class LlmQueryGenerator(WireModel):
    """A model writes the query from a template."""

    type: Literal["llm"] = "llm"
    model: str
    template: str


class CustomQueryGenerator(WireModel):
    """Declared by the wire, made by nobody."""

    type: Literal["custom"] = "custom"


QueryGenerator = Annotated[
    DefaultQueryGenerator | LlmQueryGenerator | CustomQueryGenerator,
    Field(discriminator="type"),
]


class MemoryTool(AgentTool):
    """Retrieval before each answer; not offered to the model as a tool."""

    type: Literal["memory"] = "memory"
    memory_bank_configs: Items[BankChoice] = Field(default_factory=list)
    query_generator_config: QueryGenerator = Field(default_factory=DefaultQueryGenerator)
    max_tokens_in_context: Annotated[int, Field(ge=0)] = 4096
    max_chunks: Annotated[int, Field(ge=1)] = 10


AnyAgentTool = Annotated[
    BraveSearchTool | WolframAlphaTool | PhotogenTool | CodeInterpreterTool | FunctionCallTool | MemoryTool,
    Field(discriminator="type"),
]

__all__ = [
    "AgentTool",
    "AnyAgentTool",
    "BankChoice",
    "BraveSearchTool",
    "CodeInterpreterTool",
    "CustomQueryGenerator",
    "DefaultQueryGenerator",
    "FunctionCallTool",
    "GraphBankChoice",
    "KeyValueBankChoice",
    "KeywordBankChoice",
    "LlmQueryGenerator",
    "MemoryTool",
    "NullIsEmpty",
    "PhotogenTool",
    "QueryGenerator",
    "RemotableTool",
    "RemoteExecution",
    "ShieldIds",
    "VectorBankChoice",
    "WolframAlphaTool",
]
