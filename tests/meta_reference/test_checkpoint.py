"""Checkpoint folders that are incomplete, inconsistent or hostile: a clear error, nothing executed, nothing read outside."""

import json
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from hitchpost_meta_reference.engine.checkpoint import CheckpointFormat, find_format, load_decoder
from hitchpost_meta_reference.engine.errors import CheckpointError
from hitchpost_meta_reference.engine.model import Decoder
from tests.meta_reference.checkpoints import reference_model, write_hugging_face, write_meta

Tensors = dict[str, torch.Tensor]
Q_PROJ = "model.layers.1.self_attn.q_proj.weight"


def load(folder: Path) -> Decoder:
    return load_decoder(folder, torch.float32, torch.device("cpu"))


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A sound checkpoint in Hugging Face's format, to be spoilt."""
    return write_hugging_face(tmp_path / "checkpoint", reference_model())


@pytest.fixture
def meta_checkpoint(tmp_path: Path) -> Path:
    """The same in Meta's format, in two shards."""
    return write_meta(tmp_path / "checkpoint", reference_model(), shards=2)


def change_tensors(folder: Path, change: Callable[[Tensors], object]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def change_config(folder: Path, name: str, **changes: Any) -> None:
    config = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps(config | changes))


def write_index(folder: Path, file: str) -> None:
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"model.norm.weight": file}}))


def test_format_is_found_by_the_config_file(checkpoint: Path) -> None:
    assert find_format(checkpoint) is CheckpointFormat.hugging_face


def test_format_of_metas_folder_is_found_by_its_params(meta_checkpoint: Path) -> None:
    assert find_format(meta_checkpoint) is CheckpointFormat.meta


@pytest.mark.parametrize(("name", "expected"), [("absent", "no folder"), ("", "neither")])
def test_folder_without_a_checkpoint_is_refused(tmp_path: Path, name: str, expected: str) -> None:
    with pytest.raises(CheckpointError, match=expected):
        find_format(tmp_path / name)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(lambda tensors: tensors.pop(Q_PROJ), f"lacks a tensor: {Q_PROJ}", id="missing"),
        pytest.param(
            lambda tensors: tensors.update({"model.layers.0.mlp.extra.weight": torch.zeros(2)}),
            r"model\.safetensors: model\.layers\.0\.mlp\.extra\.weight",
            id="unexpected",
        ),
        pytest.param(
            lambda tensors: tensors.update({Q_PROJ: torch.zeros(32, 64)}),
            r"model\.safetensors: .*q_proj\.weight has the shape \(32, 64\).*\(64, 64\)",
            id="misshaped",
        ),
        pytest.param(
            lambda tensors: tensors.update(
                {Q_PROJ: torch.zeros(48, 64), Q_PROJ.replace("q_proj", "k_proj"): torch.zeros(48, 64)}
            ),
            "q_proj",
            id="misshaped-but-of-the-right-sum",
        ),
        pytest.param(
            lambda tensors: tensors.update({Q_PROJ: torch.zeros(64, 64, dtype=torch.int8)}),
            "q_proj.*int8.*quantized",
            id="quantized",
        ),
        pytest.param(
            lambda tensors: tensors.update({Q_PROJ: torch.zeros(64, 64).to(torch.float8_e4m3fn)}),
            "q_proj.*float8.*quantized",
            id="float8",
        ),
        pytest.param(lambda tensors: tensors.pop("lm_head.weight"), r"lm_head\.weight", id="no-output-matrix"),
    ],
)
def test_tensor_that_does_not_fit_is_named_with_its_file(
    checkpoint: Path, change: Callable[[Tensors], object], expected: str
) -> None:
    change_tensors(checkpoint, change)

    with pytest.raises(CheckpointError, match=expected):
        load(checkpoint)


def test_tensor_with_biases_in_a_config_without_is_refused(tmp_path: Path) -> None:
    folder = write_hugging_face(tmp_path, reference_model(attention_bias=True))
    change_config(folder, "config.json", attention_bias=False)

    with pytest.raises(CheckpointError, match=r"doesn't explain.*q_proj\.bias|bias"):
        load(folder)


