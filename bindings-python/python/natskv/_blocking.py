"""The driver of the blocking API: leader and followers over one socket.

Whoever waits first leads: it writes, reads and keeps the time for all while it waits for its own end. The others
follow: they sleep until their own end has come, or until the leader leaves and one of them takes over. So a program of
one thread has no switch of threads in any call. When nobody has waited for a moment, a quiet thread, the keeper, leads
until somebody comes: it answers pings, reconnects, and reads what watches get. Dialling, which can take long and
cannot be waited for together with a socket, has a thread of its own that ends with it.
"""

from __future__ import annotations

import atexit
import contextlib
import selectors
import socket
import ssl
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from . import _common, _native
from ._common import Setup, logger
from ._credentials import signature, why
from .errors import KeyValueError, RequestTimeoutError
from .options import Progress, Seconds

if TYPE_CHECKING:
    from ._native import _Begun

_IDLE = 0.05
"""Seconds without anybody waiting after which the keeper leads."""

_DRAIN = 30.0
"""Seconds that core gives a drain, unless it says."""

_GRACE = 1.0
"""Seconds that a closing socket gets to write what it has, unless `close` says; and a thread to end."""


class Waiter:
    """What one thread waits for.

    The gate is a bare lock, held until the thread is to wake up: Ctrl-C can break into a `threading.Event`.
    """

    is_done = False
    result: Any = None
    error: KeyValueError | None = None
    gate: threading.Lock | None = None

    def set(self) -> None:
        """Ends the wait."""
        self.is_done = True
        self.wake()

    def wake(self) -> None:
        """Has the thread look again, if it sleeps."""
        gate = self.gate
        if gate is not None:
            with contextlib.suppress(RuntimeError):  # open already
                gate.release()


class Bell:
    """The writing end of a pair of sockets, by which anyone wakes the leader.

    It is closed when the last one who may be ringing it has let go: after that its number may be another socket's.
    """

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._end = end

    def ring(self) -> None:
        """Writes a byte."""
        with contextlib.suppress(OSError):  # full: it wakes anyway
            self._end.send(b"\0")

    def __del__(self) -> None:
        self._end.close()


class Listener(Waiter):
    """What the thread of a long operation waits for: its progress, and its end."""

    has_ended = False

    def __init__(self) -> None:
        self.news: deque[tuple[int, int]] = deque()


_DONE = Waiter()
_DONE.set()


