# SPDX-License-Identifier: BSD-3-Clause
"""A front-end and driver as small as can be, for tests of a block back-end from outside: one
region of memory, one split ring without an IOMMU, requests one at a time or many at once. It
shares no line with the library, so that a mistake of the one is not also the other's."""

import mmap
import os
import select
import socket
import struct

GET_FEATURES, SET_FEATURES, SET_OWNER, SET_MEM_TABLE = 1, 2, 3, 5
SET_VRING_NUM, SET_VRING_ADDR, SET_VRING_BASE, GET_VRING_BASE = 8, 9, 10, 11
SET_VRING_KICK, SET_VRING_CALL, SET_VRING_ENABLE = 12, 13, 18
GET_PROTOCOL_FEATURES, SET_PROTOCOL_FEATURES, GET_QUEUE_NUM = 15, 16, 17
SET_BACKEND_REQ_FD, GET_CONFIG, SET_CONFIG = 21, 24, 25
CONFIG_CHANGE_MSG = 2

F_FLUSH, F_CONFIG_WCE, F_PROTOCOL, F_VERSION_1 = 1 << 9, 1 << 11, 1 << 30, 1 << 32
F_DISCARD, F_WRITE_ZEROES = 1 << 13, 1 << 14
P_MQ, P_REPLY_ACK, P_BACKEND_REQ, P_CONFIG = 1 << 0, 1 << 3, 1 << 5, 1 << 9
NEED_REPLY = 8

IN, OUT, FLUSH, GET_ID, DISCARD, WRITE_ZEROES = 0, 1, 4, 8, 11, 13
OK, IOERR, UNSUPP = 0, 1, 2
NEXT, WRITE = 1, 2

SIZE = 4 << 20
RING = 64
DESC, AVAIL, USED, SLOTS = 0, 0x1000, 0x2000, 0x10000
SLOT = 0x10000  # header, status and 32 KiB of data per request
DATA = 0x1000
GPA, UVA = 1 << 30, 1 << 40


