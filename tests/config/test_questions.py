"""The prompting rules, one kind of field at a time."""

from enum import Enum
from typing import Annotated, Any, Literal, Self

import pytest
from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator

from hitchpost.config.questions import Questions
from hitchpost.store import SqliteStoreConfig, StoreConfig
from tests.config.answers import Answers


class Colour(Enum):
    red = "#f00"
    blue = "#00f"


class Empty(BaseModel):
    pass


class Sub(BaseModel):
    size: Annotated[int, Field(ge=1)] = 1


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    name: str


Pet = Annotated[Cat | Dog, Field(discriminator="kind")]


def one_field(annotation: Any, default: Any = ...) -> type[BaseModel]:
    """A model with the field `x`."""
    return type(
        "Model", (BaseModel,), {"__annotations__": {"x": annotation}, **({} if default is ... else {"x": default})}
    )


def ask(model: type[BaseModel], *answers: str, existing: Any = None, **environ: str) -> tuple[Any, Answers]:
    person = Answers(answers)
    result = Questions(person, environ).ask_model(model, existing or {})
    assert person.left == []
    return result, person


# --- what isn't asked ---


@pytest.mark.parametrize(
    ("annotation", "default", "result"),
    [
        (Literal["fixed"], "fixed", {}),
        (Literal["fixed"], ..., {"x": "fixed"}),
        (Empty, Empty(), {}),
        (Empty, ..., {"x": {}}),
    ],
)
def test_what_can_be_only_one_thing_is_not_asked(annotation: Any, default: Any, result: Any) -> None:
    answers, person = ask(one_field(annotation, default))

    assert answers == result
    assert person.asked == []


# --- scalars ---


@pytest.mark.parametrize(
    ("annotation", "default", "existing", "question"),
    [
        (int, ..., {}, "x (required): "),
        (int, 5, {}, "x [5]: "),
        (int, 5, {"x": 7}, "x [7]: "),
        (int | None, None, {}, "x (optional) [none]: "),
        (int | None, 5, {"x": None}, "x (optional) [none]: "),
        (str, "a", {"x": "${env.A}"}, "x [${env.A}]: "),
        (Colour, Colour.red, {}, "x, one of red, blue [red]: "),
        (Literal["a", "b"], "a", {}, "x, one of a, b [a]: "),
        (list[str], ["a"], {}, 'x, as JSON [["a"]]: '),
    ],
)
def test_question_says_what_is_there_what_stands_by_itself_and_whether_it_is_needed(
    annotation: Any, default: Any, existing: Any, question: str
) -> None:
    _, person = ask(
        one_field(annotation, default),
        "red" if annotation is Colour else "" if default is not ... else "1",
        existing=existing,
    )

    assert person.asked == [question]


@pytest.mark.parametrize(
    ("annotation", "default", "existing", "answer", "result"),
    [
        (int, 5, {}, "", {}),
        (int, 5, {"x": 7}, "", {"x": 7}),
        (int | None, ..., {}, "", {"x": None}),
        (int | None, 5, {}, "none", {"x": None}),
        (int | None, 5, {"x": 7}, "none", {"x": None}),
        (str, "a", {}, "none", {"x": "none"}),
        (int, ..., {}, "8", {"x": 8}),
        (float, ..., {}, "0.5", {"x": 0.5}),
        (bool, ..., {}, "true", {"x": True}),
        (bool, ..., {}, "yes", {"x": "yes"}),
        (str, ..., {}, "8", {"x": "8"}),
        (int, ..., {}, "${env.PORT:8}", {"x": "${env.PORT:8}"}),
        (Colour, ..., {}, "blue", {"x": "#00f"}),
        (Literal["a", 1], ..., {}, "1", {"x": 1}),
        (list[int], ..., {}, "[1, 2]", {"x": [1, 2]}),
        (dict[str, int], ..., {}, '{"a": 1}', {"x": {"a": 1}}),
        (list[Sub], ..., {}, '[{"size": 2}]', {"x": [{"size": 2}]}),
        (str | list[str], ..., {}, '["a"]', {"x": ["a"]}),
        (str | list[str], ..., {}, "a b", {"x": "a b"}),
    ],
)
def test_answer_becomes_the_value_that_stands_in_the_file(
    annotation: Any, default: Any, existing: Any, answer: str, result: Any
) -> None:
    assert ask(one_field(annotation, default), answer, existing=existing)[0] == result


@pytest.mark.parametrize(
    ("annotation", "wrong", "right", "why"),
    [
        (int, "", "1", "A value is needed."),
        (int, "many", "1", "That can't be: x: input should be a valid integer, unable to parse string as an integer"),
        (Annotated[int, Field(ge=1)], "0", "1", "That can't be: x: input should be greater than or equal to 1"),
        (Colour, "green", "red", "That is none of red, blue."),
        (list[int], "1, 2", "[1]", "That is no JSON."),
        (
            list[int],
            '["a"]',
            "[1]",
            "That can't be: x[0]: input should be a valid integer, unable to parse string as an integer",
        ),
        (
            int,
            "${env.WORD}",
            "1",
            "That can't be: x: input should be a valid integer, unable to parse string as an integer",
        ),
    ],
)
def test_wrong_answer_is_asked_again_with_what_is_wrong(annotation: Any, wrong: str, right: str, why: str) -> None:
    _, person = ask(one_field(annotation), wrong, right, WORD="many")

    assert person.told == [why]


def test_placeholder_whose_variable_is_not_set_is_taken_as_it_is() -> None:
    assert ask(one_field(int), "${env.NOT_SET}")[0] == {"x": "${env.NOT_SET}"}


