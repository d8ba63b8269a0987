from typing import Any

import pytest

from hitchpost.api import Api, RegisterModelRequest
from hitchpost.plugin import Preset
from hitchpost.registry import Origin
from hitchpost.routing import ProviderState
from tests.plugged import Idle, Plugged, one


def preset(name: str = "ready", provider_id: str = "ready", **fields: Any) -> Preset:
    return Preset(
        **{
            "name": name,
            "api": "inference",
            "provider_id": provider_id,
            "provider_type": "inline::test",
            "resources": [RegisterModelRequest(model_id=f"{name}-model")],
            **fields,
        }
    )


def test_without_a_run_config_every_preset_is_built(plugged: Plugged) -> None:
    plugged.add(presets=(preset(), preset("other", "other")))

    planned = plugged.plan(None)

    assert [(provider.provider_id, provider.problem) for provider in planned.providers] == [
        ("ready", None),
        ("other", None),
    ]
    assert [(resource.request.model_id, resource.origin) for resource in planned.resources] == [
        ("ready-model", Origin.preset),
        ("other-model", Origin.preset),
    ]


def test_run_config_builds_only_the_presets_that_it_names(plugged: Plugged) -> None:
    plugged.add(presets=(preset(), preset("other", "other")))

    planned = plugged.plan(one() | {"presets": ["other"]})

    assert [provider.provider_id for provider in planned.providers] == ["p", "other"]


def test_nothing_is_planned_without_config_and_presets(plugged: Plugged) -> None:
    plugged.add()

    assert plugged.plan(None).providers == ()


@pytest.mark.parametrize("rival", [preset(provider_id="b"), preset("b")], ids=["name", "provider"])
def test_presets_that_claim_the_same_are_both_left_out_and_named(rival: Preset, plugged: Plugged) -> None:
    plugged.add(presets=(preset(), preset("third", "third")), distribution="first-dist")
    plugged.add(provider_type="inline::rival", presets=(rival,), distribution="second-dist")

    planned = plugged.plan(None)

    assert [provider.provider_id for provider in planned.providers] == ["third"]
    assert len(planned.notes) == 2
    assert "preset ready of first-dist is left out" in planned.notes[0]
    assert "of second-dist" in planned.notes[0]


def test_preset_name_of_two_plugins_is_a_problem_where_the_config_asks_for_it(plugged: Plugged) -> None:
    plugged.add(presets=(preset(),), distribution="first-dist")
    plugged.add(provider_type="inline::rival", presets=(preset(),), distribution="second-dist")

    assert plugged.problems({"presets": ["ready"]}) == [
        "presets[0]: first-dist and second-dist both have a preset 'ready'; keep one out by plugins.deny"
    ]


def test_preset_listed_twice_or_against_a_provider_is_a_problem(plugged: Plugged) -> None:
    plugged.add(presets=(preset(),))
    config = one(provider_id="ready") | {"presets": ["ready", "ready"]}

    assert plugged.problems(config) == [
        "presets[1]: 'ready' is listed twice",
        "presets[0] (ready): its provider 'ready' of inference is taken by providers.inference[0]",
    ]


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"config": {"typo": 1}}, "preset broken.config.typo: unknown key"),
        ({"provider_type": "inline::absent"}, "no installed plugin offers provider type inline::absent for inference"),
        ({"provider_type": "inline::needy"}, "preset broken: provider type inline::needy needs a provider of safety"),
    ],
)
def test_broken_preset_fails_alone(fields: dict[str, Any], problem: str, plugged: Plugged) -> None:
    plugged.add(presets=(preset("broken", "broken", **fields), preset()))
    plugged.add(provider_type="inline::needy", needs=["safety"])

    broken, good = plugged.plan(None).providers

    assert broken.problem is not None
    assert broken.problem.startswith(problem)
    assert good.problem is None


async def test_presets_in_a_circle_fail_and_the_others_start(plugged: Plugged) -> None:
    plugged.add(
        provider_type="inline::chicken", needs=["safety"], presets=(preset("a", "a", provider_type="inline::chicken"),)
    )
    egg = Preset(name="b", api=Api.safety, provider_id="b", provider_type="inline::egg")
    plugged.add(Idle, "inline::egg", api="safety", needs=["memory"], presets=(egg,))
    nest = Preset(name="c", api=Api.memory, provider_id="c", provider_type="inline::nest")
    plugged.add(Idle, "inline::nest", api="memory", needs=["safety"], presets=(nest,))

    async with plugged.running(None) as stack:
        states = {gate.provider_id: gate.state for gate in stack.providers}
        reasons = {gate.reason for gate in stack.providers}

    assert states == {"a": ProviderState.ready, "b": ProviderState.failed, "c": ProviderState.failed}
    assert len(reasons) == 2
    assert any("they need each other in a circle" in reason for reason in reasons)
