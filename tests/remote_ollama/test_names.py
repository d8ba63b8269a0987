"""Names of models."""

import pytest

from hitchpost_remote_ollama.names import find_among, ollama_names


@pytest.mark.parametrize(
    ("asked", "served"),
    [
        ("tiny", "tiny:latest"),
        ("tiny:latest", "tiny:latest"),
        ("TINY", "tiny:latest"),
        ("tiny", "Tiny:latest"),
        ("library/tiny", "tiny:latest"),
        ("registry.ollama.ai/library/tiny:latest", "tiny:latest"),
        ("hf.co/someone/tiny-GGUF", "hf.co/someone/tiny-GGUF:latest"),
        ("localhost:5000/me/tiny", "localhost:5000/me/tiny:latest"),
        ("meta-llama/Llama-3.2-1B-Instruct", "llama3.2:1b-instruct-fp16"),
        ("Llama3.2-1B-Instruct", "llama3.2:1b"),
        ("Llama-Guard-3-8B", "llama-guard3:8b"),
        ("meta-llama/Llama-3.2-11B-Vision-Instruct", "llama3.2-vision:latest"),
    ],
)
def test_name_finds_what_ollama_would_take_it_for(asked: str, served: str) -> None:
    assert find_among(asked, ["other:latest", served]) == served


@pytest.mark.parametrize(
    ("asked", "served"),
    [
        ("tiny", "tiny:1b"),
        ("tiny:1b", "tiny:latest"),
        ("me/tiny", "tiny:latest"),
        ("llama3.2:1b", "llama3.2:1b-instruct-fp16"),
        ("meta-llama/Llama-3.2-1B", "llama3.2:1b"),
    ],
)
def test_name_does_not_find_another_model(asked: str, served: str) -> None:
    assert find_among(asked, [served]) is None


def test_full_precision_is_preferred_where_both_are_there() -> None:
    served = ["llama3.1:8b", "llama3.1:8b-instruct-fp16"]

    assert find_among("meta-llama/Llama-3.1-8B-Instruct", served) == "llama3.1:8b-instruct-fp16"


def test_names_to_pull_are_those_of_ollamas_library_only() -> None:
    assert ollama_names("meta-llama/Llama-3.1-8B-Instruct") == ["llama3.1:8b-instruct-fp16", "llama3.1:8b"]
