"""`hitchpost models`, `shields`, `memory-banks` and `providers status` against a running host."""

import json

import pytest

from tests.cli.conftest import Run
from tests.processes import HostProcess


def test_model_is_registered_listed_and_unregistered(hitchpost: Run, scripted_host: HostProcess) -> None:
    url = ("--url", scripted_host.url)

    registered = hitchpost("models", "register", "mine", "--provider-model-id", "scripted-two", *url)
    listed = json.loads(hitchpost("models", "list", "--json", *url).output)
    unregistered = hitchpost("models", "unregister", "mine", *url)
    after = hitchpost("models", "list", *url)

    assert registered.output == "registered mine at provider scripted\n"
    assert {model["identifier"]: model["provider_resource_id"] for model in listed}["mine"] == "scripted-two"
    assert unregistered.output == "unregistered mine\n"
    assert "mine" not in after.output


def test_metadata_goes_to_the_host(hitchpost: Run, scripted_host: HostProcess) -> None:
    url = ("--url", scripted_host.url)

    hitchpost(
        "models", "register", "noted", "--provider-model-id", "scripted", "--metadata", '{"context_length": 8192}', *url
    )
    listed = json.loads(hitchpost("models", "--json", *url).output)
    hitchpost("models", "unregister", "noted", *url)

    assert {model["identifier"]: model["metadata"] for model in listed}["noted"] == {"context_length": 8192}


@pytest.mark.parametrize(
    ("given", "message"), [("[1]", "is not a JSON object"), ("{", "is not JSON"), ("nothing", "is not JSON")]
)
def test_metadata_that_is_no_object_is_refused_before_anything_is_sent(
    hitchpost: Run, given: str, message: str
) -> None:
    result = hitchpost("models", "register", "m", "--metadata", given, "--url", "http://127.0.0.1:1")

    assert result.exit_code == 2
    assert message in result.output


def test_refusal_of_the_host_ends_with_its_message(hitchpost: Run, scripted_host: HostProcess) -> None:
    result = hitchpost("models", "register", "m", "--provider-id", "nobody", "--url", scripted_host.url)

    assert result.exit_code == 1
    assert "Provider `nobody` not found" in result.output


@pytest.mark.parametrize("resources", ["models", "shields", "memory-banks"])
def test_unregistering_what_is_not_registered_fails(resources: str, hitchpost: Run, scripted_host: HostProcess) -> None:
    result = hitchpost(resources, "unregister", "nobody", "--url", scripted_host.url)

    assert result.exit_code == 1
    assert "nobody not found" in result.output


def test_vector_bank_needs_an_embedding_model(hitchpost: Run) -> None:
    result = hitchpost("memory-banks", "register", "notes", "--url", "http://127.0.0.1:1")

    assert result.exit_code == 2
    said = " ".join(result.output.split())
    assert "a bank of --type vector, which is the default, needs --embedding-model" in said
    assert "--type keyword and --type keyvalue need none" in said


def test_providers_of_a_running_host_are_shown_with_their_states(hitchpost: Run, scripted_host: HostProcess) -> None:
    table = hitchpost("providers", "status", "--url", scripted_host.url)
    [provider] = json.loads(hitchpost("providers", "status", "--json", "--url", scripted_host.url).output)

    assert "inference" in table.output
    assert (provider["provider_id"], provider["state"], provider["distribution"]) == ("scripted", "ready", "hitchpost")
    assert {served["identifier"] for served in provider["serves"]} >= {"scripted/scripted", "scripted/scripted-two"}


@pytest.mark.parametrize("arguments", [("models",), ("shields",), ("memory-banks", "list"), ("providers", "status")])
def test_host_that_does_not_answer_is_a_clear_error(arguments: tuple[str, ...], hitchpost: Run) -> None:
    result = hitchpost(*arguments, "--url", "http://127.0.0.1:1")

    assert result.exit_code == 1
    assert "no host answers at http://127.0.0.1:1" in result.output
