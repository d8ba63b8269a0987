"""`docs/ingest.md` has every field of the config, and its example works as it stands there."""

import logging
import re
from pathlib import Path

from hitchpost.api import KeywordMemoryBank, MemoryBankDocument
from hitchpost.ingest import IngestConfig
from hitchpost.plugin import ProviderDeps

PAGE = (Path(__file__).parents[2] / "docs" / "ingest.md").read_text(encoding="utf-8")
[EXAMPLE] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_table_has_the_fields_of_the_config_and_no_others() -> None:
    table = PAGE.split("| field of `ingest` | default | meaning |\n")[1].split("\n\n")[0]

    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(IngestConfig.model_fields)


async def test_provider_of_the_example_reads_documents(tmp_path: Path) -> None:
    names: dict[str, type] = {}
    exec(compile(EXAMPLE, "docs/ingest.md", "exec"), names)
    deps = ProviderDeps(provider_id="acme", state_dir=tmp_path, log=logging.getLogger("acme"))
    provider = names["AcmeMemory"](names["AcmeConfig"](), deps)
    await provider.start()

    document = MemoryBankDocument(document_id="a", content="data:text/plain,Some%20text.")
    read = await provider._read(document, KeywordMemoryBank(provider_resource_id="b"))

    await provider.stop()
    assert [chunk.text for chunk in read.chunks] == ["Some text."]
