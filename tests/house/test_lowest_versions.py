"""The lowest-versions environment of tox.ini installs exactly what core/pyproject.toml declares as lowest."""

import re
import tomllib

from tests.house.sources import ROOT


def test_lowest_environment_pins_what_the_core_declares() -> None:
    project = tomllib.loads((ROOT / "core/pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    declared = [*project["dependencies"], *extras["ingest"], *extras["postgres"], *extras["redis"], *extras["remote"]]
    lowest = {re.sub(r">=([\d.]+).*", r"==\1", requirement) for requirement in declared}

    commands = (ROOT / "tox.ini").read_text().split("[testenv:lowest]")[1].split("[testenv:")[0]

    assert set(re.findall(r"[\w\[\]-]+==[\d.]+", commands)) == lowest, "write the lower bounds into [testenv:lowest]"
