"""Paths in provider configs: what they are relative to."""

from pathlib import Path

from pydantic import BaseModel

from hitchpost.config import read_run_config
from hitchpost.plugin import ConfigPath, Preset
from hitchpost.plugin.catalog import build_catalog
from hitchpost.stack import plan_loaded
from tests.plugged import Plugged


class FolderConfig(BaseModel):
    folder: ConfigPath
    as_it_is: Path = Path("unset")


def test_paths_of_provider_configs_are_relative_to_the_run_config_and_those_of_presets_are_not(
    plugged: Plugged, tmp_path: Path
) -> None:
    preset = Preset(
        name="ready", api="inference", provider_id="ready", provider_type="inline::test", config={"folder": "models"}
    )
    plugged.add(config=FolderConfig, presets=(preset,))
    (tmp_path / "run.yaml").write_text(
        "presets: [ready]\n"
        "providers:\n"
        "  inference:\n"
        "  - {provider_id: p, provider_type: 'inline::test', config: {folder: models, as_it_is: models}}\n"
    )

    plan = plan_loaded(read_run_config(tmp_path / "run.yaml", {}), plugged.plugins(), build_catalog(plugged.reports))

    assert [planned.config for planned in plan.providers] == [
        FolderConfig(folder=tmp_path / "models", as_it_is=Path("models")),
        FolderConfig(folder=Path("models")),
    ]
