"""Which addresses the service may connect to by itself, in every spelling that means them."""

import httpx
import pytest

from service.adapters.outgoing_url import parsed_url, refuse_literal, refused_kind
from service.domain.errors import InvalidConfiguration

SETTING = "DRIFT_EVENTS__URL"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.9.10",
        "::1",
        "0.0.0.0",  # noqa: S104 - reaches this machine on Linux
        "0.1.2.3",
        "::",
        "169.254.169.254",
        "169.254.0.1",
        "fe80::1",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "fd20:ce::254",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:10.0.0.1",
        "::ffff:93.184.215.14",
        "::127.0.0.1",
        "64:ff9b::169.254.169.254",
        "64:ff9b::7f00:1",
        "64:ff9b:1::169.254.169.254",
        "::ffff:0:169.254.169.254",
        "2002:a9fe:a9fe::1",
        "2002:7f00:1::",
    ],
)
def test_59_addresses_of_the_machines_surroundings_are_refused(address: str) -> None:
    assert refused_kind(address, loopback=False) is not None


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1",
        "172.20.0.10",
        "192.168.1.1",
        "100.64.0.1",
        "240.0.0.1",
        "93.184.215.14",
        "fd00::1",
        "2001:db8::1",
        "64:ff9b::93.184.215.14",
        "64:ff9b:1::93.184.215.14",
        "2002:5db8:d70e::1",
    ],
)
def test_addresses_of_services_in_a_cluster_and_elsewhere_are_not(address: str) -> None:
    assert refused_kind(address, loopback=False) is None


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_this_machine_is_not_where_that_is_allowed(address: str) -> None:
    assert refused_kind(address, loopback=True) is None


@pytest.mark.parametrize(
    "address",
    ["::ffff:127.0.0.1", "64:ff9b::7f00:1", "::127.0.0.1", "0.0.0.0", "169.254.169.254"],  # noqa: S104
)
def test_allowing_this_machine_allows_no_other_way_to_it(address: str) -> None:
    assert refused_kind(address, loopback=True) is not None


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1",
        "http://127.1:8080",
        "http://2130706433/",
        "http://0x7f000001",
        "http://017700000001",
        "http://localhost:8080",
        "http://LOCALHOST.",
        "http://sink.localhost",
        "http://[::1]:8080",
        "http://[::]",
        "http://0.0.0.0",
        "http://0",
        "http://169.254.169.254/latest/meta-data",
        "http://[::ffff:169.254.169.254]",
        "http://[::ffff:10.0.0.1]",
        "http://[fe80::1%25eth0]",
    ],
)
def test_59_a_url_that_says_so_itself_is_refused_at_the_start(url: str) -> None:
    with pytest.raises(InvalidConfiguration, match=SETTING):
        refuse_literal(parsed_url(url, SETTING), SETTING, loopback=False)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080", "http://localhost", "http://[::1]"])
def test_what_may_be_allowed_names_the_setting_that_allows_it(url: str) -> None:
    with pytest.raises(InvalidConfiguration, match="ALLOW_LOOPBACK"):
        refuse_literal(parsed_url(url, SETTING), SETTING, loopback=False)


@pytest.mark.parametrize("url", ["http://169.254.169.254", "http://[64:ff9b::7f00:1]"])
def test_what_nobody_can_allow_names_no_such_setting(url: str) -> None:
    with pytest.raises(InvalidConfiguration, match="no address of a service"):
        refuse_literal(parsed_url(url, SETTING), SETTING, loopback=False)


@pytest.mark.parametrize(
    "url", ["http://broker.events:80/x?y=z", "https://10.1.2.3", "http://[fd00::1]:8080", "http://b"]
)
def test_a_url_of_a_service_is_taken(url: str) -> None:
    refuse_literal(parsed_url(url, SETTING), SETTING, loopback=False)


@pytest.mark.parametrize(
    "url",
    [
        "broker",
        "gopher://broker",
        "file:///etc/passwd",
        "http://",
        "http://user:secret@broker",
        "http://broker/#x",
        "http://broker:0",
        "http://broker:65536",
        "http://broker:99999",
        "ftp://broker",
        "http://broker:x",
    ],
)
def test_59_what_is_no_url_of_http_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(InvalidConfiguration, match=SETTING) as refused:
        parsed_url(url, SETTING)
    assert "secret" not in str(refused.value)


def test_a_url_keeps_what_it_says() -> None:
    assert parsed_url("https://broker:8443/a?b=c", SETTING) == httpx.URL("https://broker:8443/a?b=c")
