#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Records a session with vhu-blk as a seed of the fuzz target "backend".

Has vhu-blk's command line and stands between it and the front-end:

    scripts/vm/run strict --daemon fuzz/record.py \\
      --daemon-arg=--record=fuzz/corpus/backend/qemu-strict \\
      --daemon-arg=--daemon=build/daemons/vhu-blk

What is kept is the order of messages, their numbers, flags and fds. Memory is
that of the target: a few pages, to which addresses are mapped as they come, and
rings where the target has them. Kicks can't be seen; a request stands before each
round of misses instead.
"""

import array
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time

HEADER = struct.Struct('=III')
REPLY, NEED_REPLY = 4, 8
FDS_MAX = 8

PAGE = 4096
# The target's: pages of iova that stand for data, and what it offers of features.
DATA_PAGES = range(2, 8)
FEATURES = 1 << 28 | 1 << 29 | 1 << 30 | 1 << 32 | 1 << 33
RING_NUM = 8
# Bytes of a seed from the beginning of the session and from its end.
HEAD, TAIL = 600, 300

# Steps of backend.c.
STEP_MESSAGE, STEP_GRANT, STEP_REQUEST, STEP_RUN = 2, 6, 12, 15

SET_FEATURES, SET_MEM_TABLE, SET_VRING_NUM, SET_VRING_ADDR = 2, 5, 8, 9
SET_BACKEND_REQ_FD, IOTLB_MSG, ADD_MEM_REG, REM_MEM_REG = 21, 22, 37, 38
STATES = (8, 10, 11, 18)        # struct vhu_vring_state
FDS_OF_RINGS = (12, 13, 14)     # ring index and NOFD
BITS = (2, 16)
NUMBERS = (39,)
CONFIGS = (24, 25)
MISS, UPDATE, INVALIDATE = 1, 2, 3


def byte(value):
  return bytes([value & 0xff])


def number(value):
  return byte(value) if value < 255 else byte(255) + struct.pack('=I', value)


def bits(value):
  return byte(255) + struct.pack('=Q', value) + byte(64)


def raw(value):
  """An address or a size that is no number of pages."""
  return byte(255) + struct.pack('=Q', value)


def plain(page):
  return byte(page)


def user(page):
  return byte(0x10 | page)


class Seed:
  """Messages as steps of the target."""

  def __init__(self):
    self.steps = []
    self.pages = {}  # of the front-end's iova -> the target's
    self.regions = []  # gpa of those shared one by one
    self.translates = False
    self.waiting = 0  # misses

  def page_of(self, iova):
    page = iova // PAGE
    if page not in self.pages:
      self.pages[page] = DATA_PAGES[len(self.pages) % len(DATA_PAGES)]
    return self.pages[page]

  def iotlb(self, payload):
    iova, size, uaddr, perm, kind = struct.unpack_from('=QQQBB', payload)
    if kind == INVALIDATE and size != PAGE:
      return byte(kind) + byte(perm) + raw(iova) + raw(size) + plain(0)
    page = self.page_of(iova)
    return byte(kind) + byte(perm) + plain(page) + byte(1) + user(page)

  def vring_addr(self, payload):
    index, flags, desc, used, avail = struct.unpack_from('=IIQQQ', payload)
    page = index % 2
    for address in (desc, used, avail):
      self.pages[address // PAGE] = page
    place = plain if self.translates else user
    offset = [struct.pack('=H', at) for at in (0, 0x200, 0x400)]
    parts = [byte(place(page)[0] | 0x40) + at for at in offset]
    return number(index) + b''.join(parts) + number(flags)

  def region(self, i):
    return plain(4 * i) + byte(4) + user(4 * i) + byte(0)

  def region_index(self, payload):
    gpa, = struct.unpack_from('=Q', payload, 8)
    if gpa not in self.regions:
      self.regions.append(gpa)
    return self.regions.index(gpa)

  def fields(self, request, payload, n_fds):
    """The payload as backend_message.c reads it."""
    if request == SET_FEATURES:
      features, = struct.unpack_from('=Q', payload)
      self.translates = bool(features >> 33 & 1)
      return bits(features & FEATURES)
    if request == SET_MEM_TABLE:
      return byte(n_fds) + b''.join(self.region(i) for i in range(n_fds))
    if request in (ADD_MEM_REG, REM_MEM_REG):
      return self.region(self.region_index(payload))
    if request == SET_VRING_NUM:
      return number(struct.unpack_from('=I', payload)[0]) + number(RING_NUM)
    if request == SET_VRING_ADDR:
      return self.vring_addr(payload)
    if request == IOTLB_MSG:
      return self.iotlb(payload)
    if request in BITS:
      return bits(struct.unpack_from('=Q', payload)[0])
    if request in STATES:
      return b''.join(number(value) for value in struct.unpack_from('=II', payload))
    if request in FDS_OF_RINGS:
      value, = struct.unpack_from('=Q', payload)
      return byte(value) if value < 128 else byte(128) + raw(value)
    if request in NUMBERS:
      return byte(payload[0] & 127)
    if request in CONFIGS:
      offset, size, flags = struct.unpack_from('=III', payload)
      return number(offset) + number(size) + byte(flags)
    return b''

  def said(self, request, flags, payload, n_fds):
    """A message of the front-end's."""
    if request == IOTLB_MSG and self.waiting and payload[25] == UPDATE:
      return  # the grant stands for it
    if request == SET_MEM_TABLE:
      n_fds = min(n_fds, 2)
    which = payload[0] if request in FDS_OF_RINGS else 0
    if request in (ADD_MEM_REG, REM_MEM_REG):
      which = self.region_index(payload)
      if which:
        return
    how = 1 if flags & NEED_REPLY else 0
    fds = b''.join(byte(which + i) for i in range(n_fds))
    self.steps.append(byte(STEP_MESSAGE) + byte(request - 1) + byte(how)
                      + self.fields(request, payload, n_fds) + fds)
    if request == ADD_MEM_REG:
      # Of whatever there is the target has two.
      self.steps.append(byte(STEP_MESSAGE) + byte(request - 1) + byte(how)
                        + self.region(1) + byte(1))

  def missed(self):
    if not self.waiting:
      n = len(self.steps)
      self.steps.append(bytes([STEP_REQUEST, n % 256, n * 7 % 256]))
    self.waiting += 1

  def answered(self):
    self.waiting = max(0, self.waiting - 1)
    self.steps.append(byte(STEP_GRANT))

  def cut(self, steps, size):
    kept = []
    for step in steps:
      if sum(map(len, kept)) + len(step) > size:
        break
      kept.append(step)
    return kept

  def write(self, path):
    """Everything runs after each step; the device has a status byte."""
    head = self.cut(self.steps, HEAD)
    tail = self.cut(reversed(self.steps[len(head):]), TAIL)
    with open(path, 'wb') as file:
      file.write(bytes([0xc0, 0]) + b''.join(head) + b''.join(reversed(tail))
                 + bytes([STEP_RUN, 0]))


