#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""vhu bench blk against vhu-blk: what it measures is what was done, what differs is
found, and whatever goes wrong ends it with a line that says so.

    tests/blackbox/test_bench.py --daemon build/daemons/vhu-blk
"""

import json
import os
import pty
import signal
import sys
import time

sys.dont_write_bytecode = True
from bench import (FAULT, FINE, INTERRUPTED, LIMIT, USAGE, complains, measure, run, serve, start)
from harness import equal, main, true

def senseless_command_lines_are_refused(daemon, folder):
  cases = [
      ([], '--socket-path', 'not given'),
      (['--socket-path=x', '--nonsense'], '--nonsense'),
      (['--socket-path=x', 'word'], 'word'),
      (['--socket-path=x', '--rw=append'], 'append', 'randwrite'),
      (['--socket-path=x', '--iommu=maybe'], 'maybe', 'strict'),
      (['--socket-path=x', '--policy=guess'], 'guess', 'hint'),
      (['--socket-path=x', '--bs=1000'], '1000', '512'),
      (['--socket-path=x', '--bs=many'], 'many', '64K'),
      (['--socket-path=x', '--segment=700'], '700', '512'),
      (['--socket-path=x', '--bs=1M', '--segment=512'], '--segment', '1024'),
      (['--socket-path=x', '--iodepth=0'], '--iodepth=0'),
      (['--socket-path=x', '--num-queues=65'], '--num-queues=65'),
      (['--socket-path=x', '--time=0'], '--time=0', 'seconds'),
      (['--socket-path=x', '--time=-1'], '--time=-1'),
      (['--socket-path=x', '--size=0'], '--size=0'),
      (['--socket-path=x', '--rwmixread=101'], '--rwmixread=101'),
      (['--socket-path=x', '--seed=x'], '--seed=x'),
      (['--socket-path=x', '--timeout=0'], '--timeout=0'),
      (['--socket-path=x', '--size=1P'], '--size=1P', '1024T'),
      (['--socket-path=x', '--rwmixread=70'], '--rwmixread', 'randread is no mix', '--rw=randrw'),
      (['--socket-path=x', '--policy=hint'], '--policy=hint', 'no IOMMU', '--iommu=static'),
  ]
  for arguments, *words in cases:
    complains(run(daemon, None, *arguments), USAGE, 'vhu bench blk: ', *words)


def a_disk_that_is_not_fit_is_told(daemon, folder):
  complains(run(daemon, os.path.join(folder, 'nobody')), FAULT, 'nobody', 'No such file',
            'start a back-end')
  image = os.path.join(folder, 'image')
  with open(image, 'wb') as file:
    file.truncate(1 << 20)
  path, process = serve(daemon, folder, f'--blk-file={image}', '--read-only', '--num-queues=2',
                        '--block-size=4096')
  with process:
    complains(run(daemon, path, '--rw=randwrite'), FAULT, 'written', '--rw=randread')
    complains(run(daemon, path, '--verify'), FAULT, 'written')
    complains(run(daemon, path, '--num-queues=3'), FAULT, '--num-queues=3', 'has 2')
    complains(run(daemon, path, '--bs=512'), FAULT, '--bs=512', '4096')
    complains(run(daemon, path, '--bs=2M'), FAULT, '--bs=2M', 'no room')
    complains(run(daemon, path, '--area=2M'), FAULT, '--area=2M', 'only 1M')
    complains(run(daemon, path, '--bs=1M', '--segment=1K'), FAULT, '--segment=1K', 'no more')
    measure(daemon, path, '--size=1M')


def so_much_is_moved_as_was_asked_for(daemon, folder):
  path, process = serve(daemon, folder)
  with process:
    for rw, read, written in (('randread', 1, 0), ('read', 1, 0), ('randwrite', 0, 1),
                              ('write', 0, 1)):
      figures = measure(daemon, path, f'--rw={rw}', '--size=5000K', '--bs=8K')
      equal(figures['requests'], 625)
      equal((figures['read_mib_s'] > 0, figures['write_mib_s'] > 0), (read > 0, written > 0))
    figures = measure(daemon, path, '--rw=randrw', '--rwmixread=90', '--size=16M')
    true(0.8 < figures['read_mib_s'] / (figures['read_mib_s'] + figures['write_mib_s']) < 0.97,
         figures)
    begin = time.monotonic()
    figures = measure(daemon, path, '--time=0.5')
    true(0.5 <= figures['seconds'] <= time.monotonic() - begin, figures)
    latency = figures['latency_us']
    order = [latency[name] for name in ('p50', 'p90', 'p99', 'p99.9', 'p99.99', 'max')]
    equal(order, sorted(order))
    true(0 < latency['mean'] <= latency['max'], latency)
    true(figures['front_end_cpu_us'] > 0 and figures['back_end_cpu_us'] > 0, figures)
    equal((figures['peer'], figures['peer_pid']), ('vhu-blk', process.child.pid))


def data_is_verified_in_every_mode(daemon, folder):
  path, process = serve(daemon, folder)
  with process:
    for mode in (['--iommu=off'], ['--iommu=static'], ['--iommu=strict'],
                 *(['--iommu=strict', f'--policy={policy}']
                   for policy in ('leaf', 'range', 'hint', 'push')),
                 ['--iommu=lazy'], ['--iommu=lazy', '--policy=push']):
      # What goes one by one waits for a turn of each thread per message: there is less of it.
      for area, more in ((2048, ['--rw=randrw']),
                         (2000, ['--rw=randrw', '--bs=20K', '--segment=4K', '--num-queues=3',
                                 '--iodepth=5']),
                         (128, ['--rw=randwrite', '--poll', '--iodepth=1', '--bs=512'])):
        figures = measure(daemon, path, '--verify', f'--area={area}K', f'--size={2 * area}K',
                          *mode, *more)
        true(figures['verified_bytes'] >= area << 10, figures)


def messages_are_counted_per_mode(daemon, folder):
  path, process = serve(daemon, folder)
  with process:
    requests = 1000
    size = f'--size={requests * 4}K'
    counts = {}
    for iommu, policy in (('off', 'page'), ('static', 'page'), ('static', 'range'),
                          ('strict', 'page'), ('strict', 'hint'), ('strict', 'push'),
                          ('lazy', 'page')):
      figures = measure(daemon, path, size, f'--iommu={iommu}', f'--policy={policy}')
      equal(figures['requests'], requests)
      counts[iommu, policy] = [figures[name] for name in ('misses', 'updates', 'invalidations')]
    equal(counts['off', 'page'], [0, 0, 0])
    true(0 < counts['static', 'page'][0] < 100, counts)
    true(counts['static', 'range'][0] < 10, counts)
    # The ring's own pages may be missed before or after the count begins.
    for policy, each in (('page', 3), ('hint', 2)):
      misses, updates, _ = counts['strict', policy]
      true(0 <= misses - each * requests < 5, counts)
      equal(misses, updates)
    true(counts['strict', 'page'][2] >= requests // 64, counts)
    # Each mapping was told, and once more where it was missed while an invalidation was under way.
    misses, updates, _ = counts['strict', 'push']
    equal(updates - misses, 2 * requests)
    true(misses < requests // 4, counts)
    true(counts['lazy', 'page'][2] < requests // 64, counts)


def a_disk_that_forgets_is_found_out(daemon, folder):
  path, process = serve(daemon, folder, '--memory=16M', '--engine=null')
  with process:
    done = run(daemon, path, '--verify', '--rw=randrw', '--area=1M', '--size=1M', '--json')
    equal(done.returncode, FAULT)
    true('differs' in done.stderr, done.stderr)
    figures = json.loads(done.stdout)
    equal(figures['failed'], 0)
    true(figures['differing_bytes'] > figures['verified_bytes'] // 2, figures)


def failed_requests_are_counted_and_one_is_told(daemon, folder):
  image = os.path.join(folder, 'image')
  with open(image, 'wb') as file:
    file.truncate(8 << 20)
  path, process = serve(daemon, folder, f'--blk-file={image}')
  with process:
    # Also of what was in the page cache a moment ago.
    measure(daemon, path, '--rw=write', '--size=8M')
    measure(daemon, path, '--rw=read', '--size=8M')
    os.truncate(image, 4 << 20)
    done = run(daemon, path, '--rw=read', '--size=8M', '--json')
    equal(done.returncode, FAULT)
    equal(len(done.stderr.splitlines()), 1)
    true('read at sector 8' in done.stderr and 'failed: status 1' in done.stderr, done.stderr)
    equal(json.loads(done.stdout)['failed'], 1024)


def a_back_end_that_dies_ends_it(daemon, folder):
  path, process = serve(daemon, folder)
  for more in (['--poll'], [], ['--iommu=strict']):
    with process:
      child = start(daemon, path, process, '--json', *more)
      process.signal(signal.SIGKILL)
      told, said = child.communicate(timeout=LIMIT)
      equal(child.returncode, FAULT)
      true(said.startswith('vhu bench blk: ') and said.count('\n') == 1, said)
      # What was done until then is told all the same, and that it was not all.
      figures = json.loads(told)
      true(figures['requests'] > 0 and figures['iops'] > 0 and not figures['ok'], told)
    path, process = serve(daemon, folder)
  process.kill()


def a_back_end_that_hangs_ends_it(daemon, folder):
  path, process = serve(daemon, folder)
  with process:
    for more in (['--poll'], []):
      child = start(daemon, path, process, '--timeout=1', *more)
      process.signal(signal.SIGSTOP)
      _, said = child.communicate(timeout=LIMIT)
      process.signal(signal.SIGCONT)
      equal(child.returncode, FAULT)
      true('for 1 s' in said and '--timeout' in said, said)


def what_was_done_until_an_interrupt_counts(daemon, folder):
  path, process = serve(daemon, folder)
  with process:
    child = start(daemon, path, process, '--json')
    child.send_signal(signal.SIGINT)
    said, complaint = child.communicate(timeout=LIMIT)
    equal((child.returncode, complaint), (INTERRUPTED, 'vhu bench blk: interrupted\n'))
    true(json.loads(said)['requests'] > 0, said)


def a_terminal_sees_how_it_goes(daemon, folder):
  path, process = serve(daemon, folder)
  with process:
    ours, theirs = pty.openpty()
    child = start(daemon, path, process, stderr=theirs, env=dict(os.environ, TERM='vt100'))
    os.close(theirs)
    time.sleep(0.5)
    child.send_signal(signal.SIGINT)
    said = b''
    try:
      while chunk := os.read(ours, 4096):
        said += chunk
    except OSError:  # a terminal whose last user has gone
      pass
    os.close(ours)
    table, _ = child.communicate(timeout=LIMIT)
    equal(child.returncode, INTERRUPTED)
    true(b'IOPS' in said and b'misses/s' in said, said)
    for word in ('IOPS', 'p99.99', 'CPU a request', 'vhu-blk'):
      true(word in table, table)


if __name__ == '__main__':
  main([
      senseless_command_lines_are_refused,
      a_disk_that_is_not_fit_is_told,
      so_much_is_moved_as_was_asked_for,
      data_is_verified_in_every_mode,
      messages_are_counted_per_mode,
      a_disk_that_forgets_is_found_out,
      failed_requests_are_counted_and_one_is_told,
      a_back_end_that_dies_ends_it,
      a_back_end_that_hangs_ends_it,
      what_was_done_until_an_interrupt_counts,
      a_terminal_sees_how_it_goes,
  ])
