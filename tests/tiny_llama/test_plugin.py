"""What the plugin contributes."""

import subprocess
import sys

from hitchpost.api import Api, RegisterModelRequest
from hitchpost_tiny_llama.plugin import CHECKPOINT_DIR, presets


def test_one_preset_offers_the_model_and_the_provider_that_serves_it() -> None:
    [preset] = presets()

    assert (preset.name, preset.api, preset.provider_id) == ("tiny-llama", Api.inference, "tiny-llama")
    assert preset.provider_type == "inline::meta-reference"
    assert preset.config["checkpoint_dir"] == str(CHECKPOINT_DIR)
    assert [(type(entry), entry.model_id, entry.provider_id) for entry in preset.resources] == [
        (RegisterModelRequest, "tiny-llama", "tiny-llama")
    ]


def test_the_checkpoint_folder_is_part_of_the_package() -> None:
    names = {path.name for path in CHECKPOINT_DIR.iterdir()}

    assert {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"} <= names


def test_the_plugin_imports_no_library_of_the_engine() -> None:
    program = "import sys, hitchpost_tiny_llama.plugin; print(*sys.modules)"

    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()

    assert not {"torch", "numpy", "transformers", "tokenizers", "safetensors", "jinja2"} & set(loaded)
