"""Quix Streams doing nothing but decoding a topic: run by ``tests.bench.million`` in an environment of its own.

``python quix_decode.py BROKER TOPIC SCHEMAS.json COUNT`` prints the seconds from the first message to the last.
Imports nothing of ours: the writer schemas come in a file, by schema id.
"""

from __future__ import annotations

import json
import sys
import time
from io import BytesIO
from pathlib import Path
from struct import unpack_from
from typing import Any

from fastavro import parse_schema, schemaless_reader
from quixstreams import Application  # type: ignore[import-not-found,unused-ignore]

HEADER_BYTES = 5


def main(broker: str, topic_name: str, schemas_file: str, count: int) -> None:
    """Consume, decode, stop after ``count`` messages."""
    schemas = {int(key): parse_schema(schema) for key, schema in json.loads(Path(schemas_file).read_text()).items()}
    app = Application(
        broker_address=broker, consumer_group="bench-quix", auto_offset_reset="earliest", auto_create_topics=False
    )
    times: list[float] = []
    seen = 0

    def decode(value: bytes) -> Any:
        nonlocal seen
        if seen == 0:
            times.append(time.perf_counter())
        record = schemaless_reader(BytesIO(value[HEADER_BYTES:]), schemas[unpack_from(">I", value, 1)[0]])
        seen += 1
        if seen == count:
            times.append(time.perf_counter())
        return record

    frame = app.dataframe(app.topic(topic_name, value_deserializer="bytes"))
    frame.apply(decode)
    app.run(count=count, timeout=60)
    print(json.dumps({"seconds": times[1] - times[0], "messages": seen}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