def test_rotary_frequencies_and_a_second_copy_of_tied_weights_are_harmless(tmp_path: Path) -> None:
    folder = write_hugging_face(tmp_path, reference_model(tie_word_embeddings=True))
    change_tensors(
        folder,
        lambda tensors: tensors.update(
            {
                "lm_head.weight": tensors["model.embed_tokens.weight"].clone(),
                "model.layers.0.self_attn.rotary_emb.inv_freq": torch.zeros(8),
            }
        ),
    )

    decoder = load(folder)

    assert decoder.output is decoder.embedding


def test_giant_shapes_in_the_config_are_refused_before_memory_is_taken(checkpoint: Path) -> None:
    change_config(checkpoint, "config.json", vocab_size=2**22, hidden_size=2**20, intermediate_size=2**20)

    with pytest.raises(CheckpointError, match="shape"):
        load(checkpoint)


@pytest.mark.parametrize(
    "header",
    [
        pytest.param({"x": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 4]}}, id="giant-shape"),
        pytest.param({"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 2**50]}}, id="beyond-the-file"),
        pytest.param({"x": {"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]}}, id="negative-offset"),
        pytest.param([1, 2], id="no-object"),
    ],
)
def test_safetensors_with_a_lying_header_is_refused(checkpoint: Path, header: object) -> None:
    text = json.dumps(header).encode()
    (checkpoint / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + b"\0\0\0\0")

    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        load(checkpoint)


@pytest.mark.parametrize("content", [b"", b"\xff" * 8, b"not a checkpoint"], ids=["empty", "giant-header", "text"])
def test_safetensors_that_are_none_are_refused(checkpoint: Path, content: bytes) -> None:
    (checkpoint / "model.safetensors").write_bytes(content)

    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        load(checkpoint)


def test_folder_with_other_weights_is_told_what_to_do(checkpoint: Path) -> None:
    (checkpoint / "model.safetensors").rename(checkpoint / "pytorch_model.bin")

    with pytest.raises(CheckpointError, match="converted to safetensors"):
        load(checkpoint)


@pytest.mark.parametrize(
    "name", ["../outside.safetensors", "/etc/passwd", "a/../../outside.safetensors", "absent.safetensors", "", "."]
)
def test_index_that_names_a_file_outside_of_the_folder_is_refused(checkpoint: Path, name: str) -> None:
    (checkpoint / "model.safetensors").rename(checkpoint.parent / "outside.safetensors")
    write_index(checkpoint, name)

    with pytest.raises(CheckpointError, match=r"index\.json names .* no safetensors file of this folder"):
        load(checkpoint)


@pytest.mark.parametrize("weight_map", [None, [], {}, "model.safetensors"], ids=str)
def test_index_without_a_weight_map_is_refused(checkpoint: Path, weight_map: object) -> None:
    (checkpoint / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))

    with pytest.raises(CheckpointError, match="no weight_map"):
        load(checkpoint)


def test_tensor_in_two_files_is_refused(checkpoint: Path) -> None:
    save_file({Q_PROJ: torch.zeros(64, 64)}, checkpoint / "second.safetensors")
    weight_map = {"a": "model.safetensors", "b": "second.safetensors"}
    (checkpoint / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))

    with pytest.raises(CheckpointError, match=r"stands in model\.safetensors too"):
        load(checkpoint)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_link_that_leads_out_of_the_folder_is_refused(checkpoint: Path, name: str) -> None:
    (checkpoint / name).rename(checkpoint.parent / name)
    (checkpoint / name).symlink_to(checkpoint.parent / name)

    with pytest.raises(CheckpointError, match=f"{name} is a link that leads out"):
        load(checkpoint)


def test_snapshot_of_a_hugging_face_cache_may_link_to_its_blobs(checkpoint: Path, tmp_path: Path) -> None:
    snapshot, blobs = tmp_path / "models--x--y" / "snapshots" / "abc", tmp_path / "models--x--y" / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for name in ("config.json", "model.safetensors"):
        (checkpoint / name).rename(blobs / f"hash-of-{name}")
        (snapshot / name).symlink_to(blobs / f"hash-of-{name}")

    assert load(snapshot).config.dim == 64


def test_pipe_in_place_of_a_file_does_not_hang(checkpoint: Path) -> None:
    (checkpoint / "model.safetensors").unlink()
    os.mkfifo(checkpoint / "model.safetensors")

    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        load(checkpoint)


class RunsCode:
    """Unpickling it would make a folder."""

    def __init__(self, evidence: Path) -> None:
        self._evidence = str(evidence)

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (self._evidence,))


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "plain-pickle"])
def test_pickle_with_code_executes_nothing(meta_checkpoint: Path, tmp_path: Path, legacy: bool) -> None:
    evidence, file = tmp_path / "evidence", meta_checkpoint / "consolidated.01.pth"
    if legacy:
        file.write_bytes(pickle.dumps({"norm.weight": RunsCode(evidence)}))
    else:
        torch.save({"norm.weight": RunsCode(evidence)}, file)

    with pytest.raises(CheckpointError, match=r"consolidated\.01\.pth"):
        load(meta_checkpoint)

    assert not evidence.exists()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param([torch.zeros(2)], id="list"),
        pytest.param({"norm.weight": 3}, id="number"),
        pytest.param({1: torch.zeros(2)}, id="unnamed"),
        pytest.param({}, id="empty"),
        pytest.param({"norm.weight": torch.zeros(64)}, id="missing-embedding"),
    ],
)
def test_pth_that_holds_no_model_is_refused(meta_checkpoint: Path, content: object) -> None:
    torch.save(content, meta_checkpoint / "consolidated.00.pth")

    with pytest.raises(CheckpointError, match="consolidated"):
        load(meta_checkpoint)


