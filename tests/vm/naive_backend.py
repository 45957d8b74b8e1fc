#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A vhost-user-blk back-end that does its IOTLB badly on purpose: the positive control of the VM
tests. It asks for one missing page at a time and asks again whenever anything arrives, so a
front-end comes to answer stale questions after the driver has unmapped the page, and the driver's
kernel logs DMA faults. With --careful it asks for a chain's pages together and for none twice;
nothing else differs, so what the control shows comes from the repeats alone.

It shares no code with the library, serves one session, checks nothing a hostile peer may send, and
is slow. It takes vhu-blk's command line as far as the tests use it."""

import argparse
import array
import json
import mmap
import os
import select
import signal
import socket
import struct
import sys

PAGE = 4096
READ, WRITE = 1, 2
MISS, UPDATE, INVALIDATE = 1, 2, 3
HEADER = struct.Struct('=III')
IOTLB = struct.Struct('=QQQBB6x')
FLAG_VERSION, FLAG_REPLY, FLAG_NEED_REPLY = 1, 4, 8

# VIRTIO_BLK_F_SEG_MAX, _FLUSH, _MQ; VHOST_USER_F_PROTOCOL_FEATURES; VERSION_1, ACCESS_PLATFORM
ACCESS_PLATFORM = 1 << 33
FEATURES = 1 << 2 | 1 << 9 | 1 << 12 | 1 << 30 | 1 << 32 | ACCESS_PLATFORM
# MQ, REPLY_ACK, BACKEND_REQ, CONFIG
PROTOCOL_FEATURES = 1 << 0 | 1 << 3 | 1 << 5 | 1 << 9

# A front-end that cannot write its replies stops, and so would we: well below what a socket holds.
UNANSWERED_MAX = 128

DESC_NEXT, DESC_WRITE = 1, 2
BLK_IN, BLK_OUT, BLK_FLUSH, BLK_GET_ID = 0, 1, 4, 8


class Missing(Exception):
  """Pages that the cache lacks: a list of (page address, permission)."""


class Memory:
  """The regions of the front-end, and the way from its addresses to ours."""

  def __init__(self):
    self.regions = []  # (gpa, size, uva, view)

  def set(self, payload, fds):
    self.regions = []
    count, = struct.unpack_from('=I', payload)
    for i in range(count):
      gpa, size, uva, offset = struct.unpack_from('=QQQQ', payload, 8 + 32 * i)
      view = memoryview(mmap.mmap(fds[i], size + offset))
      self.regions.append((gpa, size, uva, view[offset:offset + size]))

  def at_uva(self, address, length):
    for _, size, uva, view in self.regions:
      if uva <= address < uva + size:
        return view[address - uva:address - uva + length]
    raise RuntimeError(f'no memory at uva {address:#x}')

  def at_gpa(self, address, length):
    for gpa, size, _, view in self.regions:
      if gpa <= address < gpa + size:
        return view[address - gpa:address - gpa + length]
    raise RuntimeError(f'no memory at gpa {address:#x}')


class Cache:
  """iova to uva; a page at a time, larger entries in a list."""

  def __init__(self):
    self.flush()

  def flush(self):
    self.pages = {}
    self.large = []

  def update(self, iova, size, uaddr, perm):
    if size > PAGE:
      self.large.insert(0, (iova, size, uaddr, perm))
    else:
      self.pages[iova & -PAGE] = (uaddr & -PAGE, perm)

  def invalidate(self, iova, size):
    last = iova + size - 1 if size else (1 << 64) - 1
    if size and size // PAGE <= len(self.pages):
      for page in range(iova & -PAGE, last + 1, PAGE):
        self.pages.pop(page, None)
    else:
      self.pages = {p: e for p, e in self.pages.items() if p + PAGE <= iova or p > last}
    self.large = [e for e in self.large if e[0] > last or e[0] + e[1] <= iova]

  def lookup(self, address, perm):
    entry = self.pages.get(address & -PAGE)
    if entry and entry[1] & perm == perm:
      return entry[0] + (address & (PAGE - 1))
    for iova, size, uaddr, allowed in self.large:
      if iova <= address < iova + size and allowed & perm == perm:
        return uaddr + address - iova
    return None


