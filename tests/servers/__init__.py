"""Obtains and runs the real servers of the connected tests: Apache Kafka, and PostgreSQL with
DocumentDB behind FerretDB (a document database that speaks MongoDB's protocol).

`python -m tests.servers install` needs the standard library only, so it can run before the
virtual environment exists.
"""
