import asyncio
from pathlib import Path
from typing import Any

import pytest

from hitchpost.api import (
    GetModelRequest,
    Model,
    NoArguments,
    RegisterModelRequest,
    RequestContext,
    UnregisterModelRequest,
)
from hitchpost.config import RunConfig
from hitchpost.errors import BackendUnavailableError, ConflictError, UnsupportedError
from hitchpost.plugin import Preset
from hitchpost.routing import ProviderState
from hitchpost.stack import build, build_stack, select_plugins
from tests.plugged import CONTEXT, Echo, Idle, Plugged, chat, inference, one, until

NOTHING = NoArguments()


class Listing(Echo):
    """Lists the model `listed`, and keeps what it is told."""

    def __init__(self, config: Any, deps: Any) -> None:
        super().__init__(config, deps)
        self.told: list[tuple[str, RequestContext | None]] = []

    async def list_models(self) -> list[Model]:
        return [Model(provider_resource_id="listed")]

    async def register_model(self, model: Model, context: RequestContext | None) -> None:
        self.told.append((model.identifier, context))


async def identifiers(stack: Any) -> list[str]:
    return [model.identifier for model in await stack.models.list_models(NOTHING, CONTEXT)]


async def test_stack_serves_what_config_and_providers_name(plugged: Plugged) -> None:
    plugged.add(Listing)

    async with plugged.running(one(models=[{"model_id": "m", "provider_model_id": "inner"}])) as stack:
        names = await identifiers(stack)
        answer = await stack.inference.chat_completion(chat("listed"), CONTEXT)
        model = await stack.models.get_model(GetModelRequest(identifier="m"), CONTEXT)

    assert names == ["m", "p/listed"]
    assert answer.choices[0].text == "hello"
    assert model == Model(identifier="m", provider_resource_id="inner", provider_id="p")


async def test_stack_of_presets_serves_them(plugged: Plugged) -> None:
    preset = Preset(
        name="ready",
        api="inference",  # type: ignore[arg-type]
        provider_id="r",
        provider_type="inline::test",
        resources=[RegisterModelRequest(model_id="ready")],
    )
    plugged.add(presets=(preset,))

    async with plugged.running(None) as stack:
        assert (await stack.inference.chat_completion(chat("ready"), CONTEXT)).choices[0].text == "hello"


async def test_empty_stack_starts_and_stops(plugged: Plugged) -> None:
    async with plugged.running({}) as stack:
        assert stack.is_ready
        assert await identifiers(stack) == []
        with pytest.raises(UnsupportedError, match="no provider of inference is configured"):
            await stack.inference.chat_completion(chat(), CONTEXT)


async def test_stack_is_ready_when_each_provider_was_tried_once_and_until_it_drains(plugged: Plugged) -> None:
    plugged.add(Idle, "inline::guard", api="safety")
    stack = plugged.build(one(provider_type="inline::absent"))
    before = stack.is_ready

    await stack.start()
    started = stack.is_ready
    stack.drain()
    drained = stack.is_ready
    await stack.stop()

    assert (before, started, drained) == (False, True, False)


async def test_absent_type_is_a_failed_provider_whose_reason_says_so(plugged: Plugged) -> None:
    async with plugged.running(one(provider_type="inline::absent", models=[{"model_id": "m"}])) as stack:
        [gate] = stack.providers
        assert (gate.state, gate.retry_after_s) == (ProviderState.failed, None)
        with pytest.raises(
            BackendUnavailableError, match="no installed plugin offers provider type inline::absent"
        ) as refused:
            await stack.inference.chat_completion(chat(), CONTEXT)

    assert refused.value.is_permanent


@pytest.mark.parametrize("api", ["safety", "memory"])
async def test_each_provider_of_an_api_starts_and_stops(api: str, plugged: Plugged) -> None:
    steps = []

    class Recording(Idle):
        async def start(self) -> None:
            steps.append("start")

        async def stop(self) -> None:
            steps.append("stop")

    plugged.add(Recording, api=api)
    entries = [{"provider_id": name, "provider_type": "inline::test"} for name in ("a", "b")]

    async with plugged.running({"providers": {api: entries}}) as stack:
        states = [gate.state for gate in stack.providers]

    assert states == [ProviderState.ready, ProviderState.ready]
    assert steps == ["start", "start", "stop", "stop"]


