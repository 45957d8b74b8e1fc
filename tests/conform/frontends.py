# SPDX-License-Identifier: BSD-3-Clause
"""Front-ends that are judged: how each is started, and which verdicts are known of it.

Programs of ours are started again for each connection. A virtual machine is started once and
comes back by itself; its guest uses the disk all the time (job "load" of scripts/vm/init)."""

import json
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [os.path.join(ROOT, 'scripts', 'vm'), HERE]
from subjects import version_of
from vmkit import machine
from vmkit.process import Process

QEMU = 'qemu-system-x86_64'
LIMIT = 240


def tool(daemon):
  """vhu, from where its vhu-blk is."""
  return os.path.join(os.path.dirname(os.path.dirname(daemon)), 'tools', 'vhu')


class Own:
  """A program of ours that takes a socket; @least: how many cases it must pass."""
  version = ''

  def __init__(self, name, least, *arguments, kind='blk'):
    self.name = name
    self.type = kind
    self.least = least
    self.arguments = arguments

  def lacking(self):
    return ''

  def options_of(self, daemon, folder, path):
    words = [word.format(vhu=tool(daemon), path=path, here=HERE)
             for word in self.arguments]
    log = os.path.join(folder, 'front-end.log')
    return [f"--restart-cmd=timeout 60 {' '.join(words)} >{log} 2>&1 &"]

  def start(self, folder, path):
    return None


class Machine:
  """QEMU, the disk of whose guest is @device. It comes back a second after it was left."""
  type = 'blk'
  version = property(lambda self: version_of(QEMU, '--version'))

  def __init__(self, name, mode, device):
    self.name = name
    self.mode = mode
    self.device = device

  def lacking(self):
    done = subprocess.run([os.path.join(ROOT, 'scripts', 'vm', 'setup')], capture_output=True,
                          text=True, check=False)
    if done.returncode == 0:
      return ''
    return done.stderr.strip().split('\n')[-1] or 'scripts/vm/setup failed'

  def options_of(self, daemon, folder, path):
    return []

  def start(self, folder, path):
    device = ['-chardev', f'socket,id=c0,path={path},reconnect=1',
              '-device', 'vhost-user-blk-pci,chardev=c0,disable-legacy=on,num-queues=1,'
              f'iommu_platform=on,ats=on,{self.device}']
    arguments = machine.qemu_arguments(machine.MODES[self.mode], machine.Job('load'), folder,
                                       device, ())
    return Process('QEMU', arguments, os.path.join(folder, 'qemu.log'))


OURS = [
    Own('vhu-bench-strict', 84, '{vhu}', 'bench', 'blk', '--socket-path={path}', '--timeout=2',
        '--time=3', '--rw=randrw', '--iommu=strict'),
    Own('vhu-bench-lazy', 84, '{vhu}', 'bench', 'blk', '--socket-path={path}', '--timeout=2',
        '--time=3', '--rw=randrw', '--iommu=lazy', '--policy=leaf', '--num-queues=2'),
    Own('vhu-bench-off', 40, '{vhu}', 'bench', 'blk', '--socket-path={path}', '--timeout=2',
        '--time=3', '--rw=randrw', '--iommu=off'),
    Own('vhu-bench-net', 84, '{vhu}', 'bench', 'net', '--socket-path={path}', '--timeout=2',
        '--time=3', '--mode=tx', '--iommu=strict', kind='net'),
    Own('vhu-demo', 80, 'env', 'VHU_CONFORM_SOCKET={path}', '{vhu}', 'demo', '--size=64M',
        '--blk-daemon={here}/relay_daemon.py'),
]

PEERS = [
    Machine('qemu-root-port', 'strict', 'bus=rp0'),
    Machine('qemu-root-bus-lazy', 'lazy', 'bus=pcie.0'),
]


class Python:
  """wrong_frontend.py with one @fault. It comes back by itself."""
  type = 'blk'
  version = ''

  def __init__(self, fault=''):
    self.name = 'python-' + (fault or 'right')
    self.fault = fault
    self.own = None

  def lacking(self):
    return ''

  def options_of(self, daemon, folder, path):
    self.own = Process('front-end', [sys.executable, os.path.join(HERE, 'wrong_frontend.py'), path,
                                     self.fault], os.path.join(folder, 'front-end.log'))
    return [f'--pid={self.own.child.pid}']

  def start(self, folder, path):
    return self.own


def wait_for_socket(path, process):
  end = time.monotonic() + 10
  while not os.path.exists(path) and process.poll() is None and time.monotonic() < end:
    time.sleep(0.02)


def judge(subject, daemon, folder, *more, seed=1):
  """The exit status and the report of --json."""
  path, report = os.path.join(folder, 's'), os.path.join(folder, 'report.json')
  label = f'{subject.name} {subject.version}'.strip()
  own = None
  conform = subprocess.Popen(
      [tool(daemon), 'conform', 'frontend', f'--socket-path={path}', f'--type={subject.type}',
       f'--json={report}', f'--label={label}', f'--seed={seed}',
       *subject.options_of(daemon, folder, path), *more],
      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
  try:
    wait_for_socket(path, conform)
    own = subject.start(folder, path)
    output, _ = conform.communicate(timeout=LIMIT)
  finally:
    conform.kill()
    conform.wait()
    if own:
      own.kill()
  if not os.path.exists(report):
    raise AssertionError(f'no report: {output}{own.log() if own else ""}')
  with open(report, encoding='utf-8') as file:
    return conform.returncode, json.load(file)
