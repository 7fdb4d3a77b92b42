"""The models of a process: the champion, the challenger, the previous champion; and the outcome of the last commands.

All partitions share them on one event loop. A partition takes the champion once for each batch, so a batch has one model; a
change takes effect with the next one. The old session is freed by the last batch that still uses it.
"""

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

import structlog

from models.bundle.files import BundleError
from models.policy.program import Program
from models.scoring.session import ModelSession
from schemas.control import BundleRef, Channel, Control, MovedThresholds, PolicyChannel, own_rollback_id
from schemas.feature_spec import FeatureSpec
from schemas.manifest import Thresholds
from schemas.source_spec import SourceSpec
from services.clock import wall_ms
from services.errors import StateOutdatedError
from services.observability.metrics import Metrics
from services.observability.policy_metrics import ShownPolicies
from services.policy_commands import Acknowledgement
from services.swapping.alert_budget import show_budget
from services.swapping.watch import Bands, Tally, Watch

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Identity:
    """What scored: written on records."""

    model: str
    bundle_digest: str
    thresholds: Thresholds


@dataclass(frozen=True, slots=True)
class Model:
    """A loaded bundle, shared by the partitions of a process."""

    session: ModelSession
    identity: Identity
    feature_spec: FeatureSpec
    spec_digest: str
    executor: Executor
    """Where models run: outside the event loop's thread; ONNX Runtime releases the GIL."""
    source: SourceSpec | None = None
    """What it scores, as it lies on the topic that the scorer reads; None: `transactions`."""

    @property
    def routed(self) -> bool:
        """Whether intake is between the user's topic and the scorer."""
        return self.source is not None and self.source.is_routed

    @property
    def bundle(self) -> BundleRef:
        """Which bundle it is."""
        return self.session.bundle.ref


@dataclass(frozen=True, slots=True)
class ActivePolicy:
    """A verified policy, compiled for the features and the source of the model beside it.

    beside: makes the same for another model; raises BundleError where that has not what the policy reads.
    """

    ref: BundleRef
    program: Program
    spec_digest: str
    beside: "Callable[[Model], ActivePolicy]"


