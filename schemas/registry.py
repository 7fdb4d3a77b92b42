"""What happened in a bundle registry: its history is the only record of what its channels hold."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.base import EventTimeMs, Message
from schemas.control import BundleRef, RegistryChannel
from schemas.manifest import Faults
from schemas.person import SignedStep


class RegistryEvent(Message):
    """One step. Its number is its file's name; the channels are what the steps add up to."""

    action: Literal["publish", "promote", "rollback", "withdraw", "void"] = Field(
        description="What was done. void: never written; what a step that too few persons signed is read as."
    )
    bundle: BundleRef = Field(description="Which bundle was published, or holds the channel now, or held it until now.")
    channel: RegistryChannel | None = Field(None, description="Which channel it is about; none for a publication.")
    at_ms: EventTimeMs = Field(description="Wall-clock time, ms since 1970 UTC.")
    by: Annotated[str, Field(max_length=200)] = Field(description="Who did it.")
    why: Annotated[str, Field(max_length=500)] | None = Field(None, description="In their words.")
    accepted: Faults | None = Field(
        None, description="What spoke against the bundle and was accepted by name when it was published."
    )
    signed: SignedStep | None = Field(None, description="The step as persons signed it.")
