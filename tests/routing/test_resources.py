"""The routers of safety and memory: the owner is found, bank types are checked, and an insertion runs to its end."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from hitchpost.api import (
    Api,
    BankStatistics,
    Capability,
    Chunk,
    DeleteDocumentsRequest,
    DeleteDocumentsResponse,
    DocumentReport,
    GetBankStatisticsRequest,
    GetDocumentRequest,
    InsertDocumentsRequest,
    InsertDocumentsResponse,
    ListDocumentsRequest,
    ListDocumentsResponse,
    MemoryBank,
    QueryDocumentsRequest,
    QueryDocumentsResponse,
    RegisterMemoryBankRequest,
    RequestContext,
    RunShieldRequest,
    RunShieldResponse,
    SafetyViolation,
    Shield,
)
from hitchpost.errors import (
    BackendUnavailableError,
    BadRequestError,
    DeadlineExceededError,
    NotFoundError,
    ProviderDefectError,
    UnsupportedError,
)
from hitchpost.plugin import MemoryProvider, SafetyProvider
from hitchpost.routing import ProviderState
from tests.plugged import CONTEXT, Plugged, until

VECTOR = {"memory_bank_type": "vector", "embedding_model": "e", "chunk_size_in_tokens": 64}


class Judge(SafetyProvider[Any]):
    """Finds what it was asked about, in its own name."""

    contexts: list[RequestContext]

    def __init__(self, config: Any, deps: Any) -> None:
        super().__init__(config, deps)
        self.contexts = []

    async def register_shield(self, shield: Shield, context: RequestContext | None) -> None:
        pass

    async def run_shield(self, request: RunShieldRequest, context: RequestContext) -> RunShieldResponse:
        self.contexts.append(context)
        violation = SafetyViolation(violation_level="error", user_message=self.deps.provider_id)
        return RunShieldResponse(violation=violation)


class Keeper(MemoryProvider[Any]):
    """Takes documents when it may go on."""

    def __init__(self, config: Any, deps: Any) -> None:
        super().__init__(config, deps)
        self.go_on = asyncio.Event()
        self.failure: Exception | None = None
        self.report: InsertDocumentsResponse | None = None
        self.asked = 0
        self.inserted: list[str] = []

    async def register_memory_bank(self, memory_bank: MemoryBank, context: RequestContext | None) -> None:
        pass

    async def insert_documents(
        self, request: InsertDocumentsRequest, context: RequestContext
    ) -> InsertDocumentsResponse | None:
        self.asked += 1
        await self.go_on.wait()
        if self.failure is not None:
            raise self.failure
        self.inserted += [document.document_id for document in request.documents]
        return self.report

    async def query_documents(self, request: QueryDocumentsRequest, context: RequestContext) -> QueryDocumentsResponse:
        self.asked += 1
        await self.go_on.wait()
        resource = "" if context.resource is None else context.resource.provider_resource_id
        chunk = Chunk(content=f"{self.deps.provider_id}/{resource}", token_count=1, document_id="d")
        return QueryDocumentsResponse(chunks=[chunk], scores=[1.0])

    async def list_documents(self, request: ListDocumentsRequest, context: RequestContext) -> ListDocumentsResponse:
        return ListDocumentsResponse(data=[], has_more=False)

    async def delete_documents(
        self, request: DeleteDocumentsRequest, context: RequestContext
    ) -> DeleteDocumentsResponse:
        self.asked += 1
        await self.go_on.wait()
        self.inserted = [name for name in self.inserted if name not in request.document_ids]
        return DeleteDocumentsResponse(deleted=request.document_ids)

    async def get_bank_statistics(self, request: GetBankStatisticsRequest, context: RequestContext) -> BankStatistics:
        return BankStatistics(document_count=len(self.inserted), chunk_count=0, token_count=0)


ALL = frozenset(
    {
        Capability.vector_bank,
        Capability.keyword_bank,
        Capability.documents,
        Capability.metadata_filter,
        Capability.hybrid_query,
    }
)


def config(**limits: Any) -> dict[str, Any]:
    def pair(provider_type: str) -> list[dict[str, Any]]:
        return [{"provider_id": name, "provider_type": provider_type, "limits": limits} for name in ("foo", "bar")]

    return {
        "providers": {"safety": pair("inline::judge"), "memory": pair("inline::keeper")},
        "shields": [
            {"shield_id": "one", "provider_id": "foo", "provider_shield_id": "inner"},
            {"shield_id": "two", "provider_id": "bar"},
        ],
        "memory_banks": [
            {"memory_bank_id": "one", "provider_id": "foo", "provider_memory_bank_id": "inner", "params": VECTOR},
            {"memory_bank_id": "two", "provider_id": "bar", "params": VECTOR},
        ],
    }


@pytest.fixture
async def stack(plugged: Plugged, request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """A stack with two providers of safety and two of memory; limits may be given by the parameter."""
    plugged.add(Judge, "inline::judge", api="safety")
    plugged.add(Keeper, "inline::keeper", api="memory", capabilities=frozenset({Capability.vector_bank}))
    async with plugged.running(config(**getattr(request, "param", {}))) as stack:
        for gate in stack.providers:
            if gate.api is Api.memory:
                gate.provider.go_on.set()
        yield stack


def provider(stack: Any, api: Api, provider_id: str) -> Any:
    [gate] = [gate for gate in stack.providers if (gate.api, gate.provider_id) == (api, provider_id)]
    return gate.provider


def check(shield_id: str) -> RunShieldRequest:
    return RunShieldRequest.model_validate({"shield_id": shield_id, "messages": [{"role": "user", "content": "x"}]})


def insertion(bank_id: str = "one") -> InsertDocumentsRequest:
    return InsertDocumentsRequest.model_validate(
        {"bank_id": bank_id, "documents": [{"document_id": "d", "content": "x"}]}
    )


def query(bank_id: str = "one") -> QueryDocumentsRequest:
    return QueryDocumentsRequest(bank_id=bank_id, query="x")


# --- owners ---


@pytest.mark.parametrize(
    ("shield_id", "owner"), [("one", "foo"), ("two", "bar"), ("foo/inner", "foo"), ("inner", "foo")]
)
async def test_shield_is_asked_of_its_owner(shield_id: str, owner: str, stack: Any) -> None:
    answer = await stack.get_router(Api.safety).run_shield(check(shield_id), CONTEXT)

    assert answer.violation.user_message == owner
    [context] = provider(stack, Api.safety, owner).contexts
    assert isinstance(context.resource, Shield)
    assert context.resource.provider_id == owner


@pytest.mark.parametrize(
    ("bank_id", "content"), [("one", "foo/inner"), ("two", "bar/two"), ("bar/two", "bar/two"), ("inner", "foo/inner")]
)
async def test_bank_is_asked_of_its_owner(bank_id: str, content: str, stack: Any) -> None:
    memory = stack.get_router(Api.memory)

    await memory.insert_documents(insertion(bank_id), CONTEXT)
    answer = await memory.query_documents(query(bank_id), CONTEXT)

    assert answer.chunks[0].content == content
    assert provider(stack, Api.memory, content.partition("/")[0]).inserted == ["d"]


async def test_unknown_shield_and_bank_are_named_with_those_there_are(stack: Any) -> None:
    with pytest.raises(NotFoundError, match="Shield `x` not served by any of the providers: foo, bar"):
        await stack.get_router(Api.safety).run_shield(check("x"), CONTEXT)
    with pytest.raises(NotFoundError, match=r"Memory_bank `x` not served by .* Registered: one, two"):
        await stack.get_router(Api.memory).query_documents(query("x"), CONTEXT)


async def test_owner_that_does_not_serve_is_said(stack: Any) -> None:
    [gate] = [gate for gate in stack.providers if gate.api is Api.memory and gate.provider_id == "foo"]
    gate.set_state(ProviderState.failed, "its disk is full")

    with pytest.raises(BackendUnavailableError, match="provider foo is failed: its disk is full"):
        await stack.get_router(Api.memory).insert_documents(insertion(), CONTEXT)
    assert (await stack.get_router(Api.memory).query_documents(query("two"), CONTEXT)).scores == [1.0]


# --- types of banks ---


@pytest.mark.parametrize("bank_type", ["keyvalue", "keyword", "graph"])
async def test_bank_of_a_type_that_the_owner_lacks_is_not_registered(bank_type: str, stack: Any) -> None:
    request = RegisterMemoryBankRequest.model_validate(
        {"memory_bank_id": "b", "params": {"memory_bank_type": bank_type}, "provider_id": "foo"}
    )

    with pytest.raises(UnsupportedError, match=f"foo has no banks of type '{bank_type}'; it has: vector") as refused:
        await stack.get_router(Api.memory_banks).register_memory_bank(request, CONTEXT)

    assert refused.value.param == "params.memory_bank_type"


async def test_bank_of_the_config_whose_type_the_owner_lacks_can_not_be_used(plugged: Plugged) -> None:
    plugged.add(Keeper, "inline::keeper", api="memory", capabilities=frozenset())
    entry = {"provider_id": "foo", "provider_type": "inline::keeper"}
    banks = [{"memory_bank_id": "one", "params": VECTOR}]

    async with plugged.running({"providers": {"memory": [entry]}, "memory_banks": banks}) as stack:
        with pytest.raises(UnsupportedError, match="it has: none"):
            await stack.get_router(Api.memory).query_documents(query(), CONTEXT)


# --- what only some providers can be asked for ---


DOCUMENT_OPERATIONS: dict[str, Any] = {
    "list_documents": ListDocumentsRequest(bank_id="one"),
    "get_document": GetDocumentRequest(bank_id="one", document_id="d"),
    "delete_documents": DeleteDocumentsRequest(bank_id="one", document_ids=["d"]),
    "get_bank_statistics": GetBankStatisticsRequest(bank_id="one"),
}


@pytest.mark.parametrize("operation", DOCUMENT_OPERATIONS)
async def test_documents_of_a_provider_that_does_not_show_them_are_unsupported(operation: str, stack: Any) -> None:
    memory = stack.get_router(Api.memory)

    with pytest.raises(UnsupportedError, match="provider foo can't list, read, count or delete") as refused:
        await getattr(memory, operation)(DOCUMENT_OPERATIONS[operation], CONTEXT)

    assert refused.value.param == "bank_id"


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"filter": {"language": "en"}}, "params.filter"),
        ({"mode": "keyword"}, "params.mode"),
        ({"mode": "hybrid"}, "params.mode"),
    ],
)
async def test_query_that_the_owner_can_not_do_is_unsupported(params: Any, param: str, stack: Any) -> None:
    asked = QueryDocumentsRequest.model_validate({"bank_id": "one", "query": "x", "params": params})

    with pytest.raises(UnsupportedError, match=f"{param}: provider foo") as refused:
        await stack.get_router(Api.memory).query_documents(asked, CONTEXT)

    assert refused.value.param == param
    assert provider(stack, Api.memory, "foo").asked == 0


@pytest.fixture
async def able_stack(plugged: Plugged) -> AsyncIterator[Any]:
    """A stack with one provider of memory that declares all there is, with the vector bank `one` and the keyword bank `words`."""
    plugged.add(Keeper, "inline::keeper", api="memory", capabilities=ALL)
    banks = [
        {"memory_bank_id": "one", "params": VECTOR},
        {"memory_bank_id": "words", "params": {"memory_bank_type": "keyword"}},
    ]
    providers = {"memory": [{"provider_id": "foo", "provider_type": "inline::keeper"}]}
    async with plugged.running({"providers": providers, "memory_banks": banks}) as stack:
        provider(stack, Api.memory, "foo").go_on.set()
        yield stack


@pytest.mark.parametrize(
    ("bank_id", "params"),
    [
        ("one", {"mode": "vector"}),
        ("one", {"mode": "hybrid", "filter": {}}),
        ("one", {"mode": "keyword"}),
        ("words", {"mode": "keyword"}),
    ],
)
async def test_query_that_the_owner_can_do_reaches_it(bank_id: str, params: Any, able_stack: Any) -> None:
    asked = QueryDocumentsRequest.model_validate({"bank_id": bank_id, "query": "x", "params": params})

    assert (await able_stack.get_router(Api.memory).query_documents(asked, CONTEXT)).scores == [1.0]


@pytest.mark.parametrize("mode", ["vector", "hybrid"])
async def test_bank_without_vectors_has_no_other_mode(mode: str, able_stack: Any) -> None:
    asked = QueryDocumentsRequest.model_validate({"bank_id": "words", "query": "x", "params": {"mode": mode}})

    with pytest.raises(UnsupportedError, match=f"a keyword bank can't be searched by {mode}"):
        await able_stack.get_router(Api.memory).query_documents(asked, CONTEXT)


async def test_documents_are_asked_of_their_owner(able_stack: Any) -> None:
    memory = able_stack.get_router(Api.memory)
    await memory.insert_documents(insertion(), CONTEXT)

    counted = await memory.get_bank_statistics(GetBankStatisticsRequest(bank_id="one"), CONTEXT)
    deleted = await memory.delete_documents(DeleteDocumentsRequest(bank_id="one", document_ids=["d"]), CONTEXT)

    assert (counted.document_count, deleted.deleted) == (1, ["d"])
    assert (await memory.list_documents(ListDocumentsRequest(bank_id="one"), CONTEXT)).has_more is False


async def test_deletion_runs_to_its_end_though_the_caller_left(able_stack: Any) -> None:
    keeper = provider(able_stack, Api.memory, "foo")
    memory = able_stack.get_router(Api.memory)
    await memory.insert_documents(insertion(), CONTEXT)
    keeper.go_on.clear()
    request = DeleteDocumentsRequest(bank_id="one", document_ids=["d"])
    task = asyncio.create_task(memory.delete_documents(request, CONTEXT))
    await until(lambda: keeper.asked == 2)

    task.cancel()
    await asyncio.wait([task])
    keeper.go_on.set()

    await until(lambda: keeper.inserted == [])
    assert task.cancelled()


# --- insertions ---


REPORT = InsertDocumentsResponse(documents=[DocumentReport(document_id="d", chunk_count=0, error="it can't be read")])
ALL_IN = InsertDocumentsResponse(documents=[DocumentReport(document_id="d")])


@pytest.mark.parametrize(("said", "answered"), [(None, ALL_IN), (REPORT, REPORT)], ids=["nothing", "report"])
async def test_insertion_has_a_report_for_each_document(said: Any, answered: Any, stack: Any) -> None:
    provider(stack, Api.memory, "foo").report = said

    assert await stack.get_router(Api.memory).insert_documents(insertion(), CONTEXT) == answered


async def test_insertion_runs_to_its_end_though_the_caller_left(stack: Any) -> None:
    keeper = provider(stack, Api.memory, "foo")
    keeper.go_on.clear()
    task = asyncio.create_task(stack.get_router(Api.memory).insert_documents(insertion(), CONTEXT))
    await until(lambda: keeper.asked)

    task.cancel()
    await asyncio.wait([task])
    keeper.go_on.set()

    await until(lambda: keeper.inserted == ["d"])
    assert task.cancelled()


async def test_query_ends_when_the_caller_leaves(stack: Any) -> None:
    keeper = provider(stack, Api.memory, "foo")
    keeper.go_on.clear()
    task = asyncio.create_task(stack.get_router(Api.memory).query_documents(query(), CONTEXT))
    await until(lambda: keeper.asked)

    task.cancel()
    await asyncio.wait([task])

    assert task.cancelled()
    assert all(gate.running == 0 for gate in stack.providers)


async def test_stack_that_stops_waits_for_an_insertion(plugged: Plugged) -> None:
    plugged.add(Judge, "inline::judge", api="safety")
    plugged.add(Keeper, "inline::keeper", api="memory", capabilities=frozenset({Capability.vector_bank}))
    async with plugged.running(config()) as stack:
        keeper = provider(stack, Api.memory, "foo")
        insert = asyncio.create_task(stack.get_router(Api.memory).insert_documents(insertion(), CONTEXT))
        await until(lambda: keeper.asked)
        stop = asyncio.create_task(stack.stop())
        await asyncio.sleep(0)
        keeper.go_on.set()
        await stop

    await insert
    assert keeper.inserted == ["d"]


@pytest.mark.parametrize(
    ("failure", "error"), [(BadRequestError("no"), BadRequestError), (RuntimeError("odd"), ProviderDefectError)]
)
async def test_failure_of_an_insertion_is_the_callers_to_hear(
    failure: Exception, error: type[Exception], stack: Any
) -> None:
    provider(stack, Api.memory, "foo").failure = failure

    with pytest.raises(error):
        await stack.get_router(Api.memory).insert_documents(insertion(), CONTEXT)


@pytest.mark.parametrize("stack", [{"timeout_s": 0.05}], indirect=True)
async def test_insertion_and_query_have_a_deadline(stack: Any) -> None:
    provider(stack, Api.memory, "foo").go_on.clear()

    with pytest.raises(DeadlineExceededError):
        await stack.get_router(Api.memory).insert_documents(insertion(), CONTEXT)
    with pytest.raises(DeadlineExceededError):
        await stack.get_router(Api.memory).query_documents(query(), CONTEXT)
