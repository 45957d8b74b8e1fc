# SPDX-License-Identifier: BSD-3-Clause
"""Tests that both sides of vhu conform are put to: ours pass, others do what is known of them."""

import tempfile

from subjects import lasting_changes, read_expected
from harness import Skip, equal, true

FINE = 0


def named(test, subject, what):
  test.__name__ = f'{subject.name}_{what}'.replace('-', '_')
  return test


def passes_everything(subject, judge, least=0, *more):
  """@judge: of subjects.py or frontends.py. @least: how many cases apply."""
  def test(daemon, folder):
    code, report = judge(subject, daemon, folder, '--strict', *more)
    wrong = [f"{case['id']}: {case['verdict']}: {case['reason']}" for case in report['cases']
             if case['verdict'] in ('fail', 'error')]
    equal(wrong, [])
    equal(code, FINE)
    passed = [case for case in report['cases'] if case['verdict'] == 'pass']
    true(len(passed) >= least, f'{len(passed)} of the cases were tried')
  return named(test, subject, 'passes_everything')


def does_what_is_known(subject, judge):
  def test(daemon, folder):
    if subject.lacking():
      raise Skip(subject.lacking())
    version, expected = read_expected(subject.name)

    def judge_it(*more):
      with tempfile.TemporaryDirectory(dir=folder) as own:
        return judge(subject, daemon, own, *more)[1]

    found = lasting_changes(judge_it, expected)
    for line in found:
      print(f'# {line}')
    if version != subject.version and found:
      raise Skip(f'version {subject.version} differs from {version}, of which verdicts are known')
    true(not found, f'{len(found)} verdicts are as they were recorded')
  return named(test, subject, 'does_what_is_known')
