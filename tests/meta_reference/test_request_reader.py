"""What a checkpoint's tokenizer and template make of a request, where that isn't simply its prompt."""

from pathlib import Path

import pytest
from tokenizers import AddedToken

from hitchpost.errors import UnsupportedError
from hitchpost_meta_reference.engine.protocol import Submit, TextPrompt
from hitchpost_meta_reference.engine.request_reader import CheckpointRequests
from hitchpost_meta_reference.engine.sampling import SamplingState
from hitchpost_meta_reference.engine.tokenizer import load_tokenizer
from tests.meta_reference.tokenizer_files import byte_level, write_tokenizer


@pytest.fixture
def requests(tmp_path: Path) -> CheckpointRequests:
    """To a checkpoint whose tokenizer got a token that its model never did."""
    library = byte_level()
    size = library.get_vocab_size()
    added = AddedToken("[PAD]", special=False, normalized=False)
    return CheckpointRequests(
        load_tokenizer(write_tokenizer(tmp_path, library, added=(added,))),
        None,
        vocabulary_size=size,
        context_length=100,
        max_token_chars=20,
        defaults={},
        new_state=SamplingState,
        seed=0,
    )


async def test_token_that_the_model_has_not_got_is_refused(requests: CheckpointRequests) -> None:
    with pytest.raises(UnsupportedError, match="which the checkpoint's tokenizer knows and its model doesn't"):
        await requests.read(Submit(1, TextPrompt("Hello [PAD]")))


async def test_other_prompts_to_that_checkpoint_are_read(requests: CheckpointRequests) -> None:
    sequences = await requests.read(Submit(1, TextPrompt("Hello"), n=2))

    assert [bool(sequence.prompt) for sequence in sequences] == [True, True]
