"""Print how long each notebook took under nbval, the slowest first: in the `ci` budget one has 60 seconds on two cores."""

from collections import Counter

MOST = 60


def pytest_terminal_summary(terminalreporter):
    seconds = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if ".ipynb::" in getattr(report, "nodeid", "") and hasattr(report, "duration"):
                seconds[report.nodeid.partition("::")[0]] += report.duration
    if seconds:
        terminalreporter.section("seconds by notebook, where two run side by side with a core each")
    for name, took in seconds.most_common():
        terminalreporter.write_line(f"{took:6.0f}  {name}{f'  more than {MOST}' if took > MOST else ''}")
