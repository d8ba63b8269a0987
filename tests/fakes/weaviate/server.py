"""A fake Weaviate: REST on one port, gRPC on another, each of which can go away alone.

It knows nothing of the provider. Its gRPC is that of the messages in weaviate-client; its REST is held against what Weaviate publishes.
"""

import json
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc
from aiohttp import web
from weaviate.proto.v1 import weaviate_pb2_grpc

from tests.fakes.weaviate.faults import Faults
from tests.fakes.weaviate.schema import TENANT_NAME, Refused, Schema, Stored
from tests.fakes.weaviate.service import Keys, Service, health_handler
from tests.processes import free_port

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class FakeWeaviate:
    """A server in this process's event loop; an async context manager.

    Args:
        api_keys: who may come in; none: everybody.
        version: what it says it is.
        certificate: files with a certificate for `localhost` and its key; with them it speaks TLS on both ports.
    """

    def __init__(self, *api_keys: str, version: str = "1.36.0", certificate: tuple[Path, Path] | None = None) -> None:
        self.schema = Schema()
        self.faults = Faults()
        self.keys = Keys(set(api_keys) or None)
        self.service = Service(self.schema, self.faults, self.keys)
        self.version = version
        self._certificate = certificate
        self.port = free_port()
        self.grpc_port = free_port()
        self.requests: list[tuple[str, str, str | None, Any]] = []
        """Method, path, authorization and body of every REST request."""
        self._runner: web.AppRunner | None = None
        self._grpc: grpc.aio.Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}" if self._certificate is None else f"https://localhost:{self.port}"

    @property
    def running(self) -> int:
        """Calls of gRPC that are under way."""
        return self.service.running

    async def __aenter__(self) -> Self:
        await self.start_rest()
        await self.start_grpc()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop_rest()
        await self.stop_grpc()

    async def start_rest(self) -> None:
        """Listen for REST on `port`."""
        self._runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=0.1, keepalive_timeout=0.5)
        await self._runner.setup()
        tls = None
        if self._certificate is not None:
            tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            tls.load_cert_chain(*self._certificate)
        await web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=tls).start()

    async def stop_rest(self) -> None:
        """Nobody listens there any more."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def start_grpc(self) -> None:
        """Listen for gRPC on `grpc_port`."""
        self._grpc = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        weaviate_pb2_grpc.add_WeaviateServicer_to_server(self.service, self._grpc)
        self._grpc.add_generic_rpc_handlers((health_handler(self.faults),))
        address = f"127.0.0.1:{self.grpc_port}"
        if self._certificate is None:
            self._grpc.add_insecure_port(address)
        else:
            certificate, key = (file.read_bytes() for file in self._certificate)
            self._grpc.add_secure_port(address, grpc.ssl_server_credentials([(key, certificate)]))
        await self._grpc.start()

    async def stop_grpc(self) -> None:
        """Nobody listens there any more; calls under way end."""
        if self._grpc is not None:
            await self._grpc.stop(None)
            self._grpc = None

    def objects(self, name: str, tenant: str | None = None) -> list[Stored]:
        """The objects of a collection, as they are kept."""
        return list(self.schema.get(name).objects.get(tenant, {}).values())

    def asked(self, method: str) -> list[Any]:
        """Every request of a method of gRPC."""
        return [request for name, _, request in self.service.calls if name == method]

    def authorizations(self) -> set[str | None]:
        """The authorization headers that came, over either way."""
        return {header for _, header, _ in self.service.calls} | {header for _, _, header, _ in self.requests}

    # --- REST ---

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[self._gate])
        application.add_routes(
            [
                web.get("/v1/.well-known/live", _nothing),
                web.get("/v1/.well-known/ready", _nothing),
                web.get("/v1/.well-known/openid-configuration", _no_oidc),
                web.get("/v1/meta", self._meta),
                web.get("/v1/schema", self._classes),
                web.post("/v1/schema", self._create),
                web.get("/v1/schema/{name}", self._class),
                web.delete("/v1/schema/{name}", self._delete),
                web.post("/v1/schema/{name}/properties", self._add_property),
                web.get("/v1/schema/{name}/tenants/{tenant}", self._tenant),
                web.post("/v1/schema/{name}/tenants", self._add_tenants),
                web.put("/v1/schema/{name}/tenants", self._change_tenants),
                web.delete("/v1/schema/{name}/tenants", self._remove_tenants),
            ]
        )
        return application

    @web.middleware
    async def _gate(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        header = request.headers.get("authorization")
        body = json.loads(await request.text()) if request.can_read_body else None
        self.requests.append((request.method, request.path, header, body))
        if "/.well-known/" in request.path:
            return await handler(request)
        if self.faults.hang_ups:
            self.faults.hang_ups -= 1
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        if self.faults.rest is not None:
            status, said = self.faults.rest
            return (
                web.Response(status=status, text=said)
                if isinstance(said, str)
                else web.json_response(said, status=status)
            )
        refusal = self.keys.refusal(header)
        if refusal:
            return web.json_response({"code": 401, "message": refusal}, status=401)
        if request.method not in ("GET", "HEAD") and not self.keys.may_write(header):
            message = "rbac: authorization, forbidden action: user 'ann' has insufficient permissions"
            return web.json_response({"error": [{"message": message}]}, status=403)
        try:
            return await handler(request)
        except Refused as error:
            if error.status == 404:
                return web.Response(status=404)
            return web.json_response({"error": [{"message": error.message}]}, status=error.status)

    async def _meta(self, request: web.Request) -> web.Response:
        meta = {"hostname": self.url, "version": self.version, "modules": {}, "grpcMaxMessageSize": 104858000}
        return web.json_response(meta)

    async def _classes(self, request: web.Request) -> web.Response:
        return web.json_response({"classes": [one.definition for one in self.schema.collections.values()]})

    async def _create(self, request: web.Request) -> web.Response:
        return web.json_response(self.schema.create(await request.json()).definition)

    async def _class(self, request: web.Request) -> web.Response:
        return web.json_response(self.schema.get(request.match_info["name"]).definition)

    async def _delete(self, request: web.Request) -> web.Response:
        self.schema.collections.pop(request.match_info["name"], None)
        return web.Response()

    async def _add_property(self, request: web.Request) -> web.Response:
        collection = self.schema.get(request.match_info["name"])
        return web.json_response(self.schema.add_property(collection, await request.json()))

    async def _tenant(self, request: web.Request) -> web.Response:
        tenants = self.schema.get(request.match_info["name"]).tenants
        name = request.match_info["tenant"]
        if name not in tenants:
            raise Refused("tenant not found", 404)
        return web.json_response({"name": name, "activityStatus": tenants[name]})

    async def _add_tenants(self, request: web.Request) -> web.Response:
        collection = self.schema.get(request.match_info["name"])
        if not collection.has_tenants:
            raise Refused(f"multi-tenancy is not enabled for class '{collection.name}'")
        sent = await request.json()
        for one in sent:
            if not TENANT_NAME.fullmatch(one["name"]):
                raise Refused(f"tenant name {one['name']!r} is invalid")
            collection.tenants[one["name"]] = one.get("activityStatus", "HOT")
        return web.json_response(sent)

    async def _change_tenants(self, request: web.Request) -> web.Response:
        return await self._add_tenants(request)

    async def _remove_tenants(self, request: web.Request) -> web.Response:
        collection = self.schema.get(request.match_info["name"])
        for name in await request.json():
            collection.tenants.pop(name, None)
            collection.objects.pop(name, None)
        return web.Response()


async def _nothing(request: web.Request) -> web.Response:
    return web.Response()


async def _no_oidc(request: web.Request) -> web.Response:
    return web.Response(status=404)