class Frontend:
  def __init__(self, sock, timeout=10):
    self.sock = sock
    self.timeout = timeout
    sock.settimeout(timeout)
    self.memfd = os.memfd_create('vm')
    os.ftruncate(self.memfd, SIZE)
    self.mem = mmap.mmap(self.memfd, SIZE)
    self.kick = os.eventfd(0, os.EFD_NONBLOCK)
    self.call = os.eventfd(0, os.EFD_NONBLOCK)
    self.avail = self.seen = 0

  @classmethod
  def connect(cls, path):
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)
    return cls(sock)

  def close(self):
    self.sock.close()
    self.mem.close()
    for fd in (self.memfd, self.kick, self.call):
      os.close(fd)

  def send(self, request, payload=b'', fds=(), flags=0):
    header = struct.pack('<III', request, 1 | flags, len(payload))
    socket.send_fds(self.sock, [header + payload], list(fds))

  def receive(self, request):
    header = self.read(12)
    got, flags, size = struct.unpack('<III', header)
    if got != request or not flags & 4:
      raise AssertionError(f'a reply to {request} was wanted, {got} with flags {flags} came')
    return self.read(size)

  def read(self, size):
    data = b''
    while len(data) < size:
      more = self.sock.recv(size - len(data))
      if not more:
        raise ConnectionError('the back-end has closed')
      data += more
    return data

  def ask(self, request, payload=b''):
    self.send(request, payload)
    return self.receive(request)

  def ask_u64(self, request):
    return struct.unpack('<Q', self.ask(request))[0]

  def acked(self, request, payload=b'', fds=()):
    """0 is success."""
    self.send(request, payload, fds, NEED_REPLY)
    return struct.unpack('<Q', self.receive(request))[0]

  def must(self, request, payload=b'', fds=()):
    status = self.acked(request, payload, fds)
    if status:
      raise AssertionError(f'request {request} was refused with {status}')

  def negotiate(self, features=F_FLUSH):
    self.offered = self.ask_u64(GET_FEATURES)
    self.protocol = self.ask_u64(GET_PROTOCOL_FEATURES)
    self.send(SET_PROTOCOL_FEATURES,
              struct.pack('<Q', P_MQ | P_REPLY_ACK | P_BACKEND_REQ | P_CONFIG))
    self.must(SET_OWNER)
    self.must(SET_FEATURES, struct.pack('<Q', features | F_PROTOCOL | F_VERSION_1))

  def config(self, size=60):
    reply = self.ask(GET_CONFIG, struct.pack('<III', 0, size, 0) + bytes(size))
    return reply[12:]

  def open_back(self):
    """The back-channel's end."""
    ours, theirs = socket.socketpair()
    ours.settimeout(self.timeout)
    self.must(SET_BACKEND_REQ_FD, fds=[theirs.fileno()])
    theirs.close()
    return ours

  def start(self, queue=0):
    status = self.try_start(queue)
    if status:
      raise AssertionError(f'queue {queue} was not started: {status}')

  def try_start(self, queue=0):
    """0, or what the message was answered with that should have started it."""
    region = struct.pack('<IIQQQQ', 1, 0, GPA, SIZE, UVA, 0)
    self.must(SET_MEM_TABLE, region, [self.memfd])
    self.must(SET_VRING_NUM, struct.pack('<II', queue, RING))
    self.must(SET_VRING_ADDR, struct.pack('<IIQQQQ', queue, 0, UVA + DESC, UVA + USED,
                                          UVA + AVAIL, 0))
    self.must(SET_VRING_BASE, struct.pack('<II', queue, self.avail & 0xffff))
    self.must(SET_VRING_CALL, struct.pack('<Q', queue), [self.call])
    status = self.acked(SET_VRING_KICK, struct.pack('<Q', queue), [self.kick])
    return status or self.acked(SET_VRING_ENABLE, struct.pack('<II', queue, 1))

  def stop(self, queue=0):
    """Returns the index of the next chain the back-end would have taken."""
    return struct.unpack('<II', self.ask(GET_VRING_BASE, struct.pack('<II', queue, 0)))[1]

  def describe(self, index, addr, length, flags, follower=0):
    struct.pack_into('<QIHH', self.mem, DESC + 16 * index, GPA + addr, length, flags, follower)

  def post(self, slot, kind, sector, data=b'', room=0, far=None):
    """Makes request number slot, at most RING / 3 at a time, available; does not kick.
    far: (address, flags) of data that lie elsewhere."""
    at = SLOTS + slot * SLOT
    first = 3 * slot
    self.mem[at:at + 16] = struct.pack('<IIQ', kind, 0, sector)
    self.mem[at + 16] = 0xee
    self.describe(first, at, 16, NEXT, first + 1)
    if data or room:
      self.mem[at + DATA:at + DATA + len(data)] = data
      self.describe(first + 1, at + DATA, room or len(data), NEXT | (WRITE if room else 0),
                    first + 2)
    else:
      self.describe(first, at, 16, NEXT, first + 2)
    self.describe(first + 2, at + 16, 1, WRITE)
    # All of it is there when it is shown: rings are looked at without a kick, too.
    if far:
      struct.pack_into('<QIHH', self.mem, DESC + 16 * (first + 1), far[0], room, NEXT | far[1],
                       first + 2)
    struct.pack_into('<H', self.mem, AVAIL + 4 + 2 * (self.avail % RING), first)
    self.avail += 1
    struct.pack_into('<H', self.mem, AVAIL + 2, self.avail & 0xffff)

  def notify(self):
    os.eventfd_write(self.kick, 1)

  def used(self):
    """The (slot, written) that have come back since the last time."""
    (index,) = struct.unpack_from('<H', self.mem, USED + 2)
    done = []
    while self.seen & 0xffff != index:
      head, written = struct.unpack_from('<II', self.mem, USED + 4 + 8 * (self.seen % RING))
      done.append((head // 3, written))
      self.seen += 1
    return done

  def wait(self, count=1):
    """Waits until that many have come back."""
    done = self.used()
    while len(done) < count:
      if not select.select([self.call], [], [], self.timeout)[0]:
        raise AssertionError(f'{len(done)} of {count} requests came back')
      os.eventfd_read(self.call)
      done += self.used()
    return done

  def status(self, slot):
    return self.mem[SLOTS + slot * SLOT + 16]

  def data(self, slot, size):
    at = SLOTS + slot * SLOT + DATA
    return self.mem[at:at + size]

  def request(self, kind, sector=0, data=b'', room=0):
    """(status, data) of one request, waited for."""
    self.post(0, kind, sector, data, room)
    self.notify()
    self.wait()
    return self.status(0), self.data(0, room)