@pytest.mark.parametrize("content", [b"", b"\x80", b"PK\x03\x04" + b"\0" * 100], ids=["empty", "cut-pickle", "cut-zip"])
def test_pth_that_is_none_is_refused(meta_checkpoint: Path, content: bytes) -> None:
    (meta_checkpoint / "consolidated.00.pth").write_bytes(content)

    with pytest.raises(CheckpointError, match=r"consolidated\.00\.pth"):
        load(meta_checkpoint)


def change_shard(folder: Path, change: Callable[[Tensors], object]) -> None:
    file = folder / "consolidated.01.pth"
    tensors = torch.load(file, weights_only=True)
    change(tensors)
    torch.save(tensors, file)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(lambda shard: shard.pop("norm.weight"), r"consolidated\.01\.pth.*norm\.weight", id="missing"),
        pytest.param(
            lambda shard: shard.update({"layers.0.attention.wq.weight": torch.zeros(8, 64)}),
            r"layers\.0\.attention\.wq\.weight",
            id="other-shape-than-its-sibling",
        ),
        pytest.param(
            lambda shard: shard.update({"layers.0.attention.wq.weight": torch.zeros(2, 2, 2)}),
            r"layers\.0\.attention\.wq\.weight",
            id="three-axes",
        ),
    ],
)
def test_shards_that_do_not_belong_together_are_refused(
    meta_checkpoint: Path, change: Callable[[Tensors], object], expected: str
) -> None:
    change_shard(meta_checkpoint, change)

    with pytest.raises(CheckpointError, match=expected):
        load(meta_checkpoint)


def test_missing_shard_shows_in_the_shapes(meta_checkpoint: Path) -> None:
    (meta_checkpoint / "consolidated.01.pth").unlink()

    with pytest.raises(CheckpointError, match=r"consolidated\.\*\.pth: .* has the shape .* must be"):
        load(meta_checkpoint)


def test_folder_of_metas_without_weights_is_refused(meta_checkpoint: Path) -> None:
    for file in meta_checkpoint.glob("*.pth"):
        file.unlink()

    with pytest.raises(CheckpointError, match=r"no consolidated\.\*\.pth"):
        load(meta_checkpoint)


def test_pth_whose_tensors_repeat_a_few_numbers_is_refused(tmp_path: Path) -> None:
    folder = write_meta(tmp_path, reference_model(), shards=1)
    file = folder / "consolidated.00.pth"
    tensors = torch.load(file, weights_only=True)
    torch.save({name: torch.zeros(1).expand(tensor.shape) for name, tensor in tensors.items()}, file)

    with pytest.raises(CheckpointError, match=r"consolidated\.00\.pth claims to hold more"):
        load(folder)


def test_more_shards_than_key_value_heads_repeat_the_heads(tmp_path: Path) -> None:
    model = reference_model(num_key_value_heads=2)
    folder = write_meta(tmp_path / "four", model, shards=4)
    whole = write_meta(tmp_path / "one", model, shards=1)

    decoder, expected = load(folder), load(whole)

    assert torch.equal(decoder.blocks[0].qkv, expected.blocks[0].qkv)
