"""What decides behind the scores: rules, thresholds and actions, written in YAML, signed and versioned as a bundle is.

The one rule of order: a rule that approves and holds decides alone, over every other rule and over the scores. Otherwise the
most severe action among the rules that hold and the scores decides: decline, review, challenge, approve. The order of the
rules in the file has no meaning.
"""

import hashlib
import json
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from schemas.base import Digest, Line, Part, Percentile, Probability, Share, Version
from schemas.budget import Budget
from schemas.feature_kinds.event import ATTRIBUTES_MAX, AttributeName
from schemas.lists import ListName

RULES_MAX = 500
LISTS_MAX = 64
CONDITION_CHARACTERS_MAX = 4_000

Action = Literal["approve", "challenge", "review", "decline"]
ACTIONS: tuple[Action, ...] = ("approve", "challenge", "review", "decline")
"""By severity, the mildest first: a challenge costs the customer a moment, a review an analyst's time and a wait."""

Severity = Literal["low", "medium", "high", "critical"]
RuleState = Literal["on", "shadow", "off"]
Judges = Literal["payments", "applications"]
AttributeType = Literal["number", "text", "boolean"]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$", max_length=64)]
"""Of a rule."""

Words = Annotated[str, Field(min_length=1, max_length=200)]
Problem = tuple[tuple[str | int, ...], str]


class Rule(Part):
    """One rule: where its condition is true, its action is asked for."""

    name: Name = Field(description="Its name, in outputs and metrics.")
    words: Words = Field(description="What it means, for people who see that it held.")
    condition: Annotated[str, Field(min_length=1, max_length=CONDITION_CHARACTERS_MAX)] = Field(
        description="A boolean expression in SQL. Where it is neither true nor false, for want of a value, it does not hold."
    )
    action: Action = Field(description="What it asks for: approve, challenge, review or decline.")
    severity: Severity = Field("medium", description="How grave what it finds is, for people.")
    owner: Annotated[str, Field(min_length=1, max_length=100)] = Field(description="Who answers for it.")
    share: Annotated[Share, Field(gt=0.0)] = Field(
        1.0, description="Share of the events that it is applied to, chosen by the event's id and the rule's name."
    )
    state: RuleState = Field("on", description="on; shadow: written down where it holds, without effect; off.")
    adverse_action: Words | None = Field(
        None,
        description="Of applications: the reason that an applicant is given where it declines or reviews. Needed there.",
    )


class PolicyThresholds(Part):
    """From which score on an event is an alert."""

    probability: Probability | None = Field(None, description="From this probability on. Default: the bundle's.")
    anomaly_percentile: Percentile | None = Field(None, description="From this percentile on. Default: the bundle's.")


class ScoreActions(Part):
    """What the scores ask for by themselves."""

    probability: Action = Field("review", description="Where the probability's threshold is crossed.")
    anomaly_percentile: Action = Field("review", description="Where the percentile's threshold is crossed.")
    otherwise: Action = Field("approve", description="Where neither is, and no rule holds.")


