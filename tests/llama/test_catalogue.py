import dataclasses

import pytest

from hitchpost.api import ToolPromptFormat
from hitchpost.llama import LLAMA_MODELS, LlamaFamily, LlamaModel, find_llama_model


@pytest.mark.parametrize(
    ("descriptor", "repo", "context_length", "family", "is_supported"),
    [
        ("Llama3.1-8B", "Llama-3.1-8B", 131_072, "llama3_1", True),
        ("Llama3.1-70B-Instruct", "Llama-3.1-70B-Instruct", 131_072, "llama3_1", True),
        ("Llama3.1-405B", "Llama-3.1-405B-FP8", 131_072, "llama3_1", True),
        ("Llama3.1-405B-Instruct", "Llama-3.1-405B-Instruct-FP8", 131_072, "llama3_1", True),
        ("Llama3.1-405B-Instruct:bf16-mp16", "Llama-3.1-405B-Instruct", 131_072, "llama3_1", True),
        ("Llama3.2-1B", "Llama-3.2-1B", 131_072, "llama3_2_text", True),
        ("Llama3.2-3B-Instruct", "Llama-3.2-3B-Instruct", 131_072, "llama3_2_text", True),
        ("Llama3.2-1B-Instruct:int4-qlora-eo8", "Llama-3.2-1B-Instruct-QLORA_INT4_EO8", 8192, "llama3_2_text", True),
        (
            "Llama3.2-3B-Instruct:int4-spinquant-eo8",
            "Llama-3.2-3B-Instruct-SpinQuant_INT4_EO8",
            8192,
            "llama3_2_text",
            True,
        ),
        ("Llama3.2-11B-Vision", "Llama-3.2-11B-Vision", 131_072, "llama3_2_vision", True),
        ("Llama3.2-90B-Vision-Instruct", "Llama-3.2-90B-Vision-Instruct", 131_072, "llama3_2_vision", True),
        ("Llama-Guard-3-8B", "Llama-Guard-3-8B", 131_072, "guard", True),
        ("Llama-Guard-3-11B-Vision", "Llama-Guard-3-11B-Vision", 131_072, "guard", True),
        ("Llama-Guard-3-8B:int8", "Llama-Guard-3-8B-INT8", 131_072, "guard", False),
        ("Llama-Guard-3-1B:int4", "Llama-Guard-3-1B-INT4", 131_072, "guard", False),
        ("Llama-Guard-2-8B", "Llama-Guard-2-8B", 4096, "guard", False),
        ("Llama-3-70B-Instruct", "Llama-3-70B-Instruct", 8192, "llama3", False),
        ("Llama-2-7b", "Llama-2-7b", 4096, "llama2", False),
        ("Llama-2-13b-chat", "Llama-2-13b-chat", 4096, "llama2", False),
        ("Prompt-Guard-86M", "Prompt-Guard-86M", 2048, "prompt_guard", False),
    ],
)
def test_a_model_is_found_by_its_descriptor(
    descriptor: str, repo: str, context_length: int, family: str, is_supported: bool
) -> None:
    model = find_llama_model(descriptor)

    assert model is not None
    assert dataclasses.replace(model, aliases=()) == LlamaModel(
        descriptor, f"meta-llama/{repo}", context_length, LlamaFamily(family), is_supported
    )


@pytest.mark.parametrize("model", LLAMA_MODELS, ids=lambda model: model.descriptor)
def test_each_name_of_a_model_finds_that_repository(model: LlamaModel) -> None:
    found = {name: find_llama_model(name) for name in (model.descriptor, model.repo, *model.aliases)}

    assert {name: other.repo if other else None for name, other in found.items()} == dict.fromkeys(found, model.repo)


def test_no_two_models_share_a_descriptor_or_an_alias() -> None:
    names = [name for model in LLAMA_MODELS for name in (model.descriptor, *model.aliases)]

    assert len(names) == len(set(names))


def test_the_catalogue_holds_all_models_of_its_source() -> None:
    assert len(LLAMA_MODELS) == 10 + 12 + 7 + 10


def test_a_shared_repository_finds_the_first_of_its_variants() -> None:
    model = find_llama_model("meta-llama/Llama-3.1-405B-Instruct")

    assert model is not None
    assert model.descriptor == "Llama3.1-405B-Instruct:bf16-mp8"


@pytest.mark.parametrize(
    ("alias", "descriptor"),
    [
        ("llama3.2:3b-instruct-fp16", "Llama3.2-3B-Instruct"),
        ("llama3.1:8b", "Llama3.1-8B-Instruct"),
        ("llama3.2-vision", "Llama3.2-11B-Vision-Instruct"),
        ("llama-guard3:1b", "Llama-Guard-3-1B"),
        ("meta-llama/Meta-Llama-3.1-405B-Instruct-Turbo", "Llama3.1-405B-Instruct"),
        ("fireworks/llama-v3p2-90b-vision-instruct", "Llama3.2-90B-Vision-Instruct"),
        ("meta.llama3-1-70b-instruct-v1:0", "Llama3.1-70B-Instruct"),
        ("databricks-meta-llama-3-1-405b-instruct", "Llama3.1-405B-Instruct"),
        ("meta-llama/Meta-Llama-3-8B-Instruct", "Llama-3-8B-Instruct"),
    ],
)
def test_a_provider_s_name_finds_the_model(alias: str, descriptor: str) -> None:
    model = find_llama_model(alias)

    assert model is not None
    assert model.descriptor == descriptor


@pytest.mark.parametrize(
    "name",
    ["", "Llama3.1-8B-Instruc", "llama3.1-8b-instruct", "Llama-3.1-8B-Instruct", "my-Llama3.1-8B-Instruct", "gpt-4"],
)
def test_a_name_that_is_only_similar_finds_nothing(name: str) -> None:
    assert find_llama_model(name) is None


@pytest.mark.parametrize(
    ("family", "formats"),
    [
        ("llama2", ()),
        ("llama3", ()),
        ("llama3_1", ("json", "function_tag")),
        ("llama3_2_vision", ("json", "function_tag")),
        ("llama3_2_text", ("python_list",)),
        ("guard", ()),
        ("prompt_guard", ()),
    ],
)
def test_a_family_says_which_tool_formats_it_understands_its_own_first(family: str, formats: tuple[str, ...]) -> None:
    assert LlamaFamily(family).tool_prompt_formats == tuple(map(ToolPromptFormat, formats))
