"""`docs/stores.md` has every field, and its examples work as they stand there."""

import logging
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter

from hitchpost.plugin import ProviderDeps
from hitchpost.store import PostgresStoreConfig, RedisStoreConfig, SqliteStoreConfig, StoreConfig

PAGE = (Path(__file__).parents[2] / "docs" / "stores.md").read_text(encoding="utf-8")
CONFIGS = [SqliteStoreConfig, RedisStoreConfig, PostgresStoreConfig]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.__name__)
def test_table_of_a_store_has_its_fields_and_no_others(config: Any) -> None:
    kind = config.__name__.removesuffix("StoreConfig").lower()
    table = PAGE.split(f"| `{kind}` | default | meaning |\n")[1].split("\n\n")[0]

    first_cells = [row.split("|")[1] for row in table.splitlines()[1:]]

    fields = {field for cell in first_cells for field in re.findall(r"`(\w+)`", cell)}
    assert fields == set(config.model_fields) - {"type", "namespace"}


@pytest.mark.parametrize("example", re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))
def test_run_config_of_the_page_is_understood(example: str) -> None:
    fields = yaml.safe_load(example)["metadata_store"]

    config: Any = TypeAdapter(StoreConfig).validate_python(fields)

    assert config.type == fields["type"]


async def test_provider_of_the_page_opens_its_store(tmp_path: Path) -> None:
    code = re.search(r"```python\n(from pydantic.*?)```", PAGE, re.DOTALL)
    assert code is not None
    names: dict[str, Any] = {}
    deps = ProviderDeps(provider_id="acme", state_dir=tmp_path, log=logging.getLogger("acme"))
    exec(compile(code[1], "docs/stores.md", "exec"), names)
    provider = names["AcmeInference"](names["AcmeConfig"](), deps)

    await provider.start()
    await provider.start()
    await provider.store.set("acme:greeting", "hello")
    value = await provider.store.get("acme:greeting")
    await provider.stop()
    await provider.stop()

    assert value == "hello"
    assert (tmp_path / "store.db").is_file()
