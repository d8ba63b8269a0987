import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from hitchpost.api import Model
from hitchpost.errors import BadRequestError, ConflictError, NotFoundError
from hitchpost.registry import Origin, ResourceRegistry


def model(identifier: str, provider_id: str = "p", name: str | None = None, **metadata: object) -> Model:
    return Model(
        identifier=identifier, provider_id=provider_id, provider_resource_id=name or identifier, metadata=metadata
    )


@pytest.fixture
def registry() -> ResourceRegistry[Model]:
    return ResourceRegistry(Model)


def names(registry: ResourceRegistry[Model]) -> list[str]:
    return [entry.resource.identifier for entry in registry.entries()]


def test_empty_registry_finds_nothing(registry: ResourceRegistry[Model]) -> None:
    assert registry.find("m") is None
    assert names(registry) == []
    assert registry.of_provider("p") == registry.of_provider_resource("m") == []


def test_registered_resource_is_found_with_all_its_fields(registry: ResourceRegistry[Model]) -> None:
    resource = model("m", "p", "inner", context_length=7)

    registry.add(resource, Origin.api)

    found = registry.find("m")
    assert found is not None
    assert (found.resource, found.origin, found.problem) == (resource, Origin.api, None)


def test_entries_come_in_the_order_of_registration(registry: ResourceRegistry[Model]) -> None:
    for identifier in ("c", "a", "b"):
        registry.add(model(identifier), Origin.api)
    registry.add(model("a", context_length=1), Origin.api)

    assert names(registry) == ["c", "a", "b"]


@pytest.mark.parametrize("first", list(Origin))
@pytest.mark.parametrize("second", list(Origin))
def test_higher_origin_holds_the_identifier_whatever_came_first(
    first: Origin, second: Origin, registry: ResourceRegistry[Model]
) -> None:
    registry.add(model("m", "p"), first)

    said = registry.add(model("m", "q"), second)

    found = registry.find("m")
    assert found is not None
    assert found.origin is max(first, second)
    winner, loser = ("q", "p") if second >= first else ("p", "q")
    assert found.resource.provider_id == winner
    assert said == (
        f"model 'm' of provider {winner} ({max(first, second).name}) "
        f"shadows that of provider {loser} ({min(first, second).name})"
    )


def test_first_registration_shadows_nothing(registry: ResourceRegistry[Model]) -> None:
    assert registry.add(model("m"), Origin.api) is None
    assert registry.add(model("m", context_length=1), Origin.api) is None


def test_removal_uncovers_what_was_shadowed(registry: ResourceRegistry[Model]) -> None:
    registry.add(model("m", "preset"), Origin.preset)
    registry.add(model("m", "api"), Origin.api)

    registry.remove("m", Origin.api)

    found = registry.find("m")
    assert found is not None
    assert found.resource.provider_id == "preset"


def test_removing_what_is_not_there_changes_nothing(registry: ResourceRegistry[Model]) -> None:
    registry.add(model("m"), Origin.preset)

    registry.remove("m", Origin.api)
    registry.remove("unknown", Origin.api)

    assert names(registry) == ["m"]


# --- discovered ---


def test_discovered_resources_are_replaced_as_a_whole(registry: ResourceRegistry[Model]) -> None:
    registry.replace_discovered("p", [model("p/a", name="a"), model("p/b", name="b")])
    registry.replace_discovered("q", [model("q/a", "q", "a")])

    registry.replace_discovered("p", [model("p/b", name="b", context_length=1), model("p/c", name="c")])

    assert names(registry) == ["p/b", "q/a", "p/c"]
    entry = registry.find("p/b")
    assert entry is not None
    assert entry.resource.metadata == {"context_length": 1}


def test_discovered_resource_steps_back_while_it_is_registered_under_another_name(
    registry: ResourceRegistry[Model],
) -> None:
    registry.replace_discovered("p", [model("p/a", name="a")])

    registry.add(model("mine", name="a"), Origin.api)
    listed, found = names(registry), registry.find("p/a")
    by_name = [entry.resource.identifier for entry in registry.of_provider_resource("a")]
    registry.remove("mine", Origin.api)

    assert (listed, found, by_name) == (["mine"], None, ["mine"])
    assert names(registry) == ["p/a"]


