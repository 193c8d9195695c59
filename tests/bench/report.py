#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""report.py show DIRECTORY NAME...                 tables of these benches, and the bars
report.py json DIRECTORY FILE NAME...            the same for machines; what FILE holds of other benches stays
report.py tests DIRECTORY NAME...                the bars of these benches as tests: "ok WHAT", "not ok WHAT", and how many
report.py check FILE                             fails if the above couldn't be
report.py docs FILE MARKDOWN README PLOT-DATA    what FILE holds, between the markers of MARKDOWN, three figures of it between
                                                 those of README, and for gnuplot

DIRECTORY/NAME.samples: "BED CASE WAY VALUE", or "BED kernel WHICH", with tabs. Samples of one case are in rounds, in which all ways
took turns, so a ratio is the median of the ratios within the rounds."""
import datetime
import json
import os
import platform
import re
import statistics
import sys

UNITS = {
    'data': 'MB/s; microseconds a round trip',
    'redis': 'requests a second',
    'http': 'requests a second',
    'pgbench': 'transactions a second',
    'connect': 'microseconds; system calls a connection',
    'calls': 'instructions added to a call',
    'start': 'instructions; milliseconds',
    'map': 'nanoseconds a look-up; instructions; cache misses',
    'memory': 'bytes',
}
RATIOS = {
    'data': [('ip2vsock', 'vsock'), ('ip2vsock-4M', 'vsock'), ('ip2vsock', 'relay'), ('ip2vsock', 'tcp')],
    'redis': [('ip2vsock', 'relay'), ('tcp', 'relay')],
    'http': [('ip2vsock', 'relay'), ('tcp', 'relay')],
    'pgbench': [('ip2vsock', 'relay'), ('tcp', 'relay')],
    'connect': [('ip2vsock', 'vsock')],
    'map': [('100000 rules', '10 rules')],
}
BEDS = {
    'bed': 'User-Mode Linux',
    'bed_newer': 'User-Mode Linux, newer kernel',
    'newer': 'newer kernel, two CPUs',
    'enclave': 'parent and enclave',
    'enclave_newer': 'parent and enclave, newer kernel',
    'here': "this machine's kernel",
}


def median_ratio(above, below):
    ratios = sorted(a / b for a, b in zip(above, below) if b)
    if not ratios:
        return None
    return [statistics.median(ratios), ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]]


class Bench:
    """The samples of one run of a bench, by bed and case, then by way."""

    def __init__(self, name, record):
        self.name = name
        self.date = record['date']
        self.machine = record['machine']
        self.kernels = record['kernels']
        self.samples = record['samples']

    @classmethod
    def read(cls, directory, name):
        path = os.path.join(directory, name + '.samples')
        record = {
            'date': datetime.date.fromtimestamp(os.path.getmtime(path)).isoformat(),
            'machine': machine(),
            'kernels': {},
            'samples': {},
        }
        for line in open(path):
            fields = line.rstrip('\n').split('\t')
            if len(fields) == 3 and fields[1] == 'kernel':
                record['kernels'][fields[0]] = fields[2]
            else:
                bed, case, way, value = fields
                ways = record['samples'].setdefault(bed, {}).setdefault(case, {})
                ways.setdefault(way, []).append(float(value))
        return cls(name, record)

    def record(self):
        return {
            'date': self.date,
            'machine': self.machine,
            'kernels': self.kernels,
            'unit': UNITS[self.name],
            'samples': self.samples,
            'medians': {
                bed: {case: {way: statistics.median(v) for way, v in ways.items()} for case, ways in cases.items()}
                for bed, cases in self.samples.items()
            },
            'ratios': {
                bed: {
                    case: {f'{a} / {b}': median_ratio(ways[a], ways[b]) for a, b in RATIOS.get(self.name, [])
                           if a in ways and b in ways}
                    for case, ways in cases.items()
                }
                for bed, cases in self.samples.items()
            },
        }

    def tables(self):
        """(title, header, rows) for each bed, and for each set of ways in it."""
        for bed, cases in self.samples.items():
            title = f'{self.name}: {BEDS[bed]}' + (f', kernel {self.kernels[bed]}' if bed in self.kernels else '')
            groups = []
            for case, ways in cases.items():
                if not groups or not set(ways) <= set(groups[-1][0]):
                    groups.append((list(ways), []))
                groups[-1][1].append((case, ways))
            for ways, rows in groups:
                pairs = [(a, b) for a, b in RATIOS.get(self.name, []) if a in ways and b in ways]
                header = ['', *ways, *(f'{a} ÷ {b}' for a, b in pairs)]
                yield title, header, [self.row(case, samples, ways, pairs) for case, samples in rows]

    def row(self, case, samples, ways, pairs):
        cells = [case]
        for way in ways:
            values = sorted(samples.get(way, []))
            cells.append(figure(values) if values else '')
        for a, b in pairs:
            ratio = median_ratio(samples[a], samples[b]) if a in samples and b in samples else None
            cells.append(f'{ratio[0]:.2f} ({ratio[1]:.2f}–{ratio[2]:.2f})' if ratio and len(samples[a]) > 1
                         else f'{ratio[0]:.2f}' if ratio else '')
        return cells


def figure(values):
    """The median, and half of what lies between the quartiles, in per cent of it."""
    middle = statistics.median(values)
    if len(values) < 5 or not middle:
        return number(middle)
    spread = (values[-1 - len(values) // 4] - values[len(values) // 4]) / 2 / middle * 100
    return f'{number(middle)} ±{spread:.0f}%'


def number(value):
    if value == int(value) or abs(value) >= 1000:
        return f'{value:,.0f}'
    return f'{value:.3g}' if abs(value) < 1 else f'{value:.1f}'


def machine():
    try:
        model = re.search(r'model name\s*: (.*)', open('/proc/cpuinfo').read())[1]
    except (OSError, TypeError):
        model = platform.machine()
    return f'{os.cpu_count()} × {model}, Linux {platform.release()}'


# ---- the bars ----

def bars(benches):
    """(figure, [value, quartiles...], '≤' or '≥', limit) for all that was measured."""
    def cases(name, pattern):
        for bed, cases in benches[name].samples.items() if name in benches else []:
            for case, ways in cases.items():
                if re.fullmatch(pattern, case):
                    yield bed, case, ways

    def ratio(ways, a, b):
        return median_ratio(ways[a], ways[b])

    for bed, _, ways in cases('data', 'throughput, 65536'):
        limit = 1.5 if bed.endswith('newer') else 0.97
        yield f'throughput at 64 KiB ÷ native, {BEDS[bed]}', ratio(ways, 'ip2vsock', 'vsock'), '≥', limit
        if 'ip2vsock-4M' in ways:
            yield f'the same with buffer=4M, {BEDS[bed]}', ratio(ways, 'ip2vsock-4M', 'vsock'), '≥', limit
    for bed, case, ways in cases('data', 'round trip, .*'):
        yield f'{connections(case)} ÷ native, {BEDS[bed]}', ratio(ways, 'ip2vsock', 'vsock'), '≤', 1.02
    for name in 'redis', 'http':
        for bed, case, ways in cases(name, '.*, (1|50)'):
            limit = 4 if case.endswith(' 50') else 2.5
            yield f'{name}, {connections(case)} ÷ relay, {BEDS[bed]}', ratio(ways, 'ip2vsock', 'relay'), '≥', limit
    for _, case, ways in cases('connect', 'system calls, .*'):
        added = statistics.median(ways['ip2vsock']) - statistics.median(ways['vsock'])
        yield f'connect: {case}, more than native', [added], '≤', 8 if case.endswith('client') else 1
    for _, case, ways in cases('calls', 'close|dup2|fcntl|send|recv|epoll_ctl'):
        yield f'calls: {case}, instructions added', ways['ip2vsock'], '≤', 15
        yield f'calls: {case}, instructions added, TCP left to IP', ways['ip2vsock, left to IP'], '≤', 15
    for _, case, ways in cases('start', 'instructions added'):
        yield 'start: no map, instructions added', ways['ip2vsock, no map'], '≤', 60000
        yield 'start: 10 rules, instructions added', ways['ip2vsock, 10 rules'], '≤', 90000
    for _, case, ways in cases('map', '(name|address|CIDR), (hit|miss)(, few|, instructions)?'):
        yield f'map: {case}, 100,000 rules ÷ 10', ratio(ways, '100000 rules', '10 rules'), '≤', 3
    for _, case, ways in cases('memory', '.* fds'):
        yield f'memory: {case}, bytes a connection', [max(ways['open, bytes an fd'])], '≤', 256
    for bed, case, ways in cases('memory', '.* one at a time'):
        yield f'memory: {case}, growth, {BEDS[bed]}', [max(ways['growth'])], '≤', 0


def connections(case):
    """'round trip, 10' in words"""
    what, count = case.rsplit(', ', 1)
    return f'{what.replace("requests a second", "").strip()} {count} connection{"s" if count != "1" else ""}'.strip()


def bar_rows(benches):
    for what, values, relation, limit in bars(benches):
        value = values[0]
        met = value <= limit if relation == '≤' else value >= limit
        spread = f' ({values[1]:.2f}–{values[2]:.2f})' if len(values) == 3 and values[1] < values[2] else ''
        yield [what, (number(value) if abs(value) >= 100 or value == int(value) else f'{value:.2f}') + spread,
               f'{relation} {limit:,}', 'yes' if met else 'NO']


def tests(benches):
    failed = 0
    rows = list(bar_rows(benches))
    for what, measured, limit, reached in rows:
        failed += reached == 'NO'
        print(f'ok {what}: {measured} {limit}' if reached == 'yes' else f'not ok {what}: {measured}, and not {limit}')
    print(f'{len(rows) - failed} passed, {failed} failed, 0 skipped')
    return failed


BAR_HEADER = ['figure', 'measured', 'bar', 'reached']


# ---- what comes out ----

def show(title, header, rows):
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    print(f'\n{title}')
    for row in [header, *rows]:
        print('  ' + row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:])), sep='  ')


def markdown(header, rows):
    lines = ['| ' + ' | '.join(header) + ' |', '|---|' + '--:|' * (len(header) - 1)]
    return '\n'.join(lines + ['| ' + ' | '.join(row) + ' |' for row in rows])


def markdown_of(bench):
    parts = [f'{bench.date}, {bench.machine}. Figures: {UNITS[bench.name]}.']
    for title, header, rows in bench.tables():
        parts.append(f'**{title}**\n\n{markdown(header, rows)}')
    return '\n\n'.join(parts)


def edit(path, contents):
    """Puts each content between its markers."""
    with open(path) as file:
        text = file.read()
    for name, content in contents.items():
        pattern = rf'(<!-- {name}:.*?-->\n).*?(<!-- end -->)'
        if not re.search(pattern, text, re.S):
            sys.exit(f'report.py: {path} lacks the markers of {name}: "<!-- {name}: … -->" and "<!-- end -->"')
        text = re.sub(pattern, lambda match: f'{match[1]}\n{content}\n\n{match[2]}', text, count=1, flags=re.S)
    with open(path, 'w') as file:
        file.write(text)


def load(path):
    if not os.path.exists(path):
        return {}
    with open(path) as file:
        try:
            benches = json.load(file)['benches']
        except (ValueError, KeyError, TypeError):
            sys.exit(f'report.py: {path} was not written by scripts/bench, remove it or name another file')
    return benches


def dump(path, records):
    benches = {name: Bench(name, record) for name, record in records.items()}
    content = {
        'benches': records,
        'bars': [{'figure': f, 'value': round(v[0], 4), 'bar': f'{r} {limit}'} for f, v, r, limit in bars(benches)],
    }
    text = json.dumps(content, indent=1, ensure_ascii=False)
    with open(path, 'w') as file: # a list of samples on a line
        file.write(re.sub(r'\[[^][{}]*\]', lambda found: ' '.join(found[0].split()), text) + '\n')


def figures(benches):
    """The README's three."""
    def times(name, bed, case, other):
        ways = benches[name].samples[bed][case]
        return f'{median_ratio(ways["ip2vsock"], ways[other])[0]:.1f}'

    calls = benches['calls'].samples['here']
    added = max(statistics.median(calls[call]['ip2vsock']) for call in ('close', 'send', 'fcntl'))
    return '\n'.join([
        f'- 64 KiB writes between parent and enclave: {times("data", "enclave", "throughput, 65536", "relay")} times the throughput '
        f'of a socat at each end, and\n  {times("data", "enclave", "throughput, 65536", "vsock")} times that of a program written for '
        'AF_VSOCK with its default buffer.',
        f'- Redis, 50 connections between parent and enclave: {times("redis", "enclave", "requests a second, 50", "relay")} times '
        'the requests a second of a socat at each end.',
        f'- On a file or socket that ip2vsock doesn\'t carry, close, send and fcntl take {number(added)} instructions more.',
    ])


