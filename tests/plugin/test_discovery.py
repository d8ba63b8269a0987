import importlib
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hitchpost.plugin.discovery import (
    PLUGINS_VARIABLE,
    PluginReport,
    Plugins,
    PluginSelection,
    PluginState,
    discover_plugins,
)

GOOD = """
from hitchpost import hookimpl
from hitchpost.plugin import ProviderSpec
@hookimpl
def provider_specs():
    return [ProviderSpec(api="inference", provider_type="inline::acme", config="acme.config:Config", factory="acme.provider:Provider")]
"""


class Site:
    """A folder on sys.path with installed distributions of the test's making."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.modules: list[str] = []

    def install(
        self,
        module: str,
        source: str = GOOD,
        *,
        distribution: str = "",
        points: str | None = None,
        metadata: bool = True,
    ) -> None:
        """A distribution with one module and its entry points."""
        distribution = distribution or module.replace("_", "-")
        (self.folder / f"{module}.py").write_text(source)
        self.modules.append(module)
        info = self.folder / f"{distribution.replace('-', '_')}-1.0.dist-info"
        info.mkdir(exist_ok=True)
        (info / "entry_points.txt").write_text(points or f"[hitchpost]\n{module} = {module}\n")
        if metadata:
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        importlib.invalidate_caches()

    def discover(self, selection: PluginSelection | None = None) -> dict[str, PluginReport]:
        """The reports of what was installed here, by name; the last of a name where there are several."""
        ours = {"scripted", "bedrock", "meta_reference", "remote_ollama", "remote_tgi", "tiny_llama", "weaviate"}
        return {report.name: report for report in self.plugins(selection).reports if report.name not in ours}

    def plugins(self, selection: PluginSelection | None = None) -> Plugins:
        return discover_plugins(selection)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delenv(PLUGINS_VARIABLE, raising=False)
    site = Site(folder)
    yield site
    for module in site.modules:
        sys.modules.pop(module, None)


# --- finding ---


def test_installed_plugin_is_loaded_with_what_it_offers(site: Site) -> None:
    site.install("acme_plugin", distribution="acme-llm")

    report = site.discover()["acme_plugin"]

    assert (report.distribution, report.version, report.state) == ("acme-llm", "1.0", PluginState.loaded)
    assert [spec.provider_type for spec in report.provider_specs] == ["inline::acme"]
    assert report.warnings == []


def test_discovery_imports_nothing_that_the_specs_name(site: Site) -> None:
    site.install("acme_plugin", GOOD.replace("acme.config:Config", "statistics:Nothing"))
    sys.modules.pop("statistics", None)

    site.discover()

    assert "statistics" not in sys.modules


def test_distribution_that_is_seen_twice_on_the_path_is_loaded_once(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.install("acme_plugin")
    again = tmp_path / "again"
    again.symlink_to(site.folder)
    monkeypatch.syspath_prepend(str(again))

    names = [report.name for report in discover_plugins().reports]

    assert names.count("acme_plugin") == 1


@pytest.mark.parametrize("points", ["[hitchpost]\nno equals sign\n", "no section = here\n[", b"\xff\xfe\x00"])
def test_distribution_with_unreadable_entry_points_hides_no_other(
    points: str | bytes, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.install("acme_plugin")
    info = site.folder / "broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_bytes(points if isinstance(points, bytes) else points.encode())

    with caplog.at_level(logging.WARNING):
        reports = site.discover()

    assert reports["acme_plugin"].state is PluginState.loaded


def test_plugin_of_a_half_removed_distribution_is_reported_so(site: Site) -> None:
    site.install("acme_plugin", metadata=False)

    report = site.discover()["acme_plugin"]

    assert (report.distribution, report.state) == ("unknown", PluginState.loaded)
    assert "its metadata can't be read" in report.warnings[0]


# --- importing ---


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import a_library_that_nobody_has", "ModuleNotFoundError: No module named 'a_library_that_nobody_has'"),
        ("raise SystemExit('no licence')", "SystemExit: no licence"),
        ("raise SystemExit", "SystemExit"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("import asyncio\nraise asyncio.CancelledError", "CancelledError"),
        ("class Panic(BaseException): pass\nraise Panic('rust')", "Panic: rust"),
        ("def f(", "SyntaxError"),
        (
            "class Odd(Exception):\n def __str__(self): raise KeyError\nraise Odd",
            "Odd, which can't be printed: KeyError",
        ),
        ("raise ValueError('x' * 10000)", "ValueError: xxx"),
        ("def f(): f()\nf()", "RecursionError"),
    ],
)
def test_plugin_that_fails_to_import_is_listed_with_the_reason(source: str, reason: str, site: Site) -> None:
    site.install("acme_plugin")
    site.install("broken_plugin", source)

    reports = site.discover()

    assert (reports["broken_plugin"].state, reports["broken_plugin"].stage) == (PluginState.failed, "import")
    assert reports["broken_plugin"].reason.startswith(reason)
    assert len(reports["broken_plugin"].reason) < 600
    assert reports["acme_plugin"].state is PluginState.loaded


def test_operator_can_interrupt_an_import(site: Site) -> None:
    site.install("acme_plugin", "raise KeyboardInterrupt")

    with pytest.raises(KeyboardInterrupt):
        site.discover()


@pytest.mark.parametrize("value", ["acme_plugin:nothing", "no_such_module", "acme_plugin:a.b", "???"])
def test_entry_point_that_names_nothing_fails_alone(value: str, site: Site) -> None:
    site.install("acme_plugin", points=f"[hitchpost]\nacme = {value}\n")

    report = site.discover()["acme"]

    assert (report.state, report.stage) == (PluginState.failed, "import")


@pytest.mark.parametrize("thing", ["None", "7", "'text'", "object()", "dict", "[]"])
def test_entry_point_that_names_no_plugin_contributes_nothing(thing: str, site: Site) -> None:
    site.install("acme_plugin", f"thing = {thing}", points="[hitchpost]\nacme = acme_plugin:thing\n")

    report = site.discover()["acme"]

    assert report.provider_specs == ()
    assert any("contributes nothing" in warning for warning in report.warnings)


def test_object_of_a_module_may_be_the_plugin(site: Site) -> None:
    source = (
        "from hitchpost import hookimpl\nfrom hitchpost.plugin import Preset\n"
        "class Acme:\n  @hookimpl\n  def presets(self):\n"
        "    return [Preset(name='a', api='inference', provider_id='a', provider_type='inline::a')]\n"
        "plugin = Acme()\n"
    )
    site.install("acme_plugin", source, points="[hitchpost]\nacme = acme_plugin:plugin\n")

    assert [preset.name for preset in site.discover()["acme"].presets] == ["a"]


@pytest.mark.parametrize(
    ("source", "stage"),
    [
        ("class Acme:\n  @property\n  def HITCHPOST_PLUGIN_API(self): raise KeyError\nplugin = Acme()", "validate"),
        ("class Acme:\n  def __eq__(self, other): raise KeyError\nplugin = Acme()", "register"),
        ("class Acme:\n  def __dir__(self): raise SystemExit\nplugin = Acme()", "register"),
    ],
)
def test_plugin_object_that_raises_when_it_is_looked_at_fails_alone(source: str, stage: str, site: Site) -> None:
    site.install("aaa_plugin")
    site.install("acme_plugin", source, points="[hitchpost]\nacme = acme_plugin:plugin\n")

    reports = site.discover()

    assert (reports["acme"].state, reports["acme"].stage) == (PluginState.failed, stage)
    assert reports["aaa_plugin"].state is PluginState.loaded


# --- the contract's version ---


@pytest.mark.parametrize("version", ["1", "True", "0"])
def test_plugin_for_this_contract_or_an_older_one_is_loaded(version: str, site: Site) -> None:
    site.install("acme_plugin", f"HITCHPOST_PLUGIN_API = {version}\n{GOOD}")

    assert site.discover()["acme_plugin"].state is PluginState.loaded


@pytest.mark.parametrize("version", ["2", "'1'", "None", "1.5", "(1, 0)"])
def test_plugin_for_another_contract_is_refused_with_both_versions(version: str, site: Site) -> None:
    site.install("acme_plugin", f"HITCHPOST_PLUGIN_API = {version}\n{GOOD}")

    report = site.discover()["acme_plugin"]

    assert (report.state, report.stage) == (PluginState.failed, "validate")
    assert f"written for plugin contract {version}, but this Hitchpost speaks contract 1" in report.reason
    assert report.provider_specs == ()


# --- names ---


def test_second_plugin_of_a_name_is_refused_and_the_first_one_stays(site: Site) -> None:
    site.install("acme_one", distribution="first-dist", points="[hitchpost]\nacme = acme_one\n")
    site.install("acme_two", distribution="second-dist", points="[hitchpost]\nacme = acme_two\n")

    plugins = site.plugins()

    first, second = [report for report in plugins.reports if report.name == "acme"]
    assert (first.distribution, first.state) == ("first-dist", PluginState.loaded)
    assert (second.distribution, second.stage) == ("second-dist", "register")
    assert "another plugin is called 'acme'; rename the entry point" in second.reason
    assert plugins.manager.get_plugin("acme") is sys.modules["acme_one"]


def test_failure_of_a_second_plugin_of_a_name_takes_nothing_from_the_first(site: Site) -> None:
    site.install("acme_one", distribution="first-dist", points="[hitchpost]\nacme = acme_one\n")
    site.install(
        "acme_two",
        f"HITCHPOST_PLUGIN_API = 99\n{GOOD}",
        distribution="second-dist",
        points="[hitchpost]\nacme = acme_two\n",
    )

    plugins = site.plugins()

    assert plugins.manager.get_plugin("acme") is sys.modules["acme_one"]


def test_two_entry_points_for_one_module_are_one_plugin_and_a_refusal(site: Site) -> None:
    site.install("acme_plugin", points="[hitchpost]\na = acme_plugin\nb = acme_plugin\n")

    reports = site.discover()

    assert reports["a"].state is PluginState.loaded
    assert reports["b"].reason == "it is the same object as plugin 'a', or equal to it; load one of the two"


def test_equal_plugin_objects_are_told_apart_by_a_refusal(site: Site) -> None:
    site.install(
        "acme_plugin",
        "from dataclasses import dataclass\n@dataclass\nclass Acme:\n  size: int\none, two = Acme(1), Acme(1)\n",
        points="[hitchpost]\na = acme_plugin:one\nb = acme_plugin:two\n",
    )

    assert "or equal to it" in site.discover()["b"].reason


# --- marks ---


def test_marked_function_that_is_no_hook_is_reported(site: Site) -> None:
    site.install(
        "acme_plugin",
        GOOD + "\n@hookimpl\ndef preset():\n    return []\n@hookimpl\nasync def list_models():\n    return []\n",
    )

    assert [warning.partition(",")[0] for warning in site.discover()["acme_plugin"].warnings] == [
        "function list_models is marked as a hook",
        "function preset is marked as a hook",
    ]


def test_function_that_raises_in_one_plugin_costs_nobody_elses_answer(site: Site) -> None:
    site.install("acme_plugin")
    site.install(
        "broken_plugin", "from hitchpost import hookimpl\n@hookimpl\ndef provider_specs():\n    raise KeyError('x')\n"
    )

    plugins = site.plugins()

    by_name = {report.name: report for report in plugins.reports}
    assert by_name["acme_plugin"].provider_specs
    assert by_name["broken_plugin"].reason == "KeyError: 'x'"
    assert plugins.manager.get_plugin("broken_plugin") is None


def test_what_a_plugin_declared_before_it_failed_does_not_count(site: Site) -> None:
    site.install("acme_plugin", GOOD + "\n@hookimpl\ndef presets():\n    return {}\n")

    report = site.discover()["acme_plugin"]

    assert (report.state, report.provider_specs) == (PluginState.failed, ())
    assert report.reason == "hook presets returned dict in place of a list of Preset"


def test_wrong_declaration_names_its_field(site: Site) -> None:
    site.install("acme_plugin", GOOD.replace("inline::acme", "acme"))

    assert site.discover()["acme_plugin"].reason == "ValueError: provider_type 'acme' is not of the form 'inline::name'"


# --- selection ---


@pytest.mark.parametrize("name", ["acme_plugin", "acme-llm", "Acme.LLM", " acme_llm "])
@pytest.mark.parametrize(
    ("select", "state"),
    [
        (lambda name: PluginSelection(allow=[name]), PluginState.loaded),
        (lambda name: PluginSelection(allow=[name], deny=[name]), PluginState.denied),
        (lambda name: PluginSelection(deny=[name]), PluginState.denied),
        (lambda name: PluginSelection(allow=["other"]), PluginState.denied),
    ],
)
def test_run_config_selects_by_plugin_or_distribution_name(
    name: str, select: Callable[[str], PluginSelection], state: PluginState, site: Site
) -> None:
    site.install("acme_plugin", "raise KeyError" if state is PluginState.denied else GOOD, distribution="acme-llm")

    assert site.discover(select(name))["acme_plugin"].state is state


def test_denied_plugin_says_by_whom(site: Site) -> None:
    site.install("acme_plugin")

    reasons = [
        site.discover(selection)["acme_plugin"].reason
        for selection in (PluginSelection(allow=[]), PluginSelection(deny=["acme_plugin"]))
    ]

    assert reasons == ["not in plugins.allow of the run config", "in plugins.deny of the run config"]


@pytest.mark.parametrize(
    ("value", "state"),
    [("acme_plugin", "loaded"), ("x, acme-plugin ", "loaded"), ("x", "denied"), ("", "denied")],
)
def test_environment_selects_too(value: str, state: str, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.install("acme_plugin")
    monkeypatch.setenv(PLUGINS_VARIABLE, value)

    report = site.discover()["acme_plugin"]

    assert report.state == state
    assert report.reason == ("" if state == "loaded" else "not named in HITCHPOST_PLUGINS")


# --- files ---


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "one_file_plugin.py"
    path.write_text(GOOD)
    yield path
    sys.modules.pop("one_file_plugin", None)


def by_path(path: Path) -> PluginReport:
    return discover_plugins(PluginSelection(paths=[path])).reports[-1]


def test_file_is_loaded_as_a_module_under_its_stem(file: Path) -> None:
    report = by_path(file)

    assert (report.name, report.distribution, report.state) == ("one_file_plugin", str(file), PluginState.loaded)
    assert sys.modules["one_file_plugin"].__file__ == str(file)


def test_file_can_be_discovered_again(file: Path) -> None:
    by_path(file)

    assert by_path(file).state is PluginState.loaded


def test_file_in_the_current_folder_is_no_clash_with_itself(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    monkeypatch.syspath_prepend("")

    assert by_path(Path(file.name)).state is PluginState.loaded


@pytest.mark.parametrize("stem", ["json", "statistics", "hitchpost", "xxsubtype", "__hello__"])
def test_file_may_not_take_the_name_of_a_module_imported_or_not(
    stem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if stem == "statistics":
        monkeypatch.delitem(sys.modules, "statistics", raising=False)
    path = tmp_path / f"{stem}.py"
    path.write_text(GOOD)

    report = by_path(path)

    assert (report.state, report.stage) == (PluginState.failed, "import")
    assert f"would be imported as {stem!r}, but a module of that name exists already; rename the file" in report.reason


@pytest.mark.parametrize("name", ["my-plugin.py", "a.b.py", "1st.py"])
def test_file_whose_name_is_no_module_name_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(GOOD)

    assert "rename the file as modules are named" in by_path(tmp_path / name).reason


@pytest.mark.parametrize("name", ["absent_plugin.py", "notes_plugin.txt", "folder_plugin"])
def test_path_that_is_no_python_file_fails_alone(name: str, tmp_path: Path) -> None:
    (tmp_path / "notes_plugin.txt").write_text("hello")
    (tmp_path / "folder_plugin").mkdir()

    report = by_path(tmp_path / name)

    assert (report.state, report.stage) == (PluginState.failed, "import")


def test_file_that_fails_leaves_no_half_module(file: Path) -> None:
    file.write_text("half = 1\nraise SystemExit")

    report = by_path(file)

    assert report.state is PluginState.failed
    assert "one_file_plugin" not in sys.modules


def test_path_without_a_file_says_which_and_where_it_is_named(tmp_path: Path) -> None:
    path = tmp_path / "gone.py"

    [*_, report] = discover_plugins(PluginSelection(paths=[path], named_by="run config r.yaml")).reports

    assert (report.state, report.stage) == (PluginState.failed, "import")
    assert report.reason == f"there is no file {path}; correct or remove it under plugins.paths of run config r.yaml"


def test_two_files_of_one_name_are_a_clash(file: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    second = tmp_path / "other" / file.name
    second.write_text(GOOD)

    reports = discover_plugins(PluginSelection(paths=[file, second])).reports

    assert [report.state for report in reports[-2:]] == [PluginState.loaded, PluginState.failed]