class Queue:
  def __init__(self):
    self.num = self.last = 0
    self.desc = self.used = self.avail = 0
    self.kick = self.call = None
    self.started = False
    self.parked = False  # a request waits for pages


class Backend:
  def __init__(self, args):
    self.careful = args.careful
    self.disk = os.open(args.blk_file, os.O_RDWR)
    self.queues = [Queue() for _ in range(args.num_queues)]
    self.memory = Memory()
    self.cache = Cache()
    self.features = 0
    self.unanswered = []  # pages asked for on the back-channel
    self.back = None
    self.main = None
    self.stats = dict.fromkeys(('requests', 'errors', 'misses', 'pages_needed', 'updates',
                                'invalidations', 'refused', 'unsatisfied'), 0)
    self.counted = None

  # --- translation

  def view(self, address, length, perm):
    """The pieces of memory at an address of the driver."""
    if not self.features & ACCESS_PLATFORM:
      return [self.memory.at_gpa(address, length)]
    pieces, missing = [], []
    while length:
      step = min(length, PAGE - address % PAGE)
      uva = self.cache.lookup(address, perm)
      if uva is None:
        missing.append((address & -PAGE, perm))
      else:
        pieces.append(self.memory.at_uva(uva, step))
      address += step
      length -= step
    if missing:
      raise Missing(missing)
    return pieces

  def read(self, address, length):
    return b''.join(bytes(piece) for piece in self.view(address, length, READ))

  def write(self, address, data):
    for piece in self.view(address, len(data), WRITE):
      piece[:] = data[:len(piece)]
      data = data[len(piece):]

  def ask(self, pages):
    """Asks for what is missing. This is the one place where the careful and the naive differ."""
    if not self.careful:
      pages = pages[:1]
    for page in pages:
      if self.careful and page in self.unanswered or len(self.unanswered) == UNANSWERED_MAX:
        continue
      self.unanswered.append(page)
      self.stats['misses'] += 1
      self.back.sendall(HEADER.pack(1, FLAG_VERSION | FLAG_NEED_REPLY, IOTLB.size) +
                        IOTLB.pack(page[0], PAGE, 0, page[1], MISS))

  # --- the ring

  def run(self, queue):
    """All that can be done of a ring; what is missing is asked for, the rest waits."""
    queue.parked = False
    try:
      while queue.started and self.run_one(queue):
        pass
    except Missing as missing:
      queue.parked = True
      self.ask(missing.args[0])

  def run_one(self, queue):
    available, = struct.unpack('<H', self.read(queue.avail + 2, 2))
    if available == queue.last:
      return False
    slot = queue.last % queue.num
    head, = struct.unpack('<H', self.read(queue.avail + 4 + 2 * slot, 2))
    used, = struct.unpack('<H', self.read(queue.used + 2, 2))
    self.write(queue.used + 2, struct.pack('<H', used))  # is it there, before work is done?
    self.view(queue.used + 4 + 8 * (used % queue.num), 8, WRITE)
    written = self.serve(queue, self.chain(queue, head))
    self.write(queue.used + 4 + 8 * (used % queue.num), struct.pack('<II', head, written))
    self.write(queue.used + 2, struct.pack('<H', used + 1 & 0xffff))
    queue.last = queue.last + 1 & 0xffff
    os.write(queue.call, struct.pack('=Q', 1))
    return True

  def chain(self, queue, head):
    """The chain as (writable, address, length)."""
    segments, index = [], head
    while True:
      address, length, flags, following = struct.unpack(
        '<QIHH', self.read(queue.desc + 16 * index, 16))
      segments.append((bool(flags & DESC_WRITE), address, length))
      if not flags & DESC_NEXT:
        return segments
      index = following

  def resolve(self, queue, segments):
    """Pieces of each segment, or Missing with all that the chain lacks."""
    resolved, missing, needed = [], [], set()
    for writable, address, length in segments:
      perm = WRITE if writable else READ
      needed.update((page, perm) for page in range(address & -PAGE, address + length, PAGE))
      try:
        resolved.append(self.view(address, length, perm))
      except Missing as lacking:
        missing += lacking.args[0]
    if self.counted != (queue, queue.last) and self.features & ACCESS_PLATFORM:
      self.counted = (queue, queue.last)
      self.stats['pages_needed'] += len(needed)
    if missing:
      raise Missing(missing)
    return resolved

  def serve(self, queue, segments):
    resolved = self.resolve(queue, segments)
    kind, _, sector = struct.unpack('<IIQ', b''.join(bytes(p) for p in resolved[0]))
    pieces = [piece for parts in resolved[1:-1] for piece in parts]
    status, written = 0, 1
    if kind == BLK_IN:
      written += os.preadv(self.disk, pieces, sector * 512)
    elif kind == BLK_OUT:
      os.pwritev(self.disk, pieces, sector * 512)
    elif kind == BLK_GET_ID:
      pieces[0][:5] = b'naive'
    elif kind != BLK_FLUSH:
      status = 2
    resolved[-1][0][:] = bytes([status])
    self.stats['requests'] += 1
    return written

  # --- messages

  def receive(self, channel):
    """One message, or None at the end."""
    fds = array.array('i')
    head, control, _, _ = channel.recvmsg(HEADER.size, socket.CMSG_SPACE(32))
    if not head:
      return None
    for _, _, data in control:
      fds.frombytes(data[:len(data) - len(data) % fds.itemsize])
    while len(head) < HEADER.size:
      head += channel.recv(HEADER.size - len(head))
    request, flags, size = HEADER.unpack(head)
    payload = b''
    while len(payload) < size:
      payload += channel.recv(size - len(payload))
    return request, flags, payload, list(fds)

  def reply(self, request, payload):
    self.main.sendall(HEADER.pack(request, FLAG_VERSION | FLAG_REPLY, len(payload)) + payload)

  def handle(self, request, flags, payload, fds):
    handler = HANDLERS.get(request)
    answer = handler(self, payload, fds) if handler else None
    if answer is not None:
      self.reply(request, answer)
    elif flags & FLAG_NEED_REPLY:
      self.reply(request, struct.pack('=Q', 0))

  def on_set_features(self, payload, _fds):
    self.features, = struct.unpack('=Q', payload)
    if not any(queue.started for queue in self.queues):
      self.cache.flush()

  def on_vring_num(self, payload, _fds):
    index, num = struct.unpack('=II', payload)
    self.queues[index].num = num

  def on_vring_addr(self, payload, _fds):
    index, _, desc, used, avail, _ = struct.unpack('=IIQQQQ', payload)
    queue = self.queues[index]
    if not self.features & ACCESS_PLATFORM:
      desc, used, avail = (self.uva_to_gpa(address) for address in (desc, used, avail))
    queue.desc, queue.used, queue.avail = desc, used, avail

  def uva_to_gpa(self, address):
    for gpa, size, uva, _ in self.memory.regions:
      if uva <= address < uva + size:
        return address - uva + gpa
    raise RuntimeError(f'no memory at uva {address:#x}')

  def on_set_base(self, payload, _fds):
    index, base = struct.unpack('=II', payload)
    self.queues[index].last = base

  def on_get_base(self, payload, _fds):
    index, _ = struct.unpack('=II', payload)
    queue = self.queues[index]
    queue.started = queue.parked = False
    if not any(other.started for other in self.queues):
      self.cache.flush()
    return struct.pack('=II', index, queue.last)

  def on_kick(self, payload, fds):
    queue = self.queues[payload[0]]
    if queue.kick is not None:
      os.close(queue.kick)
    queue.kick = fds[0]
    queue.started = True

  def on_call(self, payload, fds):
    queue = self.queues[payload[0]]
    if queue.call is not None:
      os.close(queue.call)
    queue.call = fds[0]

  def on_get_config(self, payload, _fds):
    offset, size, flags = struct.unpack_from('=III', payload)
    sectors = os.fstat(self.disk).st_size // 512
    space = struct.pack('<QIIHBBIBBHIBBH', sectors, 0, 126, 0, 0, 0, 512, 0, 0, 0, 0, 0, 0,
                        len(self.queues))
    space = space.ljust(256, b'\0')[offset:offset + size]
    return struct.pack('=III', offset, size, flags) + space

  def on_back_channel(self, _payload, fds):
    self.back = socket.socket(fileno=fds[0])
    self.unanswered = []

  def on_iotlb(self, payload, _fds):
    iova, size, uaddr, perm, kind = IOTLB.unpack(payload)
    if kind == UPDATE:
      self.stats['updates'] += 1
      self.cache.update(iova, size, uaddr, perm)
    elif kind == INVALIDATE:
      self.stats['invalidations'] += 1
      self.cache.invalidate(iova, size)

  def on_back_reply(self, payload):
    self.unanswered.pop(0)
    if struct.unpack('=Q', payload)[0]:
      self.stats['refused'] += 1

  # --- the loop

  def resume(self):
    """The careful back-end looks again when all it asked for is answered, the naive one always."""
    for queue in self.queues:
      if queue.parked and not (self.careful and self.unanswered):
        self.run(queue)

  def sources(self):
    kicks = {queue.kick: queue for queue in self.queues if queue.started}
    channels = [self.main.fileno()] + ([self.back.fileno()] if self.back else [])
    return kicks, channels

  def turn(self):
    """Waits for events and serves them; False at the end of the session."""
    kicks, channels = self.sources()
    ready, _, _ = select.select([*channels, *kicks], [], [])
    if self.main.fileno() in ready:
      message = self.receive(self.main)
      if message is None:
        return False
      self.handle(*message)
    elif self.back and self.back.fileno() in ready:
      message = self.receive(self.back)
      if message is None:
        return False
      self.on_back_reply(message[2])
    else:
      for fd in ready:
        os.read(fd, 8)
        self.run(kicks[fd])
    self.resume()
    return True

  def serve_session(self, connection):
    self.main = connection
    while self.turn():
      pass


