"""What each group reads, by the source of the bundle that scores: for commands that look at every input."""

from models.bundle.files import BundleError
from models.sources.spec_file import scorer_input, topic_of, users_topic
from schemas.manifest import Manifest
from schemas.source_spec import SourceSpec
from schemas.topics import APPLICATIONS, ENTITY_EVENTS, LABELS, Topic
from services.errors import AssayError
from services.settings.bundles import BundleSettings
from services.settings.credit import CreditSettings
from services.settings.entities import EntitiesSettings
from services.settings.intake import IntakeSettings
from services.settings.loading import load
from services.settings.processing import RuntimeSettings
from services.settings.profiler import ProfilerSettings
from services.settings.scorer import ScorerSettings
from services.trusted_bundles import scoring_bundle


def scoring_manifest() -> Manifest | None:
    """Of the bundle that scores; None where no bundle can be had, which a check of its own says."""
    try:
        return scoring_bundle(load(ScorerSettings), load(BundleSettings)).bundle.manifest
    except (AssayError, BundleError):
        return None


def scoring_source() -> SourceSpec | None:
    """Of the bundle that scores; None for `transactions`."""
    manifest = scoring_manifest()
    return None if manifest is None else manifest.source


def scoring_input() -> Topic:
    """What the scorer reads."""
    manifest = scoring_manifest()
    return topic_of(None) if manifest is None else scorer_input(manifest.source, manifest.feature_spec)


def inputs() -> list[tuple[str, Topic]]:
    """Groups and the topic of each; the scorer's first."""
    manifest = scoring_manifest()
    source = None if manifest is None else manifest.source
    found = [
        (load(RuntimeSettings).group, scoring_input()),
        (load(CreditSettings).group, APPLICATIONS),
        (load(ProfilerSettings).group, LABELS),
    ]
    if manifest is not None and manifest.feature_spec.stages:
        group = load(EntitiesSettings).group
        found += [(group, topic_of(source)), (group, ENTITY_EVENTS)]
        found += [(group, LABELS)] if manifest.feature_spec.labelled else []
    if source is not None and source.is_routed:
        found.append((load(IntakeSettings).group, users_topic(source)))
    return found
