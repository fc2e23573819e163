"""What crosses a boundary: values, envelope, events, topics and their Avro wire format. Imports nothing of ours."""

from schemas import values as values  # arms the decimal context for every importer
