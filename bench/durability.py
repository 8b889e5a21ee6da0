"""The sections of compare in which data reaches the disk: everysec, always, compaction,
recovery. They leave out what cannot (memcached)."""

import contextlib
import os
import shutil
import statistics
import tempfile
import threading
import time

from peers import Failure, Memento, say
from tables import median, medians_of, number, print_table, ratio_rows

VALUE_BYTES = 32  # of the first three sections; keys have 16 bytes
PROBED_KEYS = 1000
LOAD_SECONDS_MAX = 900
COMPACTION_SECONDS_MAX = 900
# Half writes, half reads, from as many connections as the growth section has.
MIXED_LOAD = ['-c', '8', '-P', '16', '-d', VALUE_BYTES, '--ratio', '1:1',
              '--seconds', COMPACTION_SECONDS_MAX]
SAMPLE_SECONDS = 0.01
RECOVERED_VALUE_BYTES = 100


def persistent(servers):
    return [server for server in servers if server.protocol == 'resp2']


def print_medians(title, samples, columns, digits):
    """samples: {name: {column: [figure of each round]}}; digits: of each column."""
    middle = medians_of(samples)
    print_table(title, columns, [[name] + [number(middle[name][c], d)
                                           for c, d in zip(columns, digits)]
                                 for name in samples])
    return middle


def collect(samples, name, figures):
    for column, figure in figures.items():
        samples.setdefault(name, {}).setdefault(column, []).append(figure)


# ---- everysec ----

def log_bytes(server):
    """Written to its log since it was started."""
    while True:
        info = server.info()
        if int(info.get('aof_buffer_length', 0)) == 0:
            return int(info.get('log_bytes_written', info.get('aof_current_size')))
        time.sleep(0.05)  # redis has not written all of it


def measure_everysec(bench, server, options, seed):
    figures = {}
    load = ['-r', options.keys, '-d', VALUE_BYTES, '-c', options.connections, '-t',
            options.client_threads]
    with server.running(workers=options.workers, cores=options.server_cores,
                        policy='everysec'):
        bench.run(server, *load, '-P', 50, '--load', '-n', 0)
        for depth in options.pipelines:
            before = log_bytes(server)
            run = bench.run(server, *load, '-P', depth, '--ratio', '0:1', '--seconds',
                            options.seconds, '--seed', seed)['run']
            cell = f'SET P{depth}'
            figures[f'{cell} CPU'] = run['server_cpu']['us_per_op']
            figures[f'{cell} op/s'] = run['op_per_s']
            figures[f'{cell} bytes'] = (log_bytes(server) - before) / run['requests']
            say(f'  {server.name:12} {cell:9} {figures[f"{cell} CPU"]:8.3f} us/op '
                f'{run["op_per_s"]:12.0f} op/s')
    return figures


def section_everysec(options, servers, bench):
    servers = persistent(servers)
    samples = {}
    for round_number in range(options.rounds):
        for server in servers:
            collect(samples, server.name,
                    measure_everysec(bench, server, options, round_number + 1))
    columns = [f'SET P{depth} {figure}' for depth in options.pipelines
               for figure in ('CPU', 'op/s', 'bytes')]
    middle = print_medians('Synced every second: server CPU us/op, requests a second, bytes '
                           f'of log a SET of 16 + {VALUE_BYTES}; medians of '
                           f'{options.rounds} rounds', samples, columns,
                           [3, 0, 1] * len(options.pipelines))
    print_table('Ratio of the medians', columns,
                ratio_rows(middle, list(samples), columns))
    return samples


# ---- always ----

def sync_us():
    """What this disk takes for the least that can be made durable: the median of a hundred
    appends of 4 KiB, each with its fdatasync."""
    times = []
    with tempfile.TemporaryFile(prefix='compare-', buffering=0) as file:
        for _ in range(100):
            started = time.monotonic()
            file.write(b'x' * 4096)
            os.fdatasync(file.fileno())
            times.append((time.monotonic() - started) * 1e6)
    return statistics.median(times)


