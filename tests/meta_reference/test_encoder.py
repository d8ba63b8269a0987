"""BERT checkpoints: the numbers of `transformers`, every pooling, and what can't be served is refused by name."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from hitchpost_meta_reference.engine.embedders import EncoderEmbedder
from hitchpost_meta_reference.engine.encoder import group_by_length
from hitchpost_meta_reference.engine.encoder_checkpoint import load_encoder
from hitchpost_meta_reference.engine.encoder_config import Pooling, SentenceConfig, sentence_config
from hitchpost_meta_reference.engine.errors import CheckpointError
from tests.meta_reference.minilm import largest_difference, minilm_folder, recorded_vectors

CPU = torch.device("cpu")
TEXTS = [list(range(5, 25)), list(range(30, 49)), list(range(2, 14)), [9, 8, 7, 6], [3]]
"""Longest first: two of about one length, then others."""


def save_bert(folder: Path, **config: Any) -> Any:
    """A small BERT with random weights, saved; returns it as `transformers` computes it."""
    from transformers import BertConfig, BertModel

    torch.manual_seed(1)
    shape = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 40}
    model = BertModel(BertConfig(vocab_size=60, max_position_embeddings=32, initializer_range=0.4, **shape, **config))
    model.save_pretrained(folder)
    return model.eval()


@torch.inference_mode()
def hidden_states(model: Any) -> list[Tensor]:
    """Of each text alone."""
    return [model(torch.tensor([text])).last_hidden_state[0] for text in TEXTS]


def edit(folder: Path, name: str, content: Any) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(content))


def set_config(folder: Path, **changes: Any) -> None:
    edit(folder, "config.json", json.loads((folder / "config.json").read_text()) | changes)


def sentence_transformer(folder: Path, pooling: Any, *further: str) -> None:
    """Adds the files of sentence-transformers."""
    kinds = ["Transformer", "Pooling", *further]
    steps = [{"path": "" if n == 0 else f"{n}_{kind}", "type": f"some.models.{kind}"} for n, kind in enumerate(kinds)]
    edit(folder, "modules.json", steps)
    edit(folder, "1_Pooling/config.json", pooling)


@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_hidden_states_are_those_of_transformers(activation: str, tmp_path: Path) -> None:
    expected = torch.cat(hidden_states(save_bert(tmp_path, hidden_act=activation)))
    encoder = load_encoder(tmp_path, None, CPU)
    encoder.prepare()

    assert largest_difference(encoder(TEXTS), expected) < 1e-5


def test_text_has_the_same_vector_alone_and_among_others(tmp_path: Path) -> None:
    save_bert(tmp_path)
    encoder = load_encoder(tmp_path, None, CPU)

    alone = torch.cat([encoder([text]) for text in TEXTS])

    assert largest_difference(encoder(TEXTS), alone) < 1e-5


@pytest.mark.parametrize(
    ("pooling", "pooled"),
    [
        pytest.param("mean", lambda hidden: hidden.mean(0), id="mean"),
        pytest.param("cls", lambda hidden: hidden[0], id="first token"),
        pytest.param("max", lambda hidden: hidden.amax(0), id="maximum"),
    ],
)
@pytest.mark.parametrize("normalizes", [True, False])
def test_pooling(pooling: Pooling, pooled: Callable[[Tensor], Tensor], normalizes: bool, tmp_path: Path) -> None:
    expected = torch.stack([pooled(hidden) for hidden in hidden_states(save_bert(tmp_path))])
    expected = torch.nn.functional.normalize(expected, dim=-1) if normalizes else expected
    embedder = EncoderEmbedder(load_encoder(tmp_path, None, CPU), SentenceConfig(pooling, normalizes, 32, False))

    vectors = [torch.frombuffer(bytearray(vector or b""), dtype=torch.float32) for vector in embedder.embed(TEXTS)]

    assert largest_difference(torch.stack(vectors), expected) < 1e-5


def test_text_whose_vector_is_no_numbers_has_none(tmp_path: Path) -> None:
    save_bert(tmp_path)
    encoder = load_encoder(tmp_path, None, CPU)
    with torch.no_grad():
        encoder.embedding[3] = torch.nan
    embedder = EncoderEmbedder(encoder, SentenceConfig("mean", True, 32, False))

    vectors = embedder.embed(TEXTS[2:])

    assert [vector is None for vector in vectors] == [True, False, True]


def test_names_with_a_prefix_and_unused_tensors_are_fine(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    expected = torch.cat(hidden_states(save_bert(tmp_path)))
    weights = {f"bert.{name}": tensor for name, tensor in load_file(tmp_path / "model.safetensors").items()}
    weights |= {"cls.predictions.bias": torch.zeros(60), "bert.embeddings.position_ids": torch.arange(32)}
    save_file(weights, tmp_path / "model.safetensors")

    assert largest_difference(load_encoder(tmp_path, None, CPU)(TEXTS), expected) < 1e-5


def test_bfloat16_points_in_nearly_the_same_direction() -> None:
    encoder = load_encoder(minilm_folder(), torch.bfloat16, CPU)
    encoder.prepare()
    config = sentence_config(minilm_folder(), encoder.config.max_position)
    [recorded] = [one for one in recorded_vectors() if one.name == "a sentence"]

    # "how many moons does jupiter have?" between the special tokens.
    [vector] = EncoderEmbedder(encoder, config).embed([(101, 2129, 2116, 23377, 2515, 13035, 2031, 1029, 102)])

    assert encoder.embedding.dtype is torch.bfloat16
    assert (
        float(torch.frombuffer(bytearray(vector or b""), dtype=torch.float32) @ torch.tensor(recorded.vector)) > 0.999
    )


@pytest.mark.parametrize(
    ("lengths", "groups"),
    [
        pytest.param([5], [(0, 5, 1, 5)], id="one text"),
        pytest.param([8, 8, 7, 6], [(0, 29, 4, 8)], id="nearly one length"),
        pytest.param([20, 8, 8, 1], [(0, 20, 1, 20), (20, 36, 2, 8), (36, 37, 1, 1)], id="different lengths"),
    ],
)
def test_texts_of_about_one_length_are_a_group(lengths: list[int], groups: list[tuple[int, ...]]) -> None:
    found = group_by_length(lengths, torch.float32, CPU)

    assert [(group.begin, group.end, group.count, group.length) for group in found] == groups


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        pytest.param(lambda f: set_config(f, num_attention_heads=5), "num_attention_heads", id="heads"),
        pytest.param(lambda f: set_config(f, position_embedding_type="relative_key"), "position_emb", id="positions"),
        pytest.param(lambda f: set_config(f, hidden_act="silu"), "hidden_act", id="activation"),
        pytest.param(lambda f: set_config(f, is_decoder=True), "is_decoder", id="decoder"),
        pytest.param(lambda f: set_config(f, hidden_size=48), "shape", id="shapes that disagree"),
        pytest.param(lambda f: set_config(f, num_hidden_layers=3), "lacks a tensor", id="a layer that is missing"),
        pytest.param(lambda f: set_config(f, num_hidden_layers=1), "doesn't explain", id="a layer too many"),
        pytest.param(lambda f: (f / "model.safetensors").write_bytes(b"x"), "model.safetensors", id="broken weights"),
    ],
)
def test_checkpoint_that_can_not_be_served_is_refused(
    break_it: Callable[[Path], object], message: str, tmp_path: Path
) -> None:
    save_bert(tmp_path)
    break_it(tmp_path)

    with pytest.raises(CheckpointError, match=message):
        load_encoder(tmp_path, None, CPU)


OLD_POOLING = {"word_embedding_dimension": 24, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}


@pytest.mark.parametrize(
    ("write", "expected"),
    [
        pytest.param(lambda f: None, SentenceConfig("mean", False, 512, False), id="no files of sentence-transformers"),
        pytest.param(
            lambda f: sentence_transformer(f, OLD_POOLING, "Normalize"),
            SentenceConfig("cls", True, 512, False),
            id="pooling as flags",
        ),
        pytest.param(
            lambda f: sentence_transformer(f, {"pooling_mode": "max"}),
            SentenceConfig("max", False, 512, False),
            id="pooling as a word",
        ),
        pytest.param(
            lambda f: edit(f, "sentence_bert_config.json", {"max_seq_length": 128, "do_lower_case": True}),
            SentenceConfig("mean", False, 128, True),
            id="limit and case",
        ),
        pytest.param(
            lambda f: edit(f, "sentence_bert_config.json", {"max_seq_length": 4096}),
            SentenceConfig("mean", False, 512, False),
            id="limit above the positions",
        ),
        pytest.param(
            lambda f: edit(f, "tokenizer_config.json", {"model_max_length": 384}),
            SentenceConfig("mean", False, 384, False),
            id="limit of the tokenizer",
        ),
        pytest.param(
            lambda f: edit(f, "tokenizer_config.json", {"model_max_length": 1e30}),
            SentenceConfig("mean", False, 512, False),
            id="tokenizer without a limit",
        ),
    ],
)
def test_sentence_config(write: Callable[[Path], object], expected: SentenceConfig, tmp_path: Path) -> None:
    write(tmp_path)

    assert sentence_config(tmp_path, 512) == expected


@pytest.mark.parametrize(
    ("write", "message"),
    [
        pytest.param(lambda f: sentence_transformer(f, {}, "Dense"), "Dense", id="a step that isn't known"),
        pytest.param(lambda f: sentence_transformer(f, {}), "pooling_mode", id="no pooling"),
        pytest.param(
            lambda f: sentence_transformer(f, {"pooling_mode": ["mean", "max"]}), "pooling_mode", id="two poolings"
        ),
        pytest.param(
            lambda f: sentence_transformer(f, {"pooling_mode_lasttoken": True}), "lasttoken", id="another pooling"
        ),
        pytest.param(lambda f: edit(f, "modules.json", {"0": {}}), "holds no list", id="modules that are no list"),
        pytest.param(lambda f: (f / "modules.json").write_text("["), "can't be read", id="broken modules"),
        pytest.param(
            lambda f: edit(
                f, "modules.json", [{"type": "x.Transformer", "path": ""}, {"type": "x.Pooling", "path": "../.."}]
            ),
            "is no folder of the checkpoint",
            id="a path out of the folder",
        ),
        pytest.param(
            lambda f: edit(f, "config_sentence_transformers.json", {"default_prompt_name": "query"}),
            "default_prompt_name",
            id="a prompt in front of texts",
        ),
        pytest.param(
            lambda f: edit(f, "sentence_bert_config.json", {"max_seq_length": -1}), "max_seq_length", id="no limit"
        ),
    ],
)
def test_sentence_config_that_can_not_be_served_is_refused(
    write: Callable[[Path], object], message: str, tmp_path: Path
) -> None:
    write(tmp_path)

    with pytest.raises(CheckpointError, match=message):
        sentence_config(tmp_path, 512)
