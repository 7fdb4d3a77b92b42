"""Where each service answers by default: what everything in deploy must agree with."""

from services.settings.low_rate import CasesSettings, MonitorSettings
from services.settings.stream import CreditSettings, ProfilerSettings, RuntimeSettings

PORTS = {
    "scorer": RuntimeSettings.model_fields["http_port"].default,
    "profiler": ProfilerSettings.model_fields["http_port"].default,
    "cases": CasesSettings.model_fields["http_port"].default,
    "monitor": MonitorSettings.model_fields["http_port"].default,
    "credit": CreditSettings.model_fields["http_port"].default,
}
