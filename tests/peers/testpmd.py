# SPDX-License-Identifier: BSD-3-Clause
"""dpdk-testpmd as a vhost-user-net back-end, without huge pages and privilege."""

import os
import shutil
import signal
import subprocess
import tempfile
import time

PROGRAM = 'dpdk-testpmd'
START_S = 30
END_S = 10


def lacking():
  """Why it can't be run; empty: it can."""
  return '' if shutil.which(PROGRAM) else f'{PROGRAM} is not installed: package dpdk-dev'


class Testpmd:
  """Serves @path until the end of the with statement. Its standard input is a pipe of
  ours: it ends when that is closed, be it by our death."""

  def __init__(self, path, mode, iommu=True, connect=False):
    cpu = min(os.sched_getaffinity(0))
    device = f'net_vhost0,iface={path},queues=1'
    device += ',iommu-support=1' if iommu else ''
    device += ',client=1' if connect else ''
    self.path = path
    self.log_file = tempfile.TemporaryFile()
    self.child = subprocess.Popen(
        [PROGRAM, '--lcores', f'0@{cpu},1@{cpu}', '--no-huge', '--no-pci', '--no-shconf',
         '-m', '256', '--no-telemetry', '--vdev', device, '--', '--nb-cores=1',
         f'--forward-mode={mode}', '--total-num-mbufs=8192', '--no-flush-rx',
         '--disable-link-check'],
        stdin=subprocess.PIPE, stdout=self.log_file, stderr=self.log_file,
        start_new_session=True)
    end = time.monotonic() + START_S
    while not connect and 'binding succeeded' not in self.log():
      if self.child.poll() is not None or time.monotonic() > end:
        self.kill()
        raise AssertionError(f'{PROGRAM} does not start: {self.log()[-2000:]}')
      time.sleep(0.02)

  def __enter__(self):
    return self

  def __exit__(self, kind, *_):
    self.end()
    if kind:
      print(f'# {PROGRAM} said:', *self.log().splitlines()[-15:], sep='\n#   ', flush=True)
    self.log_file.close()

  def log(self):
    size = os.fstat(self.log_file.fileno()).st_size
    return os.pread(self.log_file.fileno(), size, 0).decode(errors='replace')

  def hold(self):
    """It does nothing until resume()."""
    self.child.send_signal(signal.SIGSTOP)

  def resume(self):
    self.child.send_signal(signal.SIGCONT)

  def end(self):
    """Its exit code, by its own will if it has one."""
    if self.child.poll() is None:
      self.child.stdin.close()
      try:
        return self.child.wait(END_S)
      except subprocess.TimeoutExpired:
        self.kill()
    return self.child.returncode

  def kill(self):
    self.child.kill()
    self.child.wait()
