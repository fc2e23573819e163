"""Kafka topics that hold facts: made to keep every record for ever, and refused where they would not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigEntry, ConfigResource
from confluent_kafka.cimpl import NewTopic

from streams.log.base import LogError

MESSAGE_BYTES_MAX = 16 * 1024 * 1024
"""Largest record: a checkpoint's state."""
KEPT = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
"""What keeps every record for ever: asserted of topics found, set on topics made."""
_NEVER_MS = 9_223_372_036_854_775_807
_SEGMENT_MS = 10 * 365 * 86_400_000


def topic_settings(*, flush: bool) -> dict[str, str]:
    """Return the settings of a new topic. ``flush``: an fsync per message."""
    settings = {
        **KEPT,
        "compression.type": "zstd",
        "message.timestamp.type": "CreateTime",
        # Recorded and synthetic runs carry their own time: neither age nor date may refuse or split them.
        "message.timestamp.after.max.ms": str(_NEVER_MS),
        "segment.ms": str(_SEGMENT_MS),
        "max.message.bytes": str(MESSAGE_BYTES_MAX),
    }
    return settings | {"flush.messages": "1"} if flush else settings


def create_missing(
    admin: AdminClient, topics: Mapping[str, int], settings: Mapping[str, dict[str, str]], timeout_s: float
) -> list[str]:
    """Create topics (full name -> partition count) and return those that existed. Raises LogError."""
    wanted = [NewTopic(name, count, config=settings[name]) for name, count in topics.items()]
    existed = []
    for name, future in admin.create_topics(wanted, operation_timeout=timeout_s).items():
        try:
            future.result(timeout_s)
        except TimeoutError as error:
            raise LogError("topics cannot be created: no answer") from error
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise LogError(f"topics cannot be created: {error.args[0].str()}") from error
            existed.append(name)
    return existed


def refuse_forgetful(admin: AdminClient, names: Sequence[str], timeout_s: float) -> None:
    """Raise LogError where a topic would drop or compact records, or cannot be asked. ``names``: full names."""
    if not names:
        return
    resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names]
    for resource, future in admin.describe_configs(resources, request_timeout=timeout_s).items():
        found = _described(resource.name, future, timeout_s)
        for setting, wanted in KEPT.items():
            value = found[setting].value
            if value != wanted:
                raise LogError(
                    f"topic {resource.name} has {setting}={value}, not {wanted}: it would lose facts; set it back, and "
                    "check that nothing is gone yet (`tapeline replay verify`)"
                )


def _described(name: str, future: Future[dict[str, ConfigEntry]], timeout_s: float) -> dict[str, ConfigEntry]:
    try:
        return future.result(timeout_s)
    except TimeoutError as error:
        raise LogError(f"topic {name}: its settings cannot be read: no answer") from error
    except KafkaException as error:
        raise LogError(f"topic {name}: its settings cannot be read: {error.args[0].str()}") from error
