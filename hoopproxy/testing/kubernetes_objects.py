"""The objects of a small Kubernetes API server: kept, changed and told about, as JSON. Knows no request."""

import asyncio
from collections.abc import AsyncIterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

type Object = dict[str, Any]

CREATED_AT = "2026-01-01T00:00:00Z"
"""When everything was made; nothing here grows old."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A resource: what its objects are called, and the paths of what kubectl shows of them."""

    group: str
    resource: str
    kind: str
    short: str
    columns: tuple[tuple[str, ...], ...]
    is_namespaced: bool = True

    @property
    def version(self) -> str:
        """Its `apiVersion`."""
        return f"{self.group}/v1" if self.group else "v1"

    @property
    def discovered(self) -> Object:
        """What discovery says of it."""
        return {
            "name": self.resource,
            "singularName": self.kind.lower(),
            "namespaced": self.is_namespaced,
            "kind": self.kind,
            "shortNames": [self.short],
            "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
        }


KINDS = {
    (each.group, each.resource): each
    for each in (
        Kind("", "pods", "Pod", "po", (("status", "phase"),)),
        Kind("", "secrets", "Secret", "sec", (("type",),)),
        Kind("", "configmaps", "ConfigMap", "cm", ()),
        Kind("", "namespaces", "Namespace", "ns", (("status", "phase"),), is_namespaced=False),
        Kind("apps", "deployments", "Deployment", "deploy", (("spec", "replicas"),)),
    )
}


class Absent(KeyError):
    """There is no such object; the text is Kubernetes' own."""


class Present(ValueError):
    """There is one already."""


@dataclass
class Objects:
    """By resource, namespace and name. `changes` is all that ever happened: version, what, resource and object."""

    kept: dict[tuple[Kind, str, str], Object] = field(default_factory=dict)
    changes: list[tuple[int, str, Kind, Object]] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def version(self) -> int:
        """Of the last change."""
        return len(self.changes)

    def find(self, kind: Kind, namespace: str, name: str) -> Object:
        """@raise Absent"""
        try:
            return self.kept[kind, namespace, name]
        except KeyError:
            raise Absent(f'{kind.resource} "{name}" not found') from None

    def select(self, kind: Kind, namespace: str, name: str) -> list[Object]:
        """All of a namespace, and of that name; "" for any."""
        wanted = (each for where, each in sorted(self.kept.items(), key=lambda one: one[0][1:]) if where[0] is kind)
        return [each for each in wanted if _is_meant(each, namespace, name)]

    def create(self, kind: Kind, namespace: str, given: Object) -> Object:
        """@raise Present"""
        name = given["metadata"]["name"]
        if (kind, namespace, name) in self.kept:
            raise Present(f'{kind.resource} "{name}" already exists')
        return self._keep("ADDED", kind, namespace, name, given)

    def replace(self, kind: Kind, namespace: str, name: str, given: Object) -> Object:
        """@raise Absent"""
        self.find(kind, namespace, name)
        return self._keep("MODIFIED", kind, namespace, name, given)

    def merge(self, kind: Kind, namespace: str, name: str, patch: Object) -> Object:
        """@raise Absent"""
        return self.replace(kind, namespace, name, _merged(self.find(kind, namespace, name), patch))

    def delete(self, kind: Kind, namespace: str, name: str) -> Object:
        """@raise Absent"""
        gone = deepcopy(self.find(kind, namespace, name))
        del self.kept[kind, namespace, name]
        return self._tell("DELETED", kind, gone)

    async def watch(
        self, kind: Kind, namespace: str, name: str, since: int | None
    ) -> AsyncIterator[tuple[str, Object]]:
        """What happens, for ever; with what there is by now, unless it is asked `since` which version."""
        seen = self.version if since is None else since
        for each in self.select(kind, namespace, name) if since is None else ():
            yield "ADDED", each
        while True:
            news, seen = self.changes[seen:], self.version
            for _, what, of, each in news:
                if of is kind and _is_meant(each, namespace, name):
                    yield what, each
            if seen == self.version:
                await self._news.wait()

    def _keep(self, what: str, kind: Kind, namespace: str, name: str, given: Object) -> Object:
        one: Object = {"apiVersion": kind.version, "kind": kind.kind} | deepcopy(given)
        metadata = one.setdefault("metadata", {})
        metadata |= {"name": name, "creationTimestamp": CREATED_AT, "uid": f"{kind.resource}-{namespace}-{name}"}
        if kind.is_namespaced:
            metadata["namespace"] = namespace
        self.kept[kind, namespace, name] = self._tell(what, kind, one)
        return one

    def _tell(self, what: str, kind: Kind, one: Object) -> Object:
        one["metadata"]["resourceVersion"] = str(self.version + 1)
        self.changes.append((self.version + 1, what, kind, one))
        self._news.set()
        self._news = asyncio.Event()
        return one


def as_table(kind: Kind, objects: list[Object], version: int, include: str) -> Object:
    """Objects as kubectl wants to show them (k8s.io/apimachinery, meta/v1: Table)."""
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": str(version)},
        "columnDefinitions": [
            {"name": name, "type": "string", "format": "", "description": "", "priority": 0}
            for name in ("Name", *(path[-1].title() for path in kind.columns))
        ],
        "rows": [
            {
                "cells": [one["metadata"]["name"], *(str(_at(one, path)) for path in kind.columns)],
                "object": one if include == "Object" else _only_metadata(one),
            }
            for one in objects
        ],
    }


def _only_metadata(one: Object) -> Object:
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": one["metadata"]}


def _at(one: Object, path: tuple[str, ...]) -> Any:
    found: Any = one
    for step in path:
        found = found.get(step, {})
    return found or ""


def _is_meant(one: Object, namespace: str, name: str) -> bool:
    metadata = one["metadata"]
    return namespace in ("", metadata.get("namespace", "")) and name in ("", metadata["name"])


def _merged(whole: Any, patch: Any) -> Any:
    """RFC 7396; a strategic merge differs in lists alone."""
    if not isinstance(patch, dict):
        return deepcopy(patch)
    result = dict(whole) if isinstance(whole, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = _merged(result.get(name), value)
    return result
