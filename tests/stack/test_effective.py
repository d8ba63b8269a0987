"""What `hitchpost config show` prints."""

import re
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel, SecretStr

from hitchpost.config import read_run_config
from hitchpost.config.secrets import MASK
from hitchpost.plugin.catalog import build_catalog
from hitchpost.stack import plan_loaded
from hitchpost.stack.effective import effective_yaml
from tests.plugged import Plugged


class AcmeConfig(BaseModel, extra="forbid"):
    url: str
    hidden: SecretStr | None = None
    api_token: str = ""
    retries: int = 3


TEXT = """\
providers:
  inference:
  - provider_id: p
    provider_type: inline::test
    config:
      url: ${env.URL:http://me:pw@localhost}/${env.GROUP:x}
      hidden: sk-secret-1
      api_token: sk-secret-2
models:
- model_id: ${env.MODEL}
- model_id: other
  metadata: {note: "${env.SOME_TOKEN:sk-secret-3}", password: sk-secret-4, size: 7}
"""


@pytest.fixture
def shown(plugged: Plugged, tmp_path: Path) -> str:
    plugged.add(config=AcmeConfig)
    plugged.add(provider_type="inline::test", config=AcmeConfig, api="safety")
    path = tmp_path / "mine.yaml"
    path.write_text(TEXT)
    loaded = read_run_config(path, {"MODEL": "m", "GROUP": "g"})
    return effective_yaml(loaded, plan_loaded(loaded, plugged.plugins(), build_catalog(plugged.reports)))


def test_it_is_a_run_config_with_defaults_written_out(shown: str) -> None:
    data = yaml.safe_load(shown)

    assert data["version"] == "2"
    assert data["image_name"].startswith("mine-")
    assert data["server"]["port"] == 8321
    [provider] = data["providers"]["inference"]
    assert provider["config"]["retries"] == 3
    assert provider["limits"]["timeout_s"] == 600


def test_each_value_says_where_it_came_from(shown: str) -> None:
    lines = [line.strip() for line in shown.splitlines()]

    assert [line for line in lines if re.fullmatch("image_name: mine-[0-9a-f]{8}  # the file's name and place", line)]
    assert "- provider_id: p  # line 3" in lines
    assert "retries: 3  # default" in lines
    assert "- model_id: m  # line 10, environment variable MODEL" in lines
    assert (
        f"url: http://{MASK}@localhost/g  # line 6, environment variable GROUP, default of URL, which is not set"
        in lines
    )


def test_no_secret_is_shown(shown: str) -> None:
    data = yaml.safe_load(shown)

    assert "secret" not in shown
    assert "pw" not in shown
    config = data["providers"]["inference"][0]["config"]
    assert (config["hidden"], config["api_token"]) == (MASK, MASK)
    assert data["models"][1]["metadata"] == {"note": MASK, "password": MASK, "size": 7}


def test_what_an_upgrade_made_names_the_lines_that_it_was_made_from(plugged: Plugged, tmp_path: Path) -> None:
    path = tmp_path / "old.yaml"
    path.write_text(
        "apis_to_serve: [inference]\n"
        "routing_table:\n"
        "  inference:\n"
        "  - provider_type: remote::ollama\n"
        "    config: {host: box, password: sk-secret}\n"
        "    routing_key: m\n"
    )
    loaded = read_run_config(path, {})

    shown = effective_yaml(loaded, plan_loaded(loaded, plugged.plugins(), build_catalog([])))

    lines = [line.strip() for line in shown.splitlines()]
    assert "version: '2'  # the upgrade" in lines
    assert "- provider_id: remote::ollama  # line 4" in lines
    assert "url: http://box:11434  # line 5" in lines
    assert f"password: '{MASK}'  # line 5" in lines
    assert "- model_id: m  # line 6" in lines
