"""The client before a server that answers rightly, wrongly, late, or not at all."""

import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftwarden_client import Client, Counters, Limits
from service.http.formats import read_table
from tests.integration.client.scripted import CUT_OFF, Answers, Asked, Said, answering
from tests.processes.certificates import Authority
from tests.processes.fixtures import MakeService
from tests.processes.stores import free_port
from tests.processes.waiting import eventually

QUICK = Limits(first_retry_seconds=0.001, longest_retry_seconds=0.005)


def first(*said: Said) -> Answers:
    """These in turn, and then acceptance."""
    answers = chain(said, repeat(Said()))
    return lambda _: next(answers)


def settled(client: Client, offered: int) -> Counters:
    def done() -> Counters | None:
        counters = client.counters
        return counters if counters.offered == offered and not counters.waiting else None

    found = eventually(done, "nothing waits")
    assert found is not None
    assert_accounted_for(found)
    assert found.held_bytes == 0
    return found


def assert_accounted_for(counters: Counters) -> None:
    assert counters.offered == counters.accepted + sum(counters.dropped.values()) + counters.waiting


def test_rows_arrive_under_names_over_one_connection() -> None:
    with answering(first()) as sidecar, Client(sidecar.url, "a model") as client:
        for number in range(20):
            client.observe([[number, 1.5]], predictions=[0.5], features=["a", "b", "p"])
        counters = settled(client, 20)
        assert (counters.accepted, counters.sent, counters.retried) == (20, 20, 0)
        assert [read_table(each.headers["content-type"], each.body).rows.tolist() for each in sidecar.asked] == [
            [[number, 1.5, 0.5]] for number in range(20)
        ]
        assert {each.path for each in sidecar.asked} == {"/v1/models/a%20model/observations"}
        assert len(set(sidecar.keys())) == 20
        assert sidecar.connections == 1


def test_a_unix_socket_will_do(tmp_path: Path) -> None:
    with answering(first(), tmp_path / "http.sock") as sidecar, Client(sidecar.url, "fraud") as client:
        client.observe([[1.0]])
        assert settled(client, 1).accepted == 1
        assert len(sidecar.asked) == 1


def test_over_tls_only_the_authority_that_was_given_is_believed(tmp_path: Path) -> None:
    ours, others = Authority(tmp_path / "ours"), Authority(tmp_path / "others")
    with answering(first(), tls=ours.issue("sidecar")) as sidecar:
        for authority, arrives in ((ours, True), (others, False)):
            limits = Limits(patience_seconds=60 if arrives else 0.1)
            with Client(sidecar.url, "fraud", ca_file=authority.certificate, limits=limits) as client:
                client.observe([[1.0]])
                assert settled(client, 1).accepted == arrives
        assert len(sidecar.asked) == 1


@pytest.mark.parametrize("status", [CUT_OFF, 408, 425, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again_under_the_same_name(status: int) -> None:
    with answering(first(Said(status), Said(status))) as sidecar, Client(sidecar.url, "fraud", limits=QUICK) as client:
        client.observe([[1.0]])
        counters = settled(client, 1)
        assert counters.accepted == 1
        assert counters.retried == counters.sent - 1
        assert len(sidecar.asked) == 3
        assert len(set(sidecar.keys())) == 1
        assert len({each.body for each in sidecar.asked}) == 1


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (400, "unreadable"),
        (401, "not_allowed"),
        (403, "not_allowed"),
        (404, "unknown_model"),
        (409, "refused"),
        (413, "too_large"),
        (415, "unsupported"),
        (422, "invalid"),
        (302, "refused"),
    ],
)
def test_what_would_not_pass_is_dropped_with_its_reason_and_not_tried_again(status: int, reason: str) -> None:
    with answering(first(Said(status))) as sidecar, Client(sidecar.url, "fraud", limits=QUICK) as client:
        client.observe([[1.0]])
        client.observe([[2.0]])
        counters = settled(client, 2)
        assert (counters.accepted, counters.dropped) == (1, {reason: 1})
        assert len(sidecar.asked) == 2


def test_nothing_is_sent_before_the_sidecar_wants_to_be_asked_again() -> None:
    with (
        answering(first(Said(429, retry_after="3600"))) as sidecar,
        Client(sidecar.url, "fraud", limits=QUICK) as client,
    ):
        client.observe([[1.0]])
        eventually(lambda: sidecar.asked, "it is asked")
        client.observe([[2.0]])
        client.close(0.2)  # a hundred of its own pauses
        assert len(sidecar.asked) == 1
        assert client.counters.dropped == {"unsent": 2}


