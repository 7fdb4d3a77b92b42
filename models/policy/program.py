"""A policy ready to run: for each batch, which rules hold, and which action follows from them and from the scores."""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from models.policy.known import Column, Known
from models.policy.lists import Lists
from models.policy.plan import Plan
from schemas.control import BundleRef, MovedThresholds
from schemas.manifest import Thresholds
from schemas.policy import ACTIONS, Action, Policy, Rule

if TYPE_CHECKING:
    from models.policy.compiler import Compiler
    from models.policy.conditions import ConditionError

Truth = NDArray[np.bool_]
APPROVE, CHALLENGE, REVIEW, DECLINE = range(4)
"""Actions as numbers, by severity."""

ALERTING = REVIEW
"""An action from this one on makes an alert: someone has to look, or something was stopped."""

PURPOSE = 0x51ED270B
"""Of the random choice of a rule's share: it depends on no other choice by id."""


class RuleError(ValueError):
    """A rule whose condition cannot be used."""

    def __init__(self, place: int, error: "ConditionError") -> None:
        super().__init__(error.what)
        self.place, self.error = place, error


class RulesError(ValueError):
    """All of them, in the policy's order."""

    def __init__(self, errors: Sequence[RuleError]) -> None:
        super().__init__("; ".join(map(str, errors)))
        self.errors = tuple(errors)


@dataclass(frozen=True, slots=True)
class Batch:
    """n events as rules see them. features: float32[n, F]; scores: float32[n]. lists: None where the policy names none."""

    events: Any
    features: NDArray[np.float32]
    probability: NDArray[np.float32]
    anomaly_percentile: NDArray[np.float32]
    lists: Lists | None = None

    def __len__(self) -> int:
        return len(self.probability)


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a policy says of n events.

    action: int8[n], places in ACTIONS. approved: a rule approves, which ends it. alerting: a rule asks for someone to look.
    rules, shadow_rules: names of the rules that hold, by row; rows where none does are left out.
    """

    action: NDArray[np.int8]
    approved: Truth
    alerting: Truth
    rules: dict[int, tuple[str, ...]] = field(default_factory=dict)
    shadow_rules: dict[int, tuple[str, ...]] = field(default_factory=dict)

    def actions(self) -> list[Action]:
        """As outputs have them."""
        return [ACTIONS[number] for number in self.action.tolist()]


class Program:
    """A compiled policy. It keeps nothing between batches."""

    def __init__(self, policy: Policy, known: Known) -> None:
        """Raises RulesError."""
        from models.policy.compiler import Compiler  # and with it the SQL parser: not where there is no policy

        self.policy = policy
        self.digest = policy.digest()
        self.ref = BundleRef(name=policy.name, version=policy.version, digest=self.digest)
        compiler = Compiler(known, policy.lists)
        self._rules = [rule for rule in policy.rules if rule.state != "off"]
        registers = _compiled(policy, compiler)
        compiler.finish()
        self._plan = Plan(compiler.steps, compiler.constants, registers)
        self.columns: dict[str, Column] = compiler.columns
        self._on = _rows(self._rules, lambda rule: rule.state == "on")
        self._shadow = _rows(self._rules, lambda rule: rule.state == "shadow")
        self._by_action = [_rows(self._rules, partial(_asks, action)) for action in ACTIONS]
        self._shares = [(row, rule) for row, rule in enumerate(self._rules) if rule.share < 1.0]
        actions = policy.actions
        self._asked = tuple(
            np.int8(ACTIONS.index(action))
            for action in (actions.otherwise, actions.probability, actions.anomaly_percentile)
        )

    @property
    def name(self) -> str:
        """As outputs have it: name, version, and the first digits of the digest."""
        return policy_name(self.policy.name, self.policy.version, self.digest)

    def held(self, batch: Batch) -> Truth:
        """bool[rules that are not off, n]: where each rule's condition is true, and the event is of its share."""
        with np.errstate(all="ignore"):
            held = self._plan.run(batch)
        if self._shares:
            hashes = _hashes(batch.events.ids)
            for row, rule in self._shares:
                held[row] &= chosen(hashes, rule)
        return held

    def rule(self, batch: Batch, by_probability: Truth, by_anomaly: Truth) -> Ruling:
        """What is to be done. by_probability, by_anomaly: which events cross the scores' thresholds."""
        held = self.held(batch)
        otherwise, probability, anomaly = self._asked
        action = np.full(len(batch), otherwise, np.int8)
        crossed = by_probability | by_anomaly
        if crossed.any():
            # what crosses a threshold gets its score's action, not what is done otherwise
            asked = np.maximum(np.where(by_probability, probability, 0), np.where(by_anomaly, anomaly, 0))
            action = np.where(crossed, asked, action).astype(np.int8)
        hit: Truth = np.asarray(held.any(axis=1))
        if not hit.any():
            nothing = np.zeros(len(batch), np.bool_)
            return Ruling(action, nothing, nothing)
        hits = [rows[hit[rows]] for rows in self._by_action]
        any_of: list[Any] = [held[rows].any(axis=0) if len(rows) else None for rows in hits]
        for number in (CHALLENGE, REVIEW, DECLINE):
            found = any_of[number]
            if found is not None:
                action = np.where(found, np.maximum(action, np.int8(number)), action)
        approving = any_of[APPROVE]
        approved: Truth = np.zeros(len(batch), np.bool_) if approving is None else approving
        action = np.where(approved, np.int8(APPROVE), action)
        alerting = np.zeros(len(batch), np.bool_)
        for number in range(ALERTING, len(ACTIONS)):
            found = any_of[number]
            if found is not None:
                alerting |= found
        names = self._names(held, self._on[hit[self._on]]), self._names(held, self._shadow[hit[self._shadow]])
        alerting &= ~approved
        return Ruling(action, approved, alerting, *names)

    def _names(self, held: Truth, rows: NDArray[np.intp]) -> dict[int, tuple[str, ...]]:
        """Names of these rules, by event, in the policy's order. rows: of rules that hold of some event."""
        found: dict[int, tuple[str, ...]] = {}
        for row in rows.tolist():
            name = (self._rules[row].name,)
            for event in np.flatnonzero(held[row]).tolist():
                found[event] = found.get(event, ()) + name
        return found

    @property
    def rules(self) -> Sequence[Rule]:
        """Those that are not off, as the rows of `held`."""
        return self._rules


