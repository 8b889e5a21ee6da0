"""What the tests of the whole server share: servers of their own, small clients, cases.

A test file holds functions named `case_...`, each taking the arguments of the command line,
and ends with `server.main(__name__)`. Every case starts the servers it needs on free ports of
the loopback interface, in a temporary folder, and ends them by pid. No case asserts a time:
where something has to happen by itself, the case polls for it and gives up generously late.
"""

import argparse
import contextlib
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))

# Far more than any of it takes; sanitizers and a busy machine included.
PATIENCE_S = 60

# Servers keep no data unless a case names a directory; with `--log` on the command line of a test
# they all write a log, in their temporary folder.
IN_MEMORY = ['--memory-only', 'yes']
WITH_LOG = ['--log-segment-size', '1mb']


class Failed(Exception):
    """A case found something that must not be."""


class Skipped(Exception):
    """This machine lacks what the case is about; the reason is printed."""


def check(condition, message, *details):
    if not condition:
        raise Failed(message % details if details else message)


def check_equal(got, wanted, what):
    if got != wanted:
        raise Failed('%s: got %s, wanted %s' % (what, shortened(got), shortened(wanted)))


def shortened(value):
    text = repr(value)
    return text if len(text) <= 500 else '%s... (%d characters)' % (text[:500], len(text))


def wait_until(question, what, seconds=PATIENCE_S):
    """Polls `question` until it is true; what it gives is handed on."""
    limit = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > limit:
            raise Failed('waited in vain until %s' % what)
        time.sleep(0.01)


def free_port():
    """A port that is free here and 100 above (which memento keeps for the cluster bus)."""
    while True:
        with socket.socket() as sock:
            sock.bind(('127.0.0.1', 0))
            port = sock.getsockname()[1]
        if 20000 <= port <= 65435:
            return port


# ---- replies ----


class ErrorReply(str):
    """The text of an error reply."""


class Simple(str):
    """A status such as OK."""


class Push(list):
    """A message that the server sent unasked (RESP3)."""


class Lost(Exception):
    """The server closed the connection."""


class Client:
    """A blocking RESP client, with access to the bytes for those who want to misbehave."""

    def __init__(self, address, timeout=PATIENCE_S, receive_buffer=None):
        family = socket.AF_INET
        if isinstance(address, str):
            family = socket.AF_UNIX
        elif ':' in address[0]:
            family = socket.AF_INET6
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        if receive_buffer is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(timeout)
        try:
            self.sock.connect(address)
        except OSError:
            self.sock.close()
            raise
        if family != socket.AF_UNIX:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def close(self):
        self.sock.close()

    def end_sending(self):
        self.sock.shutdown(socket.SHUT_WR)

    def send_bytes(self, data):
        self.sock.sendall(data)

    def send(self, *words):
        self.send_bytes(encode(*words))

    def ask(self, *words):
        self.send(*words)
        return self.read()

    def pipeline(self, requests):
        """Sends all requests in one write, reads all replies."""
        self.send_bytes(b''.join(encode(*words) for words in requests))
        return [self.read() for _ in requests]

    def receive(self):
        try:
            data = self.sock.recv(1 << 18)
        except ConnectionResetError as error:
            raise Lost('connection reset') from error
        except TimeoutError as error:
            raise Failed('no reply within %d s; read so far: %s' %
                         (self.sock.gettimeout(), shortened(bytes(self.buffer)))) from error
        if not data:
            raise Lost('closed by the server')
        self.buffer += data

    def read_line(self):
        """Without its end."""
        searched = 0
        while True:
            at = self.buffer.find(b'\n', searched)
            if at >= 0:
                line = bytes(self.buffer[:at])
                del self.buffer[:at + 1]
                return line[:-1] if line.endswith(b'\r') else line
            searched = len(self.buffer)
            self.receive()

    def read_exactly(self, count):
        while len(self.buffer) < count:
            self.receive()
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data

    def read_to_end(self):
        """All that comes until the server closes."""
        with contextlib.suppress(Lost):
            while True:
                self.receive()
        data = bytes(self.buffer)
        self.buffer.clear()
        return data

    def is_quiet(self):
        """True when nothing is there to be read at this moment."""
        if self.buffer:
            return False
        self.sock.setblocking(False)
        try:
            data = self.sock.recv(1, socket.MSG_PEEK)
            return not data
        except BlockingIOError:
            return True
        finally:
            self.sock.settimeout(PATIENCE_S)

    def read(self):
        line = self.read_line()
        kind, rest = line[:1], line[1:]
        if kind == b'+':
            return Simple(rest.decode('latin-1'))
        if kind == b'-':
            return ErrorReply(rest.decode('latin-1'))
        if kind == b':':
            return int(rest)
        if kind == b'$':
            return self.read_bulk(int(rest))
        if kind == b'*':
            count = int(rest)
            return None if count < 0 else [self.read() for _ in range(count)]
        return self.read_resp3(kind, rest)

    def read_bulk(self, size):
        if size < 0:
            return None
        data = self.read_exactly(size + 2)
        check(data[-2:] == b'\r\n', 'a bulk string does not end in \\r\\n')
        return data[:-2]

    def read_resp3(self, kind, rest):
        if kind == b'_':
            return None
        if kind == b'#':
            return rest == b't'
        if kind == b',':
            return float(rest)
        if kind == b'=':
            return self.read_bulk(int(rest))[4:]
        if kind == b'%':
            # In the order of the request, keys may be anything that can be hashed.
            pairs = [(self.read(), self.read()) for _ in range(int(rest))]
            return dict(pairs)
        if kind == b'~':
            return [self.read() for _ in range(int(rest))]
        if kind == b'>':
            return Push(self.read() for _ in range(int(rest)))
        raise Failed('not a reply: %s' % shortened(kind + rest))


