"""From a run config and the installed plugins to a plan: which providers to build, in which order, with which resources.

Nothing is built, connected or started here, and every problem is found before any of them is reported.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any

from pydantic import BaseModel

from hitchpost.api import PROVIDABLE, Api, RegisterModelRequest
from hitchpost.config import ProviderLimits, RunConfig, ServerConfig
from hitchpost.config.load import validate_as
from hitchpost.errors import BackendUnavailableError, BadRequestError, ConfigError, NotFoundError
from hitchpost.plugin.catalog import Catalog
from hitchpost.plugin.declarations import Preset, ProviderSpec, load_import_string
from hitchpost.plugin.discovery import Plugins
from hitchpost.registry import Origin, check_llama_model

Key = tuple[Api, str]
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
    problem: str | None = None

    @property
    def key(self) -> Key:
        """API and id, which are unique."""
        return (self.api, self.provider_id)


@dataclass(slots=True)
class PlannedResource:
    """A resource that is registered from the start."""

    request: RegisterModelRequest
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


@dataclass(slots=True)
class _Draft:
    providers: dict[Key, ProviderPlan] = field(default_factory=dict)
    resources: list[PlannedResource] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def plan_stack(config: RunConfig | None, plugins: Plugins, catalog: Catalog) -> StackPlan:
    """Plan a stack. Without a config, every preset of the loaded plugins is built and nothing else.

    A provider whose type isn't installed, or whose package is broken, is planned as a failed one: the others are not to suffer.

    Raises:
        ConfigError: the config contradicts itself or the plugins; `problems` has every contradiction with its YAML path.
    """
    draft = _Draft()
    presets = [preset for report in plugins.reports for preset in report.presets]
    if config is None:
        chosen = [(preset, f"preset {preset.name}") for preset in presets]
    else:
        _plan_config_providers(draft, config, catalog)
        chosen = _chosen_presets(draft, config, presets)
    _plan_presets(draft, chosen, catalog)
    if config is not None:
        _plan_models(draft, config.models)
        _check_apis(draft, config)
    _check_needs(draft)
    start_order = _start_order(draft)
    if draft.problems:
        count = len(draft.problems)
        raise ConfigError(
            f"the run config has {count} problem{'s' if count > 1 else ''}", problems=tuple(draft.problems)
        )
    providers = tuple(draft.providers.values())
    return StackPlan(providers, start_order, draft.resources, (config or RunConfig()).server, draft.notes)


def _plan_config_providers(draft: _Draft, config: RunConfig, catalog: Catalog) -> None:
    for api_name, entries in config.providers.items():
        api = next((api for api in PROVIDABLE if api.value == api_name), None)
        if api is None:
            known = ", ".join(PROVIDABLE)
            what = "is provided by the host itself" if api_name in list(Api) else "is no API"
            draft.problems.append(f"providers.{api_name}: {what}; providers can be given for {known}")
            continue
        for index, entry in enumerate(entries):
            path = f"providers.{api_name}[{index}]"
            plan = ProviderPlan(api, entry.provider_id, entry.provider_type, entry.limits, path)
            if plan.key in draft.providers:
                draft.problems.append(
                    f"{path}.provider_id: {entry.provider_id!r} is taken by {draft.providers[plan.key].origin}"
                )
                continue
            _fill_plan(plan, entry.config, f"{path}.config", catalog, draft)
            draft.providers[plan.key] = plan


def _fill_plan(plan: ProviderPlan, config: Mapping[str, Any], path: str, catalog: Catalog, draft: _Draft) -> None:
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
    try:
        config_class = load_import_string(plan.spec.config)
        plan.provider_data = load_import_string(plan.spec.provider_data) if plan.spec.provider_data else None
    except Exception as error:
        log.exception("provider type %s can't be loaded", plan.provider_type)
        plan.problem = f"provider type {plan.provider_type} can't be loaded: {type(error).__name__}: {error}"
        return
    plan.config = validate_as(config_class, config, path, draft.problems)


def _chosen_presets(draft: _Draft, config: RunConfig, presets: Sequence[Preset]) -> list[tuple[Preset, str]]:
    chosen = []
    for index, name in enumerate(config.presets):
        named = [preset for preset in presets if preset.name == name]
        if named:
            chosen += [(preset, f"presets[{index}] ({name})") for preset in named]
        else:
            available = ", ".join(preset.name for preset in presets) or "none"
            draft.problems.append(f"presets[{index}]: no loaded plugin has a preset {name!r}; available: {available}")
    return chosen


def _plan_presets(draft: _Draft, chosen: Sequence[tuple[Preset, str]], catalog: Catalog) -> None:
    names: dict[str, str] = {}
    for preset, origin in chosen:
        if preset.name in names:
            draft.problems.append(f"{origin}: two plugins have a preset of this name; keep one out by plugins.deny")
            continue
        names[preset.name] = origin
        plan = ProviderPlan(preset.api, preset.provider_id, preset.provider_type, ProviderLimits(), origin)
        if plan.key in draft.providers:
            taken = draft.providers[plan.key].origin
            draft.problems.append(f"{origin}: its provider {plan.provider_id!r} of {plan.api} is taken by {taken}")
            continue
        _fill_plan(plan, preset.config, f"{origin}.config", catalog, draft)
        draft.providers[plan.key] = plan
        for request in preset.resources:
            draft.resources.append(PlannedResource(request, preset.provider_id, Origin.preset))


def _plan_models(draft: _Draft, models: Sequence[RegisterModelRequest]) -> None:
    owners = [plan.provider_id for plan in draft.providers.values() if plan.api is Api.inference]
    seen: dict[str, int] = {}
    for index, request in enumerate(models):
        path = f"models[{index}]"
        if request.model_id in seen:
            draft.problems.append(
                f"{path}.model_id: {request.model_id!r} is listed at models[{seen[request.model_id]}] already"
            )
            continue
        seen[request.model_id] = index
        try:
            check_llama_model(request)
        except BadRequestError as error:
            draft.problems.append(f"{path}: {error.message}")
        owner = request.provider_id or (owners[0] if len(owners) == 1 else None)
        if owner is None:
            what = (
                f"several inference providers are there ({', '.join(owners)})"
                if owners
                else "there is no inference provider"
            )
            draft.problems.append(f"{path}.provider_id: missing, and {what}")
        elif owner not in owners:
            draft.problems.append(
                f"{path}.provider_id: no inference provider is called {owner!r}; there are: {', '.join(owners) or 'none'}"
            )
        else:
            draft.resources.append(PlannedResource(request, owner, Origin.config))


def _check_apis(draft: _Draft, config: RunConfig) -> None:
    for index, name in enumerate(config.apis):
        if name not in list(Api):
            draft.notes.append(f"apis[{index}]: {name!r} is no API of this host; ignored")
    if config.apis:
        unlisted = sorted({plan.api.value for plan in draft.providers.values()} - set(config.apis))
        draft.notes += [f"apis: {name} has providers and is served although it is not listed" for name in unlisted]


def _check_needs(draft: _Draft) -> None:
    served = {plan.api for plan in draft.providers.values()}
    for plan in draft.providers.values():
        missing = [
            api.value for api in (plan.spec.needs if plan.spec else ()) if api in PROVIDABLE and api not in served
        ]
        if missing:
            draft.problems.append(
                f"{plan.origin}: provider type {plan.provider_type} needs a provider of {', '.join(missing)}"
            )


def _start_order(draft: _Draft) -> list[ProviderPlan]:
    sorter: TopologicalSorter[Key] = TopologicalSorter()
    for plan in draft.providers.values():
        calls = {*plan.spec.needs, *plan.spec.uses} if plan.spec else set()
        sorter.add(plan.key, *(other.key for other in draft.providers.values() if other.api in calls))
    try:
        return [draft.providers[key] for key in sorter.static_order()]
    except CycleError as error:
        names = " -> ".join(f"{api}/{provider_id}" for api, provider_id in error.args[1])
        draft.problems.append(f"providers: they need each other in a circle: {names}")
        return []


__all__ = ["PlannedResource", "ProviderPlan", "StackPlan", "plan_stack"]
