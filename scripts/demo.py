"""The demonstration that scripts/demo runs, when there are programs to run it with.

    package:NAME   the whole record of a package, binary safe, by `memento-cli --pipe`
    version:NAME   its version, as lines of text that netcat sends
    section:NAME   how many packages a section has, counted by several clients at once

Then every key is read back by redis-cli and by memento-cli, and every byte compared."""

import argparse
import collections
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

COUNTING_CLIENTS = 4
DIFFERENCES_SHOWN = 5


class Failed(Exception):
    """The demonstration cannot go on."""


def say(text):
    print(text, flush=True)


def step(text):
    say('== %s' % text)


# ---- the packages ----


def output_of(*command):
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, check=False).stdout
    except FileNotFoundError:
        return b''


def read_index():
    """The records that the package manager knows, one blank line behind each; and from whom."""
    index = output_of('apt-cache', 'dumpavail')
    if index.strip():
        return index, 'apt-cache dumpavail'
    names = output_of('dpkg-query', '-W', '-f', '${Package}\n').decode().split()
    return output_of('dpkg-query', '-s', *names), 'dpkg-query -s (installed packages only)'


def field(record, name):
    """The value of a field of a record; None without it."""
    mark = b'\n' + name + b': '
    at = (b'\n' + record).find(mark)
    if at < 0:
        return None
    begin = at + len(mark) - 1
    end = record.find(b'\n', begin)
    return record[begin:] if end < 0 else record[begin:end]


def take_packages(limit):
    """Name to record, in the order of the index."""
    index, source = read_index()
    packages = {}
    for record in index.split(b'\n\n'):
        name = field(record, b'Package')
        if name is None or field(record, b'Version') is None:
            continue
        packages.setdefault(name, record)
        if len(packages) == limit:
            break
    if not packages:
        raise Failed('this machine has no index of packages: apt-get update makes one')
    say('   %d packages, %.1f MB, from %s' % (
        len(packages), sum(map(len, packages.values())) / 1e6, source))
    return packages


# ---- the server ----


def free_port():
    with socket.socket() as sock:
        sock.bind(('127.0.0.1', 0))
        return sock.getsockname()[1]


class Server:
    """memento-server on a free loopback port."""

    def __init__(self, program, folder, goes_on=False):
        self.port = free_port()
        self.trace_path = os.path.join(folder, 'server.log')
        data = os.path.join(folder, 'data')
        if not goes_on:
            shutil.rmtree(data, ignore_errors=True)  # of an earlier demonstration
        with open(self.trace_path, 'wb') as trace:
            self.process = subprocess.Popen(
                [program, '--bind', '127.0.0.1', '--port', str(self.port), '--dir', data],
                stdin=subprocess.DEVNULL, stdout=trace, stderr=subprocess.STDOUT)

    def wait(self):
        for _ in range(500):
            if self.process.poll() is not None:
                break
            with contextlib.suppress(OSError):
                with socket.create_connection(('127.0.0.1', self.port), 1) as sock:
                    sock.sendall(b'PING\r\n')
                    if b'PONG' in sock.recv(100):  # it has its data
                        return
            time.sleep(0.02)
        with open(self.trace_path, encoding='utf-8') as trace:
            raise Failed('the server does not start:\n%s' % trace.read())

    def cpu_seconds(self):
        """Of all its threads. The kernel counts in nanoseconds here, elsewhere in ticks."""
        total = 0
        for task in os.listdir('/proc/%d/task' % self.process.pid):
            with open('/proc/%d/task/%s/schedstat' % (self.process.pid, task),
                      encoding='ascii') as file:
                total += int(file.read().split()[0])
        return total / 1e9

    def memory_bytes(self):
        with open('/proc/%d/statm' % self.process.pid, encoding='ascii') as file:
            return int(file.read().split()[1]) * os.sysconf('SC_PAGESIZE')

    def stop(self):
        """SIGTERM; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Measured:
    """Prints what a step took: of the clock, and of the server's processors."""

    def __init__(self, server, requests):
        self.server = server
        self.requests = requests

    def __enter__(self):
        self.began = time.monotonic()
        self.cpu = self.server.cpu_seconds()

    def __exit__(self, kind, *unused):
        if kind is not None:
            return
        seconds = time.monotonic() - self.began
        cpu = self.server.cpu_seconds() - self.cpu
        say('   %d requests in %.2f s: %.0f a second; server CPU %.2f s, %.2f us a request' % (
            self.requests, seconds, self.requests / seconds, cpu,
            cpu / self.requests * 1e6))