def probe_figures(probe):
    latency = probe['probe']['latency_us']
    return {figure: latency[figure] / 1000 for figure in ('p50', 'p99', 'p99.9', 'max')}


def measure_always(bench, server, options, seed):
    """What the writers got, and what a reader of other keys saw meanwhile."""
    writes, reads = {}, {}
    load = ['-r', options.keys, '-d', VALUE_BYTES, '-c', options.connections, '-t',
            options.client_threads, '--key-prefix', 'set:', '--ratio', '0:1', '--seconds',
            options.seconds, '--seed', seed]
    with server.running(workers=options.workers, policy='always'):
        bench.run(server, '-r', PROBED_KEYS, '-d', VALUE_BYTES, '-P', 50, '--load', '-n', 0)
        with bench.probing(server, PROBED_KEYS) as probe:
            time.sleep(options.seconds)
        reads['idle'] = probe_figures(probe)
        for depth in options.pipelines:
            with bench.probing(server, PROBED_KEYS) as probe:
                run = bench.run(server, *load, '-P', depth)['run']
            writes[f'SET P{depth} op/s'] = run['op_per_s']
            writes[f'SET P{depth} CPU'] = run['server_cpu']['us_per_op']
            reads[f'SET P{depth}'] = probe_figures(probe)
            say(f'  {server.name:12} SET P{depth:<5} {run["op_per_s"]:12.0f} op/s, GET '
                f'beside it p99 {reads[f"SET P{depth}"]["p99"]:.2f} ms')
    return writes, reads


def section_always(options, servers, bench):
    bench = type(bench)(bench.program, None)
    servers = persistent(servers)
    writes, reads, syncs = {}, {}, []
    for round_number in range(options.rounds):
        syncs.append(sync_us())
        for server in servers:
            written, seen = measure_always(bench, server, options, round_number + 1)
            collect(writes, server.name, written)
            for situation, latency in seen.items():
                collect(reads.setdefault(situation, {}), server.name, latency)
    names = [server.name for server in servers]
    columns = [f'SET P{depth} {figure}' for depth in options.pipelines
               for figure in ('op/s', 'CPU')]
    middle = print_medians('Synced before each answer: acknowledged writes a second, server '
                           f'CPU us/op; medians of {options.rounds} rounds (4 KiB appended '
                           f'and synced: {median(syncs):.0f} us)', writes, columns,
                           [0, 3] * len(options.pipelines))
    print_table('Ratio of the medians', columns, ratio_rows(middle, names, columns))
    for situation, seen in reads.items():
        what = 'nobody writes' if situation == 'idle' else f'others {situation}'
        columns = ['p50', 'p99', 'p99.9', 'max']
        middle = print_medians(f'A GET each ms of keys that nobody writes, while {what}: ms',
                               seen, columns, [3] * 4)
        print_table('Ratio of the medians', columns, ratio_rows(middle, names, columns))
    return {'sync_us': syncs, 'writes': writes, 'reads': reads}


# ---- compaction ----

def status_bytes(pid, field):
    with open(f'/proc/{pid}/status') as status:
        for line in status:
            if line.startswith(field + ':'):
                return int(line.split()[1]) * 1024
    return 0


def private_bytes(pid):
    """What a forked child has for itself: the pages that it or its parent has changed since,
    and its page tables."""
    total = status_bytes(pid, 'VmPTE')
    with open(f'/proc/{pid}/smaps_rollup') as rollup:
        for line in rollup:
            if line.startswith('Private_'):
                total += int(line.split()[1]) * 1024
    return total


class MemoryPeak:
    """The most memory a server and its children had, looked at every 10 ms."""

    def __init__(self, pid):
        self.pid = pid
        self.first = self.most = 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def now(self):
        total = status_bytes(self.pid, 'VmRSS')
        with open(f'/proc/{self.pid}/task/{self.pid}/children') as children:
            for child in children.read().split():
                # It may end while it is looked at.
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    total += private_bytes(child)
        return total

    def watch(self):
        while not self.over.wait(SAMPLE_SECONDS):
            self.most = max(self.most, self.now())

    def __enter__(self):
        self.first = self.most = self.now()
        self.thread.start()
        return self

    def __exit__(self, *problem):
        self.over.set()
        self.thread.join()


