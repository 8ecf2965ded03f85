"""The send floor: the cost of only `send`, on 200 loopback sockets.

No server that makes one system call a delivery can be cheaper than this.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

from bench.scenario import Result

NAME = "send floor"
SOCKETS, ROUNDS, FRAME = 200, 500, b"\x81\x7e\x00\xa0" + b"x" * 160

PROGRAM = r"""
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
static double cpu(void) {
  struct rusage u; getrusage(RUSAGE_SELF, &u);
  return u.ru_utime.tv_sec + u.ru_stime.tv_sec
       + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}
int main(int argc, char **argv) {
  static char frame[164];
  int rounds = atoi(argv[1]), i, n;
  double began = cpu();
  for (i = 0; i < rounds; i++)
    for (n = 2; n < argc; n++)
      if (send(atoi(argv[n]), frame, sizeof frame, 0) < 0) return 1;
  printf("%f", (cpu() - began) / rounds / (argc - 2) * 1e6);
  return 0;
}
"""


def measure() -> list[Result]:
    """CPU of a send in Python, and in C if there is a compiler."""
    pairs = [_pair() for _ in range(SOCKETS)]
    senders = [sender for sender, _ in pairs]
    reading = threading.Event()
    reader = threading.Thread(target=_drain, args=([r for _, r in pairs], reading))
    reader.start()
    try:
        figures = {"floor in Python": _python(senders)}
        if compiler := shutil.which("cc") or shutil.which("gcc"):
            figures["floor in C"] = _c(compiler, senders)
    finally:
        reading.set()
        reader.join()
        for pair in pairs:
            for end in pair:
                end.close()
    return [
        Result(NAME, peer, "delivery", {"cpu_us": cpu}) for peer, cpu in figures.items()
    ]


def _pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        sender = socket.create_connection(server.getsockname())
        return sender, server.accept()[0]


def _drain(readers: list[socket.socket], done: threading.Event) -> None:
    for reader in readers:
        reader.setblocking(False)
    while not done.is_set():
        for reader in readers:
            with suppress(BlockingIOError):
                reader.recv(1 << 20)
        time.sleep(0.005)


def _python(senders: list[socket.socket]) -> float:
    began = time.thread_time()
    for _ in range(ROUNDS):
        for sender in senders:
            sender.send(FRAME)
    return (time.thread_time() - began) / ROUNDS / SOCKETS * 1e6


def _c(compiler: str, senders: list[socket.socket]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder, "floor.c"), Path(folder, "floor")
        source.write_text(PROGRAM)
        subprocess.run([compiler, "-O2", "-o", program, source], check=True)
        files = [sender.fileno() for sender in senders]
        done = subprocess.run(
            [program, str(ROUNDS), *map(str, files)],
            pass_fds=files,
            check=True,
            capture_output=True,
            text=True,
        )
    return float(done.stdout)
