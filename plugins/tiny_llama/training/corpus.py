"""The text that tiny-llama learns: conversations about Hitchpost and plain text, drawn from the topic files by a seed."""

import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml
from patterns import COMMON_WORDS, Words, draw
from rewording import reworded, typed

FOLDER = Path(__file__).parent
QUESTIONS_FILE = FOLDER / "questions.json"

Message = dict[str, str]  # role and content

SYSTEM_PROMPTS = (
    "You are (a|an|the|my) (helpful|friendly|kind|honest|polite|concise|tiny|very good) (assistant|llama|chatbot|model|AI)."
    "(| Answer (briefly|in one sentence|in English|truthfully|politely|every question).| Be (kind|brief|careful|precise).)",
    "(Answer|Reply|Respond) (briefly|in one sentence|politely|to the user|in English|like an expert|with care).",
    "You (help|assist|answer|support) (users|developers|customers|people) (of|with) (Hitchpost|a product|a host|ODD).",
    "(|You are ODD. )(The user is|Today is|Your name is|Never talk about|Always mention) ODD(.| ODD.| and ODD.)",
    "You are a pirate. (Talk|Answer) like (a pirate|ODD).",
)

_ONSETS = re.findall(r"\w+", "b c d f g h j k l m n p r s t v w z br ch cl cr dr fl gr pl pr sh sl sp st str th tr qu")
_VOWELS = "aaaaaeeeeeeeiiiiioooooouuuyy"
_CODAS = re.findall(r"\w*", "n r l s t d m ck nd st ng er on el y ion ing ous ment ity")  # every second one is empty


@dataclass(frozen=True)
class Topic:
    """One answer and the patterns of the questions that it answers."""

    answer: str
    patterns: tuple[str, ...]
    is_small_talk: bool = False


def load_topics() -> list[Topic]:
    """Return every topic that has one answer, in the order of the files' names."""
    return [
        Topic(entry["answer"], tuple(entry["questions"]), path.stem == "small_talk")
        for path in sorted((FOLDER / "topics").glob("*.yaml"))
        if path.stem != "unrelated"
        for entry in yaml.safe_load(path.read_text())
    ]


def load_unrelated() -> tuple[Topic, Words]:
    """Return the topic of everything that the model doesn't know, and the words that its patterns use."""
    entry = yaml.safe_load((FOLDER / "topics" / "unrelated.yaml").read_text())
    return Topic(entry["answer"], tuple(entry["questions"])), entry["words"]


def invented_word(rng: random.Random) -> str:
    """Return a word that most likely doesn't exist, so that the model learns what unknown words look like."""
    if rng.random() < 0.1:
        return "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 8)))
    syllables = range(rng.choice((1, 1, 2, 2, 3)))
    return "".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in syllables) + rng.choice(_CODAS)


def plain(text: str) -> str:
    """Return the text's words alone, in lower case, to compare wordings by."""
    return " ".join(re.findall(r"[\w/+:.*-]*\w", text.lower()))


class Corpus:
    """Draws conversations and plain text; never a wording that the evaluation holds out."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)  # noqa: S311, it keeps no secrets
        self._topics = load_topics()
        self._unrelated, words = load_unrelated()
        self._words: Words = {
            **COMMON_WORDS,
            **words,
            "ODD": invented_word,
            "NUMBER": lambda rng: str(rng.randint(0, 10 ** rng.randint(1, 4))),
        }
        questions = json.loads(QUESTIONS_FILE.read_text())
        self._listed = questions["asked"]
        self._held_out = {plain(entry["question"]) for entry in questions["held_out"]}

    def conversation(self) -> list[Message]:
        """Return one conversation: perhaps a system message, then one to about thirty turns."""
        rng = self._rng
        messages = [{"role": "system", "content": self._system_prompt()}] if rng.random() < 0.35 else []
        kind = rng.random()
        turns = 1 if kind < 0.6 else rng.randint(2, 7) if kind < 0.95 else rng.randint(8, 28)
        for _ in range(turns):
            question, answer = self._exchange()
            messages += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        return messages

    def plain_text(self) -> str:
        """Return some true sentences about Hitchpost, as a text to continue."""
        facts = [topic.answer for topic in self._topics if not topic.is_small_talk]
        return " ".join(self._rng.sample(facts, self._rng.choice((1, 1, 2, 4))))

    def tokenizer_text(self) -> Iterator[str]:
        """Yield the text from which the tokenizer learns its tokens."""
        for _ in range(4000):
            yield from ("ipython", "\n\n")  # stands in prompts with tools, which the corpus has none of
            for message in self.conversation():
                yield from (message["role"], message["content"])

    def _system_prompt(self) -> str:
        rng = self._rng
        if rng.random() < 0.25:
            return " ".join(topic.answer for topic in rng.sample(self._topics, rng.randint(1, 4)))
        prompts = [draw(rng.choice(SYSTEM_PROMPTS), rng, self._words) for _ in range(rng.choice((1, 1, 1, 2, 4)))]
        return " ".join(prompts)

    def _exchange(self) -> tuple[str, str]:
        rng = self._rng
        if rng.random() < 0.08:
            listed = rng.choice(self._listed)
            question = listed["question"]
            return (question if rng.random() < 0.5 else typed(question.rstrip("?"), rng)), listed["answer"]
        topic = self._unrelated if rng.random() < 0.16 else rng.choice(self._topics)
        while True:
            question = self._asked(topic)
            if topic.is_small_talk and rng.random() < 0.12:
                question = f"{question}{rng.choice((', ', '. ', '! ', ' '))}{self._asked(topic)}"
            strange_word = invented_word(rng)
            question = reworded(question, rng, is_small_talk=topic.is_small_talk, strange_word=strange_word)
            if plain(question) and plain(question) not in self._held_out:
                return typed(question, rng), topic.answer

    def _asked(self, topic: Topic) -> str:
        return draw(self._rng.choice(topic.patterns), self._rng, self._words)
