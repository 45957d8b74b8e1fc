# SPDX-License-Identifier: BSD-3-Clause
"""qemu-storage-daemon as a vhost-user-blk back-end, as fast as it can be made."""

import os
import shutil
import subprocess
import tempfile
import time

PROGRAM = 'qemu-storage-daemon'
START_S = 20
END_S = 10


def lacking():
  """Why it can't be run; empty: it can."""
  return '' if shutil.which(PROGRAM) else f'{PROGRAM} is not installed: package qemu-system-common'


def ways(path, image):
  """Of I/O, those that work on this machine: a container may forbid the ring, a file system
  direct I/O."""
  usable = []
  for way in ('threads', 'io_uring', 'native'):
    try:
      with Qsd(path, image, way):
        usable.append(way)
    except AssertionError as why:
      print(f'# {PROGRAM} has no aio={way} here: {why}')
  return usable


class Qsd:
  """Serves the file @image at @path until the end of the with statement. @aio: threads,
  io_uring, or native, which goes past the page cache."""

  def __init__(self, path, image, aio='threads', queues=1, writable=True):
    self.log_file = tempfile.TemporaryFile()
    direct = 'on' if aio == 'native' else 'off'
    self.child = subprocess.Popen(
        [PROGRAM, '--object', 'iothread,id=thread',
         '--blockdev', f'driver=file,node-name=disk,filename={image},aio={aio},'
         f'cache.direct={direct}',
         '--export', f'type=vhost-user-blk,id=export,node-name=disk,addr.type=unix,'
         f'addr.path={path},num-queues={queues},iothread=thread,'
         f'writable={"on" if writable else "off"}'],
        stdin=subprocess.DEVNULL, stdout=self.log_file, stderr=self.log_file)
    end = time.monotonic() + START_S
    while not os.path.exists(path):
      if self.child.poll() is not None or time.monotonic() > end:
        self.kill()
        raise AssertionError(f'{PROGRAM} does not start: {self.log()[-2000:]}')
      time.sleep(0.02)

  def __enter__(self):
    return self

  def __exit__(self, kind, *_):
    if self.child.poll() is None:
      self.child.terminate()
      try:
        self.child.wait(END_S)
      except subprocess.TimeoutExpired:
        self.kill()
    if kind:
      print(f'# {PROGRAM} said:', *self.log().splitlines()[-15:], sep='\n#   ', flush=True)
    self.log_file.close()

  def log(self):
    size = os.fstat(self.log_file.fileno()).st_size
    return os.pread(self.log_file.fileno(), size, 0).decode(errors='replace')

  def kill(self):
    if self.child.poll() is None:
      self.child.kill()
      self.child.wait()