def plot_data(path, benches):
    """For gnuplot: a row a comparison, what ip2vsock does against it."""
    rows = []
    for name, case, label in [
        ('data', 'throughput, 65536', 'throughput, 64 KiB'), ('data', 'round trip, 1', 'round trips, 1 connection'),
        ('data', 'round trip, 100', 'round trips, 100'), ('redis', 'requests a second, 1', 'redis, 1'),
        ('redis', 'requests a second, 50', 'redis, 50'), ('http', 'requests a second, 1', 'nginx, 1'),
        ('http', 'requests a second, 50', 'nginx, 50'), ('pgbench', 'transactions a second, 20', 'PostgreSQL, 20'),
    ]:
        for bed in 'bed', 'enclave':
            ways = benches[name].samples.get(bed, {}).get(case) if name in benches else None
            if not ways:
                continue
            up = -1 if 'trip' in case else 1
            cells = [f'"{label}{"" if bed == "bed" else " (enclave)"}"']
            for way in 'tcp', 'vsock', 'ip2vsock', 'relay':
                cells.append(f'{median_ratio(ways[way], ways["ip2vsock"])[0] ** up:.3f}' if way in ways else 'NaN')
            rows.append('\t'.join(cells))
    with open(path, 'w') as file:
        file.writelines(row + '\n' for row in rows)


