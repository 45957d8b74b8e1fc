#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Records what the peers do: expected/NAME.txt, and the table of docs/conformance-results.md.

    tests/conform/record.py --daemon build/daemons/vhu-blk [--runs N] [NAME...]

A case whose verdicts differ between the runs, as races may, is recorded with each of them;
what was recorded before of the same version is kept beside. The table is made of the last run.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE]
import frontends
import subjects
from subjects import expected_path, read_expected

PAGE = os.path.join(os.path.dirname(os.path.dirname(HERE)), 'docs', 'conformance-results.md')
MARK = '<!-- made by tests/conform/record.py from here on -->\n'

# Whom one page has beside each other: heading, first those of ours that stand for all.
SIDES = (('Back-ends', subjects, [subjects.OURS[0], *subjects.PEERS]),
         ('Front-ends', frontends, [frontends.OURS[0], *frontends.PEERS]))


def write_expected(subject, reports, keep):
  seen = {}
  for report in reports:
    for case in report['cases']:
      seen.setdefault(case['id'], set()).add(case['verdict'])
  if keep and os.path.exists(expected_path(subject.name)):
    version, before = read_expected(subject.name)
    if version == subject.version:
      for name in seen.keys() & before.keys():
        seen[name] |= before[name]
  with open(expected_path(subject.name), 'w', encoding='utf-8') as file:
    file.write(f'# What {subject.name} does where it does not simply pass.\n'
               f'# version {subject.version}\n')
    for name, verdicts in seen.items():
      if verdicts != {'pass'}:
        file.write(f'{name:<48} {" | ".join(sorted(verdicts))}\n')


def summary(files):
  """How many of each verdict and level, of each report."""
  yield '| | pass | fail: must | fail: should | fail: contract | not applicable |\n'
  yield '|---|---|---|---|---|---|\n'
  for name in files:
    with open(name, encoding='utf-8') as file:
      report = json.load(file)
    fails = [sum(case['verdict'] in ('fail', 'error') and case['level'] == level
                 for case in report['cases']) for level in ('must', 'should', 'contract')]
    counts = report['counts']
    yield (f"| {report['label']} | {counts['pass']} | " + ' | '.join(map(str, fails)) +
           f" | {counts['not applicable']} |\n")


def table_of(daemon, heading, files):
  table = subprocess.run([frontends.tool(daemon), 'conform', '--table', *files],
                         capture_output=True, text=True, check=True).stdout
  return f'\n## {heading}\n\n' + ''.join(summary(files)) + '\n' + table


def write_page(text):
  with open(PAGE, encoding='utf-8') as file:
    head = file.read().split(MARK)[0]
  with open(PAGE, 'w', encoding='utf-8') as file:
    file.write(head + MARK + text)


def record(side, subject, daemon, runs, keep, to):
  reports = []
  for seed in range(1, runs + 1):
    with tempfile.TemporaryDirectory(prefix='vhu-') as folder:
      reports.append(side.judge(subject, daemon, folder, seed=seed)[1])
      os.replace(os.path.join(folder, 'report.json'), to)
  if subject in side.PEERS:
    write_expected(subject, reports, keep)
  counts = reports[-1]['counts']
  print(subject.name, ', '.join(f'{n} {verdict}' for verdict, n in counts.items()))


def main():
  parser = argparse.ArgumentParser()
  parser.add_argument('--daemon', required=True)
  parser.add_argument('--runs', type=int, default=3)
  parser.add_argument('--anew', action='store_true', help='forget what was recorded before')
  parser.add_argument('names', nargs='*')
  options = parser.parse_args()
  daemon = os.path.abspath(options.daemon)
  text = ''
  with tempfile.TemporaryDirectory(prefix='vhu-') as folder:
    for heading, side, all_of_it in SIDES:
      files = []
      for subject in all_of_it:
        if subject.lacking() or (options.names and subject.name not in options.names):
          continue
        files.append(os.path.join(folder, subject.name))
        record(side, subject, daemon, options.runs, not options.anew, files[-1])
      text += table_of(daemon, heading, files) if files else ''
  if not options.names:
    write_page(text)


if __name__ == '__main__':
  main()
