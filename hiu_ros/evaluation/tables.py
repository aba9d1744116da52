"""Plain text tables of scores."""

from collections.abc import Mapping, Sequence


def table(
    rows: Sequence[Mapping[str, object]], columns: Mapping[str, tuple[str, str]], title: str = ''
) -> str:
    """Align rows under headings.

    columns: key of a row -> (heading, format such as '.3f'). A value that is missing, None or NaN
    is shown as '-'; strings are aligned left, numbers right.
    """
    cells = [[heading for heading, _ in columns.values()]]
    numeric = [True] * len(columns)
    for row in rows:
        line = []
        for index, (key, (_, pattern)) in enumerate(columns.items()):
            value = row.get(key)
            if isinstance(value, str):
                numeric[index] = False
                line.append(value)
            elif value is None or value != value:
                line.append('-')
            else:
                line.append(format(value, pattern))
        cells.append(line)
    widths = [max(len(line[index]) for line in cells) for index in range(len(columns))]
    lines = [
        '  '.join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, numeric)
        ).rstrip()
        for line in cells
    ]
    lines.insert(1, '  '.join('-' * width for width in widths))
    return '\n'.join(([title] if title else []) + lines)
