"""A policy that cannot be used is refused when it is loaded, with the place, the word and what is known."""

from pathlib import Path

import pytest

from models.policy.policy_file import PolicyError, compile_policy, load_policy, parse_policy
from models.policy.program import Program, RulesError
from schemas.policy import Policy, Rule
from tests.models.policy.columns import KNOWN

SNAPSHOTS = Path(__file__).with_name("errors")
HEAD = "name: fraud\nversion: 1\nlists: [blocked]\nrules:\n"
CONDITIONS = {
    "an_unknown_name": "amount > 500 AND contry = 'DE'",
    "an_unknown_feature": "feature.hour_of_dy > 22",
    "an_unknown_group": "payment.amount > 22",
    "a_number_and_a_text": "amount > '500'",
    "a_text_and_a_number": "country = 5",
    "a_flag_and_a_text": "flag = 'yes'",
    "no_condition": "amount + 1",
    "a_condition_of_a_text": "country AND flag",
    "an_unknown_function": "LEFT(country, 2) = 'DE'",
    "an_unknown_operator": "number % 2 = 1",
    "a_query": "number IN (SELECT 1)",
    "a_second_statement": "flag; flag",
    "an_unknown_list": "device IN LIST('blokced')",
    "a_list_of_flags": "flag IN LIST('blocked')",
    "a_list_alone": "LIST('blocked')",
    "an_end_that_is_missing": "amount > 500 AND",
    "an_open_quote": "country = 'DE",
    "an_open_parenthesis": "(amount > 500",
    "a_comparison_with_null": "country = NULL",
    "a_pattern_in_the_middle": "device LIKE 'a%b'",
    "an_escape": "device LIKE 'a!%' ESCAPE '!'",
    "a_number_beyond_all": "amount > 1e400",
    "an_empty_in": "country IN ()",
    "a_column_in_in": "country IN (word)",
    "an_order_of_flags": "flag < other_flag",
}


def refused(text: str) -> str:
    with pytest.raises(PolicyError) as found:
        compile_policy(parse_policy(text, "rules.yaml"), KNOWN, text, "rules.yaml")
    return str(found.value)


@pytest.mark.parametrize("name", CONDITIONS)
def test_the_whole_message_is_the_one_on_file(name: str) -> None:
    """A change of words is a change that someone has read: tests/models/policy/errors holds them."""
    condition = CONDITIONS[name]
    text = f"{HEAD}  - name: tried\n    words: tried\n    owner: me\n    action: review\n    condition: |\n      {condition}\n"
    found = refused(text) + "\n"
    file = SNAPSHOTS / f"{name}.txt"
    if not file.exists():  # a new one is written, to be read and committed
        file.write_text(found, encoding="utf-8")
        pytest.fail(f"{file.name} is new: read it")
    assert found == file.read_text(encoding="utf-8")


def test_a_place_is_found_in_every_style_of_yaml() -> None:
    """Plain, quoted, folded over lines: line and column are the file's."""
    rule = "  - {{name: {0}, words: w, owner: me, action: review, condition: {1}}}\n"
    text = HEAD + rule.format("a", "nope = 1") + rule.format("b", '"nope = 1"')
    text += "  - name: c\n    words: w\n    owner: me\n    action: review\n    condition: |\n      amount > 1\n"
    text += "      AND nope = 1\n"
    found = refused(text)
    lines = text.splitlines()
    for line, column in (
        (5, lines[4].index("nope") + 1),
        (6, lines[5].index("nope") + 1),
        (13, lines[12].index("nope") + 1),
    ):
        assert f"rules.yaml, line {line}, column {column}: rule" in found
    assert found.count("nope is unknown") == 3, "every rule's error is said at once"


def test_a_rule_that_is_off_must_be_sound_too() -> None:
    """It is switched on in a hurry."""
    rule = "  - {name: a, words: w, owner: me, action: review, state: off, condition: nope}\n"
    assert "nope is unknown" in refused(HEAD + rule)


@pytest.mark.parametrize(
    "condition",
    ["(" * 300 + "flag" + ")" * 300, "NOT " * 900 + "flag", "-" * 1000 + "number > 1", " AND ".join(["flag"] * 440)],
)
def test_no_expression_is_too_deep_or_too_large_for_the_process(condition: str) -> None:
    """It is refused with a sentence, or it is computed; nothing overflows."""
    policy = Policy(
        name="p", version=1, rules=(Rule(name="a", words="w", condition=condition, action="review", owner="me"),)
    )
    try:
        rules = Program(policy, KNOWN).rules
    except RulesError:
        return
    assert len(rules) == 1


def test_the_example_of_the_docs_is_sound() -> None:
    """Its digest does not depend on how it is written."""
    policy, _ = load_policy(Path("docs/examples/policy.yaml"))
    again = Policy.model_validate_json(policy.canonical())
    assert again == policy
    assert again.digest() == policy.digest()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: fraud\nversion: 1\nrules:\n  - {name: a}\n", "line 4: rules.0.words: add it"),
        ("name: fraud\nversion: 1\nlists: [a, a]\n", "'a' is named twice; remove one"),
        ("name: fraud\nversion: 1\nrule: []\n", "it is unknown here"),
    ],
)
def test_a_policy_that_is_none_names_its_line(text: str, said: str) -> None:
    """As every spec does."""
    with pytest.raises(PolicyError, match=said):
        parse_policy(text, "rules.yaml")
