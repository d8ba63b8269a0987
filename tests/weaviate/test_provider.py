"""What a provider does with a Weaviate that is well."""

import pytest

from tests.weaviate.conftest import MakeBank

DOCUMENTS = {
    "oslo": "Oslo is the capital of Norway. The city lies at the end of a fjord.",
    "bread": "Bread is baked from flour, water, salt and yeast.",
    "python": "Python is a programming language.",
}


@pytest.mark.parametrize(
    ("kind", "query"), [("vector", "capital of Norway"), ("keyword", "Norway"), ("keyvalue", "oslo")]
)
async def test_document_is_found_in_every_type_of_bank(kind: str, query: str, make_bank: MakeBank) -> None:
    bank = await make_bank(kind)

    reports = await bank.insert(DOCUMENTS)

    assert reports == dict.fromkeys(DOCUMENTS)
    assert (await bank.found(query))[0] == "oslo"
