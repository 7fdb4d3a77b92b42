"""An empty secret is none, and a key that is a key has a length."""

import pytest
from pydantic import SecretStr
from pydantic_settings import BaseSettings

from services.engine.dead_letters import privacy_key
from services.errors import SettingsError
from services.settings.loading import load
from services.settings.names import settings_classes
from services.settings.processing import RuntimeSettings

SECRETS = [
    (settings, name)
    for settings in settings_classes()
    for name, field in settings.model_fields.items()
    if "SecretStr" in str(field.annotation)
]


def variable(settings: type[BaseSettings], name: str) -> str:
    return f"{settings.model_config.get('env_prefix', '')}{name}".upper()


@pytest.mark.parametrize(("settings", "name"), SECRETS, ids=lambda value: str(getattr(value, "__name__", value)))
@pytest.mark.parametrize("empty", ["", " ", "\n"])
def test_every_empty_secret_is_unset(
    settings: type[BaseSettings], name: str, empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a template leaves it whose value was never filled in."""
    monkeypatch.setenv(variable(settings, name), empty)
    assert getattr(load(settings), name) is None
    assert getattr(settings(**{name: SecretStr(empty)}), name) is None


def test_no_setting_with_a_secrets_name_is_plain_text() -> None:
    """A new password, secret or key is declared with the type, or is the name of a file, an id, a command."""
    for settings in settings_classes():
        for name, field in settings.model_fields.items():
            if name.endswith(("password", "secret", "_key")) or name == "key":
                assert (settings, name) in SECRETS, (settings, name, field)


@pytest.mark.parametrize(("prefix", "name"), [("ASSAY_", "PRIVACY_KEY"), ("ASSAY_CASES_", "WEBHOOK_SECRET")])
def test_a_short_key_is_refused_in_one_sentence_that_does_not_quote_it(
    prefix: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fifteen bytes are too few, sixteen are taken."""
    settings = next(s for s, field in SECRETS if variable(s, field) == prefix + name)
    monkeypatch.setenv(prefix + name, "sesame-of-15-by")
    with pytest.raises(SettingsError, match=f"{prefix}{name} is not usable: a key has at least 16 bytes") as raised:
        load(settings)
    assert "sesame" not in str(raised.value)
    monkeypatch.setenv(prefix + name, "sesame-of-16-byt")
    load(settings)


def test_an_empty_privacy_key_makes_no_hashes_that_anybody_can_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is as if none were set: a random one."""
    monkeypatch.setenv("ASSAY_PRIVACY_KEY", "")
    key = privacy_key(load(RuntimeSettings))
    assert len(key.secret) == 32
    assert key.key_id == "ephemeral"