def test_a_date_or_nonsense_as_retry_after_is_a_pause_of_ones_own() -> None:
    odd = [Said(503, retry_after=told) for told in ("Fri, 31 Dec 1999 23:59:59 GMT", "-1", "²", "1e9", "9" * 400)]
    with answering(first(*odd)) as sidecar, Client(sidecar.url, "fraud", limits=QUICK) as client:
        client.observe([[1.0]])
        assert settled(client, 1).accepted == 1
        assert len(sidecar.asked) == 6


def test_connections_that_were_closed_while_nobody_spoke_cost_no_copy_and_no_pause() -> None:
    limits = Limits(first_retry_seconds=3600, longest_retry_seconds=3600)
    with answering(lambda _: Said(closes=True)) as sidecar, Client(sidecar.url, "fraud", limits=limits) as client:
        for number in range(1, 6):
            client.observe([[1.0]])
            assert settled(client, number).accepted == number
        assert sidecar.connections == 5


def test_a_body_that_is_refused_before_it_is_read_is_not_tried_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(10)
                connection.sendall(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    """What is under way is read away, or the answer would be lost with it."""

        thread = threading.Thread(target=refuse)
        thread.start()
        limits = Limits(max_copy_bytes=2**23, first_retry_seconds=0.001)
        with Client(f"http://127.0.0.1:{listener.getsockname()[1]}", "fraud", limits=limits) as client:
            client.observe([[0.0] * 900_000])
            assert settled(client, 1).dropped == {"too_large": 1}
            assert client.counters.sent == 1
        thread.join()


def test_a_sidecar_that_is_away_costs_what_may_wait_and_no_more() -> None:
    limits = Limits(max_copies=50, max_bytes=40_000, patience_seconds=3600)
    with Client(f"http://127.0.0.1:{free_port()}", "fraud", limits=limits) as client:
        for number in range(500):
            client.observe([[float(number)] * 100])
            counters = client.counters
            assert_accounted_for(counters)
            assert counters.held_bytes <= 40_000
        assert 0 < counters.waiting < 50
        assert counters.dropped == {"full": 500 - counters.waiting}
        client.close(0)
        assert client.counters.held_bytes == 0
        assert client.counters.waiting == 0


def test_copies_are_given_up_and_newer_ones_take_their_place() -> None:
    limits = Limits(max_copies=2, patience_seconds=0.05, first_retry_seconds=0.01, longest_retry_seconds=0.01)
    with Client(f"http://127.0.0.1:{free_port()}", "fraud", limits=limits) as client:
        for number in range(1, 4):
            client.observe([[1.0]])
            assert settled(client, number).dropped == {"gave_up": number}


def test_a_token_is_read_anew_and_once_more_when_it_is_refused(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")

    def answers(asked: Asked) -> Said:
        if asked.headers["authorization"] == "Bearer first":
            token.write_text("second\n")  # it is renewed while the request is under way
            return Said(401)
        return Said(200 if asked.headers["authorization"] == "Bearer second" else 403)

    with answering(answers) as sidecar, Client(sidecar.url, "fraud", token_file=token, limits=QUICK) as client:
        client.observe([[1.0]])
        assert settled(client, 1).accepted == 1
        token.write_text("third")
        client.observe([[1.0]])
        assert settled(client, 2).dropped == {"not_allowed": 1}
        token.unlink()  # as between two versions of a volume
        client.observe([[1.0]])
        eventually(lambda: client.counters.retried, "it is tried again")
        token.write_text("second")
        assert settled(client, 3).accepted == 2
        token.write_text("second\r\nHost: elsewhere")
        client.observe([[1.0]])
        assert settled(client, 4).dropped == {"not_allowed": 1, "refused": 1}
        assert [each.headers["authorization"] for each in sidecar.asked] == [
            f"Bearer {token}" for token in ("first", "second", "third", "second")
        ]


def test_many_threads_offer_at_once_and_everything_arrives_once() -> None:
    with answering(first()) as sidecar, Client(sidecar.url, "fraud") as client, ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: client.observe([[float(number)]]), range(400)))
        assert settled(client, 400).accepted == 400
        arrived = [read_table(each.headers["content-type"], each.body).rows.item() for each in sidecar.asked]
        assert sorted(arrived) == list(range(400))


def test_closing_sends_what_waits_and_what_comes_later_is_sent_as_well() -> None:
    with answering(first()) as sidecar:
        client = Client(sidecar.url, "fraud")
        for number in (100, 200):
            for _ in range(100):
                client.observe([[1.0]])
            client.close(60)
            assert client.counters.accepted == number
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("driftwarden")]
        client.close()


