# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""The results of scripts/test.sh, added up: every case of every test program counts.

summary.py DIR [LIMITS]: DIR/*.json are meson's logs, one test a line; DIR/NAME.status and DIR/NAME.out are the
exit status and output of another script, whose last line may say "N passed, N failed, N skipped".
LIMITS has lines "PATTERN: REASON": a case of such a name that fails counts as skipped.
summary.py --suites: the names of the suites in meson's list of tests (stdin).
"""

import fnmatch
import json
import pathlib
import re
import sys

CASE = re.compile(r"^(not ok|ok) \d+ - (\S+)(?: # SKIP (.*))?$", re.M)
PLAN = re.compile(r"^1\.\.(\d+)$", re.M)
TOTAL = re.compile(r"(\d+) passed, (\d+) failed, (\d+) skipped")
MARKS = {"passed": "+", "failed": "F", "skipped": "s"}


class Results:
    def __init__(self, limits=()):
        self.limits = limits
        self.count = {"passed": 0, "failed": 0, "skipped": 0}
        self.skips = {}
        self.failures = []
        self.matrix = {}

    def limit(self, name):
        case = name.rsplit(": ", 1)[-1]
        return next((why for what, why in self.limits if fnmatch.fnmatch(case, what)), "")

    def add(self, run, name, result, reason=""):
        if result == "failed" and self.limit(name):
            result, reason = "skipped", self.limit(name)
        self.count[result] += 1
        if result == "skipped":
            self.skips.setdefault(reason or "no reason given", []).append(f"{run}: {name}")
        if result == "failed":
            self.failures.append(f"{run}: {name}")

    def add_cases(self, run, test, output, plan):
        """A program that printed TAP. What it planned and did not tell of has failed."""
        seen = 0
        for verdict, case, reason in CASE.findall(output):
            seen += 1
            result = "failed" if verdict != "ok" else "skipped" if reason else "passed"
            self.add(run, f"{test}: {case}", result, reason)
            if run == "tests" and "/" in case:
                subject, rule = case.split("/", 1)
                self.matrix.setdefault(rule, {})[subject] = MARKS[result]
        for missing in range(seen, plan):
            self.add(run, f"{test}: case {missing + 1} was not heard of", "failed")

    def has_failed_case(self, output, before):
        return self.count["failed"] != before or re.search("^not ok ", output, re.M)

    def add_test(self, run, entry):
        output = entry.get("stdout") or ""
        name, result = entry["name"], entry["result"]
        plan = PLAN.search(output)
        before = self.count["failed"]
        if plan:
            self.add_cases(run, name, output, int(plan.group(1)))
            if result not in ("OK", "SKIP") and not self.has_failed_case(output, before):
                self.add(run, f"{name}: {result}", "failed")
        elif result == "SKIP":
            lines = [line for line in output.splitlines() if line.strip()]
            self.add(run, name, "skipped", lines[-1] if lines else "")
        else:
            self.add(run, name, "passed" if result in ("OK", "EXPECTEDFAIL") else "failed")

    def add_script(self, name, status, output):
        lines = output.strip().splitlines() or [""]
        total = TOTAL.search(lines[-1])
        if total:
            for result, nr in zip(("passed", "failed", "skipped"), total.groups()):
                for i in range(int(nr)):
                    self.add(name, f"see {name}.out", result, "see its output")
            if status not in (0, 77) and total.group(2) == "0":
                self.add(name, f"exit status {status}", "failed")
        else:
            result = {0: "passed", 77: "skipped"}.get(status, "failed")
            self.add(name, name, result, lines[-1])

    def print_matrix(self):
        subjects = []
        for row in self.matrix.values():
            subjects += [s for s in row if s not in subjects]
        print("\nrule x subject: + passed, F failed, s skipped, . not its business\n")
        for i, subject in enumerate(subjects):
            print("  " * i + subject)
        for rule in sorted(self.matrix):
            row = self.matrix[rule]
            print(" ".join(row.get(s, ".") for s in subjects), "", rule)
        print()

    def print(self):
        if self.matrix:
            self.print_matrix()
        for reason, names in sorted(self.skips.items()):
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            print(f"skipped: {reason} ({names[0]}{more})")
        for name in self.failures:
            print(f"failed: {name}")
        print("{passed} passed, {failed} failed, {skipped} skipped".format(**self.count))


def limits_of(path):
    lines = (line for line in path.read_text().splitlines() if not line.startswith("#"))
    return [line.split(": ", 1) for line in lines]


def suites():
    names = {s.split(":")[-1] for test in json.load(sys.stdin) for s in test["suite"]}
    print(" ".join(sorted(names)))


def main():
    if sys.argv[1] == "--suites":
        suites()
        return 0
    results = Results(limits_of(pathlib.Path(sys.argv[2])) if sys.argv[2:] else ())
    directory = pathlib.Path(sys.argv[1])
    for path in sorted(directory.glob("*.json")):
        for line in path.read_text().splitlines():
            results.add_test(path.stem, json.loads(line))
    for path in sorted(directory.glob("*.status")):
        output = path.with_suffix(".out").read_text(errors="replace")
        results.add_script(path.stem, int(path.read_text()), output)
    results.print()
    return 1 if results.count["failed"] or not results.count["passed"] else 0


sys.exit(main())