# ---- loading ----


def resp(*words):
    return b'*%d\r\n' % len(words) + b''.join(b'$%d\r\n%s\r\n' % (len(w), w) for w in words)


def quoted(value):
    return b'"' + value.replace(b'\\', b'\\\\').replace(b'"', b'\\"') + b'"'


def write_file(path, parts):
    with open(path, 'wb') as file:
        file.writelines(parts)
    return path


def netcat(server, path):
    """Netcat with a file of lines; it ends when the server has answered the last."""
    with open(path, 'rb') as lines:
        return subprocess.Popen(['nc', '-N', '127.0.0.1', str(server.port)], stdin=lines,
                                stdout=subprocess.PIPE)


def load_records(demo):
    """As the bytes of RESP, as other programs would write them to a file."""
    path = write_file(demo.path('records.resp'), (
        resp(b'SET', b'package:' + name, record) for name, record in demo.packages.items()))
    with open(path, 'rb') as data, Measured(demo.server, len(demo.packages)):
        process = subprocess.run([demo.program('memento-cli'), '-p', str(demo.server.port),
                                  '--pipe'], stdin=data, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, check=False)
    if process.returncode != 0:
        raise Failed('memento-cli --pipe: %s' % process.stdout.decode())


def load_versions_and_count_sections(demo):
    versions = write_file(demo.path('versions.txt'), (
        b'SET version:%s %s\n' % (name, quoted(field(record, b'Version')))
        for name, record in demo.packages.items()))
    shares = [[] for _ in range(COUNTING_CLIENTS)]
    for number, section in enumerate(demo.sections_of_packages):
        shares[number % COUNTING_CLIENTS].append(b'INC %s\n' % quoted(b'section:' + section))
    counts = [write_file(demo.path('count-%d.txt' % number), share)
              for number, share in enumerate(shares)]
    with Measured(demo.server, 2 * len(demo.packages)):
        # All run at once; each prints little, or is read at once.
        counters = [netcat(demo.server, path) for path in counts]
        stored = netcat(demo.server, versions).communicate()[0]
        answers = [counter.communicate()[0] for counter in counters]
    if stored != b'OK\r\n' * len(demo.packages):
        raise Failed('netcat was answered %d lines that are not all OK' % stored.count(b'\n'))
    for answer, share in zip(answers, shares):
        if answer.count(b'\r\n') != len(share) or b'error' in answer:
            raise Failed('a counting client was answered: %s' % answer[:200])


# ---- reading back ----


def read_all(demo, program):
    """What the program prints for all GETs, which it reads as lines."""
    lines = b''.join(b'GET %s\n' % quoted(key) for key in demo.expected)
    command = [demo.program(program), '-p', str(demo.server.port)]
    process = subprocess.run(command, input=lines, stdout=subprocess.PIPE, check=False)
    if process.returncode != 0:
        raise Failed('%s ended with status %d' % (program, process.returncode))
    return process.stdout


def count_differences(demo, program):
    """Every value, and the line end that the program prints behind each, byte for byte."""
    with Measured(demo.server, len(demo.expected)):
        printed = memoryview(read_all(demo, program))
    differences, at = 0, 0
    for key, value in demo.expected.items():
        if printed[at:at + len(value) + 1] != value + b'\n':
            differences += 1
            say('   DIFFERENT: %s, byte %d of the output' % (key.decode('utf-8', 'replace'),
                                                          at))
            if differences == DIFFERENCES_SHOWN:
                say('   (what follows is not looked at)')
                return differences
        at += len(value) + 1
    if at != len(printed):
        differences += 1
        say('   DIFFERENT: %s printed %d bytes instead of %d' % (program, len(printed), at))
    say('   %d values, %d bytes: %s' % (
        len(demo.expected), at, 'all equal' if differences == 0 else 'NOT equal'))
    return differences


