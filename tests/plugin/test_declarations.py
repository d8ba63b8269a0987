import sys
from pathlib import Path
from typing import Any

import pytest

from hitchpost.api import Api, Capability, RegisterModelRequest
from hitchpost.errors import BackendUnavailableError
from hitchpost.plugin import CommandSpec, Preset, ProviderSpec
from hitchpost.plugin.declarations import load_import_string


def spec(**fields: Any) -> ProviderSpec:
    return ProviderSpec(
        **{
            "api": "inference",
            "provider_type": "inline::acme",
            "config": "acme:Config",
            "factory": "acme:Provider",
            **fields,
        }
    )


def preset(**fields: Any) -> Preset:
    return Preset(**{"name": "a", "api": "inference", "provider_id": "a", "provider_type": "inline::a", **fields})


def test_names_become_members_of_their_enumerations() -> None:
    declared = spec(needs=["safety", Api.models], uses=("memory",), capabilities=["chat", Capability.stop])

    assert declared.api is Api.inference
    assert (declared.needs, declared.uses) == ((Api.safety, Api.models), (Api.memory,))
    assert declared.capabilities == {Capability.chat, Capability.stop}


@pytest.mark.parametrize(
    "name", ["inline::a", "remote::hf::serverless", "inline::meta-reference-quantized", "remote::x_1"]
)
def test_published_forms_of_provider_types_are_taken(name: str) -> None:
    assert spec(provider_type=name).provider_type == name


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"api": "infrence"}, "api: 'infrence' is not a valid Api; there are: inference, safety"),
        ({"api": None}, "api: None is not a valid Api"),
        (
            {"api": "models"},
            "api 'models' is provided by the host itself; a provider implements one of inference, safety",
        ),
        ({"provider_type": "acme"}, "provider_type 'acme' is not of the form 'inline::name'"),
        ({"provider_type": "inline::Acme"}, "provider_type"),
        ({"provider_type": "inline::a\n"}, "provider_type"),
        ({"provider_type": "inline::"}, "provider_type"),
        ({"provider_type": None}, "provider_type"),
        ({"config": "acme.Config"}, "config 'acme.Config' is not of the form 'package.module:attribute'"),
        ({"factory": dict}, "factory <class 'dict'> is not of the form"),
        ({"provider_data": "x"}, "provider_data 'x' is not of the form"),
        ({"needs": "safety"}, "needs is the text 'safety'; write a list"),
        ({"needs": ["saftey"]}, "needs: 'saftey' is not a valid Api"),
        ({"uses": 7}, "uses: 'int' object is not iterable"),
        ({"requires_modules": "torch"}, "requires_modules is the text 'torch'; write a list"),
        ({"capabilities": ["fly"]}, "capabilities: 'fly' is not a valid Capability; there are: chat, completion"),
        ({"capabilities": "chat"}, "capabilities is the text 'chat'; write a list"),
        ({"state": "somewhere"}, "state 'somewhere' is none of none, local, shared"),
    ],
)
def test_wrong_field_of_a_provider_type_is_named(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as refused:
        spec(**fields)

    assert str(refused.value).startswith(message)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "a b"}, "preset name 'a b'"),
        ({"provider_id": "../a"}, "provider_id '../a'"),
        ({"provider_type": "a"}, "provider_type 'a'"),
        ({"api": "models"}, "api 'models' is provided by the host itself"),
        ({"config": [1]}, "preset a: config is list, not a mapping"),
        ({"resources": [{"model_id": "m"}]}, "preset a: resources hold dict, none of RegisterModelRequest"),
        ({"resources": 7}, "'int' object is not iterable"),
    ],
)
def test_wrong_field_of_a_preset_is_named(fields: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError)) as refused:
        preset(**fields)

    assert str(refused.value).startswith(message)


def test_preset_keeps_its_resources() -> None:
    request = RegisterModelRequest(model_id="m")

    assert preset(resources=[request]).resources == (request,)


@pytest.mark.parametrize(
    ("fields", "message"), [({"name": ""}, "command name ''"), ({"target": "pull"}, "target 'pull'")]
)
def test_wrong_field_of_a_command_is_named(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as refused:
        CommandSpec(**{"name": "pull", "target": "acme.cli:pull", "help": "Fetch a model.", **fields})

    assert str(refused.value).startswith(message)


# --- required modules ---


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package that ends whoever imports it, with a module in it."""
    folder = tmp_path / "explosive_package"
    (folder / "inner").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise SystemExit('imported')")
    (folder / "inner" / "__init__.py").write_text("raise SystemExit('imported')")
    (folder / "inner" / "leaf.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    return "explosive_package"


@pytest.mark.parametrize(
    ("suffix", "is_there"),
    [("", True), (".inner", True), (".inner.leaf", True), (".other", False), (".inner.leaf.x", False)],
)
def test_required_module_is_looked_for_without_importing_anything(suffix: str, is_there: bool, package: str) -> None:
    declared = spec(requires_modules=[package + suffix])

    assert declared.missing_modules() == ([] if is_there else [package + suffix])
    assert package not in sys.modules


@pytest.mark.parametrize("name", ["sys", "json.decoder", "a_library_that_nobody_has", "", "a..b", "__main__"])
def test_any_name_may_be_looked_for(name: str) -> None:
    assert spec(requires_modules=[name]).missing_modules() in ([], [name])


def test_missing_library_says_what_to_install() -> None:
    declared = spec(requires_modules=["json", "nobody_has_this", "nor_this"], extra="acme[gpu]")

    with pytest.raises(
        BackendUnavailableError, match=r"needs nobody_has_this, nor_this, .* pip install 'acme\[gpu\]'"
    ) as refused:
        declared.check_installed()

    assert refused.value.is_permanent


def test_type_without_missing_libraries_is_installed() -> None:
    spec(requires_modules=["json"]).check_installed()


# --- import strings ---


def test_import_string_names_an_attribute_of_any_depth() -> None:
    assert load_import_string("pathlib:Path.home") == Path.home


@pytest.mark.parametrize(("text", "error"), [("no_such_module:a", ImportError), ("pathlib:nothing", AttributeError)])
def test_import_string_that_names_nothing_raises(text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        load_import_string(text)
