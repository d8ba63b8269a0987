"""What keeps a checkpoint from being served is said clearly, without telling where it lies."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hitchpost.errors import BackendUnavailableError
from hitchpost_meta_reference.engine.loading import load_engine
from hitchpost_meta_reference.engine.settings import EngineSettings


def load(folder: Path, **settings: Any) -> None:
    load_engine(
        EngineSettings(checkpoint_dir=str(folder), **{"device": "cpu", **settings}),
        lambda report: None,
        lambda reason: None,
    )


def _empty(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()


def _set(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        pytest.param(_empty, "neither a config.json", id="empty folder"),
        pytest.param(lambda folder: (folder / "config.json").write_text("{"), "config.json", id="broken config"),
        pytest.param(lambda folder: _set(folder, model_type="mamba"), "only 'llama'", id="another architecture"),
        pytest.param(lambda folder: _set(folder, hidden_size=32), "shape", id="shapes that disagree"),
        pytest.param(lambda folder: (folder / "model.safetensors").unlink(), "safetensors", id="no weights"),
        pytest.param(lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer", id="no tokenizer"),
        pytest.param(lambda folder: (folder / "tokenizer.json").write_text("{}"), "tokenizer", id="broken tokenizer"),
        pytest.param(
            lambda folder: (folder / "chat_template.jinja").write_text("{% for %}"),
            "chat template",
            id="broken template",
        ),
        pytest.param(
            lambda folder: (folder / "generation_config.json").write_text("["),
            "generation_config.json",
            id="broken defaults",
        ),
    ],
)
def test_checkpoint_that_can_not_be_served_is_refused(
    checkpoint_without_template: Path, break_it: Callable[[Path], Any], message: str
) -> None:
    break_it(checkpoint_without_template)

    with pytest.raises(BackendUnavailableError, match=message) as refused:
        load(checkpoint_without_template)

    assert str(checkpoint_without_template) not in refused.value.message


def test_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BackendUnavailableError, match="no folder") as refused:
        load(tmp_path / "nowhere")

    assert str(tmp_path) not in refused.value.message


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"max_seq_len": 100_000}, "made for at most 512 tokens", id="context"),
        pytest.param({"device": "cuda"}, "PyTorch finds none", id="device"),
        pytest.param({"max_batch_size": 10**9}, "not enough memory", id="memory"),
    ],
)
def test_settings_that_can_not_be_met_are_refused(
    tiny_checkpoint: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(BackendUnavailableError, match=message):
        load(tiny_checkpoint, **settings)
