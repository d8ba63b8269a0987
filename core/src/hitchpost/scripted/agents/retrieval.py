"""The retrieval of `inline::scripted`'s agents: attachments go into a bank, and what fits the turn comes out of the banks."""

from collections.abc import Sequence
from uuid import uuid4

from hitchpost.api import (
    AgentConfig,
    AnyMemoryBank,
    Attachment,
    Chunk,
    DefaultQueryGenerator,
    InsertDocumentsRequest,
    InterleavedContent,
    KeyValueBankChoice,
    Memory,
    MemoryBankDocument,
    MemoryTool,
    QueryDocumentsRequest,
    QueryParams,
    RegisterMemoryBankRequest,
    RequestContext,
    ToolResponseMessage,
    UserMessage,
    VectorBankParams,
    content_text,
)
from hitchpost.errors import BadRequestError, UnsupportedError
from hitchpost.plugin import ProviderDeps

INTRO = "Here is what was found in the documents:\n=== START-RETRIEVED-CONTEXT ===\n"
OUTRO = "\n=== END-RETRIEVED-CONTEXT ===\n"


class Retrieval:
    """What an agent's memory tool does, if it has one.

    Args:
        deps: the APIs that it calls.
        config: of the agent.
        context: of the turn.
    """

    def __init__(self, deps: ProviderDeps, config: AgentConfig, context: RequestContext) -> None:
        self._deps = deps
        self._context = context
        self.tool = next((tool for tool in config.tools if isinstance(tool, MemoryTool)), None)

    async def keep(self, attachments: Sequence[Attachment], session_id: str) -> AnyMemoryBank:
        """Put attachments into the session's bank, which is registered when it is first needed.

        Raises:
            BadRequestError: the agent has no memory tool, or an attachment can't be read.
            UnsupportedError: the host serves no memory.
        """
        if self.tool is None:
            raise BadRequestError("attachments: the agent has no tool of type memory to read them", param="attachments")
        memory = self._memory()
        if self._deps.memory_banks is None:
            raise UnsupportedError("attachments: this host serves no memory banks", param="attachments")
        params = VectorBankParams(embedding_model="all-MiniLM-L6-v2", chunk_size_in_tokens=512)
        announced = RegisterMemoryBankRequest(memory_bank_id=f"memory_bank_{session_id}", params=params)
        bank = await self._deps.memory_banks.register_memory_bank(announced, self._context)
        documents = [
            MemoryBankDocument(document_id=str(uuid4()), content=item.content, mime_type=item.mime_type)
            for item in attachments
        ]
        inserted = InsertDocumentsRequest(bank_id=bank.identifier, documents=documents)
        answer = await memory.insert_documents(inserted, self._context)
        for number, report in enumerate(answer.documents if answer else ()):
            if report.error is not None:
                raise BadRequestError(f"attachments.{number}: {report.error}", param=f"attachments.{number}")
        return bank

    async def find(
        self, messages: Sequence[UserMessage | ToolResponseMessage], session_bank: AnyMemoryBank | None
    ) -> tuple[list[str], list[str]]:
        """The banks that were asked, and the texts for the model; none where nothing was found.

        Raises:
            UnsupportedError: the host serves no memory, or the agent's queries are to be written by a model.
        """
        if self.tool is None:
            return [], []
        generator = self.tool.query_generator_config
        if not isinstance(generator, DefaultQueryGenerator):
            raise UnsupportedError(
                f"query_generator_config: inline::scripted has only the type default, not {generator.type}",
                param="query_generator_config",
            )
        query = generator.sep.join(content_text(message.content) for message in messages)
        asked: dict[str, InterleavedContent] = {
            bank.bank_id: list(bank.keys) if isinstance(bank, KeyValueBankChoice) else query
            for bank in self.tool.memory_bank_configs
        }
        if session_bank is not None:
            asked[session_bank.identifier] = query
        found: list[tuple[float, Chunk]] = []
        for bank_id, text in asked.items():
            request = QueryDocumentsRequest(
                bank_id=bank_id, query=text, params=QueryParams(max_chunks=self.tool.max_chunks)
            )
            answer = await self._memory().query_documents(request, self._context)
            found += zip(answer.scores, answer.chunks, strict=True)
        return list(asked), self._texts(sorted(found, key=lambda one: -one[0]))

    def _texts(self, found: Sequence[tuple[float, Chunk]]) -> list[str]:
        tool = self.tool or MemoryTool()
        tokens = 0
        texts = []
        for _, chunk in found[: tool.max_chunks]:
            tokens += chunk.token_count
            if tokens > tool.max_tokens_in_context:
                break
            texts.append(f"id:{chunk.document_id}; content:{content_text(chunk.content)}")
        return [INTRO, *texts, OUTRO] if texts else []

    def _memory(self) -> Memory:
        if self._deps.memory is None:
            raise UnsupportedError(
                "tools: this host serves no memory, which the tool of type memory needs", param="tools"
            )
        return self._deps.memory


__all__ = ["INTRO", "OUTRO", "Retrieval"]
