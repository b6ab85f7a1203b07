"""Answers that no API server of today gives to order: old, broken, or none. All of them keep the door shut."""

from typing import Any

import pytest

from service.adapters.access.kubernetes_reviews import KubernetesReviews, Reviewed
from service.adapters.kubernetes_api import Answer, KubernetesUnreachable
from service.domain.access import Access, Caller, Credentials, Verb
from service.domain.errors import AccessUndecided

pytestmark = pytest.mark.anyio

TOKEN = Credentials("aaaa.bbbb.cccc")
USER = {"username": "system:serviceaccount:inference:fraud", "uid": "1", "groups": ["a"], "extra": {"x": ["1", "2"]}}
KNOWN = {"authenticated": True, "audiences": ["driftwarden"], "user": USER}
FAILED = ("token", "failed")


class Scripted:
    """Says what it is told to, one after another, and keeps what it was asked."""

    def __init__(self, *answers: Answer | KubernetesUnreachable) -> None:
        self._answers = list(answers)
        self.asked: list[dict[str, Any]] = []

    async def send(self, method: str, path: str, body: dict[str, Any]) -> Answer:
        assert method == "POST"
        assert path.startswith("/apis/auth")
        self.asked.append(body["spec"])
        answer = self._answers.pop(0)
        if isinstance(answer, KubernetesUnreachable):
            raise answer
        return answer


def said(status: object, code: int = 201, **members: Any) -> Answer:
    return Answer(code, {"status": status, **members}, "", None)


def reviews(*answers: Answer | KubernetesUnreachable) -> tuple[KubernetesReviews, Scripted, list[tuple[str, str]]]:
    counted: list[tuple[str, str]] = []
    api = Scripted(*answers)
    made = KubernetesReviews(
        api,  # type: ignore[arg-type]
        Reviewed("driftwarden", "driftwarden"),
        lambda: 0.0,
        lambda *labels: counted.append(labels),
    )
    return made, api, counted


async def test_a_user_is_handed_back_as_it_was_described() -> None:
    made, api, _ = reviews(said(KNOWN), said({"allowed": True}))
    caller = await made.authenticate(TOKEN)
    assert caller is not None
    assert await made.allows(caller, Access(Verb.METRICS))
    asked = api.asked[1]
    assert (asked["user"], asked["uid"], asked["groups"], asked["extra"]) == tuple(USER.values())
    assert asked["nonResourceAttributes"] == {"path": "/metrics", "verb": "get"}


@pytest.mark.parametrize(
    "status",
    [
        {"authenticated": True, "user": USER},  # a server that knows nothing of audiences
        {"authenticated": True, "audiences": [], "user": USER},
        {"authenticated": True, "audiences": None, "user": USER},
        {"authenticated": True, "audiences": ["driftwarden.example.com"], "user": USER},
        {"authenticated": "true", "audiences": ["driftwarden"], "user": USER},
        {"authenticated": True, "audiences": ["driftwarden"]},
        {"authenticated": True, "audiences": ["driftwarden"], "user": {"username": ""}},
        {"authenticated": False, "error": "expired"},
        {},
    ],
)
async def test_whoever_is_not_plainly_known_and_meant_for_us_is_nobody(status: dict[str, Any]) -> None:
    made, _, counted = reviews(said(status))
    assert await made.authenticate(TOKEN) is None
    assert counted == [("token", "refused")]


@pytest.mark.parametrize(
    "answer",
    [
        said(KNOWN, 500),
        said(KNOWN, 403, reason="Forbidden"),
        said(None),
        said([True]),
        Answer(200, {}, "<html>", None),
        KubernetesUnreachable("connection refused"),
    ],
)
async def test_what_is_no_answer_is_neither_a_yes_nor_a_no_and_is_not_remembered(
    answer: Answer | KubernetesUnreachable, caplog: pytest.LogCaptureFixture
) -> None:
    made, api, counted = reviews(answer, answer, said(KNOWN), answer, said({"allowed": True}))
    for _ in range(2):
        with pytest.raises(AccessUndecided):
            await made.authenticate(TOKEN)
    caller = await made.authenticate(TOKEN)
    assert caller is not None
    with pytest.raises(AccessUndecided):
        await made.allows(caller, Access(Verb.READ))
    assert await made.allows(caller, Access(Verb.READ))
    assert counted == [FAILED, FAILED, ("token", "allowed"), ("access", "failed"), ("access", "allowed")]
    assert len(api.asked) == 5
    assert len(caplog.records) == 1  # there may be thousands a second


async def test_what_the_server_says_of_a_token_is_not_repeated(caplog: pytest.LogCaptureFixture) -> None:
    told = f"the token {TOKEN.token} is no good"
    made, _, _ = reviews(Answer(422, {"message": told, "reason": told}, told, None))
    with pytest.raises(AccessUndecided) as refused:
        await made.authenticate(TOKEN)
    assert str(TOKEN.token) not in caplog.text + str(refused.value)


async def test_only_a_plain_yes_allows() -> None:
    for status in ({"allowed": False}, {"allowed": "true"}, {"denied": False}, {}):
        made, _, _ = reviews(said(status))
        assert not await made.allows(Caller("x"), Access(Verb.READ))