class Policy(Part):
    """Rules, thresholds and actions."""

    format_version: Literal[1] = Field(1, description="Version of this format.")
    name: Line = Field(description="Name of the policy line.")
    version: Version = Field(description="Grows with each release of the line.")
    judges: Judges = Field(
        "payments",
        description="payments; applications: for credit, then an action of review refers to a person, and none is challenged.",
    )
    description: Annotated[str, Field(max_length=1_000)] = Field(
        "", description="What is new in it, or what it is for."
    )
    attributes: Annotated[dict[AttributeName, AttributeType], Field(max_length=ATTRIBUTES_MAX)] = Field(
        {},
        description="Of applications: what type an attribute has that conditions read and the bundle does not, or not so. "
        "number, text or boolean.",
    )
    lists: Annotated[tuple[ListName, ...], Field(max_length=LISTS_MAX)] = Field(
        (), description="Names of the lists that conditions ask with IN LIST('name')."
    )
    thresholds: PolicyThresholds = Field(PolicyThresholds(), description="Of the scores.")
    budget: Budget | None = Field(
        None, description="How much a day: the thresholds follow the traffic, from `thresholds` on. Default: they stay."
    )
    actions: ScoreActions = Field(ScoreActions(), description="What the scores ask for.")
    stand_in: Action = Field("approve", description="What a caller is given whose deadline is over before the answer.")
    rules: Annotated[tuple[Rule, ...], Field(max_length=RULES_MAX)] = Field((), description="The rules.")

    @model_validator(mode="after")
    def _consistent(self) -> "Policy":
        for where, problem in self._problems():
            raise PydanticCustomError("spec", "{problem}", {"problem": problem, "path": list(where)})
        return self

    def _problems(self) -> Iterator[Problem]:
        names: set[str] = set()
        for place, rule in enumerate(self.rules):
            if rule.name in names:
                yield ("rules", place, "name"), f"the name {rule.name!r} is taken by an earlier rule; choose another"
            names.add(rule.name)
        for place, name in enumerate(self.lists):
            if name in self.lists[:place]:
                yield ("lists", place), f"{name!r} is named twice; remove one"
        if self.budget is not None:
            yield from self._budget_problems(self.budget)
        yield from self._problems_of_applications() if self.judges == "applications" else self._problems_of_payments()

    def _problems_of_payments(self) -> Iterator[Problem]:
        if self.attributes:
            yield ("attributes",), "attributes of payments have their types in the source spec; remove them here"
        for place, rule in enumerate(self.rules):
            if rule.adverse_action is not None:
                yield ("rules", place, "adverse_action"), "payments have no adverse action; remove it"

    def _problems_of_applications(self) -> Iterator[Problem]:
        """Lists and budgets are those of payments, and a refusal needs its reason (ECOA, 12 CFR 1002.9(b)(2))."""
        for name, given in (("lists", self.lists), ("budget", self.budget), ("stand_in", self.stand_in != "approve")):
            if given:
                yield (name,), f"a policy of applications has no {name}; remove it"
        for name in ("probability", "anomaly_percentile"):
            if getattr(self.actions, name) == "challenge":
                yield ("actions", name), "an application is approved, reviewed or declined; choose one of these"
        if self.actions.otherwise != "approve":
            yield (
                ("actions", "otherwise"),
                "what no score and no rule is against has no reason against it; let it approve",
            )
        for place, rule in enumerate(self.rules):
            if rule.action == "challenge":
                yield (
                    ("rules", place, "action"),
                    "an application is approved, reviewed or declined; choose one of these",
                )
            elif (rule.action == "approve") is (rule.adverse_action is not None):
                what = "is not told why; remove it" if rule.action == "approve" else "is to be told why; give the words"
                yield ("rules", place, "adverse_action"), f"whom the rule would {rule.action} {what}"

    def _budget_problems(self, budget: Budget) -> Iterator[Problem]:
        wanted = {"reviews": "review", "challenged_good": "challenge"}.get(budget.counts)
        for name in ("probability", "anomaly_percentile"):
            bounds, own = getattr(budget, name), getattr(self.thresholds, name)
            if bounds is None:
                continue
            asked = getattr(self.actions, name)
            if wanted is not None and asked != wanted:
                yield (
                    ("budget", "counts"),
                    f"it counts {budget.counts}, and {name} asks for {asked}; let it ask for {wanted}, or bound no {name}",
                )
            if own is not None and not bounds.lowest <= own <= bounds.highest:
                yield ("budget", name), f"the threshold {own:g} is not within its bounds; move one of them"

    def canonical(self) -> str:
        """JSON with sorted keys, no spaces, fields at their defaults left out: equal exactly for equal policies."""
        content = self.model_dump(mode="json", exclude_defaults=True)
        return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    def digest(self) -> Digest:
        """SHA-256 (hex) of the canonical form. A later field with a default leaves an old policy its digest."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()


def most_severe(*actions: Action) -> Action:
    """The most severe of these."""
    return max(actions, key=ACTIONS.index)