def test_a_sidecar_that_hangs_holds_up_no_closing_and_is_not_counted_when_it_comes_back() -> None:
    answer = threading.Event()

    def answers(_: Asked) -> Said:
        answer.wait(60)
        return Said()

    with answering(answers) as sidecar:
        client = Client(sidecar.url, "fraud")
        client.observe([[1.0]])
        eventually(lambda: client.counters.sent, "it is being sent")
        (sender,) = [thread for thread in threading.enumerate() if thread.name == "driftwarden-fraud"]
        client.observe([[2.0]])
        client.close(0.01)
        assert client.counters.dropped == {"unsent": 2}
        client.observe([[3.0]])  # by another thread
        answer.set()
        sender.join(60)
        counters = settled(client, 3)
        assert (counters.accepted, counters.dropped) == (1, {"unsent": 2})
        client.close()


@settings(max_examples=40)
@given(
    st.lists(st.sampled_from([200, 200, CUT_OFF, 413, 422, 429, 503]), max_size=12),
    st.lists(st.sampled_from([[[1.0]], [[1.0] * 200], [], [[b"no text"]]]), min_size=1, max_size=12),
    st.booleans(),
)
def test_whatever_is_offered_and_answered_all_is_accounted_for(
    statuses: list[int], offers: list[list[list[Any]]], closes_early: bool
) -> None:
    limits = Limits(4, 8_000, 1_000, first_retry_seconds=0.001, longest_retry_seconds=0.001)
    watched = list[Counters]()

    def answers(_: Asked) -> Said:
        watched.append(client.counters)
        return Said(statuses.pop(0) if statuses else 200)

    with answering(answers) as sidecar:
        client = Client(sidecar.url, "fraud", limits=limits)
        for rows in offers:
            client.observe(rows)
            watched.append(client.counters)
        if closes_early:
            client.close(0)
        counters = settled(client, len(offers))
        client.close()
    for each in watched:
        assert_accounted_for(each)
        assert each.held_bytes <= limits.max_bytes
        assert each.waiting <= limits.max_copies
    assert counters.dropped.get("invalid", 0) >= sum(rows in ([], [[b"no text"]]) for rows in offers)
    assert counters.accepted <= counters.sent <= len(sidecar.asked) + len(statuses) + 12


FORKING = """
import os, sys
from driftwarden_client import Client, Limits

client = Client(sys.argv[1], "fraud", limits=Limits(first_retry_seconds=0.01, longest_retry_seconds=0.01))
for number in range(50):
    client.observe([[float(number)]])
child = os.fork()  # while the parent's thread is sending
first = 100.0 if child else 200.0
before = client.counters.offered
assert before == (50 if child else 0), before
for number in range(50):
    client.observe([[first + number]])
client.close(60)
print(client.counters.accepted, client.counters.offered, flush=True)
if child:
    assert os.waitpid(child, 0)[1] == 0
"""


def test_forked_processes_send_their_own_copies_and_nobody_elses() -> None:
    with answering(first()) as sidecar:
        program = [sys.executable, "-W", "error::ResourceWarning", "-c", FORKING, sidecar.url]
        ran = subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)
        assert ran.returncode == 0, ran.stderr
        assert sorted(ran.stdout.split("\n")) == ["", "100 100", "50 50"]
        arrived = [read_table(each.headers["content-type"], each.body).rows.item() for each in sidecar.asked]
        assert sorted(arrived) == [*range(50), *range(100, 150), *range(200, 250)]


ENDING = """
import sys
from driftwarden_client import Client
client = Client(sys.argv[1], "fraud")
for number in range(50):
    client.observe([[float(number)]])
"""


def test_a_process_that_ends_by_itself_sends_what_waits() -> None:
    with answering(first()) as sidecar:
        ran = subprocess.run([sys.executable, "-c", ENDING, sidecar.url], timeout=60, capture_output=True, check=False)
        assert (ran.returncode, ran.stderr) == (0, b"")
        assert len(sidecar.asked) == 50


INTERRUPTED = """
import signal, sys, threading
from driftwarden_client import Client
client = Client(sys.argv[1], "fraud")
names = ("Thread.__init__", "Thread.start", "Waiting.abandon")
moments = {(event, name) for event in ("call", "return") for name in names}

def interrupt(frame, event, _):
    moment = event, frame.f_code.co_qualname
    if moment in moments:
        moments.remove(moment)
        signal.raise_signal(signal.SIGUSR1)

signal.signal(signal.SIGUSR1, lambda *_: client.observe([[1.0]]))
sys.setprofile(interrupt)
client.observe([[0.0]])
client.close(60)
sys.setprofile(None)
client.close(60)
senders = [thread for thread in threading.enumerate() if thread.name.startswith("driftwarden")]
print(client.counters.offered, client.counters.waiting, len(senders))
"""


def test_a_signal_may_hand_in_rows_whatever_it_interrupts() -> None:
    with answering(first()) as sidecar:
        program = [sys.executable, "-c", INTERRUPTED, sidecar.url]
        ran = subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)
        assert (ran.returncode, ran.stdout) == (0, "7 0 0\n"), ran.stderr
        assert len(sidecar.asked) == len(set(sidecar.keys()))