def word(value):
    if isinstance(value, bytes):
        return value
    return str(value).encode('latin-1')


def encode(*words):
    parts = [b'*%d\r\n' % len(words)]
    for value in words:
        data = word(value)
        parts.append(b'$%d\r\n%s\r\n' % (len(data), data))
    return b''.join(parts)


# ---- servers ----


class Server:
    """A memento-server of our own. `options` go to its command line.

    Use it in a `with`: at the end it is sent SIGTERM and has to exit with status 0, which is
    also how a sanitizer's findings become failures."""

    persistence = IN_MEMORY

    def __init__(self, path, *options, port=None, descriptors=None, listen=True):
        self.path = os.path.abspath(path)
        self.folder = tempfile.mkdtemp(prefix='memento-e2e-')
        self.output_path = os.path.join(self.folder, 'output')
        self.options = [str(option) for option in options]
        self.fixed_port = port
        self.descriptors = descriptors
        self.listen = listen
        self.port = None
        self.process = None
        self.exit_status = None

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.kill()
            shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def __exit__(self, *unused):
        try:
            if self.process is not None and self.process.poll() is None:
                self.stop()
            elif self.exit_status is None:
                raise Failed('the server ended by itself, status %s:\n%s' % (
                    self.process and self.process.returncode, self.output()))
        finally:
            self.kill()
            shutil.rmtree(self.folder, ignore_errors=True)

    def arguments(self):
        arguments = [self.path]
        if not {'--dir', '--memory-only'} & set(self.options):
            arguments += Server.persistence
        if self.listen:
            arguments += ['--port', str(self.port)]
            if '--bind' not in self.options and '-a' not in self.options:
                arguments += ['--bind', '127.0.0.1']
        return arguments + self.options

    def limit_descriptors(self):
        if self.descriptors is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (self.descriptors, self.descriptors))

    def start(self):
        # Somebody else may take the port between our look and the server's bind.
        for _ in range(5):
            self.port = self.fixed_port or (free_port() if self.listen else 0)
            with open(self.output_path, 'wb') as output:
                self.process = subprocess.Popen(self.arguments(), cwd=self.folder,
                                                stdin=subprocess.DEVNULL, stdout=output,
                                                stderr=subprocess.STDOUT,
                                                preexec_fn=self.limit_descriptors)
            if self.wait_for_listening():
                return self
            if 'cannot listen' not in self.output() or self.fixed_port:
                break
        raise Failed('the server does not start:\n%s' % self.output())

    def wait_for_listening(self):
        limit = time.monotonic() + PATIENCE_S
        while time.monotonic() < limit:
            if self.process.poll() is not None:
                self.exit_status = self.process.returncode
                return False
            if not self.listen:
                if 'listening on' in self.output() and (
                        self.is_in_memory() or '] - ready' in self.output()):
                    return True
            else:
                with contextlib.suppress(OSError):
                    socket.create_connection(self.address, 1).close()
                    return self.is_in_memory() or self.wait_for_data()
            time.sleep(0.01)
        return False

    def is_in_memory(self):
        return '--memory-only' in self.arguments()

    def wait_for_data(self):
        """The port is open while the data is still loaded. Its trace says when that is done; a
        server that traces elsewhere or less is asked, which counts as an error reply of it."""
        asked_from = time.monotonic() + 2
        def is_loaded():
            if self.process.poll() is not None or '] - ready' in self.output():
                return True
            if time.monotonic() < asked_from:
                return False
            try:
                with self.client() as client:
                    return not str(client.ask('PING')).startswith('LOADING')
            except (OSError, Lost):
                return False
        wait_until(is_loaded, 'the data is loaded')
        self.exit_status = self.process.poll()
        return self.exit_status is None

    def unix_path(self):
        return os.path.join(self.folder, 'socket')

    @property
    def address(self):
        host = '127.0.0.1'
        for option, value in zip(self.options, self.options[1:]):
            if option in ('--bind', '-a'):
                host = value.split()[0]
        return (host, self.port)

    @property
    def pid(self):
        return self.process.pid

    def client(self, **options):
        return Client(self.address, **options)

    def output(self):
        try:
            with open(self.output_path, encoding='utf-8', errors='replace') as file:
                return file.read()[-20000:]
        except OSError:
            return ''

    def stop(self, how=signal.SIGTERM):
        """Ends it; anything but exit status 0 is a failure."""
        self.process.send_signal(how)
        self.wait_for_end()

    def wait_for_end(self):
        try:
            self.exit_status = self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired as error:
            raise Failed('the server did not end:\n%s' % self.output()) from error
        check(self.exit_status == 0, 'the server ended with status %d:\n%s',
              self.exit_status, self.output())

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    # What the kernel knows about it.

    def cpu_seconds(self):
        with open('/proc/%d/stat' % self.pid, encoding='ascii') as file:
            fields = file.read().rpartition(')')[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')

    def rss_bytes(self):
        with open('/proc/%d/statm' % self.pid, encoding='ascii') as file:
            return int(file.read().split()[1]) * os.sysconf('SC_PAGESIZE')

    def descriptors_open(self):
        return len(os.listdir('/proc/%d/fd' % self.pid))

    # What it tells of itself.

    def info(self, *sections):
        with self.client() as client:
            return read_info(client.ask('INFO', *sections))


def read_info(text):
    """INFO's lines as a dictionary."""
    lines = text.decode('latin-1').split('\r\n')
    return dict(line.split(':', 1) for line in lines if ':' in line and line[0] != '#')


def is_sanitized(path):
    """True for a build with ASan or TSan, which is slower and takes more memory."""
    with open(path, 'rb') as file:
        return re.search(rb'__(asan|tsan)_init', file.read()) is not None


def run(command, *, data=None, cwd=None, seconds=PATIENCE_S, **options):
    """Runs a program to its end: its CompletedProcess, output in bytes."""
    try:
        return subprocess.run([str(part) for part in command], input=data, cwd=cwd,
                              stdin=None if data is not None else subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=seconds, check=False, **options)
    except subprocess.TimeoutExpired as error:
        raise Failed('%s did not end; it printed %s %s' %
                     (command, shortened(error.stdout), shortened(error.stderr))) from error


def need_program(name):
    path = shutil.which(name)
    if path is None:
        raise Skipped('%s is not installed' % name)
    return path


# ---- cases ----


def parse_arguments():
    parser = argparse.ArgumentParser()
    for name in ('server', 'cli', 'benchmark'):
        parser.add_argument('--' + name, default=os.path.join(
            ROOT, 'build', 'release', 'bin', 'memento-' + name))
    parser.add_argument('--only', default='', help='run the cases whose name contains this')
    parser.add_argument('--log', action='store_true', help='servers write a log')
    arguments, unknown = parser.parse_known_args()
    for name in ('server', 'cli', 'benchmark'):
        setattr(arguments, name, os.path.abspath(getattr(arguments, name)))
    if arguments.log:
        Server.persistence = WITH_LOG
    if unknown:
        print('not understood and ignored: %s' % ' '.join(unknown))
    return arguments


def run_case(name, case, arguments):
    """'ok', 'FAIL' or 'skip'."""
    try:
        case(arguments)
    except Skipped as reason:
        print('skip  %s: %s' % (name, reason), flush=True)
        return 'skip'
    except Exception as error:  # pylint: disable=broad-except
        print('FAIL  %s: %s' % (name, error or type(error).__name__), flush=True)
        if not isinstance(error, Failed):
            traceback.print_exc(file=sys.stdout)
        return 'FAIL'
    print('ok    %s' % name, flush=True)
    return 'ok'


def main(module_name, more_cases=()):
    """Runs the `case_...` functions of the module in their order, then `more_cases`, pairs of
    a name and a function."""
    if module_name != '__main__':
        return
    arguments = parse_arguments()
    cases = [(name[len('case_'):].replace('_', ' '), function)
             for name, function in vars(sys.modules[module_name]).items()
             if name.startswith('case_')]
    results = [run_case(name, case, arguments) for name, case in cases + list(more_cases)
               if arguments.only in name]
    skipped = results.count('skip')
    print('%d passed, %d failed%s' % (results.count('ok'), results.count('FAIL'),
                                      ', %d skipped' % skipped if skipped else ''))
    sys.exit(1 if 'FAIL' in results or not results else 0)
