"""Groups of commands that plugins may add to.

Plugins are looked for only when a command isn't one of our own: `hitchpost --help` must not wait for them.
"""

from typing import TYPE_CHECKING, Any

import click

from hitchpost.cli.output import CommandError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hitchpost.plugin import CommandSpec
    from hitchpost.plugin.discovery import PluginReport


class ExtensibleGroup(click.Group):
    """A group whose unknown commands are looked for among the commands of the loaded plugins.

    Args:
        path: the group's name in `CommandSpec.parent`; empty for the program itself.
    """

    def __init__(self, *args: Any, path: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.path = path

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One of our own commands, else a plugin's; a plugin never replaces ours."""
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        offered = _offered_commands()
        for report, spec in offered:
            if (spec.parent, spec.name) == (self.path, cmd_name):
                return _load(report, spec)
        if not self.path and any(spec.parent == cmd_name for _, spec in offered):
            return ExtensibleGroup(cmd_name, path=cmd_name, help="Commands of plugins.")
        return None

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Our own commands, and below the top those of plugins."""
        own = super().list_commands(ctx)
        if not self.path:
            return own
        return own + sorted({spec.name for _, spec in _offered_commands() if spec.parent == self.path} - set(own))


def _offered_commands() -> "list[tuple[PluginReport, CommandSpec]]":
    from hitchpost.plugin.discovery import discover_plugins

    return [(report, spec) for report in discover_plugins().reports for spec in report.commands]


def _load(report: "PluginReport", spec: "CommandSpec") -> click.Command:
    from hitchpost.plugin.declarations import load_import_string

    whose = f"command {spec.name} of plugin {report.name} ({report.distribution})"
    try:
        command = load_import_string(spec.target)
    except (Exception, SystemExit) as error:
        raise CommandError(
            f"{whose} can't be loaded: {type(error).__name__}: {' '.join(str(error).split())}"
        ) from error
    if not isinstance(command, click.Command):
        raise CommandError(f"{whose} is no click command, but {type(command).__name__}")
    return command


def unusable_commands(program: click.Group, reports: "Sequence[PluginReport]") -> "Iterator[tuple[PluginReport, str]]":
    """The commands of plugins that nobody can call, each with the reason: the name is taken, or its parent is no group."""
    owners: dict[tuple[str, str], str] = {("", name): "Hitchpost" for name in program.commands}
    for report in reports:
        for spec in report.commands:
            name = f"{spec.parent} {spec.name}".strip()
            parent = program.commands.get(spec.parent)
            owner = owners.setdefault((spec.parent, spec.name), f"plugin {report.name}")
            if owner != f"plugin {report.name}":
                yield report, f"command {name} is not used: {owner} has one of this name"
            elif parent is not None and not isinstance(parent, click.Group):
                yield report, f"command {name} is not used: {spec.parent} takes no commands"


__all__ = ["ExtensibleGroup", "unusable_commands"]
