"""What tests of several services may use."""

from pathlib import Path

import pytest

from models.bundle.keys import PrivateKey, private_key, write_key_pair
from tests.services.harness import ROOT


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PrivateKey:
    """A key that is pinned beside the demo's."""
    write_key_pair(tmp_path / "test")
    pinned = f"{ROOT / 'deploy/keys/demo.pub'},{tmp_path / 'test.pub'}"
    monkeypatch.setenv("ASSAY_BUNDLE_PUBLIC_KEYS", pinned)
    return private_key(tmp_path / "test.key")
