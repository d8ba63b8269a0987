"""Which presets of the loaded plugins a host builds."""

from collections.abc import Sequence

from hitchpost.plugin import Preset
from hitchpost.plugin.discovery import PluginReport

ChosenPreset = tuple[Preset, str]
"""A preset, and where it was chosen."""


def undisputed_presets(reports: Sequence[PluginReport], notes: list[str]) -> list[ChosenPreset]:
    """Every preset, without those that claim the same name or provider, since neither may silently win; `notes` name them."""
    offers = _offers(reports)
    chosen = []
    for preset, distribution in offers:
        rivals = [
            f"{other.name} of {owner}"
            for other, owner in offers
            if other is not preset and (other.name == preset.name or _provider(other) == _provider(preset))
        ]
        if rivals:
            notes.append(
                f"preset {preset.name} of {distribution} is left out: its name or its provider {preset.provider_id!r} "
                f"is claimed by {', '.join(rivals)} too; keep one out by plugins.deny"
            )
        else:
            chosen.append((preset, f"preset {preset.name}"))
    return chosen


def chosen_presets(names: Sequence[str], reports: Sequence[PluginReport], problems: list[str]) -> list[ChosenPreset]:
    """The presets that a run config names; `problems` gets what can't be told."""
    offers = _offers(reports)
    chosen = []
    for index, name in enumerate(names):
        path = f"presets[{index}]"
        named = [(preset, distribution) for preset, distribution in offers if preset.name == name]
        if name in names[:index]:
            problems.append(f"{path}: {name!r} is listed twice")
        elif not named:
            available = ", ".join(preset.name for preset, _ in offers) or "none"
            problems.append(f"{path}: no loaded plugin has a preset {name!r}; available: {available}")
        elif len(named) > 1:
            owners = " and ".join(distribution for _, distribution in named)
            problems.append(f"{path}: {owners} both have a preset {name!r}; keep one out by plugins.deny")
        else:
            chosen.append((named[0][0], f"{path} ({name})"))
    return chosen


def _offers(reports: Sequence[PluginReport]) -> list[tuple[Preset, str]]:
    return [(preset, report.distribution) for report in reports for preset in report.presets]


def _provider(preset: Preset) -> tuple[str, str]:
    return preset.api, preset.provider_id


__all__ = ["ChosenPreset", "chosen_presets", "undisputed_presets"]
