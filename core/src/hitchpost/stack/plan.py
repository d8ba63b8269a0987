"""From a run config and the installed plugins to a plan: which providers to build, in which order, with which resources.

Nothing is built, connected or started here, and every problem is found before any of them is reported.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from hitchpost.api import PROVIDABLE, Api, RegisterModelRequest, RegisterRequest
from hitchpost.config import LoadedRunConfig, ProviderLimits, RunConfig, ServerConfig
from hitchpost.config.load import error_of, is_reported, is_wrong, validate_as
from hitchpost.errors import BackendUnavailableError, BadRequestError, NotFoundError
from hitchpost.plugin.catalog import Catalog
from hitchpost.plugin.declarations import Preset, ProviderSpec, load_model
from hitchpost.plugin.discovery import Plugins, is_named
from hitchpost.registry import Origin, check_metadata
from hitchpost.stack.presets import chosen_presets, undisputed_presets
from hitchpost.store import SqliteStoreConfig, StoreConfig

Key = tuple[Api, str]
DEFAULT_NAME = "default"
"""What a host without a run config calls itself where it keeps its state."""

log = logging.getLogger("hitchpost.stack")


@dataclass(slots=True)
class ProviderPlan:
    """A provider that is to be there; `problem` says why it can't be built, in which case it is listed as failed."""

    api: Api
    provider_id: str
    provider_type: str
    limits: ProviderLimits
    origin: str
    """Where it stands: a YAML path, or the preset's name."""
    spec: ProviderSpec | None = None
    config: BaseModel | None = None
    provider_data: type[BaseModel] | None = None
    is_preset: bool = False
    """Whether a plugin wrote it. What is wrong with it then makes it fail alone; what an operator wrote is to be corrected first."""
    problem: str | None = None

    @property
    def key(self) -> Key:
        """API and id, which are unique."""
        return (self.api, self.provider_id)

    @property
    def calls(self) -> frozenset[Api]:
        """The APIs whose providers start before it and stop after it; none where it can't be built."""
        if self.spec is None or self.problem is not None:
            return frozenset()
        return frozenset((*self.spec.needs, *self.spec.uses))


@dataclass(slots=True)
class PlannedResource:
    """A resource that is registered from the start."""

    request: RegisterRequest
    provider_id: str
    origin: Origin


@dataclass(frozen=True, slots=True)
class StackPlan:
    """What a stack is built from."""

    providers: Sequence[ProviderPlan]
    """In the order of the run config, presets last."""
    start_order: Sequence[ProviderPlan]
    """What others need comes before them."""
    resources: Sequence[PlannedResource]
    server: ServerConfig
    notes: Sequence[str]
    name: str = DEFAULT_NAME
    """The config's `image_name`, under which the host keeps its state."""
    store: StoreConfig = field(default_factory=SqliteStoreConfig)
    """Where registrations are kept."""
    problems: Sequence[str] = ()
    """What contradicts itself or the plugins, each with its YAML path; a plan with problems must not be built."""


@dataclass(slots=True)
class _Draft:
    known_problems: Sequence[str] = ()
    """What was found wrong with the config before; what follows from it alone is not said again."""
    folder: Path | None = None
    """Of the run config."""
    unclear_apis: set[Api] = field(default_factory=set)
    """APIs that have providers whose ids can't be read."""
    providers: dict[Key, ProviderPlan] = field(default_factory=dict)
    resources: list[PlannedResource] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def is_wrong(self, path: str) -> bool:
        """Whether a part of the config is known to be wrong, or something in it."""
        return is_wrong(path, self.known_problems)

    def blame(self, plan: ProviderPlan, problem: str) -> None:
        """Write down what is wrong with a provider."""
        if plan.is_preset:
            plan.problem = problem
        else:
            self.problems.append(problem)


