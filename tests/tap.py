"""Results one by one, as TAP: what the checks written in Python print, and what tests/run reads from every test program."""
import re

LINE = re.compile(r"(?P<bad>not )?ok (?P<number>\d+)(?: -)?(?P<skip> # SKIP)?(?P<rest>[^\n]*)")


def parse(text):
    """(planned, [(result, name)]) of one program's output; result is "passed", "failed" or "skipped".

    What a test prints without a newline may stand before its "ok", so a result is found by its number: the one that is due.
    """
    planned, due, cases = 0, 1, []
    for line in text.splitlines():
        plan = re.fullmatch(r"1\.\.(\d+)", line.strip())
        if plan:
            planned, due = planned + int(plan.group(1)), 1
            continue
        for match in LINE.finditer(line):
            if int(match["number"]) != due:
                continue
            name, _, comment = match["rest"].strip().partition(" # ")
            skipped = match["skip"] or comment.startswith("SKIP")
            result = "skipped" if skipped else "failed" if match["bad"] else "passed"
            cases.append((result, (name.split() or [f"case_{due}"])[0]))  # behind it cmocka may say what went wrong
            due += 1
            break
    return planned, cases


class Report:
    """Prints cases as they end; a plan at the end makes a lost case visible."""

    def __init__(self):
        self.count = self.failed = 0

    def case(self, name, problems=(), skip=None):
        """One case: failed if there are problems, each printed under it."""
        self.count += 1
        problems = list(problems)
        self.failed += bool(problems)
        print(f"{'not ' if problems else ''}ok {self.count} - {name}{f' # SKIP {skip}' if skip else ''}")
        for problem in problems:
            for line in str(problem).splitlines():
                print(f"#   {line}")

    def end(self):
        """The plan; returns the exit code."""
        print(f"1..{self.count}", flush=True)
        return 1 if self.failed else 0
