"""Starts workers quickly: a process that has imported what they need, and forks one for each that is asked for.

`python fork_server.py serve SOCKET MODULE ...` imports the modules and waits. `python fork_server.py ask SOCKET …`
stands in the place of `python -m transload.convert.worker …`: it hands its arguments, its standard streams and the pipe
of events to the server, and ends as the worker ends, by the same status or signal.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import socket
import sys
import tempfile

MAX_MESSAGE = 1 << 16


def ask(path: str, arguments: list[str]) -> None:
    """Have the server run a worker with these arguments, and end like it. Never returns."""
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(path)
        words = "\0".join([os.environ["TMPDIR"], *arguments])
        socket.send_fds(server, [words.encode()], [0, 1, 2, int(arguments[0])])
        # The server goes with an empty answer.
        status = int(server.recv(16) or b"256")
    if status < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.kill(os.getpid(), -status)
    os._exit(status)


def serve(path: str, modules: list[str]) -> None:
    """Fork a worker for each that asks, one after another. Never returns."""
    for module in modules:
        __import__(module)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        while True:
            client, _ = listener.accept()
            with client:
                _run(client)


def _run(client: socket.socket) -> None:
    message, handles, _, _ = socket.recv_fds(client, MAX_MESSAGE, 4)
    process = os.fork()
    if process == 0:
        _become_worker(message.decode().split("\0"), handles)
    for handle in handles:
        os.close(handle)
    pidfd = os.pidfd_open(process)
    try:
        status = _wait(process, pidfd, client)
    finally:
        os.close(pidfd)
    with contextlib.suppress(BrokenPipeError):
        client.sendall(str(status).encode())


def _wait(process: int, pidfd: int, client: socket.socket) -> int:
    """The worker's end; it is killed when the one who asked is gone."""
    ready, _, _ = select.select([pidfd, client], [], [])
    if pidfd not in ready:
        # Its group first, which is not there yet if it has only just begun.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process, signal.SIGKILL)
        os.kill(process, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def _become_worker(words: list[str], handles: list[int]) -> None:
    os.setsid()
    temporary, _, *rest = words
    os.environ["TMPDIR"] = temporary
    # Whatever the imports asked for has been remembered.
    tempfile.tempdir = None
    for number in range(3):
        os.dup2(handles[number], number)
    from transload.convert.worker import main

    main([str(handles[3]), *rest])


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2], sys.argv[3:])
    else:
        ask(sys.argv[2], sys.argv[3:])
