"""What each group reads, by the source of the bundle that scores: for commands that look at every input."""

from models.bundle.files import BundleError
from models.sources.spec_file import topic_of, users_topic
from schemas.source_spec import SourceSpec
from schemas.topics import APPLICATIONS, LABELS, Topic
from services.errors import AssayError
from services.settings.bundles import BundleSettings
from services.settings.credit import CreditSettings
from services.settings.intake import IntakeSettings
from services.settings.loading import load
from services.settings.processing import RuntimeSettings
from services.settings.profiler import ProfilerSettings
from services.settings.scorer import ScorerSettings
from services.trusted_bundles import scoring_bundle


def scoring_source() -> SourceSpec | None:
    """Of the bundle that scores; None for `transactions`, and where no bundle can be had, which a check of its own says."""
    try:
        return scoring_bundle(load(ScorerSettings), load(BundleSettings)).bundle.manifest.source
    except (AssayError, BundleError):
        return None


def inputs() -> list[tuple[str, Topic]]:
    """Groups and the topic of each; the scorer's first."""
    source = scoring_source()
    found = [
        (load(RuntimeSettings).group, topic_of(source)),
        (load(CreditSettings).group, APPLICATIONS),
        (load(ProfilerSettings).group, LABELS),
    ]
    if source is not None and source.is_routed:
        found.append((load(IntakeSettings).group, users_topic(source)))
    return found