async def test_dependents_start_after_and_stop_before_what_they_call_and_get_its_router(plugged: Plugged) -> None:
    steps: list[str] = []
    deps: dict[str, Any] = {}

    def recorder(name: str, base: Any) -> Any:
        class Recording(base):  # type: ignore[misc]
            async def start(self) -> None:
                deps[name] = self.deps
                await asyncio.sleep(0)
                steps.append(f"start {name}")

            async def stop(self) -> None:
                steps.append(f"stop {name}")

        return Recording

    plugged.add(
        recorder("agents", Idle), "inline::agents", api="agents", needs=["inference", "models"], uses=["safety"]
    )
    plugged.add(recorder("guard", Idle), "inline::guard", api="safety", needs=["inference"])
    plugged.add(recorder("inference", Echo))
    config = one()
    config["providers"] = {
        "agents": [{"provider_id": "a", "provider_type": "inline::agents"}],
        "safety": [{"provider_id": "s", "provider_type": "inline::guard"}],
        **config["providers"],
    }

    async with plugged.running(config) as stack:
        routers = (stack.inference, stack.models)

    assert steps == ["start inference", "start guard", "start agents", "stop agents", "stop guard", "stop inference"]
    assert (deps["agents"].inference, deps["agents"].models) == routers
    assert (deps["guard"].inference, deps["guard"].models) == (routers[0], None)
    assert (deps["inference"].inference, deps["inference"].models) == (None, None)


async def test_dependent_starts_though_what_it_calls_failed(plugged: Plugged) -> None:
    plugged.add(Idle, api="safety", needs=["inference"])
    config = one(provider_type="inline::absent")
    config["providers"]["safety"] = [{"provider_id": "s", "provider_type": "inline::test"}]

    async with plugged.running(config) as stack:
        assert [gate.state for gate in stack.providers] == [ProviderState.failed, ProviderState.ready]


