"""Models and policies as the registry has them: what is active, what could be, and what a step would change. Blocks."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from models.bundle.files import BundleError
from models.bundle.inspect import differences as bundle_differences
from models.bundle.load import Bundle
from models.bundle.registry import Registry, holder, previous, stepped
from models.policy.differences import differences as policy_differences
from schemas.approval import StepAction, StepStatement, Subject
from schemas.control import POLICY_CHANNELS, BundleRef, Channel, RegistryChannel
from schemas.person import SignedStep
from schemas.registry import RegistryEvent
from services.clock import wall_ms
from services.commanding import CREDIT, SCORERS, Commanded, ControlCommand
from services.settings.bundles import BundleSettings
from services.settings.credit import CreditSettings
from services.settings.policy import CreditPolicySettings, PolicySettings
from services.settings.scorer import ScorerSettings
from services.trusted_bundles import published_bundle, registry_of, registry_part, trust_of
from services.trusted_policies import published_policy

SHOWN_MAX = 30
SUBJECTS: dict[str, str] = {
    "bundle": "model",
    "credit_bundle": "credit model",
    "policy": "policy",
    "credit_policy": "credit policy",
}
"""What is promoted, in words."""
BUNDLES = ("bundle", "credit_bundle")

Standing = Literal["fresh", "done"]


class StaleError(Exception):
    """The registry has moved on since a step was asked for: one sentence."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the registry. of: what it is of. versions: published ones, the newest first, each with its step."""

    of: Subject
    name: str
    champion: BundleRef | None
    challenger: BundleRef | None
    back_to: BundleRef | None
    versions: list[tuple[BundleRef, RegistryEvent]]
    steps: dict[str, RegistryEvent]
    """By channel: the step that gave it what it holds."""

    @property
    def words(self) -> str:
        """What it is of."""
        return SUBJECTS[self.of]

    @property
    def scores(self) -> bool:
        """Whether its versions score; those of other lines decide by rules."""
        return self.of in BUNDLES

    def may_promote(self, ref: BundleRef) -> bool:
        """Whether it could be the champion: an older one comes back by a rollback alone."""
        return self.champion is None or ref.version > self.champion.version

    def may_challenge(self, ref: BundleRef) -> bool:
        """Whether it could be tried beside the champion."""
        return ref not in (self.champion, self.challenger)


@dataclass(frozen=True, slots=True)
class Step:
    """A step that could be taken, and what it would change. said: of a request for it. rebuilds: states, of the whole history.

    differs: name, what it is now, what it would be; unknown: why that cannot be said, if so.
    """

    said: dict[str, Any]
    differs: list[tuple[str, Any, Any]] = field(default_factory=list)
    rebuilds: bool = False
    has_report: bool = False
    unknown: str | None = None

    @property
    def subject(self) -> Subject:
        """What it is about."""
        found: Subject = self.said["subject"]
        return found


