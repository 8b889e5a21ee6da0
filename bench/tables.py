"""Medians, ratios, and how they are printed."""

import statistics
import sys


def print_table(title, columns, rows):
    """Rows are [name, value...], a value being text. Nothing without rows."""
    if not rows:
        return
    print(f'\n{title}')
    table = [[''] + columns] + rows
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    for row in table:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        print('  ' + '  '.join(cells))
    sys.stdout.flush()


def median(samples):
    return statistics.median(samples) if samples else None


def number(value, digits):
    return '-' if value is None else f'{value:.{digits}f}'


def ratio_rows(medians, names, columns):
    """Of the first server's medians to each other one's."""
    rows = []
    for peer in names[1:]:
        cells = []
        for column in columns:
            ours, theirs = medians[names[0]].get(column), medians[peer].get(column)
            cells.append(number(ours / theirs, 3) if ours is not None and theirs else '-')
        rows.append([f'{names[0]} / {peer}'] + cells)
    return rows


def medians_of(samples):
    """{name: {cell: [sample...]}} with a median in place of each list."""
    return {name: {cell: median(values) for cell, values in cells.items()}
            for name, cells in samples.items()}


def spread(samples):
    """How far samples lie from their median, in percent of it, at most."""
    middle = median(samples)
    return max(abs(s - middle) for s in samples) / middle * 100 if middle else 0.0
