"""Where each service answers by default: what everything in deploy must agree with."""

from services.settings.cases import CasesSettings
from services.settings.console import ConsoleSettings
from services.settings.converter import ConverterSettings
from services.settings.credit import CreditSettings
from services.settings.entities import EntitiesSettings
from services.settings.gateway import GatewaySettings
from services.settings.intake import IntakeSettings
from services.settings.monitor import CreditMonitorSettings, MonitorSettings
from services.settings.processing import RuntimeSettings
from services.settings.profiler import ProfilerSettings

PORTS = {
    "scorer": RuntimeSettings.model_fields["http_port"].default,
    "profiler": ProfilerSettings.model_fields["http_port"].default,
    "cases": CasesSettings.model_fields["http_port"].default,
    "monitor": MonitorSettings.model_fields["http_port"].default,
    "intake": IntakeSettings.model_fields["http_port"].default,
    "entities": EntitiesSettings.model_fields["http_port"].default,
    "converter": ConverterSettings.model_fields["http_port"].default,
    "gateway": GatewaySettings.model_fields["port"].default,
    "console": ConsoleSettings.model_fields["port"].default,
    "credit": CreditSettings.model_fields["http_port"].default,
    "credit-monitor": CreditMonitorSettings.model_fields["http_port"].default,
}