def plan_stack(config: RunConfig | None, plugins: Plugins, catalog: Catalog) -> StackPlan:
    """Plan a stack. Without a config, every preset of the loaded plugins is built and nothing else.

    A provider whose type isn't installed, or whose package is broken, is planned as a failed one: the others are not to suffer.

    Raises:
        ConfigError: the config contradicts itself or the plugins; `problems` has every contradiction with its YAML path.
    """
    plan = draft_stack(config, plugins, catalog)
    if plan.problems:
        raise error_of("the run config", plan.problems)
    return plan


def plan_loaded(loaded: LoadedRunConfig, plugins: Plugins, catalog: Catalog) -> StackPlan:
    """The same of a run config that was read from a file.

    Raises:
        ConfigError: with what was wrong when it was read and what is wrong now, each with its YAML path and line.
    """
    plan = draft_stack(loaded.config, plugins, catalog, loaded.problems, loaded.folder)
    loaded.check(plan.problems)
    return plan


def draft_stack(
    config: RunConfig | None,
    plugins: Plugins,
    catalog: Catalog,
    known_problems: Sequence[str] = (),
    folder: Path | None = None,
) -> StackPlan:
    """The same as `plan_stack`, with the problems in the plan.

    Args:
        config: may be what could be read of a file with problems.
        known_problems: those problems; the plan has only further ones.
        folder: what paths in the configs of its providers are relative to; None: the current folder.
    """
    draft = _Draft(known_problems, folder)
    if config is None:
        _plan_presets(draft, undisputed_presets(plugins.reports, draft.notes), catalog)
    else:
        _plan_config_providers(draft, config, catalog)
        _plan_presets(draft, chosen_presets(config.presets, plugins.reports, draft.problems), catalog)
        for section, api, id_key in _RESOURCES:
            _plan_resources(draft, section, api, id_key, getattr(config, section))
        _check_apis(draft, config)
        _check_plugin_names(draft, config, plugins)
    _check_needs(draft)
    start_order = _start_order(draft)
    config = config or RunConfig()
    _check_state(draft, config, catalog)
    return StackPlan(
        tuple(draft.providers.values()),
        start_order,
        draft.resources,
        config.server,
        draft.notes,
        config.image_name or DEFAULT_NAME,
        config.metadata_store or SqliteStoreConfig(),
        tuple(problem for problem in draft.problems if not is_reported(problem, known_problems)),
    )


_ONE_PROVIDER = (Api.agents, Api.telemetry)
"""APIs whose calls name no resource that would tell two providers apart."""


def _plan_config_providers(draft: _Draft, config: RunConfig, catalog: Catalog) -> None:
    draft.unclear_apis.update(
        api
        for api in PROVIDABLE
        if any(is_reported(f"{path}: ", draft.known_problems) for path in ("providers", f"providers.{api}"))
    )
    for api_name, entries in config.providers.items():
        api = next((api for api in PROVIDABLE if api.value == api_name), None)
        if api is None:
            draft.problems.append(_no_such_api(api_name))
            continue
        for index, entry in enumerate(entries):
            path = f"providers.{api_name}[{index}]"
            has_id = hasattr(entry, "provider_id")
            has_type = hasattr(entry, "provider_type")
            plan = ProviderPlan(
                api,
                entry.provider_id if has_id else path,
                entry.provider_type if has_type else "",
                entry.limits,
                path,
            )
            if not has_id:
                draft.unclear_apis.add(api)
            elif plan.key in draft.providers:
                taken = draft.providers[plan.key].origin
                draft.problems.append(f"{path}.provider_id: {entry.provider_id!r} is taken by {taken}")
                continue
            elif api in _ONE_PROVIDER and any(other.api is api for other in draft.providers.values()):
                draft.problems.append(f"{path}: {api} has one provider, and there is another before it; remove one")
            if has_type:
                _fill_plan(plan, entry.config, catalog, draft)
            if has_id:
                draft.providers[plan.key] = plan


def _no_such_api(name: str) -> str:
    what = "is provided by the host itself" if name in list(Api) else "is no API"
    near = get_close_matches(name, PROVIDABLE, n=1)
    hint = f"; did you mean {near[0]}?" if near and name not in list(Api) else ""
    return f"providers.{name}: {what}; providers can be given for {', '.join(PROVIDABLE)}{hint}"