HANDLERS = {
  1: lambda b, p, f: struct.pack('=Q', FEATURES),
  2: Backend.on_set_features,
  5: lambda b, p, f: b.memory.set(p, f),
  8: Backend.on_vring_num,
  9: Backend.on_vring_addr,
  10: Backend.on_set_base,
  11: Backend.on_get_base,
  12: Backend.on_kick,
  13: Backend.on_call,
  15: lambda b, p, f: struct.pack('=Q', PROTOCOL_FEATURES),
  17: lambda b, p, f: struct.pack('=Q', len(b.queues)),
  21: Backend.on_back_channel,
  22: Backend.on_iotlb,
  24: Backend.on_get_config,
}


def parse():
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--socket-path', required=True)
  parser.add_argument('--blk-file', required=True)
  parser.add_argument('--num-queues', type=int, default=1)
  parser.add_argument('--stats-json')
  parser.add_argument('--log-level', help='taken and not used')
  parser.add_argument('--careful', action='store_true')
  return parser.parse_args()


def main():
  args = parse()
  signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
  backend = Backend(args)
  listener = socket.socket(socket.AF_UNIX)
  listener.bind(args.socket_path)
  listener.listen(1)
  connection, _ = listener.accept()
  try:
    backend.serve_session(connection)
  except ConnectionError:
    pass
  if args.stats_json:
    with open(args.stats_json + '.new', 'w', encoding='utf-8') as file:
      json.dump(backend.stats, file)
    os.rename(args.stats_json + '.new', args.stats_json)
  signal.sigwait({signal.SIGTERM})
  return 0


if __name__ == '__main__':
  sys.exit(main())
