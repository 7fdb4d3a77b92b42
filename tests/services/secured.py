"""A Kafka with its doors closed: TLS, SCRAM, client certificates, OAuth tokens, and an authorizer that allows nothing."""

import base64
import ipaddress
import json
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from services.broker import EmbeddedKafka
from services.broker.config import Listener, free_port
from services.kafka.acls import Grant

USERS = tuple(f"assay-{name}" for name in ("scorer", "profiler", "cases", "monitor", "payment-producer", "consumer"))
PASSWORD = "correct-horse"  # noqa: S105  (of a broker that lives for a test)
DAYS = timedelta(days=2)


class Authority:
    """A certificate authority of one test run; PEM files in a directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "assay-test-ca")])
        builder = self._builder(name, self._key).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        self._certificate = builder.issuer_name(name).sign(self._key, hashes.SHA256())
        self.ca_file = directory / "ca.pem"
        self.ca_file.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, common_name: str) -> tuple[Path, Path]:
        """Certificate and key for a name, good for 127.0.0.1 too; the certificate file alone also holds both, for Kafka."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        addresses = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        builder = self._builder(name, key).add_extension(addresses, critical=False)
        certificate = builder.issuer_name(self._certificate.subject).sign(self._key, hashes.SHA256())
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        key_pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        certificate_file, key_file = self._directory / f"{common_name}.pem", self._directory / f"{common_name}.key"
        certificate_file.write_bytes(pem)
        key_file.write_bytes(key_pem)
        (self._directory / f"{common_name}.both.pem").write_bytes(key_pem + pem)
        return certificate_file, key_file

    @staticmethod
    def _builder(name: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - DAYS)
            .not_valid_after(now + DAYS)
        )


class SecuredKafka:
    """Three closed doors, and an open one for the administrator: ANONYMOUS on it is the super user."""

    def __init__(self, directory: Path) -> None:
        self.authority = Authority(directory)
        self._directory = directory
        self.authority.issue("broker")
        self._scram, self._mutual, self._token = (free_port() for _ in range(3))
        doors = [
            Listener("SCRAM", self._scram, "SASL_SSL"),
            Listener("MUTUAL", self._mutual, "SSL"),
            Listener("TOKEN", self._token, "SASL_SSL"),
        ]
        scram = dict.fromkeys(USERS, PASSWORD)
        self.kafka = EmbeddedKafka(properties=self._properties(), listeners=doors, scram=scram, quick=True)

    def _properties(self) -> dict[str, str]:
        login = "org.apache.kafka.common.security"
        return {
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
            "allow.everyone.if.no.acl.found": "false",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self._directory / "broker.both.pem"),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.authority.ca_file),
            "listener.name.mutual.ssl.client.auth": "required",
            "listener.name.scram.sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.scram.scram-sha-512.sasl.jaas.config": f"{login}.scram.ScramLoginModule required;",
            "listener.name.token.sasl.enabled.mechanisms": "OAUTHBEARER",
            "listener.name.token.oauthbearer.sasl.jaas.config": f"{login}.oauthbearer.OAuthBearerLoginModule required;",
            "listener.name.token.oauthbearer.sasl.server.callback.handler.class": (
                f"{login}.oauthbearer.internals.unsecured.OAuthBearerUnsecuredValidatorCallbackHandler"
            ),
        }

    def scram(self, user: str, password: str = PASSWORD) -> dict[str, str]:
        """Settings of a program that logs in with a password over TLS."""
        return self._over_tls(self._scram, "SASL_SSL") | {
            "ASSAY_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
            "ASSAY_KAFKA_SASL_USERNAME": user,
            "ASSAY_KAFKA_SASL_PASSWORD": password,
        }

    def mutual(self, user: str) -> dict[str, str]:
        """Settings of a program that shows a certificate."""
        certificate_file, key_file = self.authority.issue(user)
        return self._over_tls(self._mutual, "SSL") | {
            "ASSAY_KAFKA_SSL_CERTIFICATE_FILE": str(certificate_file),
            "ASSAY_KAFKA_SSL_KEY_FILE": str(key_file),
        }

    def token(self, user: str) -> dict[str, str]:
        """Settings of a program that shows a token from a file; unsigned, which this broker's validator takes."""
        claims = {"sub": user, "iat": int(time.time()) - 60, "exp": int(time.time()) + 3600}
        parts = [
            base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
            for part in ({"alg": "none"}, claims)
        ]
        token_file = self._directory / f"{user}.token"
        token_file.write_text(".".join(parts) + ".")
        return self._over_tls(self._token, "SASL_SSL") | {
            "ASSAY_KAFKA_SASL_MECHANISM": "OAUTHBEARER",
            "ASSAY_KAFKA_SASL_OAUTH_TOKEN_FILE": str(token_file),
        }

    def _over_tls(self, port: int, protocol: str) -> dict[str, str]:
        return {
            "ASSAY_KAFKA_BOOTSTRAP": f"127.0.0.1:{port}",
            "ASSAY_KAFKA_SECURITY_PROTOCOL": protocol,
            "ASSAY_KAFKA_SSL_CA_FILE": str(self.authority.ca_file),
        }

    def grant(self, principal: str, grants: Iterable[Grant]) -> None:
        """Allow it, and wait until it is so."""
        admin = AdminClient({"bootstrap.servers": self.kafka.bootstrap})
        wanted = [_binding(principal, grant) for grant in grants]
        for future in admin.create_acls(wanted).values():
            future.result(20)
        anything = (AclOperation.ANY, AclPermissionType.ANY)
        known = AclBindingFilter(ResourceType.ANY, None, ResourcePatternType.ANY, principal, None, *anything)
        deadline_s = time.monotonic() + 20
        while not set(wanted) <= set(
            admin.describe_acls(known).result(20)
        ):  # the controller knows it before the broker
            assert time.monotonic() < deadline_s
            time.sleep(0.05)


def _binding(principal: str, grant: Grant) -> AclBinding:
    kinds = {
        "topic": ResourceType.TOPIC,
        "group": ResourceType.GROUP,
        "transactional-id": ResourceType.TRANSACTIONAL_ID,
    }
    operations = {
        "Read": AclOperation.READ,
        "Write": AclOperation.WRITE,
        "Describe": AclOperation.DESCRIBE,
        "DescribeConfigs": AclOperation.DESCRIBE_CONFIGS,
    }
    pattern = ResourcePatternType.PREFIXED if grant.prefixed else ResourcePatternType.LITERAL
    allow = AclPermissionType.ALLOW
    return AclBinding(kinds[grant.resource], grant.name, pattern, principal, "*", operations[grant.operation], allow)
