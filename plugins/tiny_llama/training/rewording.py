"""Other ways to ask and to type the same question, so that the model learns what a question is about, not its letters."""

import random
import re

from patterns import draw

_PREFIXES = (
    "please",
    "(hi|hello|hey),",
    "(so|and|but|also|now|then|well),",
    "(ok|okay|great|thanks|alright|sorry|hmm),",
    "(can|could|would|will) you (please|) (tell me|explain|say)",
    "(please|) (tell|remind|show) me",
    "(tell me,|say,|listen,|i wonder,|just curious,|by the way,|in short,|briefly,)",
    "i (want|would like|need) to know",
    "(do you know|do you happen to know|any idea)",
    "(quick|one|one more|another|my|next) question:",
    "in Hitchpost,",
)
_SMALL_TALK_PREFIXES = _PREFIXES[:4]
_SUFFIXES = (
    *("please", ", please", "exactly", "in short", "again", "then", "in Hitchpost", "here", ", llama", "by the way"),
    *(
        "in a nutshell",
        "in a few words",
        "to me",
        "to a newcomer",
        "for beginners",
        "today",
        "in simple words",
        "in detail",
    ),
)

# A question of a form on the left may be asked in the forms on the right.
_FORMS = (
    (
        r"what happens (?:when|if) (.+)",
        (
            r"what (if|about when|will happen if|to do when|now when|is done when|would happen if) \1",
            r"(suppose|and if|imagine that|say) \1(, what then|, what happens|, what now|)",
            r"\1(, what now|, what then|, what happens|, what to do)",
        ),
    ),
    (
        r"what does (.+) (?:do|mean)",
        (
            r"what (is|are) \1 (for|good for|used for|there for|about)",
            r"what (is the job of|is the use of|is meant by|can i do with) \1",
            r"(why is there|why do i need|what's meant by|what's) \1",
        ),
    ),
    (
        r"(?:does|can|will) (?:hitchpost|it) (?:support|have|offer|do) (.+)",
        (
            r"(is|are|will) there (|support for |any |be )\1",
            r"(is|are) \1 (possible|supported|available|there|planned|coming)(| yet| already)",
            r"(can i use|do you have|what about|how about|do you plan|may i use|will it have|does it do|it has) \1",
        ),
    ),
    (
        r"(?:how do i|how can i|how to) (.+)",
        (
            r"(i would like to|i want to|i need to|i have to|i must|i plan to|we want to|help me to|i try to) \1",
            r"(is it possible to|what do i need to|can i|what should i do to|what are the steps to|which way is there to) \1",
            r"(how could one|how might i|in what way can i|how does somebody|where do i|how exactly do i) \1",
        ),
    ),
    (
        r"(?:which|what) (.+) (?:are there|exist)",
        (
            r"(do you have|tell me the|list the|show the|are there|name some|how many) \1",
            r"(what|which) \1 (do you have|can i get)",
        ),
    ),
    (
        r"what (?:is|are) (.+)",
        (
            r"(what do you know about|could you define|the meaning of|help me understand|can somebody explain) \1",
            r"(i do not|i don't|i never|we do not) (know|understand|get|learnt) what \1 is",
            r"(what's|what would be|what exactly would|what was|what is meant by|never heard of|something about) \1",
            r"\1(|, what is that|, what does that mean)",
        ),
    ),
    (
        r"(where|which|what|how|why) (is|are|does|do|can) (.+)",
        (
            r"(i wonder|i ask myself|can you say|do you know) \1 \3 \2",
            r"(tell me|say|let me know) \1 \2 \3",
            r"\1 exactly \2 \3",
        ),
    ),
)
_FORMS_COMPILED = tuple((re.compile(form, re.IGNORECASE), others) for form, others in _FORMS)

_SYNONYMS = {
    "what": ("which",),
    "which": ("what",),
    "start": ("run", "launch"),
    "write": ("create", "make", "develop"),
    "show": ("display", "print"),
    "see": ("get", "view"),
    "happens": ("will happen", "would happen"),
    "when": ("if", "in case"),
    "if": ("when",),
    "the": ("a", "this", "that", "my", "your"),
    "a": ("the", "one", "some", "any"),
    "i": ("we", "one", "you"),
    "does": ("will", "can"),
    "can": ("could", "may"),
    "use": ("try", "work with"),
    "need": ("require",),
    "hitchpost": ("the host", "this", "it"),
    "supported": ("possible", "there"),
}
_DROPPABLE = frozenset(re.findall(r"\w+", "the a an is are does do to of i can me my in it for you"))
_FILLERS = (
    "really",
    "exactly",
    "actually",
    "always",
    "also",
    "now",
    "simply",
    "usually",
    "maybe",
    "just",
    "even",
    "here",
)
_ENDINGS = ("?", "?", "?", "?", "", "", "", ".", "!", "!", " ?", "??", "...", " :)")


def reworded(question: str, rng: random.Random, *, is_small_talk: bool, strange_word: str) -> str:
    """Return the question, perhaps in another form, with polite, needless or strange words, or with a word left out."""
    if rng.random() < 0.3 and not is_small_talk:
        question = _in_another_form(question, rng)
    words = question.split(" ")
    if rng.random() < 0.25 and len(words) > 3 and not is_small_talk:
        words = [
            rng.choice(_SYNONYMS[word.lower()]) if word.lower() in _SYNONYMS and rng.random() < 0.4 else word
            for word in words
        ]
    if rng.random() < 0.15 and len(words) > 3:
        words = [word for word in words if word.lower() not in _DROPPABLE or rng.random() < 0.5]
    if rng.random() < 0.15 and len(words) > 2:
        words.insert(rng.randint(1, len(words)), rng.choice((strange_word, *_FILLERS)))
    question = " ".join(words)
    if rng.random() < (0.1 if is_small_talk else 0.3):
        question = f"{draw(rng.choice(_SMALL_TALK_PREFIXES if is_small_talk else _PREFIXES), rng)} {question}"
    if rng.random() < 0.1 and not is_small_talk:
        question = f"{question} {rng.choice(_SUFFIXES)}".replace(" ,", ",")
    return question


def typed(question: str, rng: random.Random) -> str:
    """Return the question as somebody might type it: in upper or lower case, with or without punctuation."""
    case = rng.random()
    if case < 0.45:
        question = re.sub(r"\bi\b", "I", question[0].upper() + question[1:])
    elif case < 0.8:
        question = question.lower()
    elif case < 0.9:
        question = question.upper()
    elif case < 0.95:
        question = question.title()
    return question + rng.choice(_ENDINGS)


def _in_another_form(question: str, rng: random.Random) -> str:
    fitting = [(form, others) for form, others in _FORMS_COMPILED if form.fullmatch(question)]
    if not fitting:
        return question
    form, others = rng.choice(fitting)
    return form.sub(draw(rng.choice(others), rng), question)