def receive(sock):
  """(header, payload, fds), or None at the end."""
  fds, data = array.array('i'), b''
  want = HEADER.size
  while len(data) < want:
    part, control, _, _ = sock.recvmsg(want - len(data), socket.CMSG_SPACE(FDS_MAX * 4))
    if not part:
      return None
    for level, kind, rights in control:
      if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
        fds.frombytes(rights[:len(rights) // 4 * 4])
    data += part
    if len(data) == HEADER.size and want == HEADER.size:
      want += HEADER.unpack(data)[2]
  return HEADER.unpack_from(data), data[HEADER.size:], list(fds)


def send(sock, header, payload, fds):
  rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', fds))] if fds else []
  data = HEADER.pack(*header) + payload
  sent = sock.sendmsg([data], rights)
  sock.sendall(data[sent:])
  for fd in fds:
    os.close(fd)


class Tap:
  """Passes messages on, in both directions of both channels."""

  def __init__(self, front, back, seed):
    self.seed = seed
    self.other = {front: back, back: front}
    self.front = front
    self.back_end = None  # of the back-channel: towards the daemon

  def insert_back_channel(self, fds):
    """The daemon gets an end of ours instead."""
    front = socket.socket(fileno=fds[0])
    mine, theirs = socket.socketpair()
    self.other.update({front: mine, mine: front})
    self.back_end = mine
    return [theirs.detach()]

  def note(self, source, header, payload, fds):
    request, flags, _ = header
    if source is self.front and not flags & REPLY:
      self.seed.said(request, flags, payload, len(fds))
    elif source is self.back_end and request == 1 and payload[25] == MISS:
      self.seed.missed()
    elif self.other[source] is self.back_end and flags & REPLY:
      self.seed.answered()

  def pass_on(self, source):
    message = receive(source)
    if message is None:
      return False
    header, payload, fds = message
    self.note(source, header, payload, fds)
    if source is self.front and header[0] == SET_BACKEND_REQ_FD and fds:
      fds = self.insert_back_channel(fds)
    send(self.other[source], header, payload, fds)
    return True

  def run(self):
    """Until a side of the main channel has gone."""
    main = {self.front, self.other[self.front]}
    while True:
      ready, _, _ = select.select(list(self.other), [], [])
      for source in ready:
        if source in self.other and not self.pass_on(source):
          if source in main:
            return
          other = self.other.pop(source)
          del self.other[other]
          other.close()


def connect(path):
  sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
  for _ in range(500):
    try:
      sock.connect(path)
      return sock
    except OSError:
      time.sleep(0.01)
  sys.exit(f'record: nobody listens at {path}')


def main():
  own = {'--record': None, '--daemon': None, '--socket-path': None}
  rest = []
  for argument in sys.argv[1:]:
    key, _, value = argument.partition('=')
    if key in own:
      own[key] = value
    else:
      rest.append(argument)
  if not all(own.values()):
    sys.exit(__doc__.strip())
  inner = own['--socket-path'] + '.daemon'
  listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
  listener.bind(own['--socket-path'])
  with subprocess.Popen([own['--daemon'], f'--socket-path={inner}', *rest]) as daemon:
    signal.signal(signal.SIGTERM, lambda *_: daemon.terminate())
    listener.listen()
    front, _ = listener.accept()
    seed = Seed()
    back = connect(inner)
    try:
      Tap(front, back, seed).run()
    except OSError as error:
      print(f'record: {error}', file=sys.stderr)
    back.close()
    seed.write(own['--record'])
    print(f'record: {len(seed.steps)} steps', file=sys.stderr)
    code = daemon.wait()
  return code


if __name__ == '__main__':
  sys.exit(main())
