from typing import Any

import pytest

from hitchpost.config.secrets import MASK, is_secret_name, masked


@pytest.mark.parametrize(
    "name",
    [
        "key",
        "api_key",
        "apiKey",
        "API_KEY",
        "OPENAI_API_KEY",
        "HF_TOKEN",
        "api-token",
        "aws_secret_access_key",
        "password",
        "DB_PASSWD",
        "credentials",
        "secrets",
        "tokens",
        "api_keys",
        "apiKeys",
        "HF_TOKENS",
        "passwords",
        "pwd",
        "DB_PWD",
        "auth",
        "basicAuth",
        "Authorization",
        "bearer",
        "cookie",
        "Set-Cookie",
    ],
)
def test_names_that_sound_like_secrets_are_known(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "max_tokens",
        "chunk_size_in_tokens",
        "MAX_NEW_TOKENS",
        "stop_tokens",
        "author",
        "access",
        "keyword",
        "tokenizer",
        "monkey",
        "url",
        "model_id",
        "OLLAMA_URL",
        "",
        7,
        None,
    ],
)
def test_other_names_are_no_secrets(name: Any) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"api_key": "sk-1", "url": "http://h/"}, {"api_key": MASK, "url": "http://h/"}),
        ({"tokens": ["a"], "token": ["a", {"b": "c"}]}, {"tokens": MASK, "token": MASK}),
        ({"secrets": {"pin": 1234, "deep": {"a": "b"}}, "keys": [7]}, {"secrets": MASK, "keys": MASK}),
        (
            {"headers": {"Authorization": "Bearer x", "Accept": "a"}},
            {"headers": {"Authorization": MASK, "Accept": "a"}},
        ),
        ({"auth": {}, "cookies": []}, {"auth": {}, "cookies": []}),
        ({"token": "", "password": None, "key": 7}, {"token": "", "password": None, "key": 7}),
        ("postgres://me:pw@host/db", f"postgres://{MASK}@host/db"),
        ("https://h/x?api_key=sk-1&limit=3", f"https://h/x?api_key={MASK}&limit=3"),
        ("mail me@host", "mail me@host"),
        ([True, None, 1.5], [True, None, 1.5]),
    ],
)
def test_secrets_are_masked_and_the_rest_is_not(value: Any, shown: Any) -> None:
    assert masked(value) == shown
