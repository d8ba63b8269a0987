"""A run config by asking: providers of the installed types, then resources."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from hitchpost.api import PROVIDABLE, Api, RegisterMemoryBankRequest, RegisterModelRequest, RegisterShieldRequest
from hitchpost.config.installed_types import InstalledTypes
from hitchpost.config.questions import Person, Questions
from hitchpost.config.run_config import ProviderId, ProviderLimits

INTRODUCTION = """\
Enter keeps what stands in brackets, `none` leaves an optional value out, and `${env.NAME}` stands for an environment variable.
Nothing is written before the last question is answered."""

_RESOURCES: tuple[tuple[str, str, Api, type[BaseModel]], ...] = (
    ("models", "model", Api.inference, RegisterModelRequest),
    ("shields", "shield", Api.safety, RegisterShieldRequest),
    ("memory_banks", "memory bank", Api.memory, RegisterMemoryBankRequest),
)


class _Named(BaseModel):
    provider_id: ProviderId


class Wizard:
    """Asks for a run config.

    Args:
        installed: what can be configured.
        environ: the environment variables, which fill placeholders when a value is checked.
    """

    def __init__(self, person: Person, installed: InstalledTypes, environ: Mapping[str, str]) -> None:
        self._person = person
        self._installed = installed
        self._questions = Questions(person, environ)

    def run(self, existing: Mapping[Any, Any]) -> dict[Any, Any]:
        """A run config of version 2, from one that may be empty; keys that the wizard doesn't know are kept.

        Raises:
            EOFError: the person left.
        """
        self._person.tell(INTRODUCTION)
        config = {"version": "2", **existing}
        given = config.get("providers")
        providers = dict(given) if isinstance(given, dict) else {}
        for api in PROVIDABLE:
            listed = providers.get(api.value)
            entries = self._ask_providers(api, list(listed) if isinstance(listed, list) else [])
            if entries or api.value in providers:
                providers[api.value] = entries
        config["providers"] = providers
        for section, word, api, request in _RESOURCES:
            if providers.get(api.value):
                self._ask_resources(config, section, word, request)
        return config

    def _ask_providers(self, api: Api, entries: list[Any]) -> list[Any]:
        names = self._installed.names(api)
        kept = []
        for entry in entries:
            changed = self._ask_existing(api, entry)
            if changed is not None:
                kept.append(changed)
        if not names:
            return kept
        is_wanted = not kept and api is Api.inference
        while self._questions.confirm(f"Add a{'nother' if kept else ''} provider of {api}?", default=is_wanted):
            kept.append(self._ask_new(api, names, kept))
            is_wanted = False
        return kept

    def _ask_existing(self, api: Api, entry: Any) -> Any:
        """The entry as it is to be, or None where it is to go."""
        if not isinstance(entry, dict):
            return entry
        provider_id, provider_type = entry.get("provider_id"), entry.get("provider_type")
        self._person.tell(f"{api}: provider {provider_id} ({provider_type})")
        config = self._installed.configs.get((api, str(provider_type)))
        choices = ["keep", "change", "remove"] if config else ["keep", "remove"]
        if config is None:
            self._person.tell("Its type is not installed here.")
        answer = self._questions.choose(f"What about {provider_id}", choices, "keep")
        if answer == "keep" or config is None:
            return entry if answer == "keep" else None
        if answer == "remove":
            return None
        return self._ask_config(entry, config)

    def _ask_new(self, api: Api, names: list[str], others: list[Any]) -> dict[str, Any]:
        for name in names:
            spec = self._installed.specs[api, name]
            if spec.description:
                self._person.tell(f"  {name}: {spec.description}")
        provider_type = self._questions.choose("provider_type", names, names[0] if len(names) == 1 else None)
        taken = {entry.get("provider_id") for entry in others if isinstance(entry, dict)}
        free = _free_id(provider_type.rpartition("::")[2], taken)
        while True:
            provider_id = self._questions.ask_model(_Named, {"provider_id": free})["provider_id"]
            if provider_id not in taken:
                break
            self._person.tell(f"{provider_id} is taken.")
        entry = {"provider_id": provider_id, "provider_type": provider_type}
        return self._ask_config(entry, self._installed.configs[api, provider_type])

    def _ask_config(self, entry: Mapping[Any, Any], model: type[BaseModel]) -> dict[Any, Any]:
        given = entry.get("config")
        config = self._questions.ask_model(model, given if isinstance(given, dict) else {}, "config.")
        answers = {**entry, "config": config}
        limits = entry.get("limits")
        limits = limits if isinstance(limits, dict) else {}
        if self._questions.confirm("Set limits on how much it is asked at once?", default=False):
            limits = self._questions.ask_model(ProviderLimits, limits, "limits.")
        if limits:
            answers["limits"] = limits
        return answers

    def _ask_resources(self, config: dict[Any, Any], section: str, word: str, request: type[BaseModel]) -> None:
        listed = config.get(section)
        entries = list(listed) if isinstance(listed, list) else []
        while self._questions.confirm(f"Register a{'nother' if entries else ''} {word}?", default=False):
            entries.append(self._questions.ask_model(request, {}))
        if entries:
            config[section] = entries


def _free_id(name: str, taken: set[Any]) -> str:
    numbered = (name if number == 1 else f"{name}-{number}" for number in range(1, len(taken) + 2))
    return next(candidate for candidate in numbered if candidate not in taken)


__all__ = ["Wizard"]
