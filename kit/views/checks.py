"""What every adapter of the views refuses, because the adapters would differ on it."""

from collections.abc import Sequence

from kit.views.port import Collection, Document, Query


def require_distinct(documents: Sequence[Document]) -> None:
    """Refuse a save that names a document twice: which of the two wins would be chance."""
    if len({document.id for document in documents}) != len(documents):
        raise ValueError("a document can be saved only once in one save")


def require_field(collection: Collection, field: str) -> None:
    """Refuse a field that the collection does not declare: the store does not know it."""
    if field not in collection.fields:
        raise ValueError(f"collection {collection.name} declares no field {field!r}")


def require_answerable(collection: Collection, query: Query) -> None:
    """Refuse a query on undeclared fields, and a range on nothing."""
    for field in query.equals:
        require_field(collection, field)
    if query.order_by is not None:
        require_field(collection, query.order_by)
    elif query.lower is not None or query.upper is not None:
        raise ValueError("a range needs the field it is on: order_by")
