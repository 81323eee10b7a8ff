"""`atomic completion …`"""

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print a script that completes commands and options in your shell.

    In bash: eval "$(atomic completion bash)"
    """
    completion_class = get_completion_class(shell)
    if completion_class is None:
        raise click.UsageError(f"{shell} is not supported by this version of click.")
    root = ctx.find_root().command
    script = completion_class(root, {}, "atomic", "_ATOMIC_COMPLETE").source()
    click.echo(script)
