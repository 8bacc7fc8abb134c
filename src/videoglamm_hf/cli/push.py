"""`videoglamm push`: publishes a model or an adapter on the Hugging Face Hub."""

import argparse
import sys
from pathlib import Path

from ..hub.push import check_repo, upload
from ..hub.push_plan import PushPlan, plan_push


def run(arguments: argparse.Namespace) -> None:
    """Lists what goes up, then pushes it."""
    check_repo(arguments.repo)
    plan = plan_push(
        Path(arguments.folder).expanduser(),
        arguments.repo,
        variant=arguments.variant,
        base_model=arguments.base_model,
        license=arguments.license,
    )
    print("\n".join(listing(plan)), file=sys.stdout if arguments.dry_run else sys.stderr)
    if arguments.dry_run:
        print(f"nothing was pushed to {arguments.repo}")
        if plan.problem:
            print(f"before it can be pushed: {plan.problem}")
        return
    print(upload(plan, arguments.repo, private=arguments.private, revision=arguments.revision))


def listing(plan: PushPlan) -> list[str]:
    """A line per file with its size, then what is left out and why."""
    lines = [f"{_size(f.size):>9}  {f.path}" + (f"  ({f.note})" if f.note else "") for f in plan.files]
    lines.append(f"{_size(plan.size):>9}  in {len(plan.files)} files")
    return lines + [f" left out  {name}  ({reason})" for name, reason in plan.left_out]


def _size(number: int) -> str:
    """
    >>> _size(812), _size(20_564_280)
    ('812 B', '20.6 MB')
    """
    for size, unit in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number} B"
