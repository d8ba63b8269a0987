"""Banks of one type and with the same params are cut alike, whoever keeps them."""

import pytest

from hitchpost.api import KeyValueMemoryBank, KeywordMemoryBank, MemoryBank, VectorMemoryBank
from hitchpost.errors import BadRequestError
from hitchpost.ingest import Cut, cut_of


def vector(size: int, overlap: int | None = None) -> VectorMemoryBank:
    return VectorMemoryBank(
        provider_resource_id="b", embedding_model="e", chunk_size_in_tokens=size, overlap_size_in_tokens=overlap
    )


@pytest.mark.parametrize(
    ("bank", "cut"),
    [
        (vector(100), Cut(100, 25)),
        (vector(100, 0), Cut(100, 0)),
        (vector(100, 99), Cut(100, 99)),
        (vector(1), Cut(1, 0)),
        (KeywordMemoryBank(provider_resource_id="b"), Cut(512, 0)),
        (KeyValueMemoryBank(provider_resource_id="b"), Cut(None, 0)),
    ],
)
def test_bank_is_cut_by_its_type_and_params(bank: MemoryBank, cut: Cut) -> None:
    assert cut_of(bank) == cut


@pytest.mark.parametrize("overlap", [100, 101])
def test_chunks_that_would_share_all_that_they_hold_are_refused(overlap: int) -> None:
    with pytest.raises(BadRequestError, match="must be less than chunk_size_in_tokens, which is 100") as refused:
        cut_of(vector(100, overlap))

    assert refused.value.param == "params.overlap_size_in_tokens"
