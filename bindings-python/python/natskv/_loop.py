"""The driver of the asyncio API: one engine, one transport and one timer on the user's loop. No threads.

`run` starts an operation and waits for it; `pump` is the only place that drains the engine. The first operation of a
tick schedules the pump, and what else is asked in the same tick rides along in one write.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Coroutine
from functools import partial
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, cast

from . import _common, _native
from ._common import Setup
from ._credentials import signature, why
from .errors import KeyValueError, RequestTimeoutError
from .options import Progress, Seconds

if TYPE_CHECKING:
    from ._native import _Begun

_CORK = 12 << 10
"""Bytes waiting for the tick's end beyond which they are written at once: with more of them the server would wait for
us and we for it in turn, with fewer each write would cost more than it gains."""

_GRACE = 1.0
"""Seconds that a closing transport gets to write what it has, unless `close` says."""


def future_maker() -> Callable[[], asyncio.Future[Any]]:
    """What makes futures of the running loop: `create_future`, or what asyncio's own does, without the call."""
    loop = asyncio.get_running_loop()
    is_usual = getattr(loop.create_future, "__func__", None) is asyncio.BaseEventLoop.create_future
    return partial(asyncio.Future, loop=loop) if is_usual else loop.create_future


class Driver:
    """Moves bytes and time between an engine and a loop, and ends to those who wait for them."""

    def __init__(self, setup: Setup) -> None:
        self.engine = setup.engine
        self.is_closing = False
        self._setup = setup
        self._loop = asyncio.get_running_loop()
        self._closed: asyncio.Future[KeyValueError | None] = self._loop.create_future()
        self._conn = 0  # an older one is none of ours
        self._transport: asyncio.Transport | None = None
        self._protocol: _Protocol | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._is_scheduled = False
        self._grace = _GRACE
        self._listeners: dict[asyncio.Future[Any], tuple[int, Progress]] = {}
        _common.drivers.add(self)

    async def run(self, verb: Callable[..., _Begun], *args: Any) -> Any:
        """Every operation: ask core, which makes a future, schedule the pump, wait. Cancelled with its caller."""
        if asyncio._get_running_loop() is not self._loop:
            self.check_loop()
        op, future, pending = verb(*args)
        if not self._is_scheduled or pending > _CORK:
            self.poke()
        try:
            return await future
        except asyncio.CancelledError:
            self.engine.cancel(op)
            self.poke()
            raise

    async def run_telling(self, on_progress: Progress | None, verb: Callable[..., _Begun], *args: Any) -> Any:
        """The same for a long operation, which tells how far it is."""
        if on_progress is None:
            return await self.run(verb, *args)
        _common.check_callback("on_progress", on_progress)

        def listened() -> _Begun:
            begun = op, future, _ = verb(*args)
            self._listeners[future] = op, on_progress
            future.add_done_callback(self._listeners.pop)
            return begun

        return await self.run(listened)

    def check_loop(self) -> None:
        """Refuses to wait anywhere but on the client's own loop: on another one nobody would be woken."""
        if asyncio._get_running_loop() is self._loop:
            return
        self.engine.check_process()
        if self._loop.is_closed():
            raise _native.error("CLOSED", "the event loop that this client was made on is closed; connect anew")
        raise _native.error("INVALID_ARGUMENT", "this client belongs to another event loop; connect once on each")

    def future(self) -> asyncio.Future[None]:
        """A future of this loop."""
        return self._loop.create_future()

    def poke(self) -> None:
        """Has the engine drained at the end of this tick, or at once when much is waiting."""
        if self.engine.pending_transmit() > _CORK:
            self.pump()
        elif not self._is_scheduled and not self._loop.is_closed():
            self._is_scheduled = True
            self._loop.call_soon(self.pump)

    def poke_threadsafe(self) -> None:
        """The same from a finalizer, which may run on any thread and after the loop's end."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self.poke)

    def pump(self) -> None:
        """Drains the engine: bytes to the transport, actions to the loop, ends to the waiters, and sets the timer."""
        self._is_scheduled = False
        engine = self.engine
        while not self._is_full() and (transmit := engine.poll_transmit()):
            conn, data = transmit
            if conn == self._conn and self._transport is not None:
                self._transport.write(data)
        while action := engine.poll_action():
            match action:
                case ("credentials", conn, reason):
                    self._give_up()
                    self._conn = conn
                    self._spawn(self._identify(conn, reason))
                case ("connect", conn, host, port, tls_name):
                    self._give_up()
                    self._conn = conn
                    self._spawn(self._dial(conn, host, port, tls_name))
                case ("sign", conn, nonce):
                    self._spawn(self._sign(conn, nonce))
                case ("start_tls", conn, name):
                    self._spawn(self._start_tls(conn, name))
                case ("disconnect", conn):
                    self._disconnect(conn)
        if events := engine.poll_events():
            self._deliver(*events)
        self._arm(engine.deadline())

    def _deliver(self, progress: list[Any], done: list[Any], ready: list[Any], told: list[Any]) -> None:
        if told:  # first, so that `on_status` has heard of a connection when `connect` returns it
            self._tell(told)
        for waiter, count, total in progress:
            if (listener := self._listeners.get(waiter)) is not None:
                self._report(waiter, *listener, count, total)
        for waiter, result, error in done:
            try:
                if error is None:
                    waiter.set_result(result)
                else:
                    waiter.set_exception(error)
            except asyncio.InvalidStateError:  # cancelled in this tick
                continue
        for event in ready:
            event.set()

    def _report(self, waiter: asyncio.Future[Any], op: int, on_progress: Progress, count: int, total: int) -> None:
        """Tells of progress; what the callback raises ends the operation."""
        try:
            on_progress(count, total)
        except Exception as error:
            self.engine.cancel(op)
            if not waiter.done():
                waiter.set_exception(error)

    async def close(self, timeout: Seconds | None) -> None:
        """Closes, and returns when the transport is gone and no task or timer is left."""
        if self._is_cut_off():
            return
        self.check_loop()
        self.is_closing = True
        self._grace = _common.seconds(timeout, _GRACE)
        self.engine.close()
        self.pump()
        await self._ended()

    async def drain(self, timeout: Seconds | None) -> None:
        """Drains, then the same."""
        if self._is_cut_off():
            return
        self.check_loop()
        self.is_closing = True
        self.engine.drain(timeout)
        self.pump()
        error = await self._ended()
        if isinstance(error, RequestTimeoutError):  # the drain's
            raise error

    def abandon(self) -> bool:
        """Closes for a client that nobody can close any more, from its finalizer. False: it is closed already."""
        if self.engine.state == "closed" or self.is_closing:
            return False
        self.is_closing = True
        self.engine.close()
        self.poke_threadsafe()
        return True

    def let_go(self) -> None:
        """In a fork: the transport is the parent's loop's to close, so its socket is exchanged for one to nowhere."""
        sock = None if self._protocol is None else self._protocol.transport.get_extra_info("socket")
        if sock is not None and sock.fileno() >= 0:
            with contextlib.suppress(OSError), open(os.devnull, "r+b", buffering=0) as nowhere:
                os.dup2(nowhere.fileno(), sock.fileno(), inheritable=False)

    def _is_cut_off(self) -> bool:
        """Whether nothing is left here that an end could be waited for: in a fork, and when the loop is closed."""
        if self.engine.is_forked:
            return True
        if self._loop.is_closed():
            self.is_closing = True
            self.engine.close()
        return self._loop.is_closed()

    async def _ended(self) -> KeyValueError | None:
        """Waits for the end of everything, and gives its reason."""
        error = await asyncio.shield(self._closed)  # the engine's own deadline ends it
        self._give_up()
        if self._protocol is not None:
            await asyncio.wait([self._protocol.lost], timeout=self._grace)
            self._protocol.transport.abort()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._grace)
        return error

    # ── what the transport and the loop tell

    def on_open(self, protocol: _Protocol) -> None:
        """The transport asked for is open."""
        if protocol.conn != self._conn:
            protocol.transport.abort()
            return
        self._protocol = protocol
        self._transport = protocol.transport
        self.engine.transport_open(protocol.conn)
        self.pump()

    def on_lost(self, conn: int, error: BaseException | None) -> None:
        """The transport is gone, or could not be made."""
        if conn == self._conn:
            self._conn = 0
            self._transport = None
            self.engine.transport_closed(conn, *_common.lost(error))
            self.pump()

    def on_time(self) -> None:
        """The deadline has come."""
        self._timer = None
        self.engine.handle_timeout()
        self.pump()

    # ── actions

    async def _identify(self, conn: int, reason: str) -> None:
        source = self._setup.credentials
        try:
            given = source.ask(reason)
            answer = source.answer(await given if isawaitable(given) else given)
        except Exception as error:
            self.engine.credentials_failed(conn, why("credentials_callback", error))
        else:
            self.engine.credentials(conn, answer)
        self.pump()

    async def _sign(self, conn: int, nonce: str) -> None:
        try:
            given = self._setup.credentials.sign(nonce)
            signed = signature(await given if isawaitable(given) else given)
        except Exception as error:
            self.engine.signature_failed(conn, why("sign", error))
        else:
            self.engine.signature(conn, signed)
        self.pump()

    async def _dial(self, conn: int, host: str, port: int, tls_name: str | None) -> None:
        try:
            context = None if tls_name is None else self._setup.tls_context()
            name = None if tls_name is None else self._setup.tls_hostname or tls_name
            await self._loop.create_connection(
                lambda: _Protocol(self, conn), host, port, ssl=context, server_hostname=name
            )
        except Exception as error:
            self.on_lost(conn, error)

    async def _start_tls(self, conn: int, name: str) -> None:
        protocol = self._protocol
        if protocol is None or protocol.conn != conn:
            return
        try:
            context, name = self._setup.tls_context(), self._setup.tls_hostname or name
            transport = await self._loop.start_tls(protocol.transport, protocol, context, server_hostname=name)
            if transport is None:
                raise ConnectionResetError("closed during the TLS handshake")
            for _ in range(2):  # a refused client certificate: the alert is read before a write finds no connection
                await asyncio.sleep(0)
        except Exception as error:
            protocol.transport.abort()
            self.on_lost(conn, error)
            return
        protocol.transport = transport
        if conn != self._conn:
            transport.abort()
            return
        self._transport = transport
        self.engine.transport_secured(conn)
        self.pump()

    def _disconnect(self, conn: int) -> None:
        if conn != self._conn:
            return
        self._conn = 0
        self._give_up()
        if self._transport is not None and self._protocol is not None:
            self._protocol.close(self._grace)
            self._transport = None

    def _give_up(self) -> None:
        """Ends a dial or a TLS handshake that is still under way."""
        for task in self._tasks:
            task.cancel()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _is_full(self) -> bool:
        return self._protocol is not None and self._protocol.is_paused and self._protocol.conn == self._conn

    def _tell(self, told: list[Any]) -> None:
        for event in self._setup.tell(told):
            if self._setup.on_status is not None:
                self._loop.call_soon(self._setup.on_status, event)
            if event.name == "closed" and not self._closed.done():
                self._closed.set_result(event.error)

    def _arm(self, deadline: float | None) -> None:
        """Sets the timer when there is none or it is too late; one that is early does no harm."""
        if self._timer is not None:
            if deadline is not None and self._due <= deadline:
                return
            self._timer.cancel()
            self._timer = None
        if deadline is None:
            return
        self._due = deadline
        self._timer = self._loop.call_later(max(0.0, deadline - time.monotonic()), self.on_time)


class _Protocol(asyncio.BufferedProtocol):
    """One transport: bytes are received into a buffer of ours, and parsed there."""

    transport: asyncio.Transport

    def __init__(self, driver: Driver, conn: int) -> None:
        self.conn = conn
        self.is_paused = False
        self.lost: asyncio.Future[None] = driver.future()
        self._driver = driver
        self._buffer = memoryview(bytearray(128 << 10))  # asyncio's TLS slices it, which must not copy
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._driver.on_open(self)

    def close(self, grace: float) -> None:
        """Writes what the transport has, and waits until the server hangs up too, for a while at most.

        A socket that is closed with something unread in it resets the connection, and the server may drop the rest.
        """
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:  # TLS, which says goodbye by itself
            self.transport.close()
        self._deadline = asyncio.get_running_loop().call_later(grace, self.transport.abort)

    def get_buffer(self, sizehint: int) -> bytearray:
        return cast(bytearray, self._buffer)  # any buffer will do

    def buffer_updated(self, nbytes: int) -> None:
        self._driver.engine.receive(self.conn, self._buffer, nbytes)
        self._driver.pump()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(None)
        if self._deadline is not None:
            self._deadline.cancel()
        self._driver.on_lost(self.conn, exc)

    def pause_writing(self) -> None:
        self.is_paused = True

    def resume_writing(self) -> None:
        self.is_paused = False
        self._driver.pump()
