"""`python -m benchmarks`: all of them, or those that are named; writes RESULTS.md when all ran."""

from __future__ import annotations

import argparse
import time

from . import report
from .stage import Stage, stage

NAMES = ("overhead", "masking", "journal", "wall", "search")
#: Runs only when it is named: it takes a quarter of an hour.
LONG = ("scale",)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(NAMES + LONG))
    parser.add_argument("--rounds", type=int, default=3, help="of the overhead benchmark (3)")
    parser.add_argument("--seconds", type=float, default=3, help="of each run in a round (3)")
    parser.add_argument("--chunks", type=int, default=1_000_000, help="of the scale benchmark (1,000,000)")
    parser.add_argument("--soak", type=int, nargs="?", const=100_000, default=0, metavar="N", help="N requests more")
    given = parser.parse_args()
    unknown = set(given.names) - set(NAMES + LONG)
    if unknown:
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(NAMES + LONG)}")
    sections: list[report.Section] = []
    with stage() as ready:
        for name in given.names or NAMES:
            print(f"{name} ...", flush=True)
            began = time.monotonic()
            sections += measured(name, ready, given)
            print(f"{name} took {time.monotonic() - began:.0f} s", flush=True)
    for section in sections:
        print(f"\n## {section.title}\n\n{section.text}")
    if not given.names:
        report.write(sections)
        print(f"\nWritten: {report.RESULTS}")


def measured(name: str, ready: Stage, given: argparse.Namespace) -> list[report.Section]:
    """One benchmark. Those that run inside the application are imported when its settings are known."""
    if name == "overhead":
        from . import overhead

        return overhead.run(ready, rounds=given.rounds, seconds=given.seconds, soak=given.soak)
    import django

    django.setup()
    if name == "masking":
        from . import masking

        return masking.run()
    if name == "journal":
        from . import journal

        return journal.run()
    if name == "wall":
        from . import wall

        return wall.run(ready)
    if name == "scale":
        from . import scale

        return scale.run(ready, given.chunks)
    from . import search

    return search.run()


if __name__ == "__main__":
    main()
