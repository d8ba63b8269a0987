import pytest

from hitchpost.api import JsonObjectResponseFormat, Message
from hitchpost.errors import BadRequestError
from hitchpost.llama import LLAMA2_BEGIN, LLAMA2_END, LlamaFamily, chat_prompt, prompt_text
from tests.llama.conversations import TODAY, assistant, system, user


def test_each_exchange_has_its_own_begin_and_end() -> None:
    prompt = chat_prompt(
        [system("Be brief."), user(" Hi "), assistant("Hello!\n"), user("Who are you?")], LlamaFamily.llama2, TODAY
    )

    assert prompt == [
        LLAMA2_BEGIN,
        "[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHi [/INST] Hello! ",
        LLAMA2_END,
        LLAMA2_BEGIN,
        "[INST] Who are you? [/INST]",
    ]


def test_user_messages_side_by_side_are_one_turn() -> None:
    prompt = chat_prompt([user("a", "context"), user("b")], LlamaFamily.llama2, TODAY)

    assert prompt == [LLAMA2_BEGIN, "[INST] a\n\ncontext\n\nb [/INST]"]


def test_a_form_of_the_answer_joins_the_last_turn() -> None:
    prompt = chat_prompt([user("a")], LlamaFamily.llama2, TODAY, response_format=JsonObjectResponseFormat())

    assert prompt_text(prompt) == "<s>[INST] a\n\nAnswer with nothing but one JSON object. [/INST]"


@pytest.mark.parametrize(
    ("mark", "broken"),
    [("[INST]", "[ INST]"), ("[/INST]", "[ /INST]"), ("<<SYS>>", "< <SYS>>"), ("<</SYS>>", "< </SYS>>")],
)
def test_the_marks_of_turns_are_broken_up_in_messages(mark: str, broken: str) -> None:
    prompt = chat_prompt([system(mark), user(mark), assistant(mark), user(mark)], LlamaFamily.llama2, TODAY)

    text = prompt_text(prompt)
    assert text.count(broken) == 4
    assert [text.count(one) for one in ("[INST]", "[/INST]", "<<SYS>>", "<</SYS>>")] == [2, 2, 1, 1]


@pytest.mark.parametrize(
    ("conversation", "index"),
    [
        ([assistant("a"), user("b")], 0),
        ([user("a"), assistant("b"), assistant("c"), user("d")], 2),
        ([user("a"), assistant("b")], 1),
        ([system("a")], 0),
    ],
)
def test_turns_that_do_not_alternate_are_refused(conversation: list[Message], index: int) -> None:
    with pytest.raises(BadRequestError) as refused:
        chat_prompt(conversation, LlamaFamily.llama2, TODAY)

    assert refused.value.param == f"messages.{index}.role"
