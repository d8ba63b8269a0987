from typing import Any

import pytest
from pydantic import ValidationError

from hitchpost.api import Api, GetShieldRequest, RegisterShieldRequest, Shield, Shields, routes_of


def test_declared_routes_are_the_published_ones_and_unregister() -> None:
    assert [(route.verb, route.path) for route in routes_of(Shields)] == [
        ("GET", "/shields/list"),
        ("GET", "/shields/get"),
        ("POST", "/shields/register"),
        ("POST", "/shields/unregister"),
    ]


def test_shield_is_served_by_safety_and_has_its_own_hooks() -> None:
    assert Shield.served_by is Api.safety
    assert (Shield.list_hook(), Shield.register_hook(), Shield.unregister_hook()) == (
        "list_shields", "register_shield", "unregister_shield",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {"provider_resource_id": "s", "params": {}}),
        ({"provider_shield_id": "inner", "params": {"a": 1}}, {"provider_resource_id": "inner", "params": {"a": 1}}),
        (
            {"provider_shield_id": None, "provider_id": None, "params": None},
            {"provider_resource_id": "s", "params": {}},
        ),
        ({"params": '{"a": {"b": 1}}'}, {"provider_resource_id": "s", "params": {"a": {"b": 1}}}),
    ],
)
def test_registration_becomes_a_shield_of_its_owner(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    request = RegisterShieldRequest.model_validate({"shield_id": "s", **fields})

    assert request.resource("p") == Shield(identifier="s", provider_id="p", **expected)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"shield_id": ""},
        {"shield_id": " s"},
        {"shield_id": "a\nb"},
        {"shield_id": "x" * 513},
        {"shield_id": "s", "params": []},
        {"shield_id": "s", "params": "["},
        {"shield_id": "s", "params": "[1]"},
        {"shield_id": "s", "params": '"{}"'},
        {"shield_id": "s", "params": {"big": "x" * 70_000}},
        {"shield_id": "s", "params": '{"big": "' + "x" * 70_000 + '"}'},
        {"shield_id": "s", "provider_shield_id": ""},
    ],
)
def test_registration_without_sense_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RegisterShieldRequest.model_validate(fields)


@pytest.mark.parametrize("name", ["identifier", "shield_id"])
def test_shield_is_asked_for_by_either_parameter(name: str) -> None:
    assert GetShieldRequest.model_validate({name: "s"}).identifier == "s"