def compact(server):
    """Seconds until it is done."""
    done_before = server.info_number('compactions')
    started = time.monotonic()
    server.ask('BGREWRITEAOF')
    while time.monotonic() < started + COMPACTION_SECONDS_MAX:
        time.sleep(0.02)
        info = server.info()
        if info['aof_rewrite_in_progress'] != '0' or info.get('aof_rewrite_scheduled') == '1':
            continue
        if info.get('aof_last_bgrewrite_status', 'ok') != 'ok':
            raise Failure(f'{server.name} could not compact its log')
        if done_before is None or float(info['compactions']) > done_before:
            return time.monotonic() - started
    raise Failure(f'{server.name} did not end compacting')


def under_load(bench, server, keys, action):
    """What readers and memory saw while `action` ran, and what it gave."""
    with bench.beside(server, *MIXED_LOAD, '-r', keys) as load:
        time.sleep(0.5)
        with bench.probing(server, PROBED_KEYS) as probe, \
                MemoryPeak(server.process.pid) as memory:
            result = action()
    return {'RSS MiB': memory.first / 2**20,
            'extra MiB': (memory.most - memory.first) / 2**20, 'stall': probe['probe']['latency_us']['max'] / 1000,
            'probe p99.9': probe['probe']['latency_us']['p99.9'] / 1000,
            'GET p99.9': load['run']['get']['latency_us']['p99.9'] / 1000,
            'op/s': load['run']['op_per_s'] / 1000}, result


def measure_compaction(bench, server, options):
    with server.running(workers=options.workers, policy='everysec'):
        bench.run(server, '-r', options.log_keys, '-d', VALUE_BYTES, '-P', 50, '--load',
                  '-n', 0)
        quiet, _ = under_load(bench, server, options.log_keys,
                              lambda: time.sleep(options.seconds))
        busy, seconds = under_load(bench, server, options.log_keys,
                                   lambda: compact(server))
        hold = server.info_number('compaction_lock_us_max')
    figures = {'RSS MiB': busy['RSS MiB'], 'seconds': seconds, 'longest lock us': hold}
    for name in ('extra MiB', 'stall', 'probe p99.9', 'GET p99.9', 'op/s'):
        figures[f'{name} before'], figures[name] = quiet[name], busy[name]
    say(f'  {server.name:12} {busy["extra MiB"]:8.1f} MiB more for {seconds:.1f} s, '
        f'longest stall {busy["stall"]:.2f} ms')
    return figures


def section_compaction(options, servers, bench):
    bench = type(bench)(bench.program, None)
    servers = persistent(servers)
    samples = {}
    for _ in range(options.rounds):
        for server in servers:
            collect(samples, server.name, measure_compaction(bench, server, options))
    names = list(samples)
    title = (f'Compacting {options.log_keys / 1e6:g} M keys under a load of half writes, '
             f'half reads; medians of {options.rounds} rounds')
    costs = ['RSS MiB', 'extra MiB before', 'extra MiB', 'seconds', 'stall before', 'stall',
             'longest lock us']
    middle = print_medians(f'{title}. Memory, duration, longest stall of a GET each ms (ms)',
                           {n: {c: [v for v in samples[n][c] if v is not None]
                                for c in costs} for n in names}, costs,
                           [0, 1, 1, 1, 2, 2, 0])
    print_table('Ratio of the medians', costs[:6], ratio_rows(middle, names, costs[:6]))
    tails = ['GET p99.9 before', 'GET p99.9', 'probe p99.9 before', 'probe p99.9',
             'op/s before', 'op/s']
    middle = print_medians('p99.9 of the load\'s GETs and of the GET each ms, without and '
                           'while compacting: ms; thousand requests a second',
                           {n: {c: samples[n][c] for c in tails} for n in names}, tails,
                           [2, 2, 2, 2, 1, 1])
    print_table('Ratio of the medians', tails, ratio_rows(middle, names, tails))
    return samples


