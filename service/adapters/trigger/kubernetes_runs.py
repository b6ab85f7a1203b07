"""Runs of ours as the Kubernetes API tells of them: a list, and what changes from there on."""

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import replace
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode

import anyio

from service.adapters.kubernetes_api import Answer, KubernetesUnreachable
from service.adapters.kubernetes_credentials import Credentials
from service.adapters.trigger.manifest import MODEL_LABEL
from service.adapters.trigger.run_kind import Objects
from service.adapters.trigger.run_seen import is_held, run_seen
from service.adapters.trigger.target import Target, refusal
from service.adapters.trigger.template import MANAGED_BY, MANAGER
from service.domain.errors import DriftwardenError, TriggerRejected, TriggerUnavailable
from service.domain.models import ModelName
from service.domain.retraining.run import Progress, RunSeen

Tell = Callable[[RunSeen], Awaitable[None]]
_OURS = f"{MANAGED_BY}={MANAGER},{MODEL_LABEL}"
_PAGE = 100
_PAUSE_S = 0.5
"""Between one watch and the next: a server or a proxy that ends them at once is not flooded."""


class KubernetesRuns:
    """A `service.ports.Runs`."""

    def __init__(
        self,
        followed: Iterable[Objects],
        credentials: Credentials,
        *,
        request_timeout_s: float = 10.0,
        watch_s: int = 120,
    ) -> None:
        """`watch_s`: a watch is begun anew after so long, by which a connection that died in silence is noticed."""
        self._api = Target(credentials, request_timeout_s=request_timeout_s)
        self._followed = [_Followed(self._api, objects, watch_s) for objects in dict.fromkeys(followed)]

    async def open(self) -> None:
        """Read the credentials; sends nothing. Raises `InvalidConfiguration`."""
        await self._api.open()

    async def aclose(self) -> None:
        """Close the connections; a second time has no effect."""
        await self._api.aclose()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def watch(self, tell: Tell, /) -> None:
        """A kind that cannot be watched lets the others come to the end of what they are at."""
        wrong: list[DriftwardenError] = []

        async def follow(followed: _Followed) -> None:
            try:
                await followed.watch_once(tell)
                while not wrong:
                    await followed.watch_once(tell)
            except DriftwardenError as error:
                wrong.append(error)

        async with anyio.create_task_group() as tasks:
            for each in self._followed:
                tasks.start_soon(follow, each)
        raise wrong[0]

    async def look(self, model: ModelName, name: str, /) -> RunSeen:
        found = await self._find(model, name)
        seen = None if found is None else run_seen(found[0].objects.run_kind, found[1])
        return seen or RunSeen(model, name, Progress.GONE)

    async def release(self, model: ModelName, name: str, /) -> None:
        found = await self._find(model, name)
        if found is None:
            raise TriggerRejected(f"there is no run {name} of ours any more")
        followed, document = found
        await followed.release(document)

    async def _find(self, model: ModelName, name: str) -> "tuple[_Followed, dict[str, Any]] | None":
        unknown: TriggerUnavailable | None = None
        for followed in self._followed:
            try:
                if (document := await followed.get(model, name)) is not None:
                    return followed, document
            except TriggerUnavailable as error:
                unknown = error
        if unknown is not None:
            raise unknown
        return None