class Models:
    """What scores in this process."""

    def __init__(
        self,
        champion: Model,
        bands: Bands,
        metrics: Metrics,
        group: str,
        service: str = "scorer",
    ) -> None:
        """service: who commands the way back, where a new model has to go."""
        self.champion, self._service = champion, service
        self.challenger: Model | None = None
        self.previous: Model | None = None
        self.answers: dict[Channel, Acknowledgement] = {}
        self.policy: ActivePolicy | None = None
        """The policy that decides behind the scores, if there is one; and one that is evaluated without effect."""
        self.shadow_policy: ActivePolicy | None = None
        self.moved: MovedThresholds | None = None
        """Where the budget of the policy that decides has put its thresholds; None: they are the policy's own."""
        self.group = group
        self._shown = ShownPolicies(metrics.risk)
        self._bands, self._metrics = bands, metrics
        self._tally = Tally()
        self._watch: Watch | None = None
        self._command: Control | None = None
        self._show()

    @property
    def watched(self) -> bool:
        """Whether the champion is new, and the previous one is kept ready."""
        return self._watch is not None

    def swap(self, model: Model, command: Control, *, watch: bool = True) -> None:
        """Activate a model from each partition's next batch on. watch: against the previous one, which is kept ready."""
        old = self.champion
        if model is not old:
            self._fit_policies(model)
            if command.rollback:
                self._tally = self._tally if self.watched and model is self.previous else Tally()
            elif self._watch is not None:
                self._tally.add(self._watch.fresh)
            watched = watch and not command.rollback
            self._watch = Watch(self._tally, self._bands) if watched else None
            self.champion, self.previous = model, old if watched else None
            self._metrics.swaps.labels("rolled_back" if command.rollback else "swapped").inc()
            log.info("model.swapped", bundle=str(model.bundle), digest=model.bundle.digest, before=str(old.bundle))
        if self.challenger is not None and self.challenger.bundle == model.bundle:
            self.challenger = None
        self._command = command
        self.answers["champion"] = Acknowledgement(command, model.bundle)
        self._show()

    def set_challenger(self, model: Model | None, command: Control) -> None:
        """Score with a challenger beside the champion, without effect; None stops that."""
        self.challenger = model
        self._metrics.swaps.labels("challenger" if model else "withdrawn").inc()
        log.info("model.challenger", bundle=str(model.bundle) if model else "none")
        self.answers["challenger"] = Acknowledgement(command, model.bundle if model else None)
        self._show()

    def policy_of(self, channel: PolicyChannel) -> ActivePolicy | None:
        """What a channel holds now."""
        return self.policy if channel == "policy" else self.shadow_policy

    def set_policy(self, channel: PolicyChannel, active: ActivePolicy | None, command: Control) -> None:
        """Let a policy decide from each partition's next batch on, or evaluate it beside; None ends that."""
        if channel == "policy":
            if active is None or self.policy is None or active.ref != self.policy.ref:
                self.moved = None
            self.policy = active
        else:
            self.shadow_policy = active
        name = active.program.name if active else "none"
        log.info("policy.swapped", policy=name, channel=channel, rollback=command.rollback)
        self.answers[channel] = Acknowledgement(command, active.ref if active else None)
        self.show_policies()

    def move_thresholds(self, command: Control) -> None:
        """Put the deciding policy's thresholds where its budget has them, from each partition's next batch on."""
        self.moved = command.thresholds
        log.info("policy.thresholds_moved", policy=str(command.bundle), thresholds=str(command.thresholds))
        self.answers["thresholds"] = Acknowledgement(command, command.bundle)

    def drop_shadow_policy(self, failed: Program, why: str) -> None:
        """A policy in shadow that fails is no longer evaluated; what decides never notices."""
        shadow = self.shadow_policy
        if shadow is not None and shadow.program is failed:
            log.error("policy.shadow_failed", policy=failed.name, why=why)
            self.shadow_policy = None
            answer = self.answers.get("shadow_policy")
            if answer is not None:
                self.answers["shadow_policy"] = Acknowledgement(answer.command, None, why[:500])
            self.show_policies()

    @property
    def asks_lists(self) -> bool:
        """Whether some policy asks lists."""
        return any(active is not None and active.program.policy.lists for active in (self.policy, self.shadow_policy))

    def check_policies(self, model: Model) -> None:
        """Raises BundleError where a policy reads what this model has not."""
        for active in (self.policy, self.shadow_policy):
            _fitted(active, model)

    def _fit_policies(self, model: Model) -> None:
        """Raises BundleError, nothing changed, where the deciding policy does not fit; one in shadow is dropped."""
        policy, shadow = _fitted(self.policy, model), self.shadow_policy
        try:
            shadow = _fitted(shadow, model)
        except BundleError as error:
            if shadow is not None:
                self.drop_shadow_policy(shadow.program, str(error))
            shadow = None
        self.policy, self.shadow_policy = policy, shadow

    def refuse(self, command: Control, why: str) -> None:
        """A command that changes nothing."""
        holds = self.champion if command.channel == "champion" else self.challenger
        self.answers[command.channel] = Acknowledgement(command, holds.bundle if holds else None, why[:500])

    def count(self, model: Model, records: int, alerts: int, model_s: float) -> None:
        """Count a scored batch, and roll back where the new champion leaves its band."""
        if model is not self.champion:
            return
        if self._watch is None:
            self._tally.add(Tally(1, records, alerts, model_s))
            return
        self._watch.fresh.add(Tally(1, records, alerts, model_s))
        if fault := self._watch.fault():
            self.roll_back(model, fault)
        elif self._watch.over:
            log.info("model.kept", bundle=str(model.bundle), records=self._watch.fresh.records)
            self._tally, self._watch, self.previous = self._watch.fresh, None, None

    def back_from(self, model: Model, error: Exception) -> Model | None:
        """What scores the batch on which `model` failed; None where there is nothing to go back to.

        Raises StateOutdatedError where that has other features than the batch: the partition starts again with it.
        """
        before = self.roll_back(model, f"it fails with {type(error).__name__}")
        if before is not None and before.spec_digest != model.spec_digest:
            raise StateOutdatedError from error
        return before

    def roll_back(self, model: Model, why: str) -> Model | None:
        """Deactivate `model`; the one now active, None where there is none to go back to."""
        if model is not self.champion:
            return self.champion  # another partition was first
        if self.previous is None or self._command is None:
            return None
        command = Control(
            kind="command",
            group=self.group,
            channel="champion",
            command_id=own_rollback_id(self._command.command_id),
            at_ms=wall_ms(),
            by=self._service,
            bundle=self.previous.bundle,
            replaces=model.bundle,
            rollback=True,
            why=why[:500],
        )
        previous = self.previous
        try:
            self.swap(previous, command)
        except BundleError as error:  # the active policy reads what only the new champion has
            log.error("model.rollback_refused", bundle=str(model.bundle), why=str(error))
            self._watch = self.previous = None
            return None
        log.error("model.rolled_back", bundle=str(model.bundle), to=str(previous.bundle), why=why)
        self.answers["champion"] = Acknowledgement(command, self.champion.bundle, self_initiated=True)
        return self.champion

    def drop_challenger(self, challenger: Model, why: str) -> None:
        """A challenger that fails no longer scores; the champion's batch never notices."""
        self._metrics.challenger_failures.inc()
        if self.challenger is challenger:
            log.error("model.challenger_failed", bundle=str(challenger.bundle), why=why)
            self.challenger = None
            answer = self.answers["challenger"]
            self.answers["challenger"] = Acknowledgement(answer.command, None, why[:500])
            self._show()

    def _show(self) -> None:
        for gauge, model in ((self._metrics.model, self.champion), (self._metrics.challenger, self.challenger)):
            gauge.clear()
            if model is not None:
                gauge.labels(str(model.bundle), model.session.provider).set(1)
        show_budget(self._metrics, str(self.champion.bundle), self.champion.session.bundle.manifest)

    def show_policies(self) -> None:
        """Which are active."""
        policy, shadow = (active.program if active else None for active in (self.policy, self.shadow_policy))
        self._shown.show({"policy": policy, "shadow_policy": shadow})


def _fitted(active: ActivePolicy | None, model: Model) -> ActivePolicy | None:
    """The policy compiled for a model's features. Raises BundleError where it reads others."""
    return active if active is None or active.spec_digest == model.spec_digest else active.beside(model)