def _fill_plan(plan: ProviderPlan, config: Mapping[str, Any], catalog: Catalog, draft: _Draft) -> None:
    """Add what the provider type says; whatever is the fault of its package becomes the plan's problem."""
    try:
        plan.spec = catalog.get(plan.api, plan.provider_type).spec
        plan.spec.check_installed()
    except (NotFoundError, BackendUnavailableError) as error:
        plan.problem = error.message
        return
    if plan.spec.deprecated:
        instead = f"; use {plan.spec.replaced_by}" if plan.spec.replaced_by else ""
        draft.notes.append(
            f"{plan.origin}: provider type {plan.provider_type} is deprecated: {plan.spec.deprecated}{instead}"
        )
    problems: list[str] = []
    try:
        plan.provider_data = load_model(plan.spec.provider_data) if plan.spec.provider_data else None
        folder = None if plan.is_preset else draft.folder
        plan.config = validate_as(load_model(plan.spec.config), config, f"{plan.origin}.config", problems, folder)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        log.exception("provider type %s can't be loaded", plan.provider_type)
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        why = f"module {missing!r} is not installed" if missing else f"{type(error).__name__}; the log has the details"
        plan.problem = f"provider type {plan.provider_type} can't be loaded: {why}"
    for problem in problems:
        if not is_reported(f"{plan.origin}.config: ", draft.known_problems):
            draft.blame(plan, problem)


def _plan_presets(draft: _Draft, chosen: Sequence[tuple[Preset, str]], catalog: Catalog) -> None:
    for preset, origin in chosen:
        plan = ProviderPlan(
            preset.api, preset.provider_id, preset.provider_type, ProviderLimits(), origin, is_preset=True
        )
        if plan.key in draft.providers:
            taken = draft.providers[plan.key].origin
            draft.problems.append(f"{origin}: its provider {plan.provider_id!r} of {plan.api} is taken by {taken}")
            continue
        _fill_plan(plan, preset.config, catalog, draft)
        draft.providers[plan.key] = plan
        for request in preset.resources:
            draft.resources.append(PlannedResource(request, preset.provider_id, Origin.preset))


_RESOURCES = (
    ("models", Api.inference, "model_id"),
    ("shields", Api.safety, "shield_id"),
    ("memory_banks", Api.memory, "memory_bank_id"),
)
"""Sections of the run config in the order in which they are registered, the API that serves each, and the key of its entries' id."""


def _plan_resources(draft: _Draft, section: str, api: Api, id_key: str, entries: Sequence[RegisterRequest]) -> None:
    seen: dict[str, str] = {}
    llama_models: dict[tuple[str, str], tuple[object, str]] = {}
    for index, request in enumerate(entries):
        path = f"{section}[{index}]"
        if draft.is_wrong(path):
            continue
        identifier = getattr(request, id_key)
        if identifier in seen:
            draft.problems.append(f"{path}.{id_key}: {identifier!r} is listed at {seen[identifier]} already")
            continue
        seen[identifier] = path
        owner = _owner(draft, path, api, request)
        if isinstance(request, RegisterModelRequest):
            _check_model(draft, path, request, owner, llama_models)
        if owner is not None:
            draft.resources.append(PlannedResource(request, owner, Origin.config))


def _owner(draft: _Draft, path: str, api: Api, request: RegisterRequest) -> str | None:
    """The provider that a resource belongs to, or None with a problem written down."""
    owners = [plan.provider_id for plan in draft.providers.values() if plan.api is api]
    if request.provider_id in owners:
        return request.provider_id
    if request.provider_id is None and len(owners) == 1:
        return owners[0]
    if api in draft.unclear_apis:
        return None
    if request.provider_id is not None:
        there_are = ", ".join(owners) or "none"
        what = f"no {api} provider is called {request.provider_id!r}; there are: {there_are}"
    elif owners:
        what = f"missing, and several {api} providers are there ({', '.join(owners)})"
    else:
        what = f"missing, and there is no {api} provider"
    draft.problems.append(f"{path}.provider_id: {what}")
    return None


