"""Commands as persons signed them: who can write `control` or `credit-control` cannot choose alone among signed artefacts."""

from collections.abc import Callable, Mapping

from models.bundle.files import BundleError
from models.bundle.persons import StepRule
from models.bundle.registry import Registry, holder, stepped
from schemas.approval import Subject
from schemas.control import Control
from services.errors import AssayError
from services.settings.bundles import BundleSettings
from services.settings.policy import PolicySettings
from services.trusted_bundles import ScoringSettings, line_of, registry_of
from services.trusted_persons import step_rule
from services.trusted_policies import policy_registry_of

REMEMBERED_MAX = 1_000


class CommandGuard:
    """Judges each command before anything of it is done."""

    def __init__(
        self,
        rule: Callable[[], StepRule | None],
        policies: Subject,
        lines: Mapping[Subject, str],
        registry_of: Callable[[Subject], Registry | None],
        bundles: Subject = "bundle",
    ) -> None:
        """rule: who has to have signed, as it is now: that someone left must not wait for a restart.

        policies, bundles: as what persons sign the commands about them. lines: what each kind of signature has to be about.
        registry_of: the history of bundles or of policies; None where there is none.
        """
        self._rule, self._policies, self._lines, self._registry_of = rule, policies, lines, registry_of
        self._bundles: Subject = bundles
        self._written: dict[str, int] = {}

    def saw(self, command: Control, written_at_ms: int) -> None:
        """A command came. written_at_ms: by the broker's clock."""
        self._written[command.command_id] = written_at_ms
        if len(self._written) > REMEMBERED_MAX:
            del self._written[next(iter(self._written))]

    def check(self, command: Control) -> None:
        """Raises BundleError where too few persons signed it, or the history has moved on. Blocks while it reads that."""
        written_ms = self._written.get(command.command_id)
        if written_ms is None:
            raise BundleError("It is no command that was read.", "signature")
        rule = self._rule()
        if rule is None:
            raise BundleError("It is no longer set who has to sign: start again.", "signature")
        said = rule.check_command(command, written_ms, self._policies, self._bundles)
        wanted = self._lines[said.subject]
        if said.line != wanted:
            raise BundleError(f"Persons signed a step of line {said.line}, and {wanted} is worked here.", "signature")
        registry = self._registry_of(said.subject)
        if registry is None or said.channel is None:
            return
        history = registry.history()
        later = stepped(history, said.line, said.channel, said.registry_steps)
        if later and holder(history, said.line, said.channel) != command.bundle:
            raise BundleError(
                "It was signed before the registry's last step about the channel: it is repeated.", "older"
            )


def command_guard(bundles: BundleSettings, policies: PolicySettings, scoring: ScoringSettings) -> CommandGuard | None:
    """What judges a service's commands by the signatures of persons; None where none are needed. Raises AssayError.

    policies, scoring: the service's.
    """
    try:
        asked = step_rule()
    except BundleError as error:
        raise AssayError(str(error)) from error
    if asked is None:
        return None

    def registry(subject: Subject) -> Registry | None:
        if bundles.registry_url is None:
            return None
        if subject == scoring.signed_as:
            return registry_of(bundles, type(scoring))
        return policy_registry_of(bundles, type(policies))

    lines: dict[Subject, str] = {
        scoring.signed_as: line_of(scoring, bundles),
        policies.signed_as: policies.policy_line,
    }
    return CommandGuard(step_rule, policies.signed_as, lines, registry, scoring.signed_as)
