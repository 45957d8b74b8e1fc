#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Stands for the daemon that 'vhu demo' starts with --fd=N: connects to VHU_CONFORM_SOCKET, and
passes on what comes, with its fds, either way, until one side ends."""

import os
import select
import socket
import struct
import sys

HEADER = 12


def message(source):
  """Whole: fds go with the first byte of the message that they were sent with."""
  data, fds, _, _ = socket.recv_fds(source, HEADER, 16)
  while data and (len(data) < HEADER or len(data) < HEADER + struct.unpack_from('=I', data, 8)[0]):
    size = struct.unpack_from('=I', data, 8)[0] if len(data) >= HEADER else 0
    more = source.recv(HEADER + min(size, 65536) - len(data))
    if not more or size > 65536:
      return b'', fds
    data += more
  return data, fds


def main():
  fd = [int(word[5:]) for word in sys.argv if word.startswith('--fd=')][0]
  with socket.socket(fileno=fd) as ours, socket.socket(socket.AF_UNIX) as theirs:
    theirs.connect(os.environ['VHU_CONFORM_SOCKET'])
    ours.setblocking(True)
    while True:
      for source in select.select([ours, theirs], [], [])[0]:
        data, fds = message(source)
        if not data:
          return
        socket.send_fds(theirs if source is ours else ours, [data], fds)
        for passed in fds:
          os.close(passed)


try:
  main()
except ConnectionError:
  pass
