"""Where each service answers by default: what everything in deploy must agree with."""

from services.settings.cases import CasesSettings
from services.settings.credit import CreditSettings
from services.settings.monitor import MonitorSettings
from services.settings.processing import RuntimeSettings
from services.settings.profiler import ProfilerSettings

PORTS = {
    "scorer": RuntimeSettings.model_fields["http_port"].default,
    "profiler": ProfilerSettings.model_fields["http_port"].default,
    "cases": CasesSettings.model_fields["http_port"].default,
    "monitor": MonitorSettings.model_fields["http_port"].default,
    "credit": CreditSettings.model_fields["http_port"].default,
}