@dataclass(slots=True)
class Promotions:
    """The registries of the settings. needs_second: whether such a change waits for another person's approval."""

    bundles: BundleSettings
    policies: PolicySettings
    credit_policies: CreditPolicySettings
    credit: CreditSettings
    groups: Mapping[Subject, str]
    """Consumer groups of those that are commanded."""
    request_h: float
    needs_second: Callable[[Subject], bool]

    def registry(self, subject: Subject) -> Registry:
        """Read from the beginning each time. Raises AssayError where none is set."""
        if subject in BUNDLES:
            return registry_of(self.bundles, CreditSettings if subject == "credit_bundle" else ScorerSettings)
        return registry_part(self.bundles, *self._settings(subject).folders, subject)

    def _settings(self, subject: Subject) -> PolicySettings:
        return self.credit_policies if subject == "credit_policy" else self.policies

    def line_of(self, subject: Subject) -> str:
        """The line that services work."""
        if subject == "credit_bundle":
            return self.credit.registry_line
        return self.bundles.registry_line if subject == "bundle" else self._settings(subject).policy_line

    def lines(self) -> list[Line]:
        """Those that have something published, and that of the models in any case. Raises AssayError, BundleError."""
        found = [self._line(subject) for subject in ("bundle", "policy", "credit_bundle", "credit_policy")]
        return [one for one in found if one.versions or one.of == "bundle"]

    def _line(self, subject: Subject) -> Line:
        name, history = self.line_of(subject), self.registry(subject).history()
        own = [event for event in history if event.bundle.name == name]
        held = {channel: holder(history, name, channel) for channel in ("champion", "challenger")}
        steps = {
            str(event.channel): event
            for event in own
            if event.channel and event.action != "withdraw" and event.bundle == held[event.channel]
        }
        published = [(event.bundle, event) for event in own if event.action == "publish"]
        return Line(
            subject,
            name,
            held["champion"],
            held["challenger"],
            previous(history, name),
            published[: -SHOWN_MAX - 1 : -1],
            steps,
        )

    def step(self, subject: Subject, action: StepAction, channel: RegistryChannel, version: int | None) -> Step:
        """One that may be taken now, with what it would change. Raises AssayError, BundleError where it may not."""
        registry, line = self.registry(subject), self._line(subject)
        now = line.champion if channel == "champion" else line.challenger
        wanted = _wanted(registry, line, action, channel, version)
        said = {
            "subject": subject,
            "action": "withdraw" if action == "rollback" and wanted is None else action,
            "line": line.name,
            "channel": channel,
            "bundle": wanted,
            "before": now,
            "registry_steps": len(registry.history()),
        }
        beside = line.champion if channel == "challenger" and wanted is not None else now
        return self._compared(registry, said, beside, wanted)

    def _compared(
        self, registry: Registry, said: dict[str, Any], now: BundleRef | None, wanted: BundleRef | None
    ) -> Step:
        try:
            if said["subject"] in BUNDLES:
                return self._bundles_compared(registry, said, now, wanted)
            one, two = (published_policy(registry, ref, self.bundles) if ref else None for ref in (now, wanted))
            found = policy_differences(one.policy if one else None, two.policy if two else None)
            return Step(said, [(name, *both) for name, both in found.items()])
        except BundleError as error:
            return Step(said, unknown=str(error))

    def _bundles_compared(
        self, registry: Registry, said: dict[str, Any], now: BundleRef | None, wanted: BundleRef | None
    ) -> Step:
        one, two = (self._opened(registry, ref) if ref else None for ref in (now, wanted))
        found = bundle_differences(one, two) if one and two else {}
        rebuilds = bool(one and two) and one.manifest.inputs_digest != two.manifest.inputs_digest  # type: ignore[union-attr]
        report = two is not None and two.report is not None
        return Step(said, [(name, *both) for name, both in found.items()], rebuilds, report)

    def _opened(self, registry: Registry, ref: BundleRef) -> Bundle:
        return published_bundle(registry, ref, trust_of(self.bundles))

    def report(self, version: int) -> bytes:
        """The report of a published bundle, verified with it. Raises AssayError, BundleError."""
        registry = self.registry("bundle")
        found = self._opened(registry, registry.published(self.line_of("bundle"), version)).report
        if found is None:
            raise BundleError("This bundle has no report.")
        return found

    def standing(self, said: StepStatement, text: str) -> Standing:
        """Whether the step may still be taken, or was. Raises StaleError, AssayError, BundleError."""
        history = self.registry(said.subject).history()
        counted = [event for event in history if event.action != "void" and event.signed is not None]
        if any(event.signed.statement == text for event in counted if event.signed):
            return "done"
        assert said.channel is not None, "a step is about a channel"
        now = holder(history, said.line, said.channel)
        if now != said.before or stepped(history, said.line, said.channel, said.registry_steps):
            what = f"{said.line}'s {said.channel}"
            raise StaleError(
                f"The registry has moved on: {what} is {now or 'empty'} now, and this was asked for when it was "
                f"{said.before or 'empty'}. Take the request back, and prepare it again."
            )
        return "fresh"

    def commanded(self, said: StepStatement, signed: SignedStep) -> tuple[ControlCommand, Commanded, str]:
        """The command of a step, to whom, and their consumer group. Raises AssayError, BundleError."""
        assert said.channel is not None, "a step is about a channel"
        goes_back = said.action == "rollback" or (said.action == "withdraw" and said.channel == "champion")
        channel: Channel = said.channel
        refold = goes_back
        if said.subject not in BUNDLES:
            channel, refold = POLICY_CHANNELS[said.channel], False
        elif said.action == "promote" and said.channel == "champion":
            registry = self.registry(said.subject)
            refold = self._compared(registry, {"subject": said.subject}, said.before, said.bundle).rebuilds
        order = ControlCommand(
            uuid.uuid4().hex,
            channel,
            said.bundle,
            replaces=said.before if goes_back else None,
            rollback=goes_back,
            refold=refold,
            why=said.why[:500] or None,
            registry_steps=said.registry_steps,
            signed=signed,
            before=said.before,
        )
        whom = CREDIT if said.subject in ("credit_bundle", "credit_policy") else SCORERS
        return order, whom, self.groups[said.subject]

    def record(self, said: StepStatement, signed: SignedStep, by: str) -> None:
        """Take the step in the registry. Raises AssayError, BundleError."""
        registry, channel = self.registry(said.subject), said.channel
        assert channel is not None, "a step is about a channel"

        def made(ref: BundleRef) -> RegistryEvent:
            return RegistryEvent(
                action=said.action,  # type: ignore[arg-type]
                bundle=ref,
                channel=channel,
                at_ms=wall_ms(),
                by=by,
                why=said.why[:500] or None,
                signed=signed,
            )

        if said.action == "promote":
            assert said.bundle is not None, "a promotion names what it promotes"
            registry.promote(made(said.bundle))
        elif said.action == "rollback":
            registry.rollback(said.line, made)
        else:
            registry.withdraw(said.line, made, channel)


def _wanted(
    registry: Registry, line: Line, action: StepAction, channel: RegistryChannel, version: int | None
) -> BundleRef | None:
    """What would hold the channel; None: nothing would. Raises BundleError where the step may not be taken."""
    if action == "promote":
        if version is None:
            raise BundleError("Which version is meant?")
        wanted = registry.published(line.name, version)
        if channel == "champion" and not line.may_promote(wanted):
            raise BundleError(f"{wanted} is not newer than {line.champion}, which decides: go back by a rollback.")
        if channel == "challenger" and not line.may_challenge(wanted):
            raise BundleError(f"{wanted} is {'champion' if wanted == line.champion else 'challenger'} already.")
        return wanted
    if action == "rollback" and channel == "champion":
        if line.champion is None:
            raise BundleError(f"Nothing of {line.name} decides by the registry: there is nothing to take back.")
        if line.back_to is None and line.of in BUNDLES:
            raise BundleError(f"No other bundle of {line.name} was champion before: there is nothing to go back to.")
        return line.back_to
    if action == "withdraw" and channel == "challenger":
        if line.challenger is None:
            raise BundleError(f"{line.name} has no challenger: there is nothing to withdraw.")
        return None
    raise BundleError("There is no such step.")