def test_check_of_the_fields_own_is_asked() -> None:
    class Checked(BaseModel):
        url: str
        """Where it is."""
        size: int

        @field_validator("url")
        @classmethod
        def check(cls, value: str) -> str:
            if "://" not in value:
                raise ValueError("no scheme")
            return value

    answers, person = ask(Checked, "host", "http://host", "1")

    assert answers == {"url": "http://host", "size": 1}
    assert person.told == ["That can't be: url: no scheme"]


def test_check_of_the_whole_asks_all_again_with_the_answers_as_they_are() -> None:
    class Range(BaseModel):
        low: int
        high: int

        @model_validator(mode="after")
        def check(self) -> Self:
            if self.low > self.high:
                raise ValueError("low is above high")
            return self

    answers, person = ask(Range, "5", "1", "", "9")

    assert answers == {"low": 5, "high": 9}
    assert person.told == ["That does not fit together: config: low is above high"]


def test_check_that_fails_in_its_own_way_is_told_and_no_trap() -> None:
    class Broken(BaseModel):
        x: int

        @model_validator(mode="before")
        @classmethod
        def check(cls, value: Any) -> Any:
            raise KeyError("defect")

    answers, person = ask(Broken, "1")

    assert answers == {"x": 1}
    assert person.told == ["The check of Broken failed with KeyError."]


def test_keys_that_nobody_asked_about_stay() -> None:
    class Strict(BaseModel, extra="forbid"):
        x: int = 1

    answers, person = ask(Strict, "2", existing={"mine": 1})

    assert answers == {"mine": 1, "x": 2}
    assert person.told == ["That does not fit together: mine: unknown key"]


# --- models in models ---


def test_fields_of_a_model_are_asked_under_its_name() -> None:
    answers, person = ask(one_field(Sub, Sub()), "0", "3")

    assert answers == {"x": {"size": 3}}
    assert person.asked[0] == "x.size [1]: "


def test_model_that_stays_at_its_defaults_is_not_written() -> None:
    assert ask(one_field(Sub, Sub()), "")[0] == {}


@pytest.mark.parametrize(
    ("existing", "answers", "result"),
    [
        ({}, [""], {}),
        ({}, ["n"], {}),
        ({}, ["y", "2"], {"x": {"size": 2}}),
        ({}, ["perhaps", "Y", ""], {"x": {}}),
        ({"x": {"size": 4}}, ["", ""], {"x": {"size": 4}}),
        ({"x": {"size": 4}}, ["n"], {}),
    ],
)
def test_optional_model_is_asked_for_first(existing: Any, answers: list[str], result: Any) -> None:
    assert ask(one_field(Sub | None, None), *answers, existing=existing)[0] == result


@pytest.mark.parametrize(
    ("existing", "answers", "result"),
    [
        ({}, ["cat", ""], {"x": {"kind": "cat"}}),
        ({}, ["2", "rex"], {"x": {"kind": "dog", "name": "rex"}}),
        ({}, ["bird", "cat", "3"], {"x": {"kind": "cat", "lives": 3}}),
        ({"x": {"kind": "dog", "name": "rex"}}, ["", ""], {"x": {"kind": "dog", "name": "rex"}}),
        ({"x": {"kind": "dog", "name": "rex"}}, ["cat", ""], {"x": {"kind": "cat"}}),
    ],
)
def test_one_of_several_models_is_chosen_by_its_tag(existing: Any, answers: list[str], result: Any) -> None:
    assert ask(one_field(Pet), *answers, existing=existing)[0] == result


def test_store_is_chosen_by_its_type() -> None:
    answers, _ = ask(one_field(StoreConfig, SqliteStoreConfig()), "", "", "/tmp/x.db")

    assert answers == {"x": {"type": "sqlite", "db_path": "/tmp/x.db"}}


# --- secrets ---


@pytest.mark.parametrize(
    ("annotation", "default", "existing", "answers", "result"),
    [
        (SecretStr, ..., {}, ["ACME_KEY"], {"x": "${env.ACME_KEY}"}),
        (SecretStr, ..., {}, ["${env.ACME_KEY:}"], {"x": "${env.ACME_KEY:}"}),
        (SecretStr, ..., {}, ["", "sk-secret", "ACME_KEY"], {"x": "${env.ACME_KEY}"}),
        (SecretStr | None, None, {}, [""], {}),
        (SecretStr | None, None, {"x": "${env.OLD}"}, ["none"], {"x": None}),
        (SecretStr | None, None, {"x": "${env.OLD}"}, [""], {"x": "${env.OLD}"}),
        (SecretStr | None, None, {"x": "sk-secret"}, [""], {"x": "sk-secret"}),
        (SecretStr | None, None, {"x": "sk-secret"}, ["NEW"], {"x": "${env.NEW}"}),
    ],
)
def test_secret_is_written_as_the_variable_that_holds_it(
    annotation: Any, default: Any, existing: Any, answers: list[str], result: Any
) -> None:
    found, person = ask(one_field(annotation, default), *answers, existing=existing)

    assert found == result
    assert "sk-secret" not in "".join((*person.asked, *person.told))


def test_text_whose_name_sounds_like_a_secret_is_one() -> None:
    class Acme(BaseModel):
        api_token: str

    answers, person = ask(Acme, "hunter2", "ACME_TOKEN")

    assert answers == {"api_token": "${env.ACME_TOKEN}"}
    assert "was not written" in person.told[0]


def test_password_in_an_address_is_pointed_out() -> None:
    _, person = ask(one_field(str), "http://me:pw@host")

    assert person.told == ["A password in an address goes into the file as it is; ${env.NAME} would not."]
