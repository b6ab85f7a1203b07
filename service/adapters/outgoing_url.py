"""Where the service itself may connect to: no address of its machine's surroundings, whatever a name resolves to.

A name is resolved once for each request, and it is the address that was looked at which is connected to, so that a name
server cannot give another one in between. TLS still verifies the name.
"""

from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from socket import AI_NUMERICHOST, SOCK_STREAM, gaierror, getaddrinfo

import anyio
import httpx

from service.domain.errors import InvalidConfiguration

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host, in the order in which they are to be tried. Raises `OSError`."""
_MOST_ADDRESSES = 4
"""That are tried; all are looked at."""
_METADATA = frozenset(
    map(ip_address, ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"))
)
"""Of clouds that do not use a link-local address for it, or not that alone."""
_ALLOWED = ", which only DRIFT_EVENTS__ALLOW_LOOPBACK=true allows"
_THIS_NETWORK = ip_network("0.0.0.0/8")
_BROADCAST = IPv4Address("255.255.255.255")
_TRANSLATED = tuple(map(ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "::ffff:0:0:0/96")))
"""RFC 6052, 8215 and 7915."""
_COMPATIBLE = ip_network("::/96")


class AddressRefused(OSError):
    """A host with an address that is not connected to; the message says of which kind."""


def parsed_url(text: str, setting: str) -> httpx.URL:
    """One that could be connected to; whose path and query are for the caller. Raises `InvalidConfiguration`."""
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise InvalidConfiguration(f"{setting} is no URL") from error
    if url.scheme not in {"http", "https"} or not url.host or url.userinfo or url.fragment:
        raise InvalidConfiguration(f"{setting} must be http://... or https://..., without user and fragment")
    if url.port is not None and not 0 < url.port < 2**16:
        raise InvalidConfiguration(f"{setting} has a port that is none")
    return url


def refused_kind(text: str, *, loopback: bool) -> str | None:
    """What an address is that is not connected to; None: it may be. `loopback`: whether this machine may be."""
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return "an IPv4 address in the spelling of IPv6"
    inner = _embedded(address) if isinstance(address, IPv6Address) else None
    return _kind(address, loopback=loopback) or (None if inner is None else _kind(inner, loopback=False))


def refuse_literal(url: httpx.URL, setting: str, *, loopback: bool) -> None:
    """Raise `InvalidConfiguration` for a host that is, without asking anybody, an address that is not connected to."""
    host = _host(url)
    name = host.rstrip(".").lower()
    if not loopback and (name == "localhost" or name.endswith(".localhost")):
        raise InvalidConfiguration(f"{setting} is an address of this machine{_ALLOWED}")
    try:
        # In all spellings that the system takes for one: 127.1, 0x7f000001, 2130706433.
        (*_, (found, *_)) = getaddrinfo(host, None, type=SOCK_STREAM, flags=AI_NUMERICHOST)[0]
    except (gaierror, UnicodeError):
        return  # a name
    if (kind := refused_kind(str(found), loopback=loopback)) is not None:
        allowed = not loopback and refused_kind(str(found), loopback=True) is None
        raise InvalidConfiguration(f"{setting} is {kind}{_ALLOWED if allowed else ', and no address of a service'}")


async def resolved(host: str, port: int) -> Sequence[str]:
    """As the system does it."""
    found = await anyio.getaddrinfo(host, port, type=SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class CheckedTransport(httpx.AsyncBaseTransport):
    """Connects to addresses that were looked at, and to none if one of a host's is refused."""

    def __init__(self, inner: httpx.AsyncBaseTransport, resolve: Resolve = resolved, *, loopback: bool) -> None:
        self._inner = inner
        self._resolve = resolve
        self._loopback = loopback

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises `AddressRefused`, and what httpx and the resolver do."""
        host, port = _host(request.url), request.url.port or (443 if request.url.scheme == "https" else 80)
        addresses = await self._resolve(host, port)
        for address in addresses:
            if (kind := refused_kind(address, loopback=self._loopback)) is not None:
                raise AddressRefused(f"the host has {kind}")
        request.extensions = {**request.extensions, "sni_hostname": host}
        error: Exception = AddressRefused("the host has no address")
        for address in addresses[:_MOST_ADDRESSES]:
            request.url = request.url.copy_with(host=address)
            try:
                return await self._inner.handle_async_request(request)
            except (httpx.ConnectError, httpx.ConnectTimeout) as refused:
                error = refused
        raise error

    async def aclose(self) -> None:
        await self._inner.aclose()


def _host(url: httpx.URL) -> str:
    """As a resolver takes it."""
    return url.raw_host.decode("ascii").strip("[]").replace("%25", "%")


def _kind(address: IPv4Address | IPv6Address, *, loopback: bool) -> str | None:
    if address.is_loopback:
        return None if loopback else "an address of this machine"
    if address.is_unspecified or address == _BROADCAST or address in _THIS_NETWORK:
        return "an address of nobody in particular"
    if address.is_link_local or address in _METADATA:
        return "a link-local or metadata address"
    if address.is_multicast:
        return "an address of many"
    return None


def _embedded(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that a gateway would connect to."""
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    is_inside = any(address in each for each in _TRANSLATED) or (address in _COMPATIBLE and int(address) > 1)
    return IPv4Address(int(address) & 0xFFFFFFFF) if is_inside else None