def compare_number_of_keys(demo):
    printed = output_of(demo.program('memento-cli'), '-p', str(demo.server.port), 'DBSIZE')
    if printed.strip() != b'%d' % len(demo.expected):
        say('   DIFFERENT: the server has %s keys, not %d' % (printed.decode().strip(),
                                                            len(demo.expected)))
        return 1
    return 0


def show_memory(demo, before):
    grown = demo.server.memory_bytes() - before
    data = sum(len(key) + len(value) for key, value in demo.expected.items())
    keys = len(demo.expected)
    say('   %d keys; keys and values are %.1f MB' % (keys, data / 1e6))
    say('   the server grew by %.1f MB: %.1f bytes a key beyond key and value' % (
        grown / 1e6, (grown - data) / keys))


# ---- all of it ----


class Demo:
    """What the steps share."""

    def __init__(self, arguments):
        self.bin = os.path.abspath(arguments.bin)
        self.folder = arguments.folder
        os.makedirs(self.folder, exist_ok=True)
        step('taking the index of packages')
        self.packages = take_packages(arguments.packages)
        self.sections_of_packages = [field(record, b'Section') or b'none'
                                     for record in self.packages.values()]
        self.expected = self.all_that_will_be_stored()
        self.server = None

    def program(self, name):
        """Of this project, or else of the system."""
        own = os.path.join(self.bin, name)
        return own if os.path.exists(own) else name

    def path(self, name):
        return os.path.join(self.folder, name)

    def all_that_will_be_stored(self):
        expected = {}
        for name, record in self.packages.items():
            expected[b'package:' + name] = record
            expected[b'version:' + name] = field(record, b'Version')
        for section, count in collections.Counter(self.sections_of_packages).items():
            expected[b'section:' + section] = b'%d' % count
        return expected

    def run(self):
        """The number of differences."""
        step('starting memento-server')
        self.server = Server(self.program('memento-server'), self.folder)
        try:
            self.server.wait()
            say('   127.0.0.1:%d, pid %d, traces in %s' % (
                self.server.port, self.server.process.pid, self.server.trace_path))
            differences = self.steps()
        finally:
            self.server.kill()
        return differences

    def steps(self):
        before = self.server.memory_bytes()
        step('package:NAME -> its record, through memento-cli --pipe')
        load_records(self)
        step('version:NAME -> its version, through netcat; at the same time %d netcats count '
             'the packages of each section' % COUNTING_CLIENTS)
        load_versions_and_count_sections(self)
        step('what it takes')
        show_memory(self, before)
        differences = compare_number_of_keys(self)
        for program in ('redis-cli', 'memento-cli'):
            step('reading every key back with %s, one request at a time, comparing bytes'
                 % program)
            differences += count_differences(self, program)
        step('killing the server with SIGKILL; another one on what is on disk')
        self.server.kill()
        self.server = Server(self.program('memento-server'), self.folder, goes_on=True)
        self.server.wait()
        differences += compare_number_of_keys(self)
        step('reading every key back once more')
        differences += count_differences(self, 'memento-cli')
        step('ending the server with SIGTERM')
        status = self.server.stop()
        say('   exit status %d' % status)
        return differences + (status != 0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--bin', required=True, help='folder of the programs')
    parser.add_argument('--folder', required=True, help='where files are written')
    parser.add_argument('--packages', type=int, default=0, help='how many; 0 means all')
    arguments = parser.parse_args()
    try:
        differences = Demo(arguments).run()
    except Failed as error:
        say('FAILED: %s' % error)
        sys.exit(1)
    say('%d differences' % differences)
    sys.exit(1 if differences else 0)


if __name__ == '__main__':
    main()
