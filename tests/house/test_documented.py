"""What users and plugin authors rely on is in the documentation, as it really is."""

import inspect
import re
import runpy
from collections.abc import Iterator

import pytest

from hitchpost import errors
from hitchpost.errors import ConfigError, HitchpostError, PluginError
from hitchpost.host.body import InvalidRequestError
from hitchpost.host.native.routes import native_routes
from hitchpost.host.openai.errors import OPENAI
from hitchpost.host.openai.routes import openai_routes
from hitchpost.host.openapi import openapi_document
from hitchpost.host.operations import operation_routes
from hitchpost.host.own.errors import OWN
from hitchpost.host.own.routes import own_routes
from hitchpost.plugin import ProviderSpec, hookspecs
from hitchpost.plugin.declarations import load_import_string
from hitchpost.scripted import plugin as scripted
from hitchpost.telemetry import plugin as telemetry
from hitchpost_bedrock import plugin as bedrock
from hitchpost_meta_reference import plugin as meta_reference
from hitchpost_remote_ollama import plugin as remote_ollama
from hitchpost_remote_openai import plugin as remote_openai
from hitchpost_remote_tgi import plugin as remote_tgi
from hitchpost_weaviate import plugin as weaviate
from tests.house.sources import ROOT

HOOKS = (*hookspecs.PACKAGE_HOOKS, *hookspecs.PROVIDER_HOOKS)
ERRORS = [
    kind for name in errors.__all__ if isinstance(kind := getattr(errors, name), type) and kind is not HitchpostError
]


@pytest.mark.parametrize("hook", HOOKS)
def test_hook_is_documented_under_its_signature(hook: str) -> None:
    arguments = ", ".join(inspect.signature(getattr(hookspecs, hook)).parameters)

    headings = re.findall(r"^#+ `(.+)`$", (ROOT / "docs/plugins.md").read_text(), re.MULTILINE)

    assert f"{hook}({arguments})" in headings, "give the hook a heading of this form in docs/plugins.md"


@pytest.mark.parametrize("hook", HOOKS)
def test_hook_has_a_test_of_its_own(hook: str) -> None:
    tests = "".join(path.read_text() for path in (ROOT / "tests/plugin").glob("test_*.py"))

    assert f"def test_hook_{hook}" in tests, f"write test_hook_{hook}... in tests/plugin"


def test_every_hookspec_is_in_the_lists_that_the_host_goes_by() -> None:
    specs = {name for name, value in vars(hookspecs).items() if hasattr(value, "hitchpost_spec")}

    assert specs == set(HOOKS)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_error_has_its_row(error: type[HitchpostError]) -> None:
    statuses = "- | -" if error in (ConfigError, PluginError) else f"{error.native_status} | {error.openai_status}"

    rows = (ROOT / "docs/errors.md").read_text().splitlines()

    start = f"| `{error.__name__}` | `{error.code}` | {statuses} |"
    assert [row for row in rows if row.startswith(start)], f"write a row into docs/errors.md: {start} ..."


def all_errors(kind: type[HitchpostError] = HitchpostError) -> Iterator[HitchpostError]:
    """One error of each class of the host's that is sent."""
    if kind is InvalidRequestError:
        yield InvalidRequestError([], "", None)
    elif kind not in (ConfigError, PluginError):
        yield kind("")
    for below in kind.__subclasses__():
        if below.__module__.startswith("hitchpost."):
            yield from all_errors(below)


def test_errors_page_lists_every_code_of_the_envelope_with_its_status() -> None:
    sent = {
        (surface.error_body(error)["error"]["code"], surface.status(error))
        for error in all_errors()
        for surface in (OPENAI, OWN)
    }
    for status in range(400, 600):
        code = OPENAI.http_error_body(status, "", "")["error"]["code"]
        sent |= {(code, status)} if code else set()

    rows = re.findall(r"^\| `([a-z_]+)` \| (\d+) \|", (ROOT / "docs/errors.md").read_text(), re.MULTILINE)

    assert sorted((code, int(status)) for code, status in rows) == sorted(sent)


def routes_of_the_host() -> set[str]:
    """`VERB /path` of everything that is served; parameters of a path as `{}`."""
    routes = [*operation_routes(), *openai_routes(), *own_routes(), *native_routes()]
    return {f"{route.method} {re.sub('{[^}]*}', '{}', route.path)}" for route in routes}


def test_openapi_document_describes_every_route() -> None:
    paths = openapi_document()["paths"]

    described = {f"{verb.upper()} {re.sub('{[^}]*}', '{}', path)}" for path in paths for verb in paths[path]}

    assert described == routes_of_the_host()


def test_api_page_lists_every_route() -> None:
    rows = re.findall(r"^\| `((?:GET|POST|DELETE) /.*?)`", (ROOT / "docs/api.md").read_text(), re.MULTILINE)

    assert {re.sub("{[^}]*}", "{}", row) for row in rows} == routes_of_the_host(), "docs/api.md: one row for each route"


def test_command_line_page_is_what_the_help_says() -> None:
    written = runpy.run_path(str(ROOT / "docs/cli_reference.py"))

    assert written["PAGE"].read_text(encoding="utf-8") == written["page"](), "run: python docs/cli_reference.py"


def test_plugin_reference_is_what_the_sources_say() -> None:
    written = runpy.run_path(str(ROOT / "docs/plugin_reference.py"))

    assert written["PAGE"].read_text(encoding="utf-8") == written["page"](), "run: python docs/plugin_reference.py"


OUR_SPECS = [
    spec
    for plugin in (scripted, telemetry, bedrock, meta_reference, remote_ollama, remote_openai, remote_tgi, weaviate)
    for spec in plugin.provider_specs()
]


@pytest.mark.parametrize("spec", OUR_SPECS, ids=lambda spec: spec.provider_type)
def test_every_field_of_a_provider_config_is_on_its_page(spec: ProviderSpec) -> None:
    package, name = spec.config.split(".")[:2]
    page = f"docs/{name}.md" if package == "hitchpost" else f"plugins/{package.removeprefix('hitchpost_')}/README.md"
    schema = load_import_string(spec.config).model_json_schema()
    fields = {name for model in (schema, *schema.get("$defs", {}).values()) for name in model.get("properties", ())}

    text = (ROOT / page).read_text(encoding="utf-8")

    assert not [field for field in sorted(fields) if f"`{field}`" not in text], f"add them to a table of {page}"
