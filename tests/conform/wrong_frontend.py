#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A front-end that reads a disk for ever behind an IOMMU, each time by a mapping of its own, for
tests of the judge: right, or wrong in one way. It comes back when its connection ends.

    tests/conform/wrong_frontend.py PATH [FAULT]
"""

import collections
import mmap
import os
import select
import socket
import struct
import sys
import time

GET_FEATURES, SET_FEATURES, SET_OWNER, SET_MEM_TABLE = 1, 2, 3, 5
SET_VRING_NUM, SET_VRING_ADDR, SET_VRING_BASE = 8, 9, 10
SET_VRING_KICK, SET_VRING_CALL = 12, 13
GET_PROTOCOL_FEATURES, SET_PROTOCOL_FEATURES = 15, 16
SET_VRING_ENABLE, SET_BACKEND_REQ_FD, IOTLB_MSG = 18, 21, 22
BACK_IOTLB, BACK_CONFIG = 1, 2
VERSION, REPLY, NEED_REPLY = 1, 4, 8
MISS, UPDATE, INVALIDATE, ACCESS_FAIL = 1, 2, 3, 4
READ, WRITE = 1, 2
FEATURES = 1 << 33 | 1 << 32 | 1 << 30
REPLY_ACK, BACKEND_REQ, CONFIG = 1 << 3, 1 << 5, 1 << 9

PAGE = 4096
UVA = 0x7f0000000000
# In pages, of memory and, BASE pages on, of I/O virtual addresses.
BASE = 0x100
DESC, AVAIL, USED, FIXED, DATA, SIZE = 0, 1, 2, 3, 4, 12
RING = 16
DATA_IOVA = BASE + DATA
PATIENCE = 3
RIGHT_TURNS = 20  # before a fault shows that would keep the device from being used


class End(Exception):
  """Of the connection."""


class Session:
  """One connection, from its opening to its end."""

  def __init__(self, main, fault):
    self.main, self.fault = main, fault
    self.back, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    self.file = os.memfd_create('memory')
    os.ftruncate(self.file, SIZE * PAGE)
    self.memory = mmap.mmap(self.file, SIZE * PAGE)
    self.kick, self.call = os.eventfd(0), os.eventfd(0, os.EFD_NONBLOCK)
    # Page of iova -> page of memory, permission. Rings, header and status stay.
    self.table = {BASE + DESC: (DESC, READ), BASE + AVAIL: (AVAIL, READ),
                  BASE + USED: (USED, READ | WRITE), BASE + FIXED: (FIXED, READ | WRITE)}
    self.turn = 0
    # Replies that are owed to us: request, size, whom to tell, since when.
    self.expected = collections.deque()
    # Those that we owe: request, flags, value, None as long as it is not known.
    self.owed = collections.deque()

  def close(self):
    self.memory.close()
    for fd in (self.file, self.kick, self.call):
      os.close(fd)
    for end in (self.back, self.theirs, self.main):
      end.close()

  def shows(self, fault):
    return self.fault == fault and self.turn >= RIGHT_TURNS

  # Messages.

  def read(self, end, size):
    data = b''
    while len(data) < size:
      more = end.recv(size - len(data))
      if not more:
        raise End
      data += more
    return data

  def senseless(self):
    if self.fault == 'dies':
      os._exit(1)
    raise End

  def send(self, request, payload=b'', fds=(), flags=VERSION):
    socket.send_fds(self.main, [struct.pack('=III', request, flags, len(payload)) + payload],
                    fds)

  def ask(self, request, payload, size, tell, flags=VERSION):
    self.send(request, payload, flags=flags)
    self.expected.append((request, size, tell, time.monotonic()))

  def get(self, request, payload=b'', size=8, flags=VERSION):
    box = []
    self.ask(request, payload, size, box.append, flags)
    while not box:
      self.pump(0.05)
    return box[0]

  def take_main(self):
    request, flags, size = struct.unpack('=III', self.read(self.main, 12))
    if not self.expected or (request, size) != self.expected[0][:2] or flags != VERSION | REPLY:
      self.senseless()
    self.expected.popleft()[2](self.read(self.main, size))

  def take_back(self):
    request, flags, size = struct.unpack('=III', self.read(self.back, 12))
    if flags & ~NEED_REPLY != VERSION or size > 2056:
      self.senseless()
    own = [request, flags, None]
    self.owed.append(own)
    self.serve(own, self.read(self.back, size))

  def pump(self, seconds):
    """One message of each channel, if there is any within the time."""
    deaf = self.fault == 'one-at-a-time' and self.expected
    ready = select.select([self.main, self.call, *([] if deaf else [self.back])], [], [],
                          seconds)[0]
    if self.call in ready:
      os.eventfd_read(self.call)
    if self.main in ready:
      self.take_main()
    if self.back in ready:
      self.take_back()
    self.pay()
    if self.expected and self.fault != 'waits-for-ever' and (
        time.monotonic() - self.expected[0][3] > PATIENCE):
      raise End

  def pay(self):
    """Replies on the back-channel, in the order of the requests."""
    if self.fault == 'backwards':
      if select.select([self.back], [], [], 0)[0] or any(one[2] is None for one in self.owed):
        return
      self.owed.reverse()
    while self.owed and self.owed[0][2] is not None:
      request, flags, value = self.owed.popleft()
      if flags & NEED_REPLY or self.fault == 'replies-always':
        echo = NEED_REPLY if self.fault == 'echoes' else 0
        self.back.sendall(struct.pack('=IIIQ', request, VERSION | REPLY | echo, 8, value))

  # Opening.

  def open(self):
    offered, = struct.unpack('=Q', self.get(GET_FEATURES))
    protocol, = struct.unpack('=Q', self.get(GET_PROTOCOL_FEATURES))
    wanted = REPLY_ACK | BACKEND_REQ | CONFIG
    if offered & FEATURES != FEATURES or protocol & wanted != wanted:
      raise End
    self.send(SET_PROTOCOL_FEATURES, struct.pack('=Q', wanted))
    if self.fault != 'no-owner':
      self.send(SET_OWNER)
    unoffered = 1 << 40 if self.fault == 'unoffered-feature' else 0
    self.send(SET_FEATURES, struct.pack('=Q', FEATURES | unoffered))
    regions = [(0, SIZE * PAGE, UVA, 0)]
    if self.fault == 'short-file':
      regions.append((1 << 32, 1 << 30, UVA << 1, 0))
    table = b''.join(struct.pack('=QQQQ', *region) for region in regions)
    self.send(SET_MEM_TABLE, struct.pack('=II', len(regions), 0) + table,
              [self.file] * len(regions))
    self.send(SET_BACKEND_REQ_FD, fds=[self.theirs.fileno()])
    self.theirs.close()
    self.open_ring()

  def open_ring(self):
    num = struct.pack('=II', 0, RING)
    self.send(SET_VRING_NUM, num + bytes(4) if self.fault == 'wrong-size' else num)
    self.send(SET_VRING_BASE, struct.pack('=II', 0, 0))
    self.send(SET_VRING_CALL, struct.pack('=Q', 0), [self.call])
    self.odd = 8 if self.fault == 'misaligned' else 0
    addr = struct.pack('=IIQQQQ', 0, 0, BASE + DESC << 12 | self.odd, BASE + USED << 12,
                       BASE + AVAIL << 12, 0)
    if self.fault != 'addresses-last':
      self.send(SET_VRING_ADDR, addr)
    self.send(SET_VRING_KICK, struct.pack('=Q', 0), [self.kick])
    if self.fault == 'addresses-last':
      self.send(SET_VRING_ADDR, addr)
    self.send(SET_VRING_ENABLE, struct.pack('=II', 0, 1))

  # Translations.

  def update(self, own, iova, page, perm):
    """The request is answered when the update is acknowledged, as that was."""
    payload = struct.pack('=QQQBB6x', iova << 12, PAGE, UVA + (page << 12), perm, UPDATE)

    def tell(reply):
      if self.fault != 'believes':
        own[2] = struct.unpack('=Q', reply)[0]

    self.ask(IOTLB_MSG, payload, 8, tell, VERSION | NEED_REPLY)
    if self.fault == 'believes':
      own[2] = 0

  def invalidate(self, iova):
    payload = struct.pack('=QQQBB6x', iova << 12, PAGE, 0, 0, INVALIDATE)
    if self.fault == 'unacknowledged':
      self.send(IOTLB_MSG, payload)
    elif self.fault != 'no-invalidate':
      self.get(IOTLB_MSG, payload, flags=VERSION | NEED_REPLY)

  def miss(self, own, iova, perm):
    page, allowed = self.table.get(iova, (0, 0))
    is_data = page >= DATA
    if not allowed or perm & ~allowed or not perm or (self.shows('refuses') and not is_data):
      own[2] = 1
    elif is_data and self.fault == 'no-update':
      own[2] = 0
    elif is_data and self.fault == 'not-covering':
      self.update(own, iova + 1, page, allowed)
    elif is_data and self.fault == 'too-little':
      self.update(own, iova, page, READ)
    elif is_data and self.fault == 'outside':
      self.update(own, iova, page + SIZE, allowed)
    else:
      self.update(own, iova, page, allowed)

  def serve(self, own, payload):
    """A request of the back-end: sets the value of its reply, now or later."""
    if self.shows('mute'):
      return
    if own[0] != BACK_IOTLB or len(payload) != 32:
      own[2] = int(own[0] != BACK_CONFIG or len(payload) > 0)
      if own[0] == BACK_IOTLB:
        self.senseless()
      return
    iova, _, _, perm, kind = struct.unpack('=QQQBB6x', payload)
    if kind == MISS:
      self.miss(own, iova >> 12, perm)
    else:
      own[2] = int(kind != ACCESS_FAIL)

  # The driver.

  def show(self, iova):
    """A header, a page of data, a status; and that they are there."""
    fixed = BASE + FIXED << 12
    chain = ((fixed, 16, 1, 1), (iova << 12, 512, 3, 2), (fixed + 64, 1, 2, 0))
    struct.pack_into('<IIQ', self.memory, FIXED * PAGE, 0, 0, self.turn % 64)
    for i, desc in enumerate(chain):
      struct.pack_into('<QIHH', self.memory, DESC * PAGE + self.odd + 16 * i, *desc)
    struct.pack_into('<H', self.memory, AVAIL * PAGE + 4 + 2 * (self.turn % RING), 0)
    struct.pack_into('<H', self.memory, AVAIL * PAGE + 2, self.turn + 1 & 0xffff)
    os.eventfd_write(self.kick, 1)

  def is_used(self):
    return struct.unpack_from('<H', self.memory, USED * PAGE + 2)[0] == self.turn + 1 & 0xffff

  def read_once(self):
    """Through one of two addresses, whose memory differs from time to time."""
    iova = BASE + DATA + 2 * (self.turn % 2)
    self.table[iova] = (DATA + self.turn % 5, WRITE)
    self.show(iova)
    while not self.is_used():
      self.pump(0.05)
    del self.table[iova]
    self.invalidate(iova)
    self.turn += 1

  def run(self):
    self.open()
    while True:
      self.read_once()
      time.sleep(0.001)


def connect(path):
  while True:
    end = socket.socket(socket.AF_UNIX)
    try:
      end.connect(path)
      return end
    except OSError:
      end.close()
      time.sleep(0.01)


def main():
  path, fault = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ''
  while True:
    session = Session(connect(path), fault)
    try:
      session.run()
    except (End, ConnectionError):
      pass
    session.close()
    time.sleep(0.01)


if __name__ == '__main__':
  main()
