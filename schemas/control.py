"""What scores is changed by commands to a consumer group's scorers, on `control`; they answer on `control-answers`."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.base import (
    Digest,
    EventTimeMs,
    Group,
    Line,
    Message,
    Offset,
    Partition,
    Percentile,
    Probability,
    Version,
)
from schemas.person import SignedStep

RegistryChannel = Literal["champion", "challenger"]
"""What a registry's line has: of bundles, or of policies."""

PolicyChannel = Literal["policy", "shadow_policy"]
POLICY_CHANNELS: dict[RegistryChannel, PolicyChannel] = {"champion": "policy", "challenger": "shadow_policy"}
"""The channel of commands about policies, by that of their registry."""

Channel = Literal["champion", "challenger", "policy", "shadow_policy", "thresholds"]

REGISTRY_STEPS_MAX = 99_999_999
"""Steps are numbered with eight digits."""


class BundleRef(Message):
    """One bundle, by what it is."""

    name: Line = Field(description="Name of the model line.")
    version: Version = Field(description="Version within the line.")
    digest: Digest = Field(description="SHA-256 of its files, in hex.")

    def __str__(self) -> str:
        return f"{self.name}/{self.version}"


class MovedThresholds(Message):
    """Thresholds that a policy's budget moves; none for one that it does not."""

    probability: Probability | None = Field(None, description="From this probability on.")
    anomaly_percentile: Percentile | None = Field(None, description="From this percentile on.")


class Control(Message):
    """A command, or what one partition's worker answers to it. Compacted: the last of each kind and partition counts.

    A command among the answers is a scorer's own: back to the bundle before, from one that failed.
    """

    kind: Literal["command", "acknowledgement"] = Field(description="Which of the two.")
    group: Group = Field(description="Consumer group of the scorers meant, or of the one that answers.")
    channel: Channel = Field(
        description="champion: the bundle that scores. challenger: what scores beside it, unseen. policy, shadow_policy: the "
        "same of policies; scorers before 0.2 skip these. thresholds: where a policy's budget moves its thresholds to."
    )
    command_id: Annotated[str, Field(min_length=1, max_length=100)] = Field(
        description="Ties answers to their command."
    )
    at_ms: EventTimeMs = Field(description="Wall-clock time, ms since 1970 UTC.")
    by: Annotated[str, Field(max_length=200)] = Field(description="Who commands or answers.")
    bundle: BundleRef | None = Field(
        None, description="Command: what is to take the channel, none to empty it. Answer: what holds it now."
    )
    replaces: BundleRef | None = Field(None, description="For a rollback: what is taken out of force.")
    rollback: bool = Field(False, description="Whether an older version than the active one is meant.")
    refold: bool = Field(
        False, description="Whether other features are meant: partitions stop until their history is folded again."
    )
    registry_steps: Annotated[int, Field(ge=0, le=REGISTRY_STEPS_MAX)] | None = Field(
        None,
        description="Command: how many steps the registry's history had then. Once it took another for the channel, it says "
        "what scores, and no longer this command.",
    )
    outcome: Literal["in_force", "refused"] | None = Field(None, description="Answer: what became of the command.")
    thresholds: MovedThresholds | None = Field(
        None,
        description="Of the channel thresholds: from which scores on, as long as `bundle` is the policy that decides.",
    )
    why: Annotated[str, Field(max_length=500)] | None = Field(None, description="Reason of a rollback or a refusal.")
    signed: SignedStep | None = Field(None, description="Command: the step as persons signed it.")
    source_partition: Partition | None = Field(None, description="Answer: the input partition that speaks.")
    from_offset: Offset | None = Field(
        None, description="Answer: it holds from this input offset on; none where the worker has met no input yet."
    )


def own_rollback_id(command_id: str) -> str:
    """Id of the scorers' own rollback of what a command activated: the same in every process."""
    return f"rollback-{command_id}"[:100]


def command_key(group: Group, channel: Channel) -> bytes:
    """The key of a command on the topic."""
    return f"{group}:{channel}".encode()


def acknowledgement_key(group: Group, channel: Channel, partition: int) -> bytes:
    """The key of a partition's answer on the topic."""
    return f"{group}:{channel}:{partition}".encode()


def acknowledgement_of(
    command: Control,
    holds: BundleRef | None,
    by: str,
    at_ms: int,
    *,
    why: str | None,
    partition: int,
    from_offset: int | None,
) -> Control:
    """A partition's answer to a command. holds: what the channel has now. why: of a refusal."""
    return Control(
        kind="acknowledgement",
        group=command.group,
        channel=command.channel,
        command_id=command.command_id,
        at_ms=at_ms,
        by=by,
        bundle=holds,
        thresholds=command.thresholds if why is None else None,
        outcome="in_force" if why is None else "refused",
        why=why,
        source_partition=partition,
        from_offset=from_offset,
    )
