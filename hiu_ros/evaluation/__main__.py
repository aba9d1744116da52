"""`python -m hiu_ros.evaluation ...` is `hiu evaluate ...` without the other commands."""

import argparse
import sys

from hiu_ros.evaluation.evaluate_command import add_evaluate

if __name__ == '__main__':
    parser = argparse.ArgumentParser(prog='python -m hiu_ros.evaluation')
    add_evaluate(parser.add_subparsers(required=True))
    arguments = parser.parse_args(['evaluate', *sys.argv[1:]])
    sys.exit(arguments.run(arguments))
