"""The base of comparison: an aiohttp application that reads the request and sends given bytes. Run as a script.

    python bare.py PORT ANSWERS

ANSWERS is a JSON file: `whole` (text of the whole answer), `chunks` (texts of the chunks of a stream), `pace_s` (between two chunks).
"""

import asyncio
import json
import sys
from pathlib import Path

from aiohttp import web

ANSWERS = web.AppKey("answers", dict)


async def chat(request: web.Request) -> web.StreamResponse:
    body = await request.json()
    answers = request.app[ANSWERS]
    if not body.get("stream"):
        return web.Response(text=answers["whole"], content_type="application/json")
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
    await response.prepare(request)
    for chunk in answers["chunks"]:
        await asyncio.sleep(answers["pace_s"])
        await response.write(chunk.encode())
    await response.write_eof()
    return response


async def health(request: web.Request) -> web.Response:
    return web.json_response({"status": "OK"})


def main() -> None:
    app = web.Application()
    app[ANSWERS] = json.loads(Path(sys.argv[2]).read_text()) if len(sys.argv) > 2 else {}
    app.router.add_post("/v1/chat/completions", chat)
    app.router.add_get("/health", health)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None, handler_cancellation=True)


if __name__ == "__main__":
    main()