class Driver:
    """Moves bytes and time between an engine and a socket, and ends to the threads that wait for them."""

    def __init__(self, setup: Setup) -> None:
        self.engine = setup.engine
        self.is_closing = False
        self._setup = setup
        self._leader = threading.RLock()  # which knows whose it is
        self._led_by: int | None = None
        self._told_by: int | None = None
        self._left = 0.0
        self._followers: deque[Waiter] = deque()
        self._closing: deque[Waiter] = deque()
        self._calls: deque[Callable[[], None]] = deque()
        self._is_closed = False
        self._ended_by: KeyValueError | None = None
        self._grace = _GRACE

        self._conn = 0
        self._socket: socket.socket | None = None
        self._plain: int | None = None
        self._unsent = memoryview(b"")
        self._wants_write = False
        self._buffer = bytearray(128 << 10)

        self._selector = selectors.DefaultSelector()
        self._wake_read, wake_write = socket.socketpair()
        self._wake_read.setblocking(False)
        self._bell: Bell | None = Bell(wake_write)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._wakes = self._wake_read.fileno()
        self._is_woken = False

        self._end = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="natskv", daemon=True)
        self._keeper.start()
        _common.drivers.add(self)

    def run(self, verb: Callable[..., _Begun], *args: Any) -> Any:
        """Every operation: ask core, which makes a waiter, then move bytes until its end has come."""
        op, waiter, _ = verb(*args)
        try:
            self.wait(waiter)
        except BaseException:  # Ctrl-C
            self.engine.cancel(op)
            self.wake()
            raise
        if waiter.error is not None:
            raise waiter.error
        return waiter.result

    def run_telling(self, on_progress: Progress | None, verb: Callable[..., _Begun], *args: Any) -> Any:
        """The same for a long operation, which tells how far it is: in this thread, between two waits."""
        if on_progress is None:
            return self.run(verb, *args)
        _common.check_callback("on_progress", on_progress)
        listener = Listener()
        op, _, _ = verb(*args, waiter=listener)
        try:
            while listener.news or not listener.has_ended:
                listener.is_done, listener.gate = False, None
                if not (listener.news or listener.has_ended):  # look once more: it may have come meanwhile
                    self.wait(listener)
                while listener.news:
                    on_progress(*listener.news.popleft())
        except BaseException:  # the callback's, or Ctrl-C
            self.engine.cancel(op)
            self.wake()
            raise
        if listener.error is not None:
            raise listener.error
        return listener.result

    def wait(self, waiter: Waiter, until: float | None = None) -> None:
        """Returns when `waiter` is done, or at `until` (on the clock of `time.monotonic`)."""
        self._refuse_callback()
        if self._led_by == threading.get_ident():  # Ctrl-C came while we left
            self._leave()
        try:
            while not (waiter.is_done or (until is not None and time.monotonic() >= until)):
                if self._leader.acquire(blocking=False):
                    self._lead(waiter, until)
                elif waiter.gate is None:  # from here on the leader knows of us: look once more whether there is one
                    waiter.gate = threading.Lock()
                    waiter.gate.acquire()
                    self._followers.append(waiter)
                    self.wake()
                else:
                    waiter.gate.acquire(timeout=1.0 if until is None else min(1.0, max(0.0, until - time.monotonic())))
        finally:
            if waiter.gate is not None:
                with contextlib.suppress(ValueError):
                    self._followers.remove(waiter)
            self._leave()

    def pump(self) -> None:
        """Has the engine drained: by the leader, or here where nobody leads."""
        if self._led_by is not None:  # it may be us, in a callback
            self.wake()
            return
        try:
            if self._leader.acquire(blocking=False):
                self._lead(_DONE, None)
            else:
                self.wake()
        finally:
            self._leave()

    def wake(self) -> None:
        """Has the leader look again. Takes no lock, so finalizers may call it."""
        if not self._is_woken:
            self._is_woken = True
            bell = self._bell
            if bell is not None:  # else there is nobody to wake
                bell.ring()

    def close(self, timeout: Seconds | None) -> None:
        """Closes, and returns when socket and threads are gone."""
        if self.engine.is_forked:
            return
        self._refuse_callback()
        self.is_closing = True
        self._grace = _common.seconds(timeout, _GRACE)
        self.engine.close()
        self._wait_closed(self._grace)

    def drain(self, timeout: Seconds | None) -> None:
        """Drains, then the same."""
        if self.engine.is_forked:
            return
        self._refuse_callback()
        self.is_closing = True
        self.engine.drain(timeout)
        self._wait_closed(_common.seconds(timeout, _DRAIN))
        if isinstance(self._ended_by, RequestTimeoutError):  # the drain's
            raise self._ended_by

    def abandon(self) -> bool:
        """Closes for a client that nobody can close any more, from its finalizer. False: it is closed already.

        The keeper does it, since a finalizer may come in the middle of anything; at the interpreter's end it is gone.
        """
        if self.engine.state == "closed" or self.is_closing:
            return False
        self.is_closing = True
        self.engine.close()
        if sys.is_finalizing():
            self._wait_closed(_GRACE)
        else:
            self.wake()
        return True

    def retire(self) -> None:
        """At the interpreter's end: sends the keeper home, so that it is not cut off in the middle of something.

        Whoever still uses the client can: other threads may, until they are cut off themselves.
        """
        self._end.set()
        self.wake()
        leads = self._led_by == self._keeper.ident
        self._keeper.join(_GRACE if leads else _IDLE)  # while another thread leads, it sleeps, and may

    def let_go(self) -> None:
        """In a fork: closes what is inherited. Not through the selector, which is one with the parent's."""
        for inherited in (self._socket, self._wake_read, self._selector):
            if inherited is not None:
                inherited.close()
        self._bell = None

    def _wait_closed(self, within: float) -> None:
        """Returns when all is gone, or after this time and a bit more."""
        if sys.is_finalizing() and not self._leader.acquire(blocking=False):
            return  # the one that leads was cut off, and will not go on
        waiter = Waiter()
        self._closing.append(waiter)
        if not self._is_closed:
            self.wait(waiter, time.monotonic() + within + _GRACE)
        self._end.set()
        self.wake()
        if self._keeper is not threading.current_thread() and not sys.is_finalizing():
            self._keeper.join(_GRACE)
        self._clear_up()

    def _clear_up(self) -> None:
        if self._leader.acquire(timeout=_GRACE):
            try:
                self._linger()
                self._hang_up()
                self._selector.close()
                self._wake_read.close()
                self._bell = None
            finally:
                self._leader.release()

    def _refuse_callback(self) -> None:
        if self._told_by == threading.get_ident():
            raise _native.error("WOULD_DEADLOCK", "a blocking call inside on_status of the same client")

    # ── leading

    def _lead(self, waiter: Waiter, until: float | None) -> None:
        """Does everybody's work until our own end has come."""
        self._led_by = threading.get_ident()
        if self._plain is None or self._calls or waiter.is_done:
            self._pump()
        while not (waiter.is_done or (until is not None and time.monotonic() >= until)):
            if self._is_closed:
                raise _native.error("CLOSED", "the client is closed")
            self._turn(until)

    def _leave(self) -> None:
        """Gives the lead to another, if it is ours; wherever Ctrl-C has come."""
        if self._led_by == threading.get_ident():
            self._left = time.monotonic()
            self._led_by = None
        try:
            self._leader.release()
        except RuntimeError:  # not ours
            return
        if self._followers:
            self._promote()

    def _promote(self) -> None:
        for follower in tuple(self._followers):
            if not follower.is_done:
                follower.wake()
                return

    def _keep(self) -> None:
        """The keeper's life: leads while nobody else wants to."""
        while not self._end.wait(_IDLE) and not self._is_closed:
            if self._is_busy():
                continue
            with self._leader:  # waits while somebody leads for long, as a watch does
                self._led_by = threading.get_ident()
                try:
                    while not (self._is_busy() or self._followers or self._is_closed or self._end.is_set()):
                        self._pump()
                        self._turn(None)
                except Exception:
                    logger.exception("the connection is made anew after an unexpected error")
                finally:
                    self._led_by = None
            self._promote()
        if self._is_closed:
            self._clear_up()

    def _is_busy(self) -> bool:
        """Somebody led a moment ago, and will most likely again."""
        return time.monotonic() - self._left < _IDLE

    def _turn(self, until: float | None) -> None:
        """One round: wait for bytes, for the deadline or for a wake-up; then move what there is."""
        if self._plain is None or self._wants_write:
            self._turn_any(until)
        elif not self._turn_plain(self._conn, self._plain, until):
            return
        self._pump()

    def _turn_plain(self, conn: int, plain: int, until: float | None) -> bool:
        """Writes, waits and reads in one call, for a socket that needs nothing of Python. False: that was all."""
        is_woken, has_news, lost = self.engine.turn(conn, plain, self._wakes, until)
        if lost is None and not is_woken:
            return has_news
        try:
            if lost is not None:
                self._on_lost(conn, None if isinstance(lost, EOFError) else lost)
            if is_woken:
                self._on_woken()
        except BaseException:
            self._break_off()
            raise
        return True

    def _turn_any(self, until: float | None) -> None:
        """Waits and reads, for TLS, for a socket without room, and where there is none."""
        due = self.engine.deadline()
        wake_at = until if due is None or (until is not None and until < due) else due
        ready = self._selector.select(None if wake_at is None else max(0.0, wake_at - time.monotonic()))
        try:
            for key, events in ready:
                if key.fileobj is self._wake_read:
                    self._on_woken()
                elif events & selectors.EVENT_READ:
                    self._read()
            if due is not None and time.monotonic() >= due:
                self.engine.handle_timeout()
        except BaseException:
            self._break_off()
            raise

    def _on_woken(self) -> None:
        self._wake_read.recv(4096)
        self._is_woken = False

    def _pump(self) -> None:
        """Drains the engine: bytes to the socket, actions to the world, ends to the waiters."""
        try:
            while self._calls:
                self._calls.popleft()()
            self._write()
            while action := self.engine.poll_action():
                match action:
                    case ("credentials", conn, reason):
                        self._conn = conn
                        self._spawn(conn, self._identify, reason)
                    case ("connect", conn, host, port, tls_name):
                        self._conn = conn
                        self._spawn(conn, self._dial, host, port, tls_name)
                    case ("sign", conn, nonce):
                        self._spawn(conn, self._sign, nonce)
                    case ("start_tls", conn, name):
                        self._start_tls(conn, name)
                    case ("disconnect", conn):
                        self._disconnect(conn)
            if events := self.engine.poll_events():
                self._deliver(*events)
        except BaseException:
            self._break_off()
            raise

    def _deliver(self, progress: list[Any], done: list[Any], ready: list[Any], told: list[Any]) -> None:
        for waiter, count, total in progress:
            if isinstance(waiter, Listener):
                waiter.news.append((count, total))
                waiter.set()
        for waiter, result, error in done:
            waiter.result, waiter.error = result, error
            if isinstance(waiter, Listener):
                waiter.has_ended = True
            waiter.is_done = True
            if waiter.gate is not None:
                waiter.wake()
        for watcher in ready:
            watcher.set()
        if told:
            self._tell(told)

    def _break_off(self) -> None:
        """An interrupt came in the middle: bytes, ends and actions may be lost, so a new connection is made."""
        self._conn = self.engine.connection  # it may have been asked for at this very moment
        self._on_lost(self._conn, InterruptedError("interrupted"))
        for waiter in list(self._followers):
            waiter.error = _native.error("DISCONNECTED", "the thread that moved the bytes of all was interrupted")
            waiter.error.maybe_applied = True
            waiter.set()
        self._is_woken = False  # the byte may be read and not noted
        self.wake()

    def _tell(self, told: list[Any]) -> None:
        for event in self._setup.tell(told):
            if event.name == "closed":
                self._is_closed = True
                self._ended_by = event.error
                for waiter in list(self._closing):
                    waiter.set()
            if self._setup.on_status is not None:
                try:
                    self._told_by = self._led_by
                    self._setup.on_status(event)
                except Exception:
                    logger.exception("on_status failed")
                finally:
                    self._told_by = None

    # ── the socket, which only the leader touches

    def _write(self) -> None:
        while True:
            if not self._unsent:
                transmit = self.engine.poll_transmit()
                if transmit is None:
                    break
                conn, data = transmit
                if conn != self._conn or self._socket is None:
                    continue  # for an older connection
                self._unsent = memoryview(data)
            if not self._send():
                break
        if self._wants_write != bool(self._unsent):
            self._listen(bool(self._unsent))

    def _send(self) -> bool:
        assert self._socket is not None
        try:
            sent = self._socket.send(self._unsent)
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return False
        except OSError as error:
            self._on_lost(self._conn, self._alert() or error)
            return False
        self._unsent = self._unsent[sent:]
        return True

    def _read(self) -> None:
        sock, conn = self._socket, self._conn
        while sock is not None and sock is self._socket:
            try:
                length = sock.recv_into(self._buffer)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            except OSError as error:
                self._on_lost(conn, error)
                return
            if length == 0:
                self._on_lost(conn, None)
                return
            self.engine.receive(conn, self._buffer, length)
            if not isinstance(sock, ssl.SSLSocket) or not sock.pending():  # what TLS holds no selector sees
                return

    def _alert(self) -> ssl.SSLError | None:
        """Why the other side ended TLS: it may have said so before what we write found no way any more."""
        if isinstance(self._socket, ssl.SSLSocket):
            try:
                self._socket.recv(1)
            except ssl.SSLError as error:
                return error if error.reason and "ALERT" in error.reason else None
            except OSError:
                pass
        return None

    def _listen(self, for_room: bool) -> None:
        if self._socket is not None:
            self._wants_write = for_room
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if for_room else 0)
            self._selector.modify(self._socket, events)

    def _hang_up(self) -> None:
        sock, self._socket, self._plain = self._socket, None, None
        self._unsent = memoryview(b"")
        self._wants_write = False
        if sock is not None:
            with contextlib.suppress(KeyError):  # not registered yet, when interrupted
                self._selector.unregister(sock)
            sock.close()

    def _linger(self) -> None:
        """Waits until the server has hung up too: then it has dealt with all that we sent.

        A socket that is closed with something unread in it resets the connection, and the server may drop the rest.
        """
        until = time.monotonic() + self._grace
        with contextlib.suppress(OSError):
            if self._socket is not None:
                self._socket.shutdown(socket.SHUT_WR)
            while self._socket is not None and (left := until - time.monotonic()) > 0:
                self._socket.settimeout(left)
                if not self._socket.recv_into(self._buffer):
                    break

    def _disconnect(self, conn: int) -> None:
        if conn != self._conn:
            return
        if self._socket is not None and self._unsent:
            self._socket.settimeout(self._grace)
            with contextlib.suppress(OSError):
                self._socket.sendall(self._unsent)
        self._conn = 0
        if not self.is_closing:
            self._hang_up()

    # ── what takes long: on a thread of its own, which hands what came of it to the leader

    def _spawn(self, conn: int, work: Callable[..., None], *args: Any) -> bool:
        try:
            threading.Thread(target=work, args=(conn, *args), name="natskv-dial", daemon=True).start()
        except RuntimeError as error:  # no more threads; or the interpreter is at its end
            self._on_lost(conn, error)
            return False
        return True

    def _hand_over(self, call: Callable[[], None]) -> None:
        self._calls.append(call)
        self.wake()
        if self._is_closed:
            with self._leader:
                while self._calls:
                    self._calls.popleft()()

    def _identify(self, conn: int, reason: str) -> None:
        source = self._setup.credentials
        try:
            answer = source.answer(_at_once(source.ask(reason)))
        except Exception as error:
            self._hand_over(partial(self.engine.credentials_failed, conn, why("credentials_callback", error)))
        else:
            self._hand_over(partial(self.engine.credentials, conn, answer))

    def _sign(self, conn: int, nonce: str) -> None:
        try:
            signed = signature(_at_once(self._setup.credentials.sign(nonce)))
        except Exception as error:
            self._hand_over(partial(self.engine.signature_failed, conn, why("sign", error)))
        else:
            self._hand_over(partial(self.engine.signature, conn, signed))

    def _dial(self, conn: int, host: str, port: int, tls_name: str | None) -> None:
        try:
            sock = socket.create_connection((host, port), timeout=self._setup.connect_timeout)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls_name is not None:
                sock = self._secure(sock, tls_name)
        except Exception as error:
            self._hand_over(partial(self._on_lost, conn, error))
        else:
            self._hand_over(partial(self._on_open, conn, sock, self.engine.transport_open))

    def _start_tls(self, conn: int, name: str) -> None:
        if self._socket is not None and conn == self._conn:
            self._selector.unregister(self._socket)
            if self._spawn(conn, self._shake_hands, self._socket, name):
                self._socket = self._plain = None

    def _shake_hands(self, conn: int, sock: socket.socket, name: str) -> None:
        try:
            sock.settimeout(self._setup.connect_timeout)
            secured = self._secure(sock, name)
        except Exception as error:
            self._hand_over(partial(self._on_lost, conn, error))
        else:
            self._hand_over(partial(self._on_open, conn, secured, self.engine.transport_secured))

    def _secure(self, sock: socket.socket, name: str) -> ssl.SSLSocket:
        try:
            return self._setup.tls_context().wrap_socket(sock, server_hostname=self._setup.tls_hostname or name)
        except BaseException:
            sock.close()
            raise

    def _on_open(self, conn: int, sock: socket.socket, tell: Callable[[int], None]) -> None:
        if conn != self._conn or self._is_closed:
            sock.close()
            return
        sock.setblocking(False)
        self._socket = sock
        self._plain = None if isinstance(sock, ssl.SSLSocket) or sys.platform == "win32" else sock.fileno()
        self._wants_write = False
        self._selector.register(sock, selectors.EVENT_READ)
        tell(conn)

    def _on_lost(self, conn: int, error: BaseException | None) -> None:
        if conn == self._conn:
            self._hang_up()
            self.engine.transport_closed(conn, *_common.lost(error))


def _at_once(given: Any) -> Any:
    """What a callback gave, which must not be something to await."""
    if not isawaitable(given):
        return given
    if isinstance(given, Coroutine):
        given.close()
    raise TypeError("natskv.sync calls plain functions, and this is a coroutine function")


@atexit.register
def _retire_all() -> None:
    for driver in list(_common.drivers):
        if isinstance(driver, Driver) and not driver.engine.is_forked:
            driver.retire()
