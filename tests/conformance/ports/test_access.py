"""What everybody who knows callers promises: who one is, what it may do, and that neither outlives its end for long.

One suite for keys, client certificates and Kubernetes tokens, the last on a real API server.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from anyio import to_thread

from service.adapters.access.callers_file import CallersFile, line_of
from service.adapters.access.kubernetes_reviews import REFUSED_SECONDS, KubernetesReviews, Reviewed
from service.adapters.kubernetes_api import KubernetesApi
from service.adapters.kubernetes_credentials import Kubeconfig
from service.domain.access import Access, Caller, Credentials, Verb
from service.domain.models import model_name
from service.usecases.admit_caller import Way
from tests.cluster.callers import CallersOf
from tests.cluster.fixtures import Account
from tests.processes.callers import make_key
from tests.processes.waiting import eventually_async

pytestmark = pytest.mark.anyio

FRAUD, CHURN = model_name("fraud"), model_name("churn")
BELIEVED_SECONDS = 30.0


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Door:
    """A way in with one caller, which may hand in rows for `fraud` and see everything of every model."""

    way: Way
    known: Credentials
    unknown: Credentials
    revoke: Callable[[], Awaitable[None]]
    """Take the caller away, and let the time pass that an answer is believed."""
    clock: Clock = field(default_factory=Clock)
    counted: list[tuple[str, str]] = field(default_factory=list)

    async def caller(self) -> Caller:
        found = await self.way.authenticate(self.known)
        assert found is not None
        return found


def _file_door(path: Path, credential: str, known: Credentials, unknown: Credentials) -> Door:
    path.write_text(f"pods {credential} ingest fraud\nothers certificate:CN:others read *\n", encoding="utf-8")
    way = CallersFile(path)

    async def revoke() -> None:
        await to_thread.run_sync(path.write_text, "others certificate:CN:others read *\n")
        way.look()

    return Door(way, known, unknown, revoke)


@pytest.fixture(params=["keys", "certificates", "kubernetes"])
async def door(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Door]:
    path = tmp_path / "callers"
    if request.param == "keys":
        key = make_key()
        digest = line_of("pods", key, [Verb.INGEST], ["fraud"]).split()[1]
        yield _file_door(path, digest, Credentials(key), Credentials(make_key()))
    elif request.param == "certificates":
        known, unknown = (Credentials(None, (f"DNS:{name}.svc",)) for name in ("pods", "strangers"))
        yield _file_door(path, "certificate:DNS:pods.svc", known, unknown)
    else:
        async for each in _kubernetes_door(request.getfixturevalue("account")):
            yield each


async def _kubernetes_door(account: Account) -> AsyncIterator[Door]:
    callers, clock = CallersOf(account), Clock()
    counted: list[tuple[str, str]] = []
    callers.role("ingest-fraud", "ingest", "fraud")
    callers.create("pods", "ingest-fraud")
    token = callers.token("pods")
    signed = token.rpartition(".")
    forged = f"{signed[0]}.{signed[2][::-1]}"
    reviewed = Reviewed("driftwarden", account.service_namespace, BELIEVED_SECONDS)
    async with KubernetesApi(Kubeconfig(str(account.kubeconfig))) as api:
        way = KubernetesReviews(api, reviewed, clock, lambda *labels: counted.append(labels))

        async def revoke() -> None:
            callers.delete("pods")

            async def is_gone() -> bool:  # the API server has a memory of its own
                clock.now += BELIEVED_SECONDS
                return await way.authenticate(Credentials(token)) is None

            await eventually_async(is_gone, "the API server knows the deleted account no more")

        yield Door(way, Credentials(token), Credentials(forged), revoke, clock, counted)
        way.stop()


async def test_a_caller_is_known_by_a_name_and_nobody_else_is(door: Door) -> None:
    assert "pods" in (await door.caller()).name
    assert await door.way.authenticate(door.unknown) is None
    assert await door.way.authenticate(Credentials()) is None


async def test_the_same_credentials_are_the_same_caller(door: Door) -> None:
    assert await door.caller() == await door.caller()


@pytest.mark.parametrize("junk", ["", "x", "a.b.c", "dwk_", "é" * 10, "a.b.c" * 1000, "..", "\x00.\x00.\x00"])
async def test_junk_is_nobodys(door: Door, junk: str) -> None:
    assert await door.way.authenticate(Credentials(junk)) is None


async def test_it_may_do_what_it_was_granted_and_nothing_else(door: Door) -> None:
    caller = await door.caller()
    assert await door.way.allows(caller, Access(Verb.INGEST, FRAUD))
    for refused in (
        Access(Verb.INGEST, CHURN),
        Access(Verb.INGEST),
        Access(Verb.READ, FRAUD),
        Access(Verb.MANAGE, FRAUD),
        Access(Verb.MANAGE),
        Access(Verb.METRICS),
    ):
        assert not await door.way.allows(caller, refused), refused


async def test_a_caller_of_somebody_elses_is_allowed_nothing(door: Door) -> None:
    stranger = replace(await door.caller(), name="system:serviceaccount:other:pods", grant=None, groups=(), extra=())
    assert not await door.way.allows(stranger, Access(Verb.INGEST, FRAUD))


async def test_one_that_is_taken_away_is_soon_nobody(door: Door) -> None:
    await door.caller()
    await door.revoke()
    assert await door.way.authenticate(door.known) is None


@pytest.mark.parametrize("door", ["kubernetes"], indirect=True)
async def test_an_answer_of_the_api_server_is_believed_for_its_time_and_asked_for_again_after_it(door: Door) -> None:
    way, clock = door.way, door.clock
    for _ in range(5):
        caller = await door.caller()
        assert await way.allows(caller, Access(Verb.INGEST, FRAUD))
        assert not await way.allows(caller, Access(Verb.INGEST, CHURN))
        assert await way.authenticate(door.unknown) is None
    assert sorted(door.counted) == [
        ("access", "allowed"),
        ("access", "refused"),
        ("token", "allowed"),
        ("token", "refused"),
    ]
    clock.now += REFUSED_SECONDS
    assert await way.authenticate(door.unknown) is None
    await door.caller()
    assert door.counted[4:] == [("token", "refused")]
    clock.now += BELIEVED_SECONDS
    await door.caller()
    assert door.counted[5:] == [("token", "allowed")]


@pytest.mark.parametrize("door", ["kubernetes"], indirect=True)
@pytest.mark.parametrize(
    "junk", ["", "x", "a.b", "a.b.c.d", "a b.c.d", "a/b.c.d", pytest.param(make_key(), id="a key of ours")]
)
async def test_what_is_no_token_of_kubernetes_is_not_shown_to_it(door: Door, junk: str) -> None:
    assert await door.way.authenticate(Credentials(junk)) is None
    assert door.counted == []


@pytest.mark.parametrize("door", ["kubernetes"], indirect=True)
async def test_a_token_for_somebody_else_is_nobodys(door: Door, account: Account) -> None:
    callers = CallersOf(account)
    for audience in (None, "vault", "driftwarden.example.com"):
        assert await door.way.authenticate(Credentials(callers.token("pods", audience))) is None
