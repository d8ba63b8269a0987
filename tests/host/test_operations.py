"""What operators and tools look at: /health, /ready, /metrics, /openapi.json, /docs and the log."""

import io
import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from hitchpost.api import NATIVE_PREFIX, PROTOCOLS, routes_of
from hitchpost.errors import ConfigError
from hitchpost.host import configure_logging
from hitchpost.host.logs import JsonFormatter
from hitchpost.host.native.routes import october_2024_routes
from hitchpost.plugin import Metric
from tests.host.conftest import SCRIPT, OddHost
from tests.host.served import ServedHost, scripted_config, served

CHAT = "/v1/chat/completions"


def chat(text: str = "hi", **fields: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text}], **fields}


# --- health, ready ---


async def test_host_is_alive_but_not_ready_before_its_first_build() -> None:
    async with served(scripted_config(SCRIPT), start=False) as host:
        health, ready, asked = await host.get("/health"), await host.get("/ready"), await host.post(CHAT, chat())

        await host.stack.start()
        then = await host.get("/ready")

    assert (health.status, health.json) == (200, {"status": "OK"})
    assert (ready.status, ready.json["ready"]) == (503, False)
    assert [provider["state"] for provider in ready.json["providers"]] == ["starting"]
    assert asked.status == 404
    assert (then.status, then.json["ready"]) == (200, True)


async def test_ready_tells_why_a_provider_failed() -> None:
    config = scripted_config(SCRIPT)
    config["providers"]["inference"].append({"provider_id": "gone", "provider_type": "remote::nobody"})
    async with served(config) as host:
        answer = await host.get("/ready")

    assert answer.status == 200
    [scripted, gone] = answer.json["providers"]
    assert (scripted["state"], scripted["reason"]) == ("ready", None)
    assert (gone["api"], gone["provider_id"], gone["state"]) == ("inference", "gone", "failed")
    assert "remote::nobody" in gone["reason"]
    assert gone["since"]


# --- metrics ---


async def samples(host: ServedHost) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample of /metrics by name and labels."""
    families = text_string_to_metric_families((await host.get("/metrics")).text)
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def labels(**values: str) -> frozenset[tuple[str, str]]:
    return frozenset(values.items())


async def test_requests_are_counted_by_surface_route_and_status(host: ServedHost) -> None:
    await host.post(CHAT, chat())
    await host.post(CHAT, chat(stream=True))
    await host.post(CHAT, {})
    await host.get("/v1/models/a/b")
    await host.get("/v1/models/c/d")
    await host.get("/nothing/at/all")

    found = await samples(host)

    def requests(surface: str, route: str, status: int) -> float:
        return found["hitchpost_requests_total", labels(surface=surface, route=route, status=str(status))]

    assert requests("openai", CHAT, 200) == 2
    assert requests("openai", CHAT, 400) == 1
    assert requests("openai", "/v1/models/{model_id}", 404) == 2
    assert requests("native", "unmatched", 404) == 1
    streams = labels(surface="openai", route=CHAT, streamed="true")
    assert found["hitchpost_request_duration_seconds_count", streams] == 1
    assert found["hitchpost_requests_in_flight", labels()] == 0
    provider = labels(api="inference", provider_id="scripted")
    assert found["hitchpost_provider_requests_total", provider] == 2
    assert found["hitchpost_gate_running", provider] == 0
    assert found["hitchpost_gate_state", provider | labels(state="ready")] == 1


async def test_provider_that_cannot_count_does_not_spoil_the_metrics(
    odd: OddHost, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await odd.host.get("/metrics")

    assert answer.status == 200
    assert "hitchpost_gate_running" in answer.text
    assert "provider odd can't say its metrics" in caplog.text


async def test_figures_that_make_no_sense_are_left_out_by_name(odd: OddHost, caplog: pytest.LogCaptureFixture) -> None:
    odd.provider.figures = [
        Metric(name="good_total", kind="counter", help="Good.", value=3, labels={"kind": 'a"b\n'}),
        Metric(name="good_total", kind="gauge", help="Another kind.", value=4),
        Metric(name="text", kind="gauge", help="Bad.", value="much"),  # type: ignore[arg-type]
    ]

    found = await samples(odd.host)

    own = labels(api="inference", provider_id="odd", kind='a"b\n')
    assert found["hitchpost_provider_good_total", own] == 3
    assert {name for name, _ in found if name.startswith("hitchpost_provider_")} == {"hitchpost_provider_good_total"}
    assert caplog.text.count("is left out") == 2


# --- openapi, docs ---


def references(value: Any) -> Iterator[str]:
    """Every `$ref` in a document."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


async def test_openapi_document_has_every_route_and_no_loose_end(host: ServedHost) -> None:
    document = (await host.get("/openapi.json")).json
    october = {route.path for route in october_2024_routes()}

    served_routes = {
        (route.method.lower(), re.sub(r":[^}]*\}", "}", route.resource.canonical))
        for route in host.app.router.routes()
        if route.resource is not None and route.method != "HEAD" and route.resource.canonical not in october
    }
    described = {(verb, path) for path, verbs in document["paths"].items() for verb in verbs}
    assert document["openapi"].startswith("3.1")
    assert described == served_routes
    components = document["components"]
    known = {f"#/components/{kind}/{name}" for kind, named in components.items() for name in named}
    assert set(references(document)) <= known
    operations = [operation for verbs in document["paths"].values() for operation in verbs.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    assert all(operation["summary"] and operation["responses"]["200"]["description"] for operation in operations)


async def test_openapi_document_describes_every_native_request(host: ServedHost) -> None:
    document = (await host.get("/openapi.json")).json

    for protocol in PROTOCOLS.values():
        for route in routes_of(protocol):
            operation = document["paths"][NATIVE_PREFIX + route.path][route.verb.lower()]
            if route.verb == "POST":
                schema = operation["requestBody"]["content"]["application/json"]["schema"]
                properties = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]["properties"]
            else:
                properties = {parameter["name"] for parameter in operation["parameters"] if "name" in parameter}
            assert set(properties) == set(route.request.model_fields)