# ---- recovery ----

class Shape:
    """A data directory as a server leaves it, from which it is then started again."""

    def __init__(self, label, server, policy, finish):
        self.label, self.server, self.policy, self.finish = label, server, policy, finish
        self.folder = None

    def running(self, options):
        return self.server.running(workers=options.workers, policy=self.policy,
                                   data=self.folder, seconds_max=LOAD_SECONDS_MAX)

    def make(self, bench, options):
        with self.running(options):
            bench.run(self.server, '-r', options.log_keys, '-d', RECOVERED_VALUE_BYTES,
                      '-P', 50, '--load', '-n', 0)
            self.finish(self.server)
        self.bytes = sum(os.path.getsize(path) for path in files_below(self.folder))


def shapes_of(server):
    if isinstance(server, Memento):
        return [Shape(f'{server.name} log', server, 'everysec', lambda server: None),
                Shape(f'{server.name} snapshot', server, 'everysec', compact)]
    return [Shape(f'{server.name} AOF', server, 'everysec', lambda server: None),
            Shape(f'{server.name} RDB', server, None,
                  lambda server: server.ask('SAVE', seconds_max=LOAD_SECONDS_MAX))]


def files_below(folder):
    return [os.path.join(path, name) for path, _, names in os.walk(folder)
            for name in names]


def forget(folder):
    """So that it is the disk that is read, by whichever server."""
    for path in files_below(folder):
        with open(path, 'rb') as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure_recovery(shape, options):
    forget(shape.folder)
    with shape.running(options):
        cpu = shape.server.cpu_seconds()
        count = shape.server.count()
        own = shape.server.info_number('load_ms')
    if count != options.log_keys:
        raise Failure(f'{shape.label}: {count} of {options.log_keys} keys are back')
    seconds = shape.server.seconds_to_answer
    say(f'  {shape.label:18} {seconds:8.2f} s')
    return {'seconds': seconds, 'CPU seconds': cpu, 'k keys/s': count / seconds / 1000,
            'k keys/s/core': count / cpu / 1000, 'load_ms': own,
            'bytes/key': shape.bytes / count}


def section_recovery(options, servers, bench):
    bench = type(bench)(bench.program, None)
    shapes = [shape for server in persistent(servers) for shape in shapes_of(server)]
    need = options.log_keys * 1000
    if shutil.disk_usage(tempfile.gettempdir()).free < need:
        raise Failure(f'recovery wants {need / 1e9:.0f} GB of disk; TMPDIR says where')
    samples = {}
    with contextlib.ExitStack() as folders:
        for shape in shapes:
            shape.folder = folders.enter_context(
                tempfile.TemporaryDirectory(prefix='compare-'))
            shape.make(bench, options)
            say(f'  {shape.label:18} written')
        for _ in range(options.rounds):
            for shape in shapes:
                collect(samples, shape.label, measure_recovery(shape, options))
    columns = ['seconds', 'CPU seconds', 'k keys/s', 'k keys/s/core', 'load_ms', 'bytes/key']
    middle = print_medians(f'From start to the first answer with {options.log_keys / 1e6:g} M '
                           f'keys of 16 + {RECOVERED_VALUE_BYTES} bytes; medians of '
                           f'{options.rounds} rounds',
                           {n: {c: [v for v in samples[n][c] if v is not None]
                                for c in columns} for n in samples}, columns,
                           [2, 2, 0, 0, 0, 1])
    compared = ['seconds', 'k keys/s', 'k keys/s/core']
    for first in range(2 if len(shapes) > 2 else 1):
        names = [shapes[first].label] + [shape.label for shape in shapes[2:]]
        print_table('Ratio of the medians', compared, ratio_rows(middle, names, compared))
    return samples
