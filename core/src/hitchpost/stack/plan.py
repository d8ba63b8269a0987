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
from hitchpost.plugin.discovery import Plugins, is_named
from hitchpost.registry import Origin, check_metadata
from hitchpost.stack.presets import chosen_presets, undisputed_presets

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
    draft = _Draft()
    if config is None:
        _plan_presets(draft, undisputed_presets(plugins.reports, draft.notes), catalog)
    else:
        _plan_config_providers(draft, config, catalog)
        _plan_presets(draft, chosen_presets(config.presets, plugins.reports, draft.problems), catalog)
        _plan_models(draft, config.models)
        _check_apis(draft, config)
        _check_plugin_names(draft, config, plugins)
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
            _fill_plan(plan, entry.config, catalog, draft)
            draft.providers[plan.key] = plan


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
        plan.provider_data = _load_model(plan.spec.provider_data) if plan.spec.provider_data else None
        plan.config = validate_as(_load_model(plan.spec.config), config, f"{plan.origin}.config", problems)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        log.exception("provider type %s can't be loaded", plan.provider_type)
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        why = f"module {missing!r} is not installed" if missing else f"{type(error).__name__}; the log has the details"
        plan.problem = f"provider type {plan.provider_type} can't be loaded: {why}"
    for problem in problems:
        draft.blame(plan, problem)


def _load_model(import_string: str) -> type[BaseModel]:
    found = load_import_string(import_string)
    if not isinstance(found, type) or not issubclass(found, BaseModel):
        raise TypeError(f"{import_string} is no pydantic model")
    return found


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


def _plan_models(draft: _Draft, models: Sequence[RegisterModelRequest]) -> None:
    owners = [plan.provider_id for plan in draft.providers.values() if plan.api is Api.inference]
    seen: dict[str, int] = {}
    llama_models: dict[tuple[str, str], tuple[object, str]] = {}
    for index, request in enumerate(models):
        path = f"models[{index}]"
        if request.model_id in seen:
            draft.problems.append(
                f"{path}.model_id: {request.model_id!r} is listed at models[{seen[request.model_id]}] already"
            )
            continue
        seen[request.model_id] = index
        try:
            check_metadata(request)
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
            llama_model = (request.metadata or {}).get("llama_model")
            if llama_model is not None:
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
    served = {plan.api for plan in draft.providers.values()}
    for plan in draft.providers.values():
        missing = [
            api.value for api in (plan.spec.needs if plan.spec else ()) if api in PROVIDABLE and api not in served
        ]
        if missing:
            what = f"provider type {plan.provider_type} needs a provider of {', '.join(missing)}"
            draft.blame(plan, f"{plan.origin}: {what}")


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


__all__ = ["PlannedResource", "ProviderPlan", "StackPlan", "plan_stack"]
