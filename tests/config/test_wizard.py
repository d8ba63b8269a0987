from typing import Any

import pytest
from pydantic import BaseModel

from hitchpost.api import Api
from hitchpost.config.installed_types import InstalledTypes, load_installed_types
from hitchpost.config.wizard import Wizard
from hitchpost.plugin import ProviderSpec
from hitchpost.plugin.catalog import build_catalog
from hitchpost.plugin.discovery import PluginReport
from tests.config.answers import Answers


class AcmeConfig(BaseModel, extra="forbid"):
    url: str
    retries: int = 3


class NoConfig(BaseModel, extra="forbid"):
    pass


@pytest.fixture
def installed() -> InstalledTypes:
    types = InstalledTypes()
    for api, name, config in [
        (Api.inference, "remote::acme", AcmeConfig),
        (Api.inference, "inline::none", NoConfig),
        (Api.safety, "inline::guard", NoConfig),
    ]:
        types.configs[api, name] = config
        types.specs[api, name] = ProviderSpec(
            api=api, provider_type=name, config="a:B", factory="a:B", description=f"about {name}"
        )
    return types


def run(installed: InstalledTypes, existing: Any, *answers: str) -> tuple[dict[Any, Any], Answers]:
    person = Answers(answers)
    result = Wizard(person, installed, {}).run(existing)
    assert person.left == []
    return result, person


ACME = {"provider_id": "a", "provider_type": "remote::acme", "config": {"url": "u"}}


def test_first_provider_is_asked_for_and_others_may_follow(installed: InstalledTypes) -> None:
    config, person = run(
        installed, {}, "", "remote::acme", "", "http://h", "", "", "y", "1", "", "", "", "y", "", "", "", "", "", "n"
    )

    assert config == {
        "version": "2",
        "providers": {
            "inference": [
                {"provider_id": "acme", "provider_type": "remote::acme", "config": {"url": "http://h"}},
                {"provider_id": "none", "provider_type": "inline::none", "config": {}},
            ],
            "safety": [{"provider_id": "guard", "provider_type": "inline::guard", "config": {}}],
        },
    }
    assert "  remote::acme: about remote::acme" in person.told


def test_second_provider_of_a_type_gets_another_id_and_may_not_take_the_first_ones(installed: InstalledTypes) -> None:
    existing = {"providers": {"inference": [{**ACME, "provider_id": "acme"}]}}

    config, person = run(installed, existing, "", "y", "remote::acme", "acme", "", "u2", "", "", "n", "n", "n")

    assert [entry["provider_id"] for entry in config["providers"]["inference"]] == ["acme", "acme-2"]
    assert "acme is taken." in person.told


def test_existing_provider_is_kept_changed_or_removed(installed: InstalledTypes) -> None:
    entries = [{**ACME, "provider_id": name, "mine": name, "limits": {"timeout_s": 5}} for name in "abc"]

    config, _ = run(
        installed, {"providers": {"inference": entries}}, "keep", "change", "", "7", "", "remove", "n", "n", "n"
    )

    assert config["providers"]["inference"] == [entries[0], {**entries[1], "config": {"url": "u", "retries": 7}}]


def test_provider_of_a_type_that_is_not_installed_is_kept_or_removed(installed: InstalledTypes) -> None:
    entries = [{"provider_id": name, "provider_type": "remote::gone", "config": {"x": 1}} for name in "ab"]

    config, person = run(installed, {"providers": {"memory": entries}}, "n", "n", "", "remove", "n")

    assert config["providers"]["memory"] == [entries[0]]
    assert person.told.count("Its type is not installed here.") == 2


def test_limits_are_asked_when_wanted(installed: InstalledTypes) -> None:
    config, _ = run(installed, {}, "", "inline::none", "", "y", "8", "", "", "", "", "", "n")

    assert config["providers"]["inference"][0]["limits"] == {"max_concurrent": 8}


def test_resources_are_registered_with_the_providers_there_are(installed: InstalledTypes) -> None:
    existing = {"providers": {"inference": [ACME]}, "models": [{"model_id": "old"}]}

    config, _ = run(installed, existing, "", "n", "n", "y", "new", "backend-name", "a", "none", "n")

    assert config["models"] == [
        {"model_id": "old"},
        {"model_id": "new", "provider_model_id": "backend-name", "provider_id": "a", "metadata": None},
    ]


def test_what_the_wizard_does_not_know_stays(installed: InstalledTypes) -> None:
    existing = {
        "image_name": "x",
        "mine": {"a": 1},
        "providers": {"inference": [ACME, 7], "scoring": [{"provider_id": "s"}]},
        "models": "not a list",
    }

    config, _ = run(installed, existing, "", "n", "n", "n")

    assert config == {"version": "2", **existing}


def test_answers_that_end_early_end_the_wizard(installed: InstalledTypes) -> None:
    with pytest.raises(EOFError):
        run(installed, {}, "", "remote::acme")


# --- what is installed ---


def test_type_whose_config_can_not_be_loaded_is_named_and_left_out() -> None:
    specs = [
        ProviderSpec(api="inference", provider_type=f"inline::{name}", config=config, factory="a:B")
        for name, config in [
            ("good", "hitchpost.store:SqliteStoreConfig"),
            ("gone", "no_such_module:X"),
            ("odd", "json:loads"),
        ]
    ]

    installed = load_installed_types(build_catalog([PluginReport("p", "d", provider_specs=specs)]))

    assert installed.names(Api.inference) == ["inline::good"]
    assert installed.failures == [
        "provider type inline::gone of inference can't be loaded: ModuleNotFoundError",
        "provider type inline::odd of inference: json:loads is no pydantic model",
    ]