def policy_name(name: str, version: int, digest: str) -> str:
    """How outputs name a policy: fraud/3@0123456789ab."""
    return f"{name}/{version}@{digest[:12]}"


def thresholds_of(program: Program | None, of_bundle: Thresholds, moved: MovedThresholds | None = None) -> Thresholds:
    """Those that count: those that the policy's budget moved, the policy's where it has any, else the bundle's."""
    if program is None:
        return of_bundle
    given = {
        name: value
        for name in ("probability", "anomaly_percentile")
        for source in (program.policy.thresholds, moved)
        if (value := getattr(source, name, None)) is not None
    }
    return of_bundle.model_copy(update=given) if given else of_bundle


def chosen(hashes: NDArray[np.uint32], rule: Rule) -> Truth:
    """Which events a rule is applied to: the same in every process, and for another rule another choice."""
    mixed = hashes ^ np.uint32(zlib.crc32(rule.name.encode(), PURPOSE))
    mixed = (mixed ^ (mixed >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    mixed = (mixed ^ (mixed >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    found: Truth = (mixed ^ (mixed >> np.uint32(16))) < rule.share * 2**32
    return found


def _hashes(ids: Sequence[str]) -> NDArray[np.uint32]:
    return np.array([zlib.crc32(name.encode(), PURPOSE) for name in ids], np.uint32)


def _asks(action: Action, rule: Rule) -> bool:
    return rule.state == "on" and rule.action == action


def _rows(rules: Sequence[Rule], wanted: Any) -> NDArray[np.intp]:
    return np.array([row for row, rule in enumerate(rules) if wanted(rule)], np.intp)


def _compiled(policy: Policy, compiler: "Compiler") -> list[int]:
    """The registers of the rules that are not off. A rule that is off must be sound all the same."""
    from models.policy.compiler import TooLargeError
    from models.policy.conditions import ConditionError, parse

    registers, errors = [], []
    for place, rule in enumerate(policy.rules):
        try:
            tree = parse(rule.condition)
            if rule.state == "off":
                compiler.checker.condition(tree)
            else:
                registers.append(compiler.condition(tree))
        except ConditionError as error:
            errors.append(RuleError(place, error))
        except TooLargeError:
            whole = ConditionError("with it the policy has more steps than a batch has time for; simplify it", (0, 0))
            raise RulesError([*errors, RuleError(place, whole)]) from None
    if errors:
        raise RulesError(errors)
    return registers


def words_of(policy: Policy, names: Iterable[str]) -> tuple[str, ...]:
    """The rules in words, for people."""
    words = {rule.name: rule.words for rule in policy.rules}
    return tuple(words.get(name, name) for name in names)
