"""Where each service answers by default: what everything in deploy must agree with."""

from services.runtime.settings import CreditSettings, ProfilerSettings, RuntimeSettings
from services.runtime.side_settings import CasesSettings, MonitorSettings

PORTS = {
    "scorer": RuntimeSettings.model_fields["http_port"].default,
    "profiler": ProfilerSettings.model_fields["http_port"].default,
    "cases": CasesSettings.model_fields["http_port"].default,
    "monitor": MonitorSettings.model_fields["http_port"].default,
    "credit": CreditSettings.model_fields["http_port"].default,
}