async def test_each_provider_has_a_folder_and_a_log_of_its_own(
    plugged: Plugged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HITCHPOST_HOME", "/somewhere")
    plugged.add()

    async with plugged.running(one()) as stack:
        deps = stack.providers[0].provider.deps

    assert deps.state_dir == Path("/somewhere/distributions/default/providers/inference/p")
    assert deps.log.name == "hitchpost.provider.p"


async def test_slow_provider_does_not_hold_up_the_others(plugged: Plugged) -> None:
    go_on = asyncio.Event()
    plugged.add(type("Slow", (Echo,), {"start": lambda self: go_on.wait()}))
    plugged.add(Echo, "inline::good")
    config = inference(
        {"provider_id": "slow", "provider_type": "inline::test"},
        {"provider_id": "good", "provider_type": "inline::good"},
        models=[{"model_id": "m", "provider_id": "good"}],
    )
    stack = plugged.build(config)
    starting = asyncio.create_task(stack.start())
    slow, good = stack.providers

    await until(lambda: good.state is ProviderState.ready)
    answer = await stack.inference.chat_completion(chat(), CONTEXT)
    state_meanwhile, was_ready = slow.state, stack.is_ready
    go_on.set()
    await starting
    await stack.stop()

    assert answer.choices[0].text == "hello"
    assert (state_meanwhile, was_ready) == (ProviderState.starting, False)


# --- resources over a provider's life ---


async def test_registration_is_announced_again_after_the_provider_failed_and_came_back(
    plugged: Plugged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "HEALTH_INTERVAL_S", 0.001)

    class Failing(Listing):
        ill = False

        async def health(self) -> None:
            if self.ill:
                raise BackendUnavailableError("gone")

    plugged.add(Failing)
    async with plugged.running(one(models=[{"model_id": "m"}])) as stack:
        [gate] = stack.providers
        provider: Any = gate.provider
        await stack.models.register_model(RegisterModelRequest(model_id="by-api"), CONTEXT)
        told_first = list(provider.told)
        provider.ill = True
        await until(lambda: gate.state is ProviderState.degraded)
        provider.ill = False
        await until(lambda: len(provider.told) > 2)

    assert told_first == [("m", None), ("by-api", CONTEXT)]
    assert provider.told[2:4] == [("m", None), ("by-api", None)]


async def test_refused_model_of_the_config_stays_listed_with_the_reason_and_the_rest_serves(plugged: Plugged) -> None:
    class Picky(Echo):
        async def register_model(self, model: Model, context: RequestContext | None) -> None:
            if model.identifier == "bad":
                raise BackendUnavailableError("it is not loaded")

    plugged.add(Picky)

    async with plugged.running(one(models=[{"model_id": "bad"}, {"model_id": "m"}])) as stack:
        names = await identifiers(stack)
        answer = await stack.inference.chat_completion(chat(), CONTEXT)
        with pytest.raises(BackendUnavailableError, match="model 'bad' can't be used: it is not loaded"):
            await stack.inference.chat_completion(chat("bad"), CONTEXT)

    assert names == ["bad", "m"]
    assert answer.choices[0].text == "hello"


async def test_config_shadows_a_preset_and_says_so(plugged: Plugged, caplog: pytest.LogCaptureFixture) -> None:
    resources = [RegisterModelRequest(model_id="m")]
    preset = Preset(name="ready", api="inference", provider_id="r", provider_type="inline::test", resources=resources)  # type: ignore[arg-type]
    plugged.add(presets=(preset,))

    async with plugged.running(one(models=[{"model_id": "m", "provider_id": "p"}]) | {"presets": ["ready"]}) as stack:
        model = await stack.models.get_model(GetModelRequest(identifier="m"), CONTEXT)
        with pytest.raises(ConflictError, match="registered at provider p"):
            await stack.models.register_model(RegisterModelRequest(model_id="m", provider_id="r"), CONTEXT)

    assert model is not None
    assert model.provider_id == "p"
    assert "model 'm' of provider p (config) shadows that of provider r (preset)" in caplog.text


async def test_nothing_is_registered_at_a_provider_that_does_not_serve(plugged: Plugged) -> None:
    async with plugged.running(one(provider_type="inline::absent")) as stack:
        with pytest.raises(BackendUnavailableError):
            await stack.models.register_model(RegisterModelRequest(model_id="m"), CONTEXT)
        assert await identifiers(stack) == []


async def test_registration_under_way_ends_before_the_provider_is_stopped(plugged: Plugged) -> None:
    steps: list[str] = []
    go_on = asyncio.Event()

    class Slow(Echo):
        async def register_model(self, model: Model, context: RequestContext | None) -> None:
            steps.append("registering")
            await go_on.wait()
            steps.append("registered")

        async def stop(self) -> None:
            steps.append("stopped")

    plugged.add(Slow)
    stack = plugged.build(one())
    await stack.start()
    registering = asyncio.create_task(stack.models.register_model(RegisterModelRequest(model_id="m"), CONTEXT))
    await until(lambda: steps)

    stopping = asyncio.create_task(stack.stop())
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(registering, stopping)

    assert steps == ["registering", "registered", "stopped"]


async def test_model_can_be_unregistered_while_its_provider_is_down(
    plugged: Plugged, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugged.add(Listing)
    async with plugged.running(one()) as stack:
        await stack.models.register_model(RegisterModelRequest(model_id="m"), CONTEXT)
        stack.providers[0].set_state(ProviderState.failed, "gone")

        await stack.models.unregister_model(UnregisterModelRequest(model_id="m"), CONTEXT)

        assert await identifiers(stack) == ["p/listed"]


# --- building ---


def test_plugins_are_selected_as_the_config_says() -> None:
    config = RunConfig.model_validate({"plugins": {"allow": ["a"], "deny": ["b"], "paths": ["c.py"]}})

    selection = select_plugins(config)

    assert (selection.allow, selection.deny, selection.paths) == (["a"], ["b"], [Path("c.py")])
    assert select_plugins(None).allow is None


async def test_provider_in_one_file_is_discovered_built_and_serves(tmp_path: Path) -> None:
    (tmp_path / "one_file_parrot.py").write_text(
        "from pydantic import BaseModel\n"
        "from hitchpost import hookimpl\n"
        "from hitchpost.api import Capability, Finish, FinishReason, Model, TextDelta\n"
        "from hitchpost.plugin import InferenceProvider, ProviderSpec\n"
        "@hookimpl\n"
        "def provider_specs():\n"
        "    return [ProviderSpec(api='inference', provider_type='inline::parrot', config='one_file_parrot:Config',\n"
        "        factory='one_file_parrot:Parrot', capabilities={'chat'})]\n"
        "class Config(BaseModel):\n"
        "    word: str\n"
        "class Parrot(InferenceProvider):\n"
        "    async def list_models(self):\n"
        "        return [Model(provider_resource_id='polly')]\n"
        "    async def stream_chat_completion(self, request, context):\n"
        "        yield TextDelta(self.config.word)\n"
        "        yield Finish(FinishReason.stop)\n"
    )
    config = RunConfig.model_validate(
        {
            "plugins": {"paths": [tmp_path / "one_file_parrot.py"], "allow": ["one_file_parrot"]},
            "providers": {
                "inference": [{"provider_id": "cage", "provider_type": "inline::parrot", "config": {"word": "Squawk"}}]
            },
        }
    )
    stack = build_stack(config)

    await stack.start()
    answer = await stack.inference.chat_completion(chat("polly"), CONTEXT)
    await stack.stop()

    assert answer.choices[0].text == "Squawk"