def main(arguments):
    if len(arguments) >= 3 and arguments[0] == 'show':
        benches = {name: Bench.read(arguments[1], name) for name in arguments[2:]}
        for bench in benches.values():
            for title, header, rows in bench.tables():
                show(f'{title} ({UNITS[bench.name]})', header, rows)
        show('bars', BAR_HEADER, list(bar_rows(benches)))
    elif len(arguments) >= 4 and arguments[0] == 'json':
        records = load(arguments[2])
        records.update({name: Bench.read(arguments[1], name).record() for name in arguments[3:]})
        dump(arguments[2], {name: records[name] for name in UNITS if name in records})
    elif len(arguments) >= 3 and arguments[0] == 'tests':
        sys.exit(1 if tests({name: Bench.read(arguments[1], name) for name in arguments[2:]}) else 0)
    elif len(arguments) == 2 and arguments[0] == 'check':
        load(arguments[1])
    elif len(arguments) == 5 and arguments[0] == 'docs':
        _, results, markdown_file, readme, plot = arguments
        benches = {name: Bench(name, record) for name, record in load(results).items()}
        contents = {name: markdown_of(bench) for name, bench in benches.items()}
        edit(markdown_file, contents | {'bars': markdown(BAR_HEADER, list(bar_rows(benches)))})
        if {'data', 'redis', 'calls'} <= benches.keys():
            edit(readme, {'figures': figures(benches)})
        plot_data(plot, benches)
    else:
        sys.exit(__doc__)


main(sys.argv[1:])
