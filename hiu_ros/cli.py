"""`hiu`: the command line of everything that needs no ROS. Here the subcommands are collected."""

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from hiu_ros import __version__
from hiu_ros.brief_waits import wait_briefly
from hiu_ros.command_errors import USER_ERRORS, in_words, traceback_wanted
from hiu_ros.interrupts import end_imports_on_interrupt

#: Subcommand -> module that defines it. The module has a function `add_<subcommand>(subparsers)`
#: (underscores for dashes) that adds a parser and sets its default `run`: a function that takes
#: the parsed arguments and returns an exit status. Such a module imports what is slow in `run`.
COMMANDS: Final[Mapping[str, str]] = {
    'bench': 'hiu_ros.evaluation.bench_command',
    'data': 'hiu_ros.data.check_command',
    'describe': 'hiu_ros.network.describe_command',
    'evaluate': 'hiu_ros.evaluation.evaluate_command',
    'follow': 'hiu_ros.perception.follow_command',
    'pack': 'hiu_ros.network.pack_command',
    'predict': 'hiu_ros.perception.predict_command',
    'train': 'hiu_ros.training.train_command',
    'train-finder': 'hiu_ros.training.finder_command',
}


def make_parser(commands: Sequence[str] = tuple(COMMANDS)) -> argparse.ArgumentParser:
    """The parser of `hiu` with the given subcommands; only their modules are imported."""
    parser = argparse.ArgumentParser(
        prog='hiu', description='Hand image understanding: keypoints, masks and meshes of hands.',
    )
    parser.add_argument('--version', action='version', version=f'hiu {__version__}')
    subparsers = parser.add_subparsers(dest='command', metavar='COMMAND', required=True)
    for command in commands:
        module = importlib.import_module(COMMANDS[command])
        getattr(module, f'add_{command.replace("-", "_")}')(subparsers)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `hiu`; returns the exit status.

    An OSError, ValueError, RuntimeError or FloatingPointError (a loss that is not finite) of a
    subcommand becomes one line on stderr and status 1; with HIU_TRACEBACK set in the environment
    the traceback is shown instead. Ctrl-C ends it with status 130, SIGTERM with 143.
    """
    wait_briefly()
    end_imports_on_interrupt()
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    command = arguments[0] if arguments else ''
    try:
        parser = make_parser((command,) if command in COMMANDS else tuple(COMMANDS))
        options = parser.parse_args(arguments)
        return options.run(options) or 0
    except BrokenPipeError:  # what we print into, such as `head`, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt as stop:
        return 128 + next(iter(stop.args), signal.SIGINT)
    except USER_ERRORS as error:
        if traceback_wanted():
            raise
        print(f'hiu {command}: {in_words(error)}', file=sys.stderr)
        return 1


if __name__ == '__main__':
    sys.exit(main())
