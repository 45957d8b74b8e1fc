#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""vhu bench net against a network device on the library's own back-end that sends
frames back, well or with a fault: what must be found out is found out, and nothing
that a device does makes the driver hang or end badly.

    tests/mirror/test_mirror.py --daemon BUILD/tests/mirror/mirror

The vhu that is tested lies in the same build.
"""

import json
import os
import signal
import subprocess
import sys

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), 'blackbox'))
from harness import Daemon, equal, main, true

FINE, FAULT = 0, 1
LIMIT = 60
SHORT = ['--warmup=0', '--frames=2000', '--pages=64', '--timeout=20', '--json']


def vhu_of(mirror):
  return os.path.join(os.path.dirname(mirror), '..', '..', 'tools', 'vhu')


def run(mirror, path, *arguments):
  return subprocess.run([vhu_of(mirror), 'bench', 'net', f'--socket-path={path}', *SHORT, *arguments],
                        capture_output=True, text=True, timeout=LIMIT, stdin=subprocess.DEVNULL)


def measure(mirror, path, *arguments):
  done = run(mirror, path, *arguments)
  equal((done.returncode, done.stderr), (FINE, ''))
  figures = json.loads(done.stdout)
  true(figures['ok'], figures)
  equal((figures['differing_bytes'], figures['duplicates'], figures['refused']), (0, 0, 0))
  equal(figures['verified_bytes'], figures['received'] * figures['size'])
  return figures


def mirrors(mirror, path, fault=''):
  return Daemon(mirror, path, fault)


def frames_of_every_kind_come_back(mirror, folder):
  path = os.path.join(folder, 's')
  cases = [['--size=64'], ['--size=65'], ['--size=4084'], ['--size=4085'], ['--size=9001'],
           ['--size=64K'], ['--size=64K', '--no-mergeable'], ['--size=4085', '--no-mergeable'],
           ['--event-idx'], ['--ring-size=16'], ['--ring-size=1024', '--pages=4K'],
           ['--pages=2'], ['--strict-perm'], ['--size=1500', '--event-idx', '--strict-perm']]
  with mirrors(mirror, path):
    for case in cases:
      for how in ('off', 'static', 'strict'):
        figures = measure(mirror, path, f'--iommu={how}', *case)
        true(figures['received'] >= 2000, figures)
        misses = figures['misses'] + figures['warmup_misses']
        equal(misses > 0, how != 'off')
        equal(figures['invalidations'] > 0, how == 'strict')


def only_so_many_misses_as_pages(mirror, folder):
  path = os.path.join(folder, 's')
  with mirrors(mirror, path):
    for pages in (64, 300):
      figures = measure(mirror, path, '--iommu=static', f'--pages={pages}')
      misses = figures['misses'] + figures['warmup_misses']
      # Besides, the pages of two rings of 256: four of descriptors and available ones, two of used.
      true(pages <= misses <= pages + 8, f'{misses} misses of {pages} pages')


def every_policy_answers(mirror, folder):
  path = os.path.join(folder, 's')
  with mirrors(mirror, path):
    for policy in ('page', 'leaf', 'range', 'hint', 'push'):
      for how in ('static', 'strict'):
        figures = measure(mirror, path, f'--iommu={how}', f'--policy={policy}', '--size=9000')
        equal(figures['policy'], policy)
        misses = figures['misses'] + figures['warmup_misses']
        equal(misses == 0, policy == 'push')
        true(figures['updates'] + misses > 0 or how == 'static', figures)


def what_is_wrong_is_found(mirror, folder):
  path = os.path.join(folder, 's')
  for fault, *words in (('flip', 'differ'), ('short', 'differ'), ('twice', 'twice'),
                        ('stranger', 'never sent'), ('keep', 'takes no frames'),
                        ('no-buffers', 'Protocol'), ('many-buffers', 'Protocol'),
                        ('runt', 'Protocol'), ('overlong', 'differ')):
    for how in ('off', 'static', 'strict'):
      with mirrors(mirror, path, fault):
        patience = '--timeout=1' if fault in ('keep', 'stranger') else '--timeout=20'
        done = run(mirror, path, f'--iommu={how}', patience)
        equal((fault, done.returncode), (fault, FAULT))
        for word in words:
          true(word in done.stderr, f'{fault}: "{word}" in {done.stderr}')


def what_is_lost_is_counted_and_no_fault(mirror, folder):
  path = os.path.join(folder, 's')
  with mirrors(mirror, path, 'lose'):
    figures = measure(mirror, path, '--iommu=static')
    true(abs(figures['lost'] * 3 - figures['sent']) < 200, figures)


def it_can_be_interrupted(mirror, folder):
  path = os.path.join(folder, 's')
  with mirrors(mirror, path):
    with subprocess.Popen([vhu_of(mirror), 'bench', 'net', f'--socket-path={path}', '--time=60',
                           '--warmup=0', '--json'], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as process:
      try:
        process.wait(0.5)
      except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
      out, err = process.communicate(timeout=LIMIT)
      equal((process.returncode, err), (130, 'vhu bench net: interrupted\n'))
      true(json.loads(out)['received'] > 0, out)


if __name__ == '__main__':
  main([
      frames_of_every_kind_come_back,
      only_so_many_misses_as_pages,
      every_policy_answers,
      what_is_wrong_is_found,
      what_is_lost_is_counted_and_no_fault,
      it_can_be_interrupted,
  ])
