# SPDX-License-Identifier: BSD-3-Clause
"""Figures that are counts of instructions, for scripts/bench: a program of build/bench/ runs under
valgrind with two numbers of times, and the difference of the counts is divided by that of the
times. Small differences, which no clock can tell, are judged in this way."""

import json
import os
import re
import shutil
import subprocess
import tempfile


class Skip(Exception):
  """It can't be counted here, and why."""


def counts(argv):
  """(instructions, calls) of one run."""
  with tempfile.TemporaryDirectory(prefix='vhu-bench-') as folder:
    out = os.path.join(folder, 'out')
    subprocess.run(['valgrind', '--tool=callgrind', f'--callgrind-out-file={out}', *argv],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    with open(out, encoding='utf-8') as file:
      text = file.read()
  total = re.search(r'^(?:totals|summary): (\d+)', text, re.MULTILINE)
  if not total:
    raise ValueError('callgrind gave no total')
  return int(total.group(1)), sum(int(n) for n in re.findall(r'^calls=(\d+)', text, re.MULTILINE))


def per_time(argv, few, many):
  """(instructions, calls) of one time; the last argument of @argv says how often."""
  a, b = counts([*argv, str(few)]), counts([*argv, str(many)])
  return [(y - x) / (many - few) for x, y in zip(a, b)]


def figure(bench, case, value, unit, most=None):
  """A line of results.jsonl. @most: the bar, or None."""
  value = round(value, 3)
  verdict = None if most is None else 'holds' if value <= most else 'broken'
  print(f'{bench:6} {case:52} {value:12.2f} {unit}'
        + (f'  (at most {most:g}: {verdict})' if verdict else ''), flush=True)
  return {'bench': bench, 'case': case, 'value': value, 'unit': unit, 'against': None,
          'ratio': None, 'low': None, 'high': None, 'bar': most,
          'bound': None if most is None else 'most', 'verdict': verdict, 'repetitions': 0}


def hits(program):
  """A hit of the front cache; what the loop itself takes is taken off."""
  few, many = 10_000, 110_000
  loop = per_time([program, 'none'], few, many)
  for mode, case, most in (('peek', 'hit in line', (25, 0)),
                           ('translate', 'hit by translate()', (None, None))):
    instructions, calls = (a - b for a, b in zip(per_time([program, mode], few, many), loop))
    yield figure('hits', f'{case}: instructions', instructions, 'instructions', most[0])
    yield figure('hits', f'{case}: calls', calls, 'calls', most[1])


def blk_path(program):
  """What an IOMMU whose mappings stay adds to a piece of a block request: driver, rings and a disk
  in memory in one thread."""
  few, many = 128, 1152
  for segments, most in ((32, 30), (1, None)):
    off, static = (per_time([program, mode, 'memory', str(segments)], few, many)[0]
                   for mode in ('off', 'static'))
    name = f'request of {segments * 4} KiB'
    yield figure('blk', f'{name}, no IOMMU: instructions', off, 'instructions')
    yield figure('blk', f'{name}, static: added per 4 KiB', (static - off) / segments,
                 'instructions', most)
  null = per_time([program, 'static', 'null', '1'], few, many)[0]
  yield figure('blk', 'request of 4 KiB, engine null: both sides', null, 'instructions')


# Programs of build/bench/ that are run by a function of here: of a path, it yields figures.
PROGRAMS = {'hits': hits, 'blk_path': blk_path}


def measure(name, path, results):
  """Appends to the file @results; whether it could."""
  try:
    if not shutil.which('valgrind'):
      raise Skip('valgrind is not installed')
    rows = list(PROGRAMS[name](path))
  except Skip as skip:
    print(f'skipped: {skip}')
    rows = [{'bench': name, 'case': 'instructions', 'verdict': 'skipped', 'why': str(skip)}]
  except (subprocess.CalledProcessError, ValueError) as error:
    print(f'{name}: {error}\n{getattr(error, "stderr", None) or ""}')
    return False
  with open(results, 'a', encoding='utf-8') as file:
    file.writelines(json.dumps(row) + '\n' for row in rows)
  return True
