# SPDX-License-Identifier: BSD-3-Clause
"""Counts the instructions and calls of a hit of the front cache, for scripts/bench: build/bench/hits
runs under valgrind with two numbers of hits, and the difference of the counts is divided by that of
the hits. What the loop itself takes is measured in the same way and taken off."""

import json
import os
import re
import shutil
import subprocess
import tempfile

PROGRAM = 'hits'
FEW, MANY = 10_000, 110_000

# mode of the program, case, most instructions, most calls; None: no bar
CASES = (
  ('peek', 'hit in line', 25, 0),
  ('translate', 'hit by translate()', None, None),
)


def counts(program, mode, hits):
  """(instructions, calls) of one run."""
  with tempfile.TemporaryDirectory(prefix='vhu-bench-') as folder:
    out = os.path.join(folder, 'out')
    subprocess.run(['valgrind', '--tool=callgrind', f'--callgrind-out-file={out}', program, mode,
                    str(hits)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                   text=True)
    with open(out, encoding='utf-8') as file:
      text = file.read()
  total = re.search(r'^(?:totals|summary): (\d+)', text, re.MULTILINE)
  if not total:
    raise ValueError('callgrind gave no total')
  return int(total.group(1)), sum(int(n) for n in re.findall(r'^calls=(\d+)', text, re.MULTILINE))


def per_hit(program, mode):
  few, many = counts(program, mode, FEW), counts(program, mode, MANY)
  return [(b - a) / (MANY - FEW) for a, b in zip(few, many)]


def row(case, value, unit, most):
  verdict = None if most is None else 'holds' if round(value, 3) <= most else 'broken'
  print(f'{PROGRAM:6} {case:52} {value:12.2f} {unit}'
        + (f'  (at most {most}: {verdict})' if verdict else ''))
  return {'bench': PROGRAM, 'case': case, 'value': round(value, 3), 'unit': unit, 'against': None,
          'ratio': None, 'low': None, 'high': None, 'bar': most,
          'bound': None if most is None else 'most', 'verdict': verdict, 'repetitions': 0}


def rows_of(program):
  loop = per_hit(program, 'none')
  for mode, case, instructions, calls in CASES:
    mine = [a - b for a, b in zip(per_hit(program, mode), loop)]
    yield row(f'{case}: instructions', mine[0], 'instructions', instructions)
    yield row(f'{case}: calls', mine[1], 'calls', calls)


def measure(program, results):
  """Appends to the file @results; whether it could."""
  if not shutil.which('valgrind'):
    why = 'valgrind is not installed'
    print(f'skipped: {why}')
    rows = [{'bench': PROGRAM, 'case': case, 'verdict': 'skipped', 'why': why}
            for _, case, _, _ in CASES]
  else:
    try:
      rows = list(rows_of(program))
    except (subprocess.CalledProcessError, ValueError) as error:
      print(f'{PROGRAM}: {error}\n{getattr(error, "stderr", None) or ""}')
      return False
  with open(results, 'a', encoding='utf-8') as file:
    file.writelines(json.dumps(line) + '\n' for line in rows)
  return True
