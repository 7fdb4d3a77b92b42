"""A console beside a registry with policies, and people who sign where their keys are."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.bundle.keys import PrivateKey, private_key, public_pem, write_key_pair
from models.policy.signed import ref_of, signed
from schemas.policy import Policy, Rule
from schemas.registry import RegistryEvent
from services.cli.people.signing_file import sign_prepared
from services.settings.bundles import BundleSettings
from services.settings.policy import PolicySettings
from services.trusted_policies import policy_registry_of
from tests.services.console.conftest import HOSTILE, Client
from tests.services.console.stand import Stand, running
from tests.services.console.test_gate import client
from tests.services.signing import People, people

SIGNERS = {"risk-officer": "risk-officer", "admin": "admin", "lead": "lead", "ana": "analyst"}
"""Persons by the names of the console's users."""


def policy_of(version: int) -> Policy:
    """A version of the line: each has a rule more, and moves a threshold."""
    rules = tuple(
        Rule(name=f"rule_{n}", words=f"the {n}. rule{HOSTILE if n == 2 else ''}", condition=f"amount > {900 - 100 * n}",
             action="decline", owner="risk")
        for n in range(1, version + 1)
    )  # fmt: skip
    thresholds: Any = {"probability": 0.5 + version / 100}
    return Policy(name="fraud", version=version, rules=rules, thresholds=thresholds)


@dataclass(frozen=True)
class Promoting:
    """What runs, with everybody's keys and the key that signs policies."""

    stand: Stand
    everyone: People
    bundles: BundleSettings
    policy_key: PrivateKey
    clients: dict[str, Client] = field(default_factory=dict)

    @property
    def registry(self) -> Any:
        """Of the policies, as it is now."""
        return policy_registry_of(self.bundles, PolicySettings)

    def decides(self) -> str:
        """What decides by the registry."""
        return str(self.registry.holds("fraud", "champion"))

    def client(self, name: str) -> Client:
        """Someone, signed in once."""
        if name not in self.clients:
            self.clients[name] = client(self.stand, name)
        return self.clients[name]

    def prepare(self, name: str, version: int | None = 2, **fields: str) -> str:
        """Ask for a version to decide; the request's path."""
        one = self.client(name)
        steps = re.search(
            r'name="steps" value="(\d+)"', one.get("/promotions/step", params=step_of(version, **fields)).text
        )
        assert steps
        answer = one.submit("/promotions", **step_of(version, **fields), steps=steps[1], reason="fewer frauds pass")
        assert answer.status_code == 303, answer.text
        return answer.headers["location"].partition("?")[0]

    def signature(self, name: str, path: str, key: str | None = None) -> str:
        """What the command prints where the person's key is. key: whose they take, if not their own."""
        taken = self.client(name).submit(f"{path}/file", reason="to sign it")
        assert taken.status_code == 200, taken.text
        file = self.everyone.folder / "taken.json"
        file.write_text(taken.text)
        return sign_prepared(file, self.everyone.key_file(key or name))

    def sign(self, name: str, path: str, key: str | None = None) -> Any:
        """Sign and paste."""
        return self.client(name).submit(f"{path}/sign", signature=self.signature(name, path, key))


def step_of(version: int | None, **fields: str) -> dict[str, str]:
    """The step that the list links to."""
    step = {"subject": "policy", "step": "promote", "channel": "champion", "version": str(version or "")}
    return {**step, **fields}


def publish(bundles: BundleSettings, key: PrivateKey, versions: int) -> None:
    """Policies, the first of which decides already, unsigned by persons."""
    registry = policy_registry_of(bundles, PolicySettings)
    for version in range(1, versions + 1):
        policy = policy_of(version)
        event = RegistryEvent(
            action="publish", bundle=ref_of(policy), at_ms=1_800_000_000_000, by="ci", why=f"week {version}"
        )
        registry.publish(signed(policy, key), event)


@contextmanager
def promoting(directory: Path, users_file: Path, signatures_min: int = 2, versions: int = 3) -> Iterator[Promoting]:
    """The console of it."""
    everyone = people(directory, SIGNERS)
    (directory / "policies.pub").write_bytes(public_pem(write_key_pair(directory / "policies")))
    bundles = BundleSettings(
        registry_url=str(directory / "registry"), bundle_public_keys=str(directory / "policies.pub"), demo_bundle=False
    )
    key = private_key(directory / "policies.key")
    publish(bundles, key, versions)
    with running(directory, users_file, [], bundles=bundles) as stand:
        stand.desk.rule = everyone.rule(signatures_min) if signatures_min else None
        yield Promoting(stand, everyone, bundles, key)