class _Followed:
    """The runs among objects of one kind; remembers how they were, and from where on changes are not told yet."""

    def __init__(self, api: Target, objects: Objects, watch_s: int) -> None:
        self.objects = objects
        self._api = api
        self._watch_s = watch_s
        self._version: str | None = None
        self._told: dict[str, RunSeen] = {}

    async def watch_once(self, tell: Tell) -> None:
        """Until the server ends the watch."""
        if self._version is None:
            await self._list(tell)
        await self._follow(tell, self._version or "")
        await anyio.sleep(_PAUSE_S)

    async def get(self, model: ModelName, name: str) -> dict[str, Any] | None:
        """None: there is none of that name, or it is no run of ours for that model."""
        answer = await self._api.ask("GET", await self._path(name))
        if answer.status == 404 and answer.reason == "NotFound":
            return None
        if not answer.ok:
            raise refusal(f"get {self.objects.kind} {name}", answer)
        seen = run_seen(self.objects.run_kind, answer.body)
        return answer.body if seen is not None and seen.model == model else None

    async def release(self, document: Mapping[str, Any]) -> None:
        kind, name = self.objects.run_kind, str(document["metadata"]["name"])
        if kind.suspension is None or not is_held(kind, document):
            return
        patch = {"spec": {kind.suspension.member: kind.suspension.goes_on}}
        answer = await self._api.ask("PATCH", await self._path(name), patch)
        if answer.status == 403:
            command = f"kubectl -n {self.objects.namespace} patch {self._api.plural(self.objects)} {name} --type merge"
            raise TriggerRejected(f"we may not release {name}; who may can: {command} -p '{json.dumps(patch)}'")
        if not answer.ok:
            raise refusal(f"release {self.objects.kind} {name}", answer)

    async def _list(self, tell: Tell) -> None:
        there: set[str] = set()
        proceed: str | None = ""
        while proceed is not None:
            query = {"labelSelector": _OURS, "limit": _PAGE, **({"continue": proceed} if proceed else {})}
            answer = await self._api.ask("GET", f"{await self._api.collection(self.objects)}?{urlencode(query)}")
            if not answer.ok:
                raise refusal(f"list {self.objects.kind}", answer)
            for document in answer.body.get("items") or ():
                there.add(str(document["metadata"]["name"]))
                await self._tell(document, tell)
            proceed = answer.body["metadata"].get("continue") or None
        for name in self._told.keys() - there:
            await self._tell_gone(self._told[name], tell)
        self._version = answer.body["metadata"]["resourceVersion"]

    async def _follow(self, tell: Tell, version: str) -> None:
        query = {"watch": "true", "allowWatchBookmarks": "true", "resourceVersion": version, "labelSelector": _OURS}
        path = f"{await self._api.collection(self.objects)}?{urlencode({**query, 'timeoutSeconds': self._watch_s})}"
        try:
            async with aclosing(self._api.follow(path, self._watch_s + self._api.request_timeout_s)) as events:
                async for event in events:
                    if event.get("type") == "ERROR" and event["object"].get("code") == 410:
                        self._version = None  # what is behind it is forgotten: everything is listed again
                        return
                    await self._take(event, tell)
        except KubernetesUnreachable as error:
            raise TriggerUnavailable(str(error)) from error

    async def _take(self, event: Mapping[str, Any], tell: Tell) -> None:
        change, document = event.get("type"), event.get("object", {})
        if change not in {"ADDED", "MODIFIED", "DELETED", "BOOKMARK"}:
            status, message = int(document.get("code", 500)), str(document.get("message", ""))
            raise refusal(f"watch {self.objects.kind}", Answer(status, document, message, None))
        if change != "BOOKMARK":
            seen = await self._tell(document, tell)
            if change == "DELETED" and seen is not None:
                await self._tell_gone(seen, tell)
        self._version = document["metadata"]["resourceVersion"]

    async def _tell(self, document: Mapping[str, Any], tell: Tell) -> RunSeen | None:
        seen = run_seen(self.objects.run_kind, document)
        if seen is None:
            return None
        before = self._told.get(seen.name)
        if before is None or (before.uid, before.progress) != (seen.uid, seen.progress):
            await tell(seen)
        self._told[seen.name] = seen
        return seen

    async def _tell_gone(self, last: RunSeen, tell: Tell) -> None:
        """Of one that had ended before nothing more is to be said."""
        if not last.progress.is_over:
            await tell(replace(last, progress=Progress.GONE, at=None, detail=""))
        del self._told[last.name]

    async def _path(self, name: str) -> str:
        return f"{await self._api.collection(self.objects)}/{quote(name, safe='')}"