async def test_openapi_document_tells_streams_by_their_content_type(host: ServedHost) -> None:
    document = (await host.get("/openapi.json")).json

    content = document["paths"][CHAT]["post"]["responses"]["200"]["content"]
    assert content["application/json"]["schema"]["$ref"].endswith("/ChatCompletion")
    assert content["text/event-stream"]["schema"]["$ref"].endswith("/ChatCompletionChunk")


async def test_docs_load_nothing_from_elsewhere(host: ServedHost) -> None:
    answer = await host.get("/docs")

    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert not re.findall(r"(?:src|href)=\"(?!/)", answer.text)
    assert "http://" not in answer.text
    assert "https://" not in answer.text
    assert "innerHTML" not in answer.text


# --- log ---


async def test_line_of_a_request_tells_no_secrets(host: ServedHost, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "hitchpost.access")
    secrets = {"Authorization": "Bearer s3cret", "X-LlamaStack-ProviderData": '{"key": "s3cret"}'}

    await host.post(f"{CHAT}?key=s3cret", chat("s3cret"), **secrets, **{"x-request-id": "abc"})

    [record] = [record for record in caplog.records if record.name == "hitchpost.access"]
    fields = record.fields  # type: ignore[attr-defined]
    assert fields.pop("duration_ms") >= 0
    assert fields == {"request_id": "abc", "method": "POST", "path": CHAT, "status": 200, "model": "m"}
    assert record.getMessage().startswith(f"POST {CHAT} 200 ")
    assert "s3cret" not in caplog.text


async def test_only_what_went_wrong_is_told_at_the_level_info(
    host: ServedHost, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "hitchpost.access")

    await host.get("/health")
    await host.post(CHAT, chat())
    await host.post(CHAT, {**chat(), "model": "nobody"})

    assert [record.fields["status"] for record in caplog.records if record.name == "hitchpost.access"] == [404]  # type: ignore[attr-defined]


async def test_failed_stream_is_told_in_the_log(host: ServedHost, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "hitchpost.access")

    await host.post(CHAT, chat("cut", stream=True))

    [record] = [record for record in caplog.records if record.name == "hitchpost.access"]
    assert record.fields["status"] == 200  # type: ignore[attr-defined]
    assert record.fields["stream_error"] == "bad_backend_answer"  # type: ignore[attr-defined]
    assert record.fields["provider"] == "scripted"  # type: ignore[attr-defined]


async def test_model_name_cannot_forge_a_line(host: ServedHost, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "hitchpost.access")

    await host.post(CHAT, {**chat(), "model": "x\nINFO forged line" + "y" * 1000})

    [record] = [record for record in caplog.records if record.name == "hitchpost.access"]
    assert "\n" not in record.getMessage()
    assert len(record.getMessage()) < 500


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    """The root logger, put back as it was afterwards."""
    root, own = logging.getLogger(), logging.getLogger("hitchpost")
    handlers, level, own_level = list(root.handlers), root.level, own.level
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)
    own.setLevel(own_level)


def test_log_is_text_by_default(root_logger: logging.Logger) -> None:
    stream = io.StringIO()

    configure_logging({}, stream)
    logging.getLogger("hitchpost.x").info("hello")
    logging.getLogger("somebody").info("quiet")

    assert stream.getvalue().endswith("INFO    hitchpost.x: hello\n")
    assert stream.getvalue().count("\n") == 1


def test_log_as_json_has_one_object_per_line_with_traceback_and_fields(root_logger: logging.Logger) -> None:
    stream = io.StringIO()
    configure_logging({"HITCHPOST_LOG_FORMAT": "json", "HITCHPOST_LOG_LEVEL": "debug"}, stream)
    log = logging.getLogger("hitchpost.x")

    try:
        raise ValueError("no\nway")
    except ValueError:
        log.exception("it %s", "failed")
    log.debug("%s", "text", extra={"fields": {"status": 200}})

    failed, fields = map(json.loads, stream.getvalue().splitlines())
    assert (failed["level"], failed["logger"], failed["message"]) == ("error", "hitchpost.x", "it failed")
    assert "ValueError: no\nway" in failed["traceback"]
    assert fields["status"] == 200


@pytest.mark.parametrize("environ", [{"HITCHPOST_LOG_FORMAT": "xml"}, {"HITCHPOST_LOG_LEVEL": "loud"}])
def test_unknown_log_setting_is_an_error_that_names_it(environ: dict[str, str]) -> None:
    [(name, value)] = environ.items()

    with pytest.raises(ConfigError, match=f"{name} is .*{value}"):
        configure_logging(environ, io.StringIO())


def test_json_formatter_keeps_what_json_does_not_know() -> None:
    record = logging.makeLogRecord({"msg": "x", "name": "n", "levelname": "INFO", "fields": {"a": object}})

    assert json.loads(JsonFormatter().format(record))["a"] == str(object)
