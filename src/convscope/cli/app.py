"""Which commands are there?  Each in a module of its own, imported when it is called or its help is asked for."""

import importlib
from typing import Any

import click

from convscope.errors import ConvscopeError

COMMANDS: dict[str, str] = {  # name -> one line for --help
    "layers": "The network as a table: layers, shapes, receptive fields, parameters, MACs.",
    "check": "Preflight: does it export, is the graph right, what will work, how accurate, how fast?",
    "see": "What a layer or unit looks for: patches, deconvnet and optimised pictures, each with its check.",
    "explain": "Why this prediction, and can that be trusted: maps of several methods, each with its checks.",
    "why": "Why it works: every claim measured against its control, the sheet, a study folder and a report.",
    "report": "A study as one self-contained HTML file.",
    "demo": "The built-in network and world: the whole thing in a minute, nothing to download.",
}


class _Commands(click.Group):
    """A group that knows its commands by name and imports them late."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"convscope.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        name = args[0]
        if not name.startswith("-") and name not in COMMANDS:
            from convscope.errors import nearest

            close = nearest(name, COMMANDS)
            hint = f" Did you mean '{close[0]}'?" if close else f" There are: {', '.join(COMMANDS)}."
            raise click.UsageError(f"There is no command '{name}'.{hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="convscope", prog_name="convscope")
def cli() -> None:
    """Why does this convolutional network work?  Measurements, each with an interval and a control.

    NET is timm:NAME, torchvision:NAME, hf:ORG/NAME, builtin:world, FILE.pt2 or FILE.py:FUNCTION; options for its builder
    follow a question mark: timm:mobilenetv2_100?pad_type=same.

    \b
    Exit codes: 0 done, 1 fault, 2 wrong use, 3 input missing or unreadable, 4 a check failed under --strict,
    5 the network cannot be analysed, 130 stopped.
    """


def main(args: list[str] | None = None) -> None:
    """Runs the command line and exits with its code."""
    import sys

    given = sys.argv[1:] if args is None else args
    try:
        code = cli.main(args=given, prog_name="convscope", standalone_mode=False)
    except ConvscopeError as error:
        code = _report(error, as_json="--json" in given)
    except click.exceptions.Abort:
        click.echo("stopped", err=True)
        code = 130
    except click.ClickException as error:
        if "--json" in given:
            from convscope.cli.printing import document

            said = {"code": "UsageError", "message": error.format_message(), "hint": "convscope --help"}
            click.echo(document("error", {"error": said}))
        error.show()
        code = error.exit_code
    except KeyboardInterrupt:
        click.echo("stopped", err=True)
        code = 130
    except (BrokenPipeError, OSError) as error:
        code = _output_failed(error)
    sys.exit(code if isinstance(code, int) else 0)


def _output_failed(error: OSError) -> int:
    """The reader of our output has gone, which is its right; or the disk is full, which is said."""
    import errno
    import os
    import sys

    os.dup2(
        os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
    )  # nothing more is tried when Python flushes at its end
    if error.errno == errno.EPIPE:
        return 0
    click.echo(f"error: the output could not be written: {error.strerror}", err=True)
    return 1


def _report(error: ConvscopeError, *, as_json: bool) -> int:
    """An error of ours, as three short paragraphs on stderr, or as one document on stdout."""
    if as_json:
        from convscope.cli.printing import document

        click.echo(document("error", {"error": error.as_dict()}))
    lines = [line for line in (error.asked, error.found, error.would_work) if line]
    click.echo("\n".join(["error: " + lines[0], *("  " + line.replace("\n", "\n  ") for line in lines[1:])]), err=True)
    return error.exit_code
