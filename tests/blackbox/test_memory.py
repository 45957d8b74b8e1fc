#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Guest memory that is made shorter while vhu-blk uses it: with every engine it ends a request or
the session, never the daemon.

    tests/blackbox/test_memory.py --daemon build/daemons/vhu-blk
"""

import mmap
import os
import struct
import sys

sys.dont_write_bytecode = True
import frontend as fe
from frontend import Frontend
from harness import Daemon, equal, main, true, until

DISK = 4 << 20
PAGE = 4096
FAR = 1 << 31   # gpa of the region that is cut
FAR_SIZE = 1 << 20
FAR_UVA = 1 << 41


class TwoRegions(Frontend):
  """Rings, headers and status bytes in one region, data in another."""

  def start(self, queue=0):
    self.far = os.memfd_create('far')
    os.ftruncate(self.far, FAR_SIZE)
    self.far_mem = mmap.mmap(self.far, FAR_SIZE)
    super().start(queue)
    # Again, with both; the ring goes on.
    table = struct.pack('<IIQQQQQQQQ', 2, 0, fe.GPA, fe.SIZE, fe.UVA, 0,
                        FAR, FAR_SIZE, FAR_UVA, 0)
    self.must(fe.SET_MEM_TABLE, table, [self.memfd, self.far])

  def close(self):
    super().close()
    self.far_mem.close()
    os.close(self.far)

  def far_request(self, kind, at, size):
    """The status of a request whose data lie in the far region."""
    self.post(0, kind, 0, room=size, far=(FAR + at, fe.WRITE if kind == fe.IN else 0))
    self.notify()
    self.wait()
    return self.status(0)


def connect(folder):
  front_end = TwoRegions.connect(f'{folder}/s')
  front_end.negotiate()
  front_end.start()
  return front_end


def engines(folder):
  path = os.path.join(folder, 'disk')
  with open(path, 'wb') as file:
    file.truncate(DISK)
  return [[f'--blk-file={path}', f'--engine={name}'] for name in ('inline', 'threads', 'io_uring')]


def start(daemon, folder, *arguments):
  return Daemon(daemon, f'--socket-path={folder}/s', *arguments)


def is_served(folder):
  front_end = connect(folder)
  equal(front_end.far_request(fe.OUT, 0, PAGE), fe.OK)
  equal(front_end.far_request(fe.IN, PAGE, PAGE), fe.OK)
  front_end.close()


def what_the_kernel_touches_fails_the_request(daemon, folder):
  """Data that are gone: an I/O error; what is still there: served, by the same session."""
  for engine in engines(folder):
    for threads in ([], ['--queue-threads=1']):
      with start(daemon, folder, *engine, *threads) as process:
        front_end = connect(folder)
        equal(front_end.far_request(fe.OUT, 8 * PAGE, 4 * PAGE), fe.OK)
        os.ftruncate(front_end.far, 9 * PAGE)
        for kind in (fe.OUT, fe.IN):
          equal(front_end.far_request(kind, 10 * PAGE, 4 * PAGE), fe.IOERR)
          # A part of it is there.
          equal(front_end.far_request(kind, 8 * PAGE, 4 * PAGE), fe.IOERR)
          equal(front_end.far_request(kind, 8 * PAGE, PAGE), fe.OK)
        equal(front_end.request(fe.IN, room=PAGE)[0], fe.OK)
        front_end.close()
        is_served(folder)
        equal(process.end(), 0)


def expect_end(process, front_end, name, count):
  """The session ends and says which region; the daemon lives."""
  try:
    data = front_end.sock.recv(1)
  except ConnectionResetError:
    data = b''
  equal(data, b'')
  true(until(lambda: process.log().count(f'guest memory is gone: region of gpa {name:#x}') ==
             count), f'the region is named {count} times')
  equal(process.child.poll(), None)


def what_the_daemon_touches_ends_the_session(daemon, folder):
  """Copies of a memory disk, a request's header, the ring."""
  disks = [['--memory=4M'], engines(folder)[0]]
  for disk in disks:
    for threads in ([], ['--queue-threads=2']):
      with start(daemon, folder, *disk, *threads) as process:
        gone = 0
        if '--memory=4M' in disk:
          for kind in (fe.OUT, fe.IN):
            front_end = connect(folder)
            os.ftruncate(front_end.far, 2 * PAGE)
            front_end.far_request(kind, PAGE, 4 * PAGE)
            gone += 1
            expect_end(process, front_end, FAR, gone)
            front_end.close()
            is_served(folder)
        front_end = connect(folder)
        equal(front_end.far_request(fe.OUT, 0, PAGE), fe.OK)
        os.ftruncate(front_end.memfd, 0)
        front_end.notify()
        expect_end(process, front_end, fe.GPA, 1)
        front_end.close()
        is_served(folder)
        equal(process.end(), 0)


if __name__ == '__main__':
  main([
    what_the_kernel_touches_fails_the_request,
    what_the_daemon_touches_ends_the_session,
  ])
