"""The gRPC half of the fake, on the messages that weaviate-client ships."""

from collections.abc import Callable
from typing import Any

import grpc
from weaviate.proto.v1 import (
    aggregate_pb2,
    batch_delete_pb2,
    batch_pb2,
    health_weaviate_pb2,
    search_get_pb2,
    tenants_pb2,
    weaviate_pb2_grpc,
)

from tests.fakes.weaviate.faults import Faults
from tests.fakes.weaviate.inverted import matches
from tests.fakes.weaviate.objects import sent_properties, store
from tests.fakes.weaviate.schema import Refused, Schema, Stored
from tests.fakes.weaviate.search import search

HEALTH = "grpc.health.v1.Health"
STATUSES = {
    "HOT": tenants_pb2.TENANT_ACTIVITY_STATUS_HOT,
    "COLD": tenants_pb2.TENANT_ACTIVITY_STATUS_COLD,
    "FROZEN": tenants_pb2.TENANT_ACTIVITY_STATUS_FROZEN,
}


class Keys:
    """Who may come in.

    Args:
        valid: keys; None lets everybody in without one.
    """

    def __init__(self, valid: set[str] | None) -> None:
        self.valid = valid
        self.read_only: set[str] = set()

    def refusal(self, header: str | None) -> str | None:
        """Why a request with this header stays outside; None: it doesn't."""
        if self.valid is None:
            return None
        if not header:
            return "anonymous access not enabled. Please authenticate through one of the available methods: [API-keys]"
        scheme, _, key = header.partition(" ")
        return None if scheme == "Bearer" and key in self.valid else "unauthorized: invalid api key"

    def may_write(self, header: str | None) -> bool:
        """Whether the key of a request is more than one to read with."""
        return (header or "").partition(" ")[2] not in self.read_only


class Service(weaviate_pb2_grpc.WeaviateServicer):  # type: ignore[misc]
    """Answers searches, batches, deletions, aggregates and tenants.

    Args:
        schema: shared with the REST half.
        faults: what goes wrong.
        keys: who may come in.
    """

    def __init__(self, schema: Schema, faults: Faults, keys: Keys) -> None:
        self.schema = schema
        self.faults = faults
        self.keys = keys
        self.max_results = 10_000
        self.has_auto_schema = True
        self.signs_texts = False
        """Whether the property `text` of what a search answers ends with the key that it was asked under; a real server has no such thing."""
        self.running = 0
        self.calls: list[tuple[str, str | None, Any]] = []
        """Method, authorization and request of every call."""

    async def _answer(self, method: str, request: Any, context: Any, work: Callable[[], Any]) -> Any:
        header = _header(context)
        self.calls.append((method, header, request))
        self.running += 1
        try:
            refusal = self.keys.refusal(header)
            if refusal:
                await context.abort(grpc.StatusCode.UNAUTHENTICATED, refusal)
            if method.startswith("Batch") and not self.keys.may_write(header):
                await context.abort(
                    grpc.StatusCode.PERMISSION_DENIED, "rbac: authorization, forbidden action: user 'ann'"
                )
            await self.faults.meet(method, context)
            try:
                return work()
            except Refused as error:
                await context.abort(grpc.StatusCode.UNKNOWN, error.message)
        finally:
            self.running -= 1

    async def Search(self, request: Any, context: Any) -> Any:
        def work() -> Any:
            collection = self.schema.get(request.collection)
            results = search(collection, request, self.max_results)
            for one in results if self.signs_texts else ():
                fields = one.properties.non_ref_props.fields
                if "text" in fields:
                    fields["text"].text_value += f" [{_header(context)}]"
            return search_get_pb2.SearchReply(took=0.001, results=results)

        return await self._answer("Search", request, context, work)

    async def BatchObjects(self, request: Any, context: Any) -> Any:
        def work() -> Any:
            errors = []
            for index, sent in enumerate(request.objects):
                message = self.faults.refuses(sent_properties(sent.properties)) if self.faults.refuses else None
                try:
                    if message:
                        raise Refused(message)
                    store(self.schema, sent, guesses=self.has_auto_schema)
                except Refused as error:
                    errors.append(batch_pb2.BatchObjectsReply.BatchError(index=index, error=error.message))
            return batch_pb2.BatchObjectsReply(took=0.001, errors=errors)

        return await self._answer("BatchObjects", request, context, work)

    async def BatchDelete(self, request: Any, context: Any) -> Any:
        def work() -> Any:
            collection = self.schema.get(request.collection)
            shard = collection.shard(request.tenant)
            found = [one for one in shard.values() if matches(request.filters, collection, one)]
            chosen = found[: self.max_results]
            if not request.dry_run:
                for one in chosen:
                    del shard[one.uuid]
            return batch_delete_pb2.BatchDeleteReply(took=0.001, failed=0, matches=len(found), successful=len(chosen))

        return await self._answer("BatchDelete", request, context, work)

    async def Aggregate(self, request: Any, context: Any) -> Any:
        def work() -> Any:
            collection = self.schema.get(request.collection)
            objects: list[Stored] = list(collection.shard(request.tenant).values())
            if request.HasField("filters"):
                objects = [one for one in objects if matches(request.filters, collection, one)]
            sums = aggregate_pb2.AggregateReply.Aggregations(
                aggregations=[_sum(one.property, objects) for one in request.aggregations]
            )
            single = aggregate_pb2.AggregateReply.Single(objects_count=len(objects), aggregations=sums)
            return aggregate_pb2.AggregateReply(took=0.001, single_result=single)

        return await self._answer("Aggregate", request, context, work)

    async def TenantsGet(self, request: Any, context: Any) -> Any:
        def work() -> Any:
            tenants = self.schema.get(request.collection).tenants
            names = set(request.names.values) if request.HasField("names") else set(tenants)
            found = [
                tenants_pb2.Tenant(name=name, activity_status=STATUSES[status])
                for name, status in tenants.items()
                if name in names
            ]
            return tenants_pb2.TenantsGetReply(took=0.001, tenants=found)

        return await self._answer("TenantsGet", request, context, work)


def _header(context: Any) -> str | None:
    header: str | None = dict(context.invocation_metadata()).get("authorization")
    return header


def _sum(name: str, objects: list[Stored]) -> Any:
    values = [int(one.properties[name]) for one in objects if name in one.properties]
    kind = aggregate_pb2.AggregateReply.Aggregations.Aggregation
    return kind(property=name, int=kind.Integer(count=len(values), type="int", sum=sum(values) if values else None))


def health_handler(faults: Faults) -> grpc.GenericRpcHandler:
    """gRPC's own health service, which asks for no key."""
    kinds = health_weaviate_pb2.WeaviateHealthCheckResponse

    async def check(request: Any, context: Any) -> Any:
        return kinds(status=kinds.NOT_SERVING if faults.is_unhealthy else kinds.SERVING)

    method = grpc.unary_unary_rpc_method_handler(
        check,
        request_deserializer=health_weaviate_pb2.WeaviateHealthCheckRequest.FromString,
        response_serializer=kinds.SerializeToString,
    )
    return grpc.method_handlers_generic_handler(HEALTH, {"Check": method})
