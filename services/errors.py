"""Errors for users: each says what is wrong and what to do next."""

from aiokafka import errors as kafka_errors


class AssayError(Exception):
    """One clear sentence for the user. The process prints it and exits with status 2, without a traceback."""


class SettingsError(AssayError):
    """A setting is missing or wrong."""


class StateOutdatedError(Exception):
    """A processor's state no longer fits its model: its partition must be started again with a fresh one."""


_FATAL = {
    kafka_errors.TopicAuthorizationFailedError: "Kafka refuses access to a topic ({error}): grant this user the topic's ACL.",
    kafka_errors.GroupAuthorizationFailedError: (
        "Kafka refuses the consumer group ({error}): grant this user Read on the group."
    ),
    kafka_errors.TransactionalIdAuthorizationFailed: (
        "Kafka refuses the transactional id ({error}): grant this user Write and Describe on ids that begin with assay-."
    ),
    kafka_errors.ClusterAuthorizationFailedError: (
        "Kafka refuses an idempotent producer ({error}): grant this user IdempotentWrite, or Write on its topics."
    ),
    kafka_errors.AuthenticationFailedError: "Kafka refuses the login ({error}): check ASSAY_KAFKA_SASL_USERNAME and _PASSWORD.",
    kafka_errors.SaslAuthenticationFailed: "Kafka refuses the login ({error}): check ASSAY_KAFKA_SASL_*.",
    kafka_errors.UnsupportedCodecError: (
        "A message is compressed with a codec that is not installed ({error}): install aiokafka[lz4,snappy,zstd]."
    ),
}


def start_sentence(error: BaseException, bootstrap: str) -> str:
    """The sentence that a process ends with where Kafka does not let it work."""
    return (
        fatal_sentence(error)
        or f"Kafka at {bootstrap} does not work for us ({error!r}): check ASSAY_KAFKA_BOOTSTRAP and that it runs."
    )


def fatal_sentence(error: BaseException) -> str | None:
    """The sentence for a Kafka error that a retry cannot fix; None for one that it can."""
    for kind, sentence in _FATAL.items():
        if isinstance(error, kind):
            return sentence.format(error=error)
    return None
