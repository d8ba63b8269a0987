"""Requests into sequences: the prompt becomes tokens, what the request doesn't say is filled in, and what can't be served is refused."""

import asyncio
import random
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from hitchpost.errors import BadRequestError, ContextLengthExceededError, UnsupportedError
from hitchpost_meta_reference.engine.chat_template import ChatTemplate
from hitchpost_meta_reference.engine.errors import ChatTemplateError, CheckpointError
from hitchpost_meta_reference.engine.protocol import Prompt, Sampling, SegmentsPrompt, Submit, TextPrompt
from hitchpost_meta_reference.engine.sampling_options import SamplingOptions
from hitchpost_meta_reference.engine.scheduler import Sequence
from hitchpost_meta_reference.engine.tokenizer import Tokenizer, encode_prompt

INLINE_CHARS = 8192
"""A prompt up to this size takes a few milliseconds; longer ones are read in a thread, beside the answers of others."""


class CheckpointRequests:
    """The requests to one checkpoint.

    Args:
        tokenizer: of the checkpoint.
        template: its chat template, if it has one.
        vocabulary_size: tokens that the model has an embedding for; a tokenizer may know more.
        context_length: tokens of prompt and answer together.
        max_token_chars: of the longest token's text.
        defaults: sampling that the checkpoint recommends: `temperature`, `top_p`, `top_k`, `repetition_penalty`.
        new_state: makes of options and prompt what the runner needs to sample a sequence.
        seed: of the requests that bring none; None: a new one per process.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        template: ChatTemplate | None,
        *,
        vocabulary_size: int,
        context_length: int,
        max_token_chars: int,
        defaults: Mapping[str, Any],
        new_state: Callable[[SamplingOptions, tuple[int, ...]], Any],
        seed: int | None,
    ) -> None:
        self._tokenizer = tokenizer
        self._template = template
        self._vocabulary_size = vocabulary_size
        self._context_length = context_length
        self._max_prompt_chars = context_length * max_token_chars
        self._defaults = {key: value for key, value in defaults.items() if value is not None}
        self._new_state = new_state
        self._seeds = random.Random(seed)  # noqa: S311 - nothing secret depends on it
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="prompts")

    async def read(self, submit: Submit) -> list[Sequence]:
        """One sequence per choice.

        Raises:
            BadRequestError, UnsupportedError: the request can't be served; the message says why.
        """
        options = [self._options(submit, choice) for choice in range(submit.n)]
        if _size(submit.prompt) <= INLINE_CHARS:
            prompt = self._encode(submit.prompt)
        else:
            loop = asyncio.get_running_loop()
            prompt = await loop.run_in_executor(self._thread, self._encode, submit.prompt)
        if not prompt:
            raise BadRequestError("the prompt is empty", param=_param(submit.prompt))
        if max(prompt) >= self._vocabulary_size:
            raise UnsupportedError(
                f"the prompt has token {max(prompt)}, which the checkpoint's tokenizer knows and its model doesn't",
                param=_param(submit.prompt),
            )
        room = self._context_length - len(prompt)
        if room < 1:
            raise self._too_long(f"the prompt has {len(prompt)} tokens", submit.prompt)
        limit = min(submit.max_tokens or room, room)
        stop_ids = self._tokenizer.eos_ids
        return [Sequence(0, prompt, limit, stop_ids, self._new_state(option, prompt)) for option in options]

    def _encode(self, prompt: Prompt) -> tuple[int, ...]:
        try:
            return tuple(self._tokens(prompt))
        except ChatTemplateError as error:
            raise BadRequestError(str(error), param="messages") from error
        except CheckpointError as error:
            raise UnsupportedError(str(error), param="messages") from error

    def _tokens(self, prompt: Prompt) -> list[int]:
        if isinstance(prompt, TextPrompt):
            self._check_size(len(prompt.text), prompt)
            begin = [] if self._tokenizer.bos_id is None else [self._tokenizer.bos_id]
            return begin + self._tokenizer.encode_text(prompt.text)
        if isinstance(prompt, SegmentsPrompt):
            self._check_size(_size(prompt), prompt)
            return encode_prompt(self._tokenizer, prompt.segments)
        if self._template is None:
            raise UnsupportedError("this checkpoint has no chat template", param="messages")
        segments = self._template.render(prompt.messages, prompt.tools)
        self._check_size(sum(len(segment) for segment in segments if isinstance(segment, str)), prompt)
        return encode_prompt(self._tokenizer, segments)

    def _check_size(self, chars: int, prompt: Prompt) -> None:
        # Before any time is spent on text that no number of tokens could fit.
        if chars > self._max_prompt_chars:
            raise self._too_long(f"the prompt has {chars} characters", prompt)

    def _too_long(self, size: str, prompt: Prompt) -> ContextLengthExceededError:
        return ContextLengthExceededError(
            # Frameworks look for the words before the colon and for those behind it, where they don't look at the code.
            f"the prompt is too long: this model's maximum context length is {self._context_length} tokens, "
            f"of which the answer needs at least one, but {size}; shorten it",
            param=_param(prompt),
        )

    def _options(self, submit: Submit, choice: int) -> SamplingOptions:
        asked = submit.sampling
        for token in asked.logit_bias or ():
            if not 0 <= token < self._tokenizer.vocab_size:
                raise BadRequestError(
                    f"logit_bias names token {token}; the tokens are 0 to {self._tokenizer.vocab_size - 1}",
                    param="logit_bias",
                )
        seed = self._seeds.getrandbits(63) if asked.seed is None else _seed_of(asked.seed, choice)
        try:
            return SamplingOptions(
                temperature=self._said(asked, "temperature", 1.0),
                top_p=self._said(asked, "top_p", 1.0),
                top_k=self._said(asked, "top_k", 0),
                # 0 says "none", as 1 does.
                repetition_penalty=self._said(asked, "repetition_penalty", 1.0) or 1.0,
                presence_penalty=asked.presence_penalty,
                frequency_penalty=asked.frequency_penalty,
                logit_bias=asked.logit_bias or {},
                seed=seed,
                top_logprobs=submit.top_logprobs,
            )
        except ValueError as error:
            raise BadRequestError(str(error), param=str(error).partition(" ")[0]) from error

    def _said(self, asked: Sampling, name: str, default: float) -> Any:
        said = getattr(asked, name)
        return self._defaults.get(name, default) if said is None else said


def _seed_of(seed: int, choice: int) -> int:
    """Choices of one request differ, and the first is what a request for one choice gets."""
    # As an unsigned number: Python's generator takes a negative seed for the positive one.
    return seed % 2**64 if choice == 0 else random.Random(f"{seed} {choice}").getrandbits(63)  # noqa: S311


def _size(prompt: Prompt) -> int:
    """Characters of the prompt's texts; for a conversation about so many."""
    if isinstance(prompt, TextPrompt):
        return len(prompt.text)
    if isinstance(prompt, SegmentsPrompt):
        return sum(len(segment) for segment in prompt.segments if isinstance(segment, str))
    return len(str(prompt.messages)) + len(str(prompt.tools))


def _param(prompt: Prompt) -> str:
    return "content" if isinstance(prompt, TextPrompt) else "messages"


__all__ = ["INLINE_CHARS", "CheckpointRequests"]
