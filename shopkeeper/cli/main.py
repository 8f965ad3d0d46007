"""The `shopkeeper` command: one file in this folder for each group of subcommands."""

import os
import sys

import typer

from shopkeeper import tracing
from shopkeeper.cli import (
    anomalies,
    ask,
    compress,
    explain,
    features,
    keys,
    learn,
    lineage,
    measure,
    profile,
    quarantine,
    rules,
    run,
    setup,
    synonyms,
    tune,
)
from shopkeeper.errors import ShopkeeperError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Search, recommendations and a storefront that a shop runs itself.",
)
for group in (
    setup,
    quarantine,
    learn,
    features,
    measure,
    compress,
    anomalies,
    lineage,
    ask,
    explain,
    rules,
    profile,
    synonyms,
    keys,
    tune,
    run,
):
    group.register(app)


def main() -> None:
    """Run, and turn our own errors into one line and exit code 2."""
    tracing.speak(not os.environ.get("SHOPKEEPER_QUIET"))
    try:
        app()
    except ShopkeeperError as error:
        print(f"shopkeeper: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            sys.stderr.close()
            sys.exit(0)
        print(f"shopkeeper: {error}. Look at the disk and its permissions.", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("shopkeeper: stopped; what was published stays in use.", file=sys.stderr)
        sys.exit(130)
