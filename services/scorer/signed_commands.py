"""Commands as persons signed them: who can write `control` cannot choose alone among signed bundles and policies."""

from collections.abc import Callable

from models.bundle.files import BundleError
from models.bundle.persons import StepRule
from models.bundle.registry import Registry, holder, stepped
from schemas.approval import Subject
from schemas.control import Control
from services.engine.batches import Record

REMEMBERED_MAX = 1_000


class CommandGuard:
    """Judges each command before anything of it is done."""

    def __init__(self, rule: StepRule, registry_of: Callable[[Subject], Registry | None]) -> None:
        """registry_of: the history of bundles or of policies; None where there is none."""
        self._rule, self._registry_of = rule, registry_of
        self._written: dict[str, int] = {}

    def saw(self, command: Control, record: Record) -> None:
        """A command came, at the broker's time."""
        self._written[command.command_id] = int(record.timestamp)
        if len(self._written) > REMEMBERED_MAX:
            del self._written[next(iter(self._written))]

    def check(self, command: Control) -> None:
        """Raises BundleError where too few persons signed it, or the history has moved on. Blocks while it reads that."""
        written_ms = self._written.get(command.command_id)
        if written_ms is None:
            raise BundleError("It is no command that was read.", "signature")
        said = self._rule.check_command(command, written_ms)
        registry = self._registry_of(said.subject)
        if registry is None or said.channel is None:
            return
        history = registry.history()
        later = stepped(history, said.line, said.channel, said.registry_steps)
        if later and holder(history, said.line, said.channel) != command.bundle:
            raise BundleError(
                "It was signed before the registry's last step about the channel: it is repeated.", "older"
            )
