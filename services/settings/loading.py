"""Settings are read once, from the environment, by each process those that it needs. `docs/settings.md` is made of them."""

import os
from typing import TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings

from services.errors import SettingsError
from services.settings.names import check_names, take_renamed
from services.settings.product import ProductSettings, of_product

S = TypeVar("S", bound=BaseSettings)


def load(settings: type[S]) -> S:
    """Settings from the environment. Raises SettingsError: one sentence that names the variable."""
    take_renamed(os.environ)
    check_names(os.environ)
    loaded = _read(settings)
    product = _read(ProductSettings).product
    return loaded if product is None else loaded.model_copy(update=of_product(loaded, product))


def _read(settings: type[S]) -> S:
    try:
        return settings()
    except ValidationError as error:
        first = error.errors()[0]
        prefix = settings.model_config.get("env_prefix", "")
        name = prefix + "_".join(str(part) for part in first["loc"]).upper()
        raise SettingsError(
            f"{name} is not usable: {first['msg'].removeprefix('Value error, ')}. See docs/settings.md."
        ) from None