def test_discovered_resource_does_not_step_back_for_a_registration_that_is_shadowed(
    registry: ResourceRegistry[Model],
) -> None:
    registry.replace_discovered("p", [model("p/a", name="a")])
    registry.add(model("mine", "p", "a"), Origin.preset)

    registry.add(model("mine", "q", "other"), Origin.api)

    assert names(registry) == ["p/a", "mine"]
    assert [entry.resource.identifier for entry in registry.of_provider_resource("a")] == ["p/a"]


def test_registration_may_take_the_discovered_name(registry: ResourceRegistry[Model]) -> None:
    registry.replace_discovered("p", [model("p/a", name="a")])

    said = registry.add(model("p/a", "q"), Origin.api)

    assert said == "model 'p/a' of provider q (api) shadows that of provider p (discovered)"
    assert names(registry) == ["p/a"]


# --- rules for callers ---


@pytest.mark.parametrize("origin", [Origin.api, Origin.config])
def test_repeated_registration_answers_what_is_stored(origin: Origin, registry: ResourceRegistry[Model]) -> None:
    stored = model("m", context_length=1)
    registry.add(stored, origin)

    assert registry.find_same(model("m", context_length=2)) is stored


@pytest.mark.parametrize("origin", [Origin.api, Origin.config])
def test_identifier_of_another_provider_is_a_conflict_that_names_the_owner(
    origin: Origin, registry: ResourceRegistry[Model]
) -> None:
    registry.add(model("m", "owner"), origin)

    with pytest.raises(ConflictError, match=rf"model 'm' is registered at provider owner \({origin.name}\)"):
        registry.find_same(model("m", "other"))


@pytest.mark.parametrize("origin", [Origin.discovered, Origin.preset])
def test_presets_and_discovered_resources_may_be_shadowed(origin: Origin, registry: ResourceRegistry[Model]) -> None:
    registry.add(model("m", "owner"), origin)

    assert registry.find_same(model("m", "other")) is None


def test_only_what_came_through_the_api_can_be_unregistered(registry: ResourceRegistry[Model]) -> None:
    registry.add(model("m"), Origin.api)

    assert registry.get_unregisterable("m").resource.identifier == "m"


@pytest.mark.parametrize("origin", [Origin.discovered, Origin.preset, Origin.config])
def test_unregistering_anything_else_is_a_conflict_that_names_the_origin(
    origin: Origin, registry: ResourceRegistry[Model]
) -> None:
    registry.add(model("m"), Origin.api if origin is Origin.config else Origin.discovered)
    registry.add(model("m"), origin)

    with pytest.raises(ConflictError, match=f"comes from origin {origin.name}"):
        registry.get_unregisterable("m")


def test_unregistering_the_unknown_is_not_found(registry: ResourceRegistry[Model]) -> None:
    with pytest.raises(NotFoundError, match="Model m not found") as refused:
        registry.get_unregisterable("m")

    assert refused.value.param == "model_id"


@pytest.mark.parametrize(
    ("first", "second", "is_refused"), [("A", "B", True), ("A", "A", False), ("A", None, False), (None, "B", False)]
)
def test_names_of_one_provider_resource_may_not_differ_in_their_llama_model(
    first: str | None, second: str | None, is_refused: bool, registry: ResourceRegistry[Model]
) -> None:
    registry.add(model("a", name="inner", llama_model=first), Origin.api)
    other = model("b", name="inner", llama_model=second)

    if is_refused:
        with pytest.raises(
            BadRequestError, match=r"model 'a' stands for the same provider resource 'inner'.*\(A, not B\)"
        ):
            registry.check_sharing(other)
    else:
        registry.check_sharing(other)


def test_llama_models_at_different_providers_may_differ(registry: ResourceRegistry[Model]) -> None:
    registry.add(model("a", "p", "inner", llama_model="A"), Origin.api)

    registry.check_sharing(model("b", "q", "inner", llama_model="B"))


