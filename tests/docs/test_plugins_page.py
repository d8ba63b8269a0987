"""The provider and the run config of `docs/plugins.md` work as they stand there."""

import json
import re
import urllib.request
from pathlib import Path

from tests.processes import HostProcess

PAGE = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text(encoding="utf-8")


def test_provider_of_the_page_is_served_by_the_run_config_of_the_page(tmp_path: Path) -> None:
    provider = re.search(r"```python\n# parrot\.py\n(.*?)```", PAGE, re.DOTALL)
    config = re.search(r"```yaml\n# run\.yaml\n(.*?)```", PAGE, re.DOTALL)
    assert provider is not None
    assert config is not None
    (tmp_path / "parrot.py").write_text(provider[1], encoding="utf-8")

    with HostProcess(tmp_path, config[1]) as host:
        body = {"model": "polly", "messages": [{"role": "user", "content": "world"}]}
        request = urllib.request.Request(
            host.url + "/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            answer = json.load(response)

    assert answer["choices"][0]["message"]["content"] == "Hello, world"
