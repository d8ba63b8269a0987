"""Checks of plain answers: that there is one, to whatever kind of conversation."""

import re

from hitchpost.api import Api, Capability
from hitchpost.conformance.check import CheckFailed, check
from hitchpost.conformance.harness import Harness
from hitchpost.conformance.inference.subject import InferenceSubject

_PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="


class AnswerChecks(InferenceSubject):
    """The model answers, in words."""

    @check(
        "chat.answers",
        why="it is what every caller begins with",
        advice="look at the request that reaches the backend, or set chat_prompt and chat_expected to what the model can answer",
        needs=Capability.chat,
    )
    async def test_chat_answers_what_is_expected(self, harness: Harness) -> None:
        """`chat_prompt` is answered with text in which `chat_expected` is found."""
        [choice] = (await self.whole(harness, self.chat())).choices
        if not re.search(self.chat_expected, choice.text):
            raise CheckFailed(f"the answer is {choice.text!r}, without {self.chat_expected!r}")

    @check(
        "chat.conversation",
        why="applications send instructions, several messages of the user in a row and what the model said before",
        advice="translate every role, and join messages of one role where the backend wants them to alternate",
        needs=Capability.chat,
    )
    async def test_chat_takes_a_whole_conversation(self, harness: Harness) -> None:
        """A conversation of system, user, user, assistant and user messages, some of several parts, is answered."""
        messages = [
            {"role": "system", "content": "You are brief."},
            {"role": "user", "content": "My name is Ada."},
            {"role": "user", "content": ["I live", "in Oslo."], "context": "Oslo is the capital of Norway."},
            {"role": "assistant", "content": "Noted.", "stop_reason": "end_of_turn"},
            {"role": "user", "content": self.chat_prompt},
        ]
        [choice] = (await self.whole(harness, self.chat(messages=messages))).choices
        if not choice.text.strip():
            raise CheckFailed(f"the answer is {choice.text!r}")

    @check(
        "chat.image",
        why="the type says that it can see; a request with an image then reaches it",
        advice="translate ImageMedia, data: URLs included, or take `vision` out of the capabilities",
        needs=(Capability.chat, Capability.vision),
    )
    async def test_chat_takes_an_image(self, harness: Harness) -> None:
        """A message with text and an image is answered."""
        messages = [{"role": "user", "content": ["What is this?", {"image": {"uri": _PIXEL}}]}]
        [choice] = (await self.whole(harness, self.chat(messages=messages))).choices
        if not choice.text.strip():
            raise CheckFailed(f"the answer is {choice.text!r}")

    @check(
        "completion.answers",
        why="it is what every caller of completions begins with",
        advice="send the text without a chat template, or set completion_prompt and completion_expected to what the model can continue",
        needs=Capability.completion,
    )
    async def test_completion_continues_as_expected(self, harness: Harness) -> None:
        """`completion_prompt` is continued by text in which `completion_expected` is found."""
        router = await harness.router(Api.inference)
        answer = await harness.within(router.completion(self.completion(), harness.context()), "a completion")
        [choice] = answer.choices
        if not re.search(self.completion_expected, choice.text):
            raise CheckFailed(f"the continuation is {choice.text!r}, without {self.completion_expected!r}")

    @check(
        "completion.echo",
        why="a caller that asks for the prompt in front of the continuation compares it byte by byte",
        advice="yield the prompt as text before the continuation when request.echo is set",
        needs=Capability.completion,
    )
    async def test_completion_echoes_the_prompt(self, harness: Harness) -> None:
        """With `echo` the continuation begins with the prompt."""
        router = await harness.router(Api.inference)
        request = self.completion(echo=True)
        answer = await harness.within(router.completion(request, harness.context()), "a completion")
        [choice] = answer.choices
        if not choice.text.startswith(self.completion_prompt):
            raise CheckFailed(f"with echo the text begins with {choice.text[:80]!r}")


__all__ = ["AnswerChecks"]
