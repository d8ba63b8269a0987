"""Small parts: stop strings, names of models, configs, and what keeps secrets."""

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hitchpost_bedrock.aws.credentials import AwsProviderData
from hitchpost_bedrock.inference.config import BedrockInferenceConfig
from hitchpost_bedrock.inference.model_names import base_of, find_among, find_llama, is_arn
from hitchpost_bedrock.inference.stop_strings import StopCutter


@given(st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=3), st.lists(st.text("abc", max_size=4)))
def test_text_is_cut_at_the_first_stop_string_however_it_comes(stops: list[str], pieces: list[str]) -> None:
    cutter = StopCutter(stops)

    told = "".join([*map(cutter.push, pieces), cutter.finish()])

    text = "".join(pieces)
    assert text.startswith(told)
    assert not any(stop in told for stop in stops)
    assert (cutter.found is not None) == any(stop in text for stop in stops)
    assert told == text or text[len(told) :].startswith(cutter.found or "?")


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("meta.llama3-1-8b-instruct-v1:0", "meta.llama3-1-8b-instruct-v1:0"),
        ("us.meta.llama3-1-8b-instruct-v1:0", "meta.llama3-1-8b-instruct-v1:0"),
        ("arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0", "amazon.nova-lite-v1:0"),
        ("arn:aws:bedrock:us-east-1:1:inference-profile/eu.cohere.embed-v4:0", "cohere.embed-v4:0"),
        ("arn:aws:bedrock:us-east-1:1:provisioned-model/abc", "arn:aws:bedrock:us-east-1:1:provisioned-model/abc"),
    ],
)
def test_model_behind_a_name_is_found(name: str, base: str) -> None:
    assert base_of(name) == base


def test_profile_of_the_region_is_taken_before_the_global_one() -> None:
    served = ["global.meta.llama3-2-1b-instruct-v1:0", "us.meta.llama3-2-1b-instruct-v1:0"]

    assert find_among("meta-llama/Llama-3.2-1B-Instruct", served) == served[1]


def test_llama_behind_a_profile_is_known() -> None:
    found = find_llama("eu.meta.llama3-2-3b-instruct-v1:0")

    assert found is not None
    assert found.repo == "meta-llama/Llama-3.2-3B-Instruct"


@pytest.mark.parametrize("name", ["", "arn:aws:s3:::bucket/key", "arn:aws:bedrock:us-east-1:1:x/../../y z", "a" * 3000])
def test_other_names_are_no_arns(name: str) -> None:
    assert not is_arn(name)


@pytest.mark.parametrize(
    "config",
    [
        {"aws_access_key_id": "AKIA"},
        {"aws_secret_access_key": "secret of mine"},
        {"aws_session_token": "secret of mine"},
        {"region_name": "evil.example.com/"},
        {"endpoint_url": "ftp://x"},
        {"guardrail_identifier": "g"},
        {"guardrail_identifier": "g", "guardrail_version": "latest"},
        {"retry_mode": "forever"},
        {"unknown": 1},
    ],
)
def test_config_that_can_not_be_is_refused_without_its_secrets(config: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as failed:
        BedrockInferenceConfig.model_validate(config)

    assert "secret of mine" not in str(failed.value)


@pytest.mark.parametrize("region", ["us-east-1.evil.example", "x", "../us-east-1", "us-east-1\n"])
def test_region_of_a_caller_can_not_become_another_host(region: str) -> None:
    with pytest.raises(ValidationError):
        AwsProviderData.model_validate({"aws_region": region})


def test_provider_data_for_others_brings_no_identity() -> None:
    assert AwsProviderData.model_validate({"together_api_key": "x", "aws_access_key_id": ""}).identity() is None


def test_secrets_are_in_no_text_form() -> None:
    keys = {"aws_access_key_id": "AKIAX", "aws_secret_access_key": "hush", "aws_session_token": "hush-hush"}
    config, data = BedrockInferenceConfig.model_validate(keys), AwsProviderData.model_validate(keys)

    texts = [repr(config), str(config), json.dumps(config.model_dump(mode="json")), repr(data), repr(data.identity())]

    assert not [text for text in texts if "hush" in text or "AKIAX" in text]


def test_declaring_and_validating_loads_no_boto3() -> None:
    modules = "hitchpost_bedrock.plugin, hitchpost_bedrock.inference.config, hitchpost_bedrock.aws.credentials"
    code = f"import sys, {modules}; print({{'boto3', 'botocore', 'urllib3'}} & set(sys.modules))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "set()"