@pytest.mark.parametrize(
    "url",
    ["", "127.0.0.1:8090", "ftp://host", "http://", "http://host/path", "http://a@host", "unix://host/path", "unix://"],
)
def test_an_address_that_is_none_is_told_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="sidecar's URL"):
        Client(url, "fraud")


def test_what_a_fork_could_interrupt_is_imported_beforehand() -> None:
    """A host is looked up by a codec that Python imports then; half imported at a fork, it stays unknown there."""
    program = "import sys, driftwarden_client; assert 'encodings.idna' in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_it_needs_the_standard_library_and_nothing_else() -> None:
    source = Path(__file__).resolve().parents[3] / "clients" / "python"
    program = f"import sys; sys.path.insert(0, {str(source)!r}); import driftwarden_client"
    # Isolated, and without site-packages: there is nothing else to be found.
    subprocess.run([sys.executable, "-I", "-S", "-W", "error", "-c", program], check=True, timeout=60)


def test_what_is_dropped_is_said_with_what_the_sidecar_said(caplog: pytest.LogCaptureFixture) -> None:
    problem = b'{"title": "Invalid batch", "detail": "each row has 2 values; this model has 3 features"}'
    with answering(lambda _: Said(422, body=problem)) as sidecar, Client(sidecar.url, "fraud") as client:
        for _ in range(3):
            client.observe([[1.0, 2.0]])
        assert settled(client, 3).dropped == {"invalid": 3}
    (line,) = caplog.messages
    assert f"{sidecar.url} says 422, each row has 2 values; this model has 3 features" in line


def test_what_waits_and_is_given_up_says_where_nobody_answers(caplog: pytest.LogCaptureFixture) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    limits = Limits(first_retry_seconds=0.001, longest_retry_seconds=0.005, patience_seconds=0.05)
    with Client(url, "fraud", limits=limits) as client:
        client.observe([[1.0]])
        assert settled(client, 1).dropped == {"gave_up": 1}
    waits, dropped = caplog.messages
    assert waits.startswith("inferences of model fraud wait")
    assert "gave_up" in dropped
    assert all(f"{url} cannot be reached" in line and "refused" in line for line in (waits, dropped))


def test_rows_that_are_none_say_so(caplog: pytest.LogCaptureFixture) -> None:
    with answering(first()) as sidecar, Client(sidecar.url, "fraud") as client:
        client.observe("rows")
        assert settled(client, 1).dropped == {"invalid": 1}
    assert "no rows of numbers and texts" in caplog.text


@pytest.mark.parametrize(
    ("limits", "reason", "why"),
    [
        (Limits(max_copies=0), "full", "max_copies (0)"),
        (Limits(max_copy_bytes=8), "too_large", "max_copy_bytes (8)"),
    ],
)
def test_what_does_not_fit_says_which_bound_it_was(
    caplog: pytest.LogCaptureFixture, limits: Limits, reason: str, why: str
) -> None:
    with answering(first()) as sidecar, Client(sidecar.url, "fraud", limits=limits) as client:
        client.observe([[1.0]])
        assert settled(client, 1).dropped == {reason: 1}
    (line,) = caplog.messages
    assert reason in line
    assert why in line


def test_what_is_left_at_the_end_is_said_with_its_number(caplog: pytest.LogCaptureFixture) -> None:
    limits = Limits(first_retry_seconds=60, longest_retry_seconds=60)
    client = Client(f"http://127.0.0.1:{free_port()}", "fraud", limits=limits)
    for _ in range(3):
        client.observe([[1.0]])
    eventually(lambda: caplog.messages, "the first waits")
    client.close(0)
    assert client.counters.dropped == {"unsent": 3}
    assert "unsent" in caplog.messages[-1]
    assert "(3 dropped" in caplog.messages[-1]


def test_categories_and_booleans_reach_a_service_that_knows_them(make_service: MakeService) -> None:
    service = make_service()
    service.start()
    cities, members = ("Genf", "Bern"), ("true", "false", "false")
    known = "".join(f"{cities[row % 2]},{row % 7 + 0.5},{members[row % 3]}\n" for row in range(200))
    with service.client() as http, Client(service.url, "shops") as client:
        content = f"city,paid,member\n{known}"
        answer = http.put("/v1/models/shops/reference", content=content, headers={"Content-Type": "text/csv"})
        answer.raise_for_status()
        client.observe([["Bern", 2.5, True], ["Genf", 3.5, False]])
        client.observe([["Basel", 2.5, True]], features=["city", "paid", "member"])
        client.observe(np.array([["Bern", 2, True], ["Genf", 4.5, False]], dtype=object))
        assert settled(client, 3).accepted == 3
