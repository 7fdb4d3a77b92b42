"""Who may ask. Without credentials the gateway answers on loopback alone."""

from services.engine.health import is_loopback
from services.errors import SettingsError
from services.settings.gateway import GatewaySettings


def refuse_open_address(settings: GatewaySettings) -> None:
    """Raises SettingsError where anyone on a network could ask."""
    if not is_loopback(settings.host):
        raise SettingsError(
            f"ASSAY_GATEWAY_HOST={settings.host} can be reached from other machines, without credentials: use 127.0.0.1."
        )
