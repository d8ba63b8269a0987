"""The base of comparison in front of a server: an aiohttp application that passes requests on and hands the answers back. Run as a script.

    python relay.py PORT BACKEND_URL

One pooled session; bodies are passed on as they are, streams piece by piece as they come. Nothing is looked at, checked or counted.
"""

import sys
from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web

SESSION = web.AppKey("session", aiohttp.ClientSession)
BACKEND = web.AppKey("backend", str)
JSON = {"Content-Type": "application/json"}


async def relay(request: web.Request) -> web.StreamResponse:
    body = await request.read()
    url = request.app[BACKEND] + request.path
    async with request.app[SESSION].post(url, data=body, headers=JSON) as answer:
        if "Content-Length" in answer.headers:
            return web.Response(body=await answer.read(), content_type="application/json")
        response = web.StreamResponse(headers={"Content-Type": answer.headers["Content-Type"]})
        await response.prepare(request)
        async for piece in answer.content.iter_any():
            await response.write(piece)
        await response.write_eof()
        return response


async def health(request: web.Request) -> web.Response:
    return web.json_response({"status": "OK"})


async def session(app: web.Application) -> AsyncIterator[None]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), auto_decompress=False) as opened:
        app[SESSION] = opened
        yield


def main() -> None:
    app = web.Application()
    app[BACKEND] = sys.argv[2]
    app.cleanup_ctx.append(session)
    app.router.add_get("/health", health)
    app.router.add_post("/{path:.*}", relay)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None, handler_cancellation=True)


if __name__ == "__main__":
    main()
