"""The servers that compare puts beside one another, and the load generator it asks them with."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD_FOLDERS = ['build/release/bin', 'build/bin', 'bin']
HOST = '127.0.0.1'
START_SECONDS_MAX = 20
STOP_SECONDS_MAX = 60


class Failure(Exception):
    """A measurement that could not be made; the text says why."""


def say(text):
    print(text, file=sys.stderr, flush=True)


def pin_to(cores):
    """For a child between fork and exec."""
    return (lambda: os.sched_setaffinity(0, cores)) if cores else None


def free_port():
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        return sock.getsockname()[1]


# ---- servers ----

class Server:
    """A kind of server: how to start it, and what may be asked of it while it runs."""
    protocol = 'resp2'

    def __init__(self, name, program):
        self.name, self.program = name, program
        self.process = self.port = self.folder = None
        self.seconds_to_answer = None  # from its last start to its first answer

    def command(self, workers, extra, policy, data):
        """Words to start it with; policy None: everything in memory only."""
        raise NotImplementedError

    def version(self):
        answer = subprocess.run([self.program, '--version'], capture_output=True, text=True)
        return answer.stdout.strip().split('\n')[0]

    @contextlib.contextmanager
    def running(self, workers=1, cores=None, extra=(), policy=None, data=None,
                seconds_max=START_SECONDS_MAX):
        """With a data directory of the caller's, or one that goes with the server."""
        self.port = free_port()
        self.folder = tempfile.mkdtemp(prefix='compare-')
        if data is None:
            data = os.path.join(self.folder, 'data')
            os.mkdir(data, mode=0o700)
        command = [str(word) for word in self.command(workers, list(extra), policy, data)]
        with open(os.path.join(self.folder, 'output'), 'wb') as output:
            started = time.monotonic()
            self.process = subprocess.Popen(command, cwd=self.folder, stdout=output,
                                            stderr=output, preexec_fn=pin_to(cores))
        try:
            self.wait_until_ready(started, seconds_max)
            yield self
        finally:
            self.process.terminate()
            try:
                self.process.wait(timeout=STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            shutil.rmtree(self.folder, ignore_errors=True)

    def wait_until_ready(self, started, seconds_max):
        while time.monotonic() < started + seconds_max:
            if self.process.poll() is not None:
                with open(os.path.join(self.folder, 'output'), errors='replace') as output:
                    raise Failure(f'{self.name} did not start: {output.read()[-500:]}')
            try:
                self.count()
                self.seconds_to_answer = time.monotonic() - started
                return
            except OSError:
                time.sleep(0.005)
        raise Failure(f'{self.name} did not answer within {seconds_max} s')

    def connect(self):
        sock = socket.create_connection((HOST, self.port), timeout=10)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def rss(self):
        """Resident bytes."""
        with open(f'/proc/{self.process.pid}/status') as status:
            for line in status:
                if line.startswith('VmRSS:'):
                    return int(line.split()[1]) * 1024
        raise Failure(f'{self.name} has no VmRSS')

    def settled_rss(self):
        """Resident bytes once they rest: what runs in the background has ended."""
        last = self.rss()
        for _ in range(20):
            time.sleep(0.5)
            now = self.rss()
            if abs(now - last) < 64 * 1024:
                return now
            last = now
        return last

    def greet(self, sock):
        """A small request and its answer, so that the connection is really accepted."""
        sock.sendall(b'*1\r\n$4\r\nPING\r\n')
        return sock.recv(100).startswith(b'+PONG')

    def ask(self, *words, seconds_max=10):
        """One request on a connection of its own, and its answer's text; OSError when it is
        refused, as by a server that is still loading."""
        request = f'*{len(words)}\r\n' + ''.join(f'${len(w)}\r\n{w}\r\n' for w in words)
        with self.connect() as sock:
            sock.settimeout(seconds_max)
            sock.sendall(request.encode())
            stream = sock.makefile('rb')
            head = stream.readline().decode()
            if head.startswith('$'):
                return stream.read(int(head[1:])).decode()
        if not head.startswith(('+', ':')):
            raise OSError(f'{self.name} answers {words[0]} with {head!r}')
        return head[1:].strip()

    def count(self):
        """Keys it holds."""
        return int(self.ask('DBSIZE'))

    def info(self):
        """{field: text} of INFO."""
        lines = self.ask('INFO').splitlines()
        return dict(line.split(':', 1) for line in lines if ':' in line)

    def info_number(self, field):
        """None when there is no such field."""
        text = self.info().get(field)
        return None if text is None else float(text)

    def cpu_seconds(self):
        """User and system time of all its threads."""
        with open(f'/proc/{self.process.pid}/stat') as stat:
            fields = stat.read().rpartition(')')[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


class Memento(Server):
    def command(self, workers, extra, policy, data):
        # Compaction only when a section asks for it.
        log = (['--memory-only', 'yes'] if policy is None else
               ['--dir', data, '--fsync-policy', policy, '--compaction-garbage-percent', 0])
        return [self.program, '-a', HOST, '-p', self.port, '--workers', workers,
                '--maxclients', 20000, *log, *extra]


class Redis(Server):
    def command(self, workers, extra, policy, data):
        log = (['--appendonly', 'no'] if policy is None else
               ['--appendonly', 'yes', '--appendfsync', policy,
                '--auto-aof-rewrite-percentage', 0])
        return [self.program, '--bind', HOST, '--port', self.port, '--save', '', *log,
                '--dir', data, '--io-threads', workers, '--maxclients', 20000]


class Memcached(Server):
    protocol = 'memcached'

    def command(self, workers, extra, policy, data):
        user = ['-u', 'root'] if os.geteuid() == 0 else []
        return [self.program, '-l', HOST, '-p', self.port, '-U', 0, '-t', workers,
                '-m', 16384, '-c', 20000, *user]

    def greet(self, sock):
        sock.sendall(b'version\r\n')
        return sock.recv(100).startswith(b'VERSION')

    def count(self):
        with self.connect() as sock:
            sock.sendall(b'stats\r\n')
            for line in sock.makefile('rb'):
                if line.startswith(b'STAT curr_items '):
                    return int(line.split()[2])
                if line.startswith(b'END'):
                    break
        raise OSError(f'{self.name}: no curr_items')


def built(name):
    """Our own program, from where the build puts it, or else from PATH."""
    for folder in BUILD_FOLDERS:
        path = os.path.join(ROOT, folder, name)
        if os.path.exists(path):
            return path
    return name


def find_servers(options):
    """Those that are installed, memento first. A word about each that is not."""
    kinds = {'memento': (Memento, options.memento or built('memento-server')),
             'redis': (Redis, options.redis), 'memcached': (Memcached, options.memcached)}
    servers = []
    for name in options.servers.split(','):
        if name not in kinds:
            raise Failure(f'--servers: {name} is none of {", ".join(kinds)}')
        kind, program = kinds[name]
        path = shutil.which(program)
        if path is None:
            say(f'WARNING: {program} is not installed: {name} is left out')
            continue
        if kind is Memento and 'redis' in os.path.basename(path):
            kind = Redis  # Redis against itself shows how much is noise
        servers.append(kind(name, path))
    if not servers:
        raise Failure('no server to compare')
    return servers


# ---- the load generator ----

class Bench:
    def __init__(self, program, cores):
        self.program, self.cores = program, cores

    def command(self, server, *arguments):
        return [self.program, '-h', HOST, '-p', str(server.port), '--protocol',
                server.protocol, '--json', '--pid', str(server.process.pid),
                *(str(word) for word in arguments)]

    def run(self, server, *arguments):
        answer = subprocess.run(self.command(server, *arguments), capture_output=True,
                                text=True, preexec_fn=pin_to(self.cores))
        if answer.returncode != 0:
            what = answer.stderr.strip() or answer.stdout
            raise Failure(f'load on {server.name} failed: {what[-500:]}')
        return json.loads(answer.stdout)

    @contextlib.contextmanager
    def beside(self, server, *arguments):
        """Runs it until the block ends, and gives a dictionary that has its result then."""
        result = {}
        process = subprocess.Popen(self.command(server, *arguments), stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True,
                                   preexec_fn=pin_to(self.cores))
        try:
            time.sleep(0.2)  # it has connected by then
            yield result
            process.send_signal(signal.SIGTERM)
            output, errors = process.communicate(timeout=60)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if process.returncode != 0:
            raise Failure(f'{" ".join(map(str, arguments))} on {server.name} failed: '
                          f'{errors.strip()[-500:]}')
        result.update(json.loads(output))

    def probing(self, server, keys):
        """One GET of these keys a millisecond, while the block runs."""
        return self.beside(server, '--probe', '-r', keys)


def find_bench(options):
    path = shutil.which(options.benchmark or built('memento-benchmark'))
    if path:
        return path
    raise Failure('memento-benchmark is not built; --benchmark says where it is')
