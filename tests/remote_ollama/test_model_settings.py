"""What a model's metadata may set, and what is read of a model."""

from typing import Any

import pytest

from hitchpost.api import Capability
from hitchpost.errors import BadRequestError
from hitchpost_remote_ollama.model_settings import ModelFacts, read_facts, read_settings
from hitchpost_remote_ollama.plugin import provider_specs
from hitchpost_remote_ollama.wire import ShowAnswer

CAPABILITIES = provider_specs()[0].capabilities


@pytest.mark.parametrize(
    ("given", "read"),
    [(300, 300), (-1, -1), (0, 0), (1.5, 1.5), ("300", 300), ("10m", "10m"), ("1h30m", "1h30m"), ("-1s", "-1s")],
)
def test_keep_alive_is_a_number_or_a_duration(given: Any, read: Any) -> None:
    assert read_settings({"keep_alive": given}).keep_alive == read


@pytest.mark.parametrize(
    ("metadata", "key"),
    [
        ({"keep_alive": "ten minutes"}, "keep_alive"),
        ({"keep_alive": ""}, "keep_alive"),
        ({"num_ctx": 0}, "num_ctx"),
        ({"num_ctx": "many"}, "num_ctx"),
        ({"think": "deeply"}, "think"),
        ({"pull": "perhaps"}, "pull"),
    ],
)
def test_setting_that_cannot_be_is_refused_by_its_key(metadata: dict[str, Any], key: str) -> None:
    with pytest.raises(BadRequestError) as refused:
        read_settings(metadata)

    assert refused.value.param == f"metadata.{key}"


def test_setting_that_cannot_be_is_refused_in_plain_words() -> None:
    with pytest.raises(BadRequestError, match=r"^metadata.keep_alive: must be a number of seconds or a duration"):
        read_settings({"keep_alive": "ten minutes"})


def test_metadata_of_others_is_passed_over() -> None:
    assert read_settings({"llama_model": "meta-llama/Llama-3.2-1B", "colour": "bay"}) == read_settings({})


def shown(capabilities: list[str] | None = None, **fields: Any) -> ModelFacts:
    return read_facts(ShowAnswer.model_validate({"capabilities": capabilities, **fields}))


def test_lengths_are_read_under_the_models_architecture() -> None:
    info = {"general.architecture": "bert", "bert.context_length": 512, "bert.embedding_length": 384}

    facts = shown(["embedding"], model_info=info)

    assert facts.metadata(CAPABILITIES) == {
        "model_type": "embedding",
        "context_length": 512,
        "embedding_dimension": 384,
        "capabilities": ["embeddings"],
    }


def test_stop_strings_of_the_modelfile_are_read() -> None:
    parameters = 'num_ctx                        4096\nstop                           "<|eot_id|>"\nstop   "\\nUser:"\nstop  bare'

    assert shown(parameters=parameters).stops == ("<|eot_id|>", "\nUser:", "bare")


@pytest.mark.parametrize(
    ("words", "lacking"),
    [
        (None, set()),
        (["completion", "tools", "vision"], set()),
        (["completion", "tools"], {Capability.vision}),
        (["completion"], {Capability.vision, Capability.tools, Capability.parallel_tool_calls}),
    ],
)
def test_what_a_model_cannot_do_is_taken_from_its_capabilities(
    words: list[str] | None, lacking: set[Capability]
) -> None:
    assert shown(words).lacking() == lacking


def test_old_server_that_says_nothing_narrows_nothing() -> None:
    assert shown().metadata(CAPABILITIES) == {"model_type": "llm"}
