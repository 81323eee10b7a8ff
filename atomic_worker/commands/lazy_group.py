"""A group of commands whose modules are imported when one of them runs."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from atomic_worker.commands.error_reporting import ErrorReportingGroup


class LazyGroup(ErrorReportingGroup):
    """`modules` maps the name of a command to the module that defines it, under the same name with
    underscores for hyphens.

    A process then imports what its own command needs: the worker does not import `atomic dev`, and
    `atomic serve`, which gunicorn replaces, does not import the use cases.
    """

    def __init__(self, *args: Any, modules: Mapping[str, str], **options: Any) -> None:
        super().__init__(*args, **options)
        self._modules = modules

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *self._modules})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in self._modules and cmd_name not in self.commands:
            self.add_command(
                getattr(import_module(self._modules[cmd_name]), cmd_name.replace("-", "_"))
            )
        return super().get_command(ctx, cmd_name)