def test_replaced_entry_is_no_longer_current(registry: ResourceRegistry[Model]) -> None:
    registry.add(model("m"), Origin.api)
    entry = registry.find("m")
    assert entry is not None
    was_current = registry.is_current(entry)

    registry.add(model("m"), Origin.api)
    after_replacement = registry.is_current(entry)
    registry.remove("m", Origin.api)

    assert (was_current, after_replacement, registry.is_current(entry)) == (True, False, False)


# --- against a model ---

IDENTIFIERS = st.sampled_from(["a", "b", "p/x", "q/x"])
PROVIDERS = st.sampled_from(["p", "q"])
NAMES = st.sampled_from(["x", "y"])


class RegistryMachine(RuleBasedStateMachine):
    """The registry against a dictionary of (identifier, origin), of which everything else is worked out by definition."""

    def __init__(self) -> None:
        super().__init__()
        self.registry: ResourceRegistry[Model] = ResourceRegistry(Model)
        self.kept: dict[tuple[str, Origin], Model] = {}

    @rule(
        identifier=IDENTIFIERS,
        provider=PROVIDERS,
        name=NAMES,
        origin=st.sampled_from([Origin.preset, Origin.api, Origin.config]),
    )
    def add(self, identifier: str, provider: str, name: str, origin: Origin) -> None:
        resource = model(identifier, provider, name)
        self.registry.add(resource, origin)
        self.kept[identifier, origin] = resource

    @rule(identifier=IDENTIFIERS, origin=st.sampled_from(Origin))
    def remove(self, identifier: str, origin: Origin) -> None:
        self.registry.remove(identifier, origin)
        self.kept.pop((identifier, origin), None)

    @rule(provider=PROVIDERS, listed=st.sets(NAMES))
    def discover(self, provider: str, listed: set[str]) -> None:
        resources = [model(f"{provider}/{name}", provider, name) for name in sorted(listed)]
        self.registry.replace_discovered(provider, resources)
        self.kept = {
            key: kept
            for key, kept in self.kept.items()
            if key[1] is not Origin.discovered or kept.provider_id != provider
        }
        self.kept |= {(resource.identifier, Origin.discovered): resource for resource in resources}

    def held(self) -> dict[str, tuple[Origin, Model]]:
        tops = {
            identifier: max((origin, index) for index, (name, origin) in enumerate(self.kept) if name == identifier)
            for identifier, _ in self.kept
        }
        values = list(self.kept.values())
        held = {identifier: (origin, values[index]) for identifier, (origin, index) in tops.items()}
        registered = {
            (resource.provider_id, resource.provider_resource_id)
            for origin, resource in held.values()
            if origin is not Origin.discovered
        }
        return {
            identifier: (origin, resource)
            for identifier, (origin, resource) in held.items()
            if origin is not Origin.discovered
            or (resource.provider_id, resource.provider_resource_id) not in registered
        }

    @invariant()
    def holds_what_the_definition_says(self) -> None:
        held = self.held()
        listed = {entry.resource.identifier: (entry.origin, entry.resource) for entry in self.registry.entries()}
        assert listed == held
        for identifier in ("a", "b", "p/x", "q/x", "p/y", "q/y"):
            entry = self.registry.find(identifier)
            assert (None if entry is None else (entry.origin, entry.resource)) == held.get(identifier)

    @invariant()
    def finds_by_provider_and_by_name(self) -> None:
        for provider in ("p", "q"):
            owned = [entry.resource for entry in self.registry.of_provider(provider)]
            expected = [resource for resource in self.kept.values() if resource.provider_id == provider]
            assert sorted(map(repr, owned)) == sorted(map(repr, expected))
        for name in ("x", "y"):
            found = self.registry.of_provider_resource(name)
            expected_names = {
                key for key, (_, resource) in self.held().items() if resource.provider_resource_id == name
            }
            assert {entry.resource.identifier for entry in found} == expected_names
            assert [entry.origin is Origin.discovered for entry in found] == sorted(
                entry.origin is Origin.discovered for entry in found
            )


TestRegistryMachine = RegistryMachine.TestCase
TestRegistryMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
