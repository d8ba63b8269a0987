"""What a run config may say of `inline::meta-reference`, and how little is imported to read it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from hitchpost_meta_reference.engine.settings import EngineSettings
from hitchpost_meta_reference.inference.config import MetaReferenceInferenceConfig


def test_config_of_llama_stack_is_accepted() -> None:
    config = MetaReferenceInferenceConfig.model_validate(
        {
            "model": "Llama3.1-8B-Instruct:bf16",
            "torch_seed": None,
            "max_seq_len": 4096,
            "max_batch_size": 1,
            "create_distributed_process_group": False,
            "checkpoint_dir": None,
        }
    )

    assert config.checkpoint_folder == Path.home() / ".llama/checkpoints/Llama3.1-8B-Instruct-bf16"
    assert config.engine_settings().max_batch_size == 1


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"max_batchsize": 4}, id="unknown field"),
        pytest.param({"dtype": "int8"}, id="dtype"),
        pytest.param({"device": "tpu"}, id="device"),
        pytest.param({"max_seq_len": 1}, id="no room for an answer"),
        pytest.param({"max_batch_size": 0}, id="no slots"),
        pytest.param({"torch_seed": -1}, id="seed"),
        pytest.param({"heartbeat_timeout_s": 0}, id="time limit"),
        pytest.param({"model": ""}, id="no name"),
    ],
)
def test_wrong_field_is_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refused:
        MetaReferenceInferenceConfig.model_validate(wrong)

    assert [error["loc"] for error in refused.value.errors()] == [tuple(wrong)]


def test_engine_is_told_what_the_config_says() -> None:
    settings = MetaReferenceInferenceConfig(
        model="tiny", checkpoint_dir=Path("/models/ü"), dtype="bfloat16", device="cpu", max_seq_len=99, torch_seed=7
    ).engine_settings()

    assert EngineSettings.from_argument(settings.to_argument()) == settings
    assert settings == EngineSettings(
        checkpoint_dir="/models/ü", dtype="bfloat16", device="cpu", max_seq_len=99, max_batch_size=16, seed=7
    )


@pytest.mark.parametrize("module", ["hitchpost_meta_reference.plugin", "hitchpost_meta_reference.inference.provider"])
def test_host_side_imports_no_heavy_library(module: str) -> None:
    heavy = "{'torch', 'transformers', 'tokenizers', 'safetensors', 'jinja2', 'numpy', 'tiktoken', 'sentencepiece'}"
    code = f"import sys, {module}; loaded = {heavy} & set(sys.modules); sys.exit(str(loaded) if loaded else 0)"

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (result.returncode, result.stderr) == (0, "")
