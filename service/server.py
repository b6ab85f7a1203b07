"""The HTTP server around the application: one process, signals, draining."""

import asyncio
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from service.http.cut_off import AnswerWhenCutOff


class DrainingServer(uvicorn.Server):
    """Stops on SIGTERM and SIGINT after the requests under way, and then *returns*.

    Uvicorn itself raises the signal again when it is done, which would end the process before the store is closed.
    """

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)


def listening_socket(host: str, port: int) -> socket.socket:
    """Bound before anything else starts, so that a taken port is found out first; raises `OSError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


async def serve(app: FastAPI, listener: socket.socket, drain_seconds: int) -> None:
    """Until a signal says stop."""
    config = uvicorn.Config(
        AnswerWhenCutOff(app),
        http="httptools",
        lifespan="off",  # what the application needs is open already
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=drain_seconds,
    )
    await DrainingServer(config).serve(sockets=[listener])