def _check_model(
    draft: _Draft,
    path: str,
    request: RegisterModelRequest,
    owner: str | None,
    llama_models: dict[tuple[str, str], tuple[object, str]],
) -> None:
    try:
        check_metadata(request)
    except BadRequestError as error:
        draft.problems.append(f"{path}: {error.message}")
    llama_model = (request.metadata or {}).get("llama_model")
    if owner is None or llama_model is None:
        return
    resource = (owner, request.provider_model_id or request.model_id)
    other, elsewhere = llama_models.setdefault(resource, (llama_model, path))
    if other != llama_model:
        draft.problems.append(
            f"{path}.metadata.llama_model: {llama_model!r}, but {elsewhere} names the same model {resource[1]!r} "
            f"of provider {owner} as {other!r}"
        )


def _check_apis(draft: _Draft, config: RunConfig) -> None:
    served = {plan.api.value for plan in draft.providers.values()}
    for index, name in enumerate(config.apis):
        if name not in list(Api):
            draft.notes.append(f"apis[{index}]: {name!r} is no API of this host; ignored")
        elif name in PROVIDABLE and name not in served:
            draft.notes.append(f"apis[{index}]: {name} has no provider and is not served")
    if config.apis:
        unlisted = sorted(served - set(config.apis))
        draft.notes += [f"apis: {name} has providers and is served although it is not listed" for name in unlisted]


def _check_plugin_names(draft: _Draft, config: RunConfig, plugins: Plugins) -> None:
    for key, names in (("allow", config.plugins.allow or ()), ("deny", config.plugins.deny)):
        for index, name in enumerate(names):
            if not any(is_named(report, [name]) for report in plugins.reports):
                draft.notes.append(f"plugins.{key}[{index}]: no installed plugin or distribution is called {name!r}")


def _check_needs(draft: _Draft) -> None:
    served = {plan.api for plan in draft.providers.values()} | draft.unclear_apis
    for plan in draft.providers.values():
        missing = [
            api.value for api in (plan.spec.needs if plan.spec else ()) if api in PROVIDABLE and api not in served
        ]
        if missing:
            what = f"provider type {plan.provider_type} needs a provider of {', '.join(missing)}"
            draft.blame(plan, f"{plan.origin}: {what}")


def _check_state(draft: _Draft, config: RunConfig, catalog: Catalog) -> None:
    """Several hosts may share the store; what one of them remembers by itself the others would not know."""
    store = config.metadata_store
    if store is None or not store.is_shared:
        return
    for plan in draft.providers.values():
        if plan.spec is None or plan.spec.state != "local":
            continue
        others = [
            other.spec.provider_type
            for other in catalog.types.values()
            if other.spec.api is plan.api and other.spec.state != "local"
        ]
        instead = (
            f"a provider type of {plan.api} without local state ({', '.join(sorted(others)) or 'none is installed'})"
        )
        draft.blame(
            plan,
            f"{plan.origin}.provider_type: {plan.provider_type} keeps what it remembers on this machine, and metadata_store is of type "
            f"{store.type}, which several hosts share; use {instead}, or a metadata_store of type sqlite",
        )


def _start_order(draft: _Draft) -> list[ProviderPlan]:
    sorter: TopologicalSorter[Key] = TopologicalSorter()
    for plan in draft.providers.values():
        sorter.add(plan.key, *(other.key for other in draft.providers.values() if other.api in plan.calls))
    try:
        return [draft.providers[key] for key in sorter.static_order()]
    except CycleError as error:
        circle = [draft.providers[key] for key in error.args[1]]
        names = " -> ".join(f"{plan.api}/{plan.provider_id}" for plan in circle)
        problem = f"providers: they need each other in a circle: {names}"
        presets = [plan for plan in circle if plan.is_preset]
        if not presets:
            draft.problems.append(problem)
            return []
        for plan in presets:
            plan.problem = problem
        return _start_order(draft)


__all__ = ["PlannedResource", "ProviderPlan", "StackPlan", "draft_stack", "plan_loaded", "plan_stack"]
