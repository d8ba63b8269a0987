"""What the plan says of providers that remember by themselves where several hosts share the store."""

from typing import Any

import pytest

from hitchpost.api import Api
from hitchpost.plugin import Preset
from tests.plugged import Idle, Plugged

REDIS = {"type": "redis"}
POSTGRES = {"type": "postgres", "user": "me"}


def config(store: Any, provider_type: str = "inline::local") -> dict[str, Any]:
    return {
        "metadata_store": store,
        "providers": {"memory": [{"provider_id": "m", "provider_type": provider_type}]},
    }


@pytest.mark.parametrize("store", [REDIS, POSTGRES])
def test_type_with_local_state_is_refused_on_a_shared_store_and_told_what_to_use(
    store: dict[str, Any], plugged: Plugged
) -> None:
    plugged.add(Idle, "inline::local", api="memory", state="local")
    plugged.add(Idle, "remote::shared", api="memory", state="shared")

    assert plugged.problems(config(store)) == [
        "providers.memory[0].provider_type: inline::local keeps what it remembers on this machine, and metadata_store is of type "
        f"{store['type']}, which several hosts share; use a provider type of memory without local state (remote::shared), "
        "or a metadata_store of type sqlite"
    ]


@pytest.mark.parametrize("store", [None, {"type": "sqlite"}, {"type": "memory"}])
def test_type_with_local_state_is_fine_on_a_store_of_one_machine(store: Any, plugged: Plugged) -> None:
    plugged.add(Idle, "inline::local", api="memory", state="local")

    assert plugged.plan(config(store)).problems == ()


@pytest.mark.parametrize("state", ["none", "shared"])
def test_other_types_are_fine_on_a_shared_store(state: Any, plugged: Plugged) -> None:
    plugged.add(Idle, "remote::other", api="memory", state=state)

    assert plugged.plan(config(REDIS, "remote::other")).problems == ()


def test_preset_with_local_state_fails_alone_on_a_shared_store(plugged: Plugged) -> None:
    preset = Preset(name="ready", api=Api.memory, provider_id="r", provider_type="inline::local")
    plugged.add(Idle, "inline::local", api="memory", state="local", presets=(preset,))

    [provider] = plugged.plan({"metadata_store": REDIS, "presets": ["ready"]}).providers

    assert provider.problem is not None
    assert "keeps what it remembers on this machine" in provider.problem
