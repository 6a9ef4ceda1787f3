"""One OpenAPI 3.1 document for the public API, merged from the services' own.

Each service describes itself; the gateway fetches the descriptions, keeps them for a minute, and
shows what is public: the paths its table routes. A service that cannot be asked is named in
``x-mooring-missing`` and asked again soon; what was known of it before is kept.
"""

import asyncio
import copy
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from gateway.routes import MEMBER, match
from gateway.upstream import UnreachableError, Upstream
from kit.errors import ServiceError
from kit.http.openapi import BEARER, operations

FETCH_SECONDS = 2.0
FRESH_SECONDS = 60.0
RETRY_SECONDS = 3.0
MOST_BYTES = 4 * 1024 * 1024
Api = dict[str, Any]
_KINDS = ("schemas", "responses", "parameters", "examples", "requestBodies", "headers")


class MergedApi:
    """The merged document, fetched when it is first asked for."""

    def __init__(
        self,
        upstreams: Mapping[str, Upstream],
        own: Callable[[], Api],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._upstreams = upstreams
        self._own = own
        self._clock = clock
        self._known: dict[str, Api] = {}
        self._merged: Api = {}
        self._good_until = float("-inf")
        self._lock = asyncio.Lock()

    async def document(self) -> Api:
        """The document; at most a minute old, three seconds when a service is missing."""
        async with self._lock:
            if self._clock() >= self._good_until:
                await self._refresh()
        return self._merged

    async def _refresh(self) -> None:
        names = list(self._upstreams)
        fetched = await asyncio.gather(*(self._fetch(self._upstreams[name]) for name in names))
        answered = {name: api for name, api in zip(names, fetched, strict=True) if api}
        self._known |= answered
        missing = [name for name in names if name not in self._known]
        self._merged = merge(self._own(), self._known, missing)
        pause = FRESH_SECONDS if len(answered) == len(names) else RETRY_SECONDS
        self._good_until = self._clock() + pause

    async def _fetch(self, upstream: Upstream) -> Api | None:
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                found = await upstream.transport.get("/openapi.json", b"", (), MOST_BYTES)
        except (UnreachableError, ServiceError, TimeoutError):
            return None
        return found.document if found.status == 200 else None


def merge(own: Api, services: Mapping[str, Api], missing: list[str]) -> Api:
    """Merge the services' public paths and their components into the gateway's own document.

    A component that two services describe differently keeps its name in the first and gets the
    service's name in front in the other.
    """
    merged = copy.deepcopy(own)
    for name in sorted(services):
        _add(merged, name, copy.deepcopy(services[name]))
    merged["paths"] |= dict(_personal(merged["paths"]))
    merged["paths"] = dict(sorted(merged["paths"].items()))
    merged.setdefault("components", {})["securitySchemes"] = {"bearer": BEARER}
    merged["security"] = [{"bearer": []}]
    if missing:
        merged["x-mooring-missing"] = missing
    return merged


def _add(merged: Api, service: str, api: Api) -> None:
    public = {
        path: item for path, item in api.get("paths", {}).items() if _is_public(path, service)
    }
    renamed: dict[str, str] = {}
    for kind in _KINDS:
        mine = merged.setdefault("components", {}).setdefault(kind, {})
        for name, component in api.get("components", {}).get(kind, {}).items():
            if name in mine and mine[name] != component:
                renamed[f"#/components/{kind}/{name}"] = f"#/components/{kind}/{service}_{name}"
    _point_elsewhere(api, renamed)
    for kind in _KINDS:
        mine = merged["components"][kind]
        for name, component in api.get("components", {}).get(kind, {}).items():
            moved = renamed.get(f"#/components/{kind}/{name}")
            mine[moved.rpartition("/")[2] if moved else name] = component
        if not mine:
            del merged["components"][kind]
    for item in public.values():
        for operation in operations({"paths": {"": item}}):
            operation.setdefault("tags", [service])
    merged["paths"] |= public


def _is_public(path: str, service: str) -> bool:
    """Whether the gateway's table sends this path to this service."""
    found = match(path.replace("{", "").replace("}", ""))
    return path.startswith("/v1/") and found is not None and found.route.service == service


def _point_elsewhere(node: Any, renamed: Mapping[str, str]) -> None:
    if isinstance(node, dict):
        target = node.get("$ref")
        if isinstance(target, str) and target in renamed:
            node["$ref"] = renamed[target]
        for below in node.values():
            _point_elsewhere(below, renamed)
    elif isinstance(node, list):
        for below in node:
            _point_elsewhere(below, renamed)


def _personal(paths: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """``/v1/me/…`` for every ``/v1/members/{member_id}/…`` that is the member's own."""
    for path, item in paths.items():
        if path != MEMBER and not path.startswith(f"{MEMBER}/"):
            continue
        mine = "/v1/me" + path.removeprefix(MEMBER)
        if mine in paths:
            continue
        item = {
            method: _personally(operation)
            for method, operation in item.items()
            if "member" in operation.get("x-mooring-roles", ())
        }
        if item:
            yield mine, item


def _personally(operation: Mapping[str, Any]) -> Api:
    personal = dict(operation)
    personal["operationId"] = "my_" + str(operation.get("operationId", ""))
    personal["x-mooring-roles"] = ["member"]
    personal["summary"] = f"{operation.get('summary', '')} (one's own)".strip()
    personal["parameters"] = [
        one for one in operation.get("parameters", ()) if one.get("name") != "member_id"
    ]
    return personal
