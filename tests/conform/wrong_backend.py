#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A back-end that talks and moves no data, for tests of the judge: right, or wrong in one way.

    tests/conform/wrong_backend.py PATH [FAULT]
"""

import array
import os
import socket
import struct
import sys

GET_FEATURES, SET_FEATURES, SET_OWNER = 1, 2, 3
SET_MEM_TABLE = 5
SET_VRING_NUM, SET_VRING_ADDR, SET_VRING_BASE, GET_VRING_BASE = 8, 9, 10, 11
SET_VRING_KICK, SET_VRING_CALL, SET_VRING_ERR = 12, 13, 14
GET_PROTOCOL_FEATURES, SET_PROTOCOL_FEATURES, GET_QUEUE_NUM, SET_VRING_ENABLE = 15, 16, 17, 18
VERSION, REPLY, NEED_REPLY = 1, 4, 8
FEATURES = 1 << 32 | 1 << 30
PROTOCOL = 1 << 0 | 1 << 3  # MQ, REPLY_ACK
QUEUES = 2
NOFD = 1 << 8

SIZES = {GET_FEATURES: 0, SET_FEATURES: 8, SET_OWNER: 0, SET_VRING_NUM: 8, SET_VRING_ADDR: 40,
         SET_VRING_BASE: 8, GET_VRING_BASE: 8, SET_VRING_KICK: 8, SET_VRING_CALL: 8,
         SET_VRING_ERR: 8, GET_PROTOCOL_FEATURES: 0, SET_PROTOCOL_FEATURES: 8,
         GET_QUEUE_NUM: 0, SET_VRING_ENABLE: 8}


class End(Exception):
  """Of the connection."""


class Session:
  def __init__(self, connection, fault):
    self.connection = connection
    self.fault = fault
    self.fds = []
    self.bases = [0] * QUEUES

  def read(self, size):
    data = b''
    while len(data) < size:
      more, control, _, _ = self.connection.recvmsg(size - len(data), 4096)
      for level, kind, raw in control:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
          self.fds += array.array('i', raw[:len(raw) // 4 * 4])
      if not more:
        raise End
      data += more
    return data

  def reply(self, request, payload, flags=VERSION | REPLY):
    self.connection.sendall(struct.pack('=III', request, flags, len(payload)) + payload)

  def run(self):
    while True:
      request, flags, size = struct.unpack('=III', self.read(12))
      if flags & 3 != VERSION and self.fault != 'any-version':
        raise End
      if flags & REPLY or size > 2056:
        raise End
      payload = self.read(size)
      self.serve(request, flags, payload)
      if self.fault != 'leaks-fds':
        self.close_fds()

  def close_fds(self):
    for fd in self.fds:
      os.close(fd)
    self.fds = []

  def serve(self, request, flags, payload):
    if self.fault == 'dies' and request == SET_VRING_NUM:
      os._exit(1)
    if self.fault == 'hangs' and request == SET_VRING_NUM:
      while True:
        self.connection.recv(4096)
    own = self.own_reply(request, payload)
    if own is not None:
      echo = flags & NEED_REPLY if self.fault == 'echoes' else 0
      self.reply(request, own, VERSION | REPLY | echo)
      if self.fault == 'replies-twice' and flags & NEED_REPLY:
        self.reply(request, bytes(8))
      return
    accepted = self.accepts(request, payload) or self.fault == 'accepts'
    if flags & NEED_REPLY or self.fault == 'acks-all':
      self.reply(request, struct.pack('=Q', 0 if accepted else 1))

  def own_reply(self, request, payload):
    if len(payload) != SIZES.get(request):
      return None
    if request == GET_FEATURES:
      return struct.pack('=Q', FEATURES)
    if request == GET_PROTOCOL_FEATURES:
      return struct.pack('=Q', PROTOCOL)
    if request == GET_QUEUE_NUM:
      return struct.pack('=Q', QUEUES)
    if request == GET_VRING_BASE:
      ring, = struct.unpack_from('=I', payload)
      if ring < QUEUES:
        return struct.pack('=II', ring, self.bases[ring] + (self.fault == 'loses-base'))
    return None

  def accepts(self, request, payload):
    if request == SET_MEM_TABLE:
      return len(payload) == 8 + 32 * struct.unpack_from('=I', payload)[0] and (
          len(self.fds) == struct.unpack_from('=I', payload)[0])
    if len(payload) != SIZES.get(request):
      return False
    if request in (SET_FEATURES, SET_PROTOCOL_FEATURES):
      offered = FEATURES if request == SET_FEATURES else PROTOCOL
      return not struct.unpack('=Q', payload)[0] & ~offered
    if request in (SET_VRING_KICK, SET_VRING_CALL, SET_VRING_ERR):
      value, = struct.unpack('=Q', payload)
      return value & 0xff < QUEUES and len(self.fds) == (0 if value & NOFD else 1)
    if request == SET_OWNER:
      return True
    return self.accepts_ring(request, *struct.unpack_from('=II', payload))

  def accepts_ring(self, request, ring, num):
    if ring >= QUEUES or request not in SIZES:
      return False
    if request == SET_VRING_NUM:
      return 0 < num <= 1024 and not num & (num - 1)
    if request == SET_VRING_ENABLE:
      return num < 2
    if request == SET_VRING_BASE:
      self.bases[ring] = num
    return True


def main():
  path, fault = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ''
  listener = socket.socket(socket.AF_UNIX)
  listener.bind(path)
  listener.listen()
  while True:
    connection, _ = listener.accept()
    session = Session(connection, fault)
    try:
      session.run()
    except (End, OSError):
      pass
    connection.close()
    if fault == 'one-shot':
      return
    if fault != 'leaks-fds':
      session.close_fds()


if __name__ == '__main__':
  main()
