#!/usr/bin/env python3
"""memento-cli as people and scripts use it: in a pseudo-terminal, in pipes, one command at a
time, against a real server and against one that lies.

    tests/e2e/cli_test.py --server build/release/bin/memento-server \\
        --cli build/release/bin/memento-cli

A server whose name has "redis" in it is started with Redis' options.
"""

import argparse
import codecs
import fcntl
import os
import pty
import re
import select
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
import unicodedata
import unittest

OPTIONS = None
PATIENCE_S = 30     # an upper bound for slow machines; nothing waits that long by itself


def environment(home, **more):
    env = {'HOME': home, 'TERM': 'xterm', 'LANG': 'C.UTF-8', 'PATH': os.environ['PATH']}
    for name in ('ASAN_OPTIONS', 'TSAN_OPTIONS', 'UBSAN_OPTIONS'):
        if name in os.environ:
            env[name] = os.environ[name]
    env.update(more)
    return env


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


class Server:
    """The real one."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.port = free_port()
        if 'redis' in os.path.basename(OPTIONS.server):
            arguments = ['--port', str(self.port), '--bind', '127.0.0.1', '--save', '',
                         '--dir', self.folder.name]
        else:
            arguments = ['-a', '127.0.0.1', '-p', str(self.port), '--memory-only', 'yes']
        self.process = subprocess.Popen(
            [os.path.abspath(OPTIONS.server)] + arguments, cwd=self.folder.name,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                socket.create_connection(('127.0.0.1', self.port)).close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError('the server does not start')
                time.sleep(0.02)

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()


class FakeServer:
    """Answers what the test says: reply(words) gives bytes, or None to close. With `once` it
    closes behind the first answer."""

    def __init__(self, reply, once=False):
        self.reply = reply
        self.once = once
        self.listener = socket.socket()
        self.listener.bind(('127.0.0.1', 0))
        self.listener.listen()
        self.port = self.listener.getsockname()[1]
        self.seen = []
        self.connections = 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    @staticmethod
    def read_request(lines):
        header = lines.readline()
        while header == b'\r\n':       # an empty line is no request
            header = lines.readline()
        if not header.startswith(b'*'):
            return None
        words = []
        for _ in range(int(header[1:])):
            length = int(lines.readline()[1:])
            words.append(lines.read(length + 2)[:-2])
        return words

    def serve(self, connection):
        with connection, connection.makefile('rb') as lines:
            while True:
                words = self.read_request(lines)
                if words is None:
                    return
                self.seen.append(words)
                answer = self.reply(words)
                if answer is None:
                    return
                try:
                    connection.sendall(answer)
                except OSError:
                    return
                if self.once:
                    return

    def stop(self):
        self.listener.close()


class Screen:
    """As much of a terminal as the CLI may count on: it wraps lines late, as all do."""

    def __init__(self, columns, rows):
        self.columns, self.rows = columns, rows
        self.cells = [[' '] * columns for _ in range(rows)]
        self.row = self.column = 0
        self.pending = ''
        self.decoder = codecs.getincrementaldecoder('utf-8')('replace')
        self.unknown = []       # sequences that nobody should send

    def line_feed(self):
        if self.row == self.rows - 1:
            self.cells.pop(0)
            self.cells.append([' '] * self.columns)
        else:
            self.row += 1

    def put(self, char):
        if unicodedata.combining(char):
            return
        width = 2 if unicodedata.east_asian_width(char) in 'WF' else 1
        if self.column + width > self.columns:
            self.column = 0
            self.line_feed()
        self.cells[self.row][self.column] = char
        if width == 2:
            self.cells[self.row][self.column + 1] = ''
        self.column += width

    def erase_below(self):
        row = self.cells[self.row]
        row[self.column:] = [' '] * (self.columns - self.column)
        for index in range(self.row + 1, self.rows):
            self.cells[index] = [' '] * self.columns

    def sequence(self, text):
        number = int(text[2:-1]) if text[2:-1].isdigit() else 1
        if text.endswith('A'):
            self.row = max(0, self.row - number)
        elif text.endswith('C'):
            self.column = min(self.columns - 1, self.column + number)
        elif text == '\x1b[J':
            self.erase_below()
        elif text == '\x1b[H':
            self.row = self.column = 0
        elif text == '\x1b[2J':
            self.cells = [[' '] * self.columns for _ in range(self.rows)]
        elif text not in ('\x1b[90m', '\x1b[0m'):
            self.unknown.append(text)

    def feed(self, data):
        text = self.pending + self.decoder.decode(data)
        self.pending = ''
        at = 0
        while at < len(text):
            char = text[at]
            if char == '\x1b':
                match = re.match(r'\x1b\[[0-9;]*[A-Za-z]', text[at:])
                if match is None:
                    if len(text) - at < 8:
                        self.pending = text[at:]
                        return
                    self.unknown.append(text[at:at + 8])
                    at += 1
                    continue
                self.sequence(match.group())
                at += len(match.group())
                continue
            if char == '\r':
                self.column = 0
            elif char == '\n':
                self.line_feed()
            elif char == '\b':
                self.column = max(0, self.column - 1)
            elif char == '\a':
                pass
            elif ord(char) < 0x20 or 0x7f <= ord(char) < 0xa0:
                self.unknown.append(char)
            else:
                self.put(char)
            at += 1

    def lines(self):
        lines = [''.join(row).rstrip() for row in self.cells]
        while lines and not lines[-1]:
            lines.pop()
        return lines


class Terminal:
    """The CLI in a pseudo-terminal."""

    def __init__(self, arguments, env, columns=80, rows=24):
        self.screen = Screen(columns, rows)
        self.output = b''
        self.at = 0             # up to here has been expected
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                os.execve(os.path.abspath(OPTIONS.cli), ['memento-cli'] + arguments, env)
            finally:
                os._exit(127)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))
        self.status = None

    def resize(self, columns, rows):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))

    def is_usual(self):
        """Keys are echoed, lines are edited by the kernel, Ctrl-C is a signal."""
        wanted = termios.ECHO | termios.ICANON | termios.ISIG
        modes = termios.tcgetattr(self.fd)
        return modes[3] & wanted == wanted and bool(modes[0] & termios.ICRNL)

    def read_more(self, timeout):
        if not select.select([self.fd], [], [], timeout)[0]:
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            data = b''
        self.output += data
        self.screen.feed(data)
        return bool(data)

    def send(self, keys):
        data = keys.encode() if isinstance(keys, str) else keys
        while data:
            self.read_more(0)
            if select.select([], [self.fd], [], 0.1)[1]:
                data = data[os.write(self.fd, data[:512]):]

    def expect(self, text):
        """Waits for the text behind what was expected last; gives what stood before it."""
        wanted = text.encode() if isinstance(text, str) else text
        deadline = time.monotonic() + PATIENCE_S
        while wanted not in self.output[self.at:]:
            if not self.read_more(1) and time.monotonic() > deadline:
                raise AssertionError('%r does not come; there is %r' % (
                    wanted, self.output[self.at:][-2000:]))
            if self.status is None and self.exited():
                while self.read_more(0):
                    pass
                if wanted not in self.output[self.at:]:
                    raise AssertionError('it ended before %r: %r' % (
                        wanted, self.output[self.at:][-2000:]))
        end = self.output.index(wanted, self.at)
        before = self.output[self.at:end]
        self.at = end + len(wanted)
        return before

    def wait_screen(self, right):
        """Waits until right(screen)."""
        deadline = time.monotonic() + PATIENCE_S
        while not right(self.screen):
            if time.monotonic() > deadline:
                raise AssertionError('the screen stays %r, cursor %d %d' % (
                    self.screen.lines(), self.screen.row, self.screen.column))
            self.read_more(0.05)

    def exited(self):
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid == self.pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status is not None

    def wait(self):
        deadline = time.monotonic() + PATIENCE_S
        while not self.exited():
            self.read_more(0.05)
            if time.monotonic() > deadline:
                raise AssertionError('it does not end: %r' % self.output[-500:])
        return self.status

    def close(self):
        if not self.exited():
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.port = str(cls.server.port)

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.home = folder.name
        self.history = os.path.join(self.home, '.memento_history')

    def run_cli(self, *arguments, stdin=b'', port=None, env=None):
        return subprocess.run(
            [OPTIONS.cli, '-p', port or self.port] + list(arguments), input=stdin,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120,
            env=env or environment(self.home))

    def terminal(self, *arguments, columns=80, rows=24, **env):
        terminal = Terminal(list(arguments) or ['127.0.0.1', self.port],
                            environment(self.home, **env), columns, rows)
        self.addCleanup(terminal.close)
        return terminal

    def at_prompt(self, *arguments, **more):
        terminal = self.terminal(*arguments, **more)
        terminal.expect('> ')
        return terminal

    def fake(self, reply, once=False):
        server = FakeServer(reply, once)
        self.addCleanup(server.stop)
        return server


class Scripts(Case):
    """No terminal: raw bytes and exit statuses."""

    def test_a_value_is_printed_as_it_is(self):
        value = bytes(range(256)) + b'\r\n\x1b[2J'
        self.assertEqual(self.run_cli('-x', 'SET', 'bytes', stdin=value).stdout, b'OK\n')
        got = self.run_cli('GET', 'bytes')
        self.assertEqual(got.stdout, value + b'\n')
        self.assertEqual(got.returncode, 0)

    def test_nothing_there_is_an_empty_line(self):
        got = self.run_cli('GET', 'nothing-there')
        self.assertEqual((got.stdout, got.returncode), (b'\n', 0))

    def test_lists_are_one_element_a_line(self):
        self.run_cli('MSET', 'l1', 'a', 'l2', 'b')
        self.assertEqual(self.run_cli('MGET', 'l1', 'none', 'l2').stdout, b'a\n\nb\n')
        self.assertEqual(self.run_cli('-3', 'MGET', 'l1', 'none', 'l2').stdout, b'a\n\nb\n')

    def test_an_error_reply_is_status_1(self):
        got = self.run_cli('-h', '127.0.0.1', 'NOSUCHCOMMAND')
        self.assertEqual(got.returncode, 1)
        self.assertIn(b'unknown command', got.stdout)
        got = self.run_cli('GET')
        self.assertEqual(got.returncode, 1)
        self.assertIn(b'wrong number of arguments', got.stdout)

    def test_typed_and_escaped_on_request(self):
        self.run_cli('SET', 'odd', 'a"b\\\n\x1b]0;x\x07')
        self.assertEqual(self.run_cli('--no-raw', 'GET', 'odd').stdout,
                         b'"a\\"b\\\\\\n\\x1b]0;x\\a"\n')
        self.assertEqual(self.run_cli('--no-raw', 'GET', 'none').stdout, b'(nil)\n')
        self.assertEqual(self.run_cli('--no-raw', 'STRLEN', 'none').stdout, b'(integer) 0\n')

    def test_bad_usage_is_status_2(self):
        for arguments in (['--nosuch'], ['-p', '0'], ['-p', '65536'], ['-p', 'x'], ['-n', '-1'],
                          ['-a'], ['127.0.0.1', '6737x'], ['--pipe', 'GET', 'a'], ['-x']):
            got = self.run_cli(*arguments)
            self.assertEqual(got.returncode, 2, arguments)
            self.assertEqual(got.stdout, b'', arguments)
            self.assertIn(b'--help', got.stderr, arguments)

    def without_a_place(self, *arguments):
        """None of -h, -p, -s, -n."""
        return subprocess.run([OPTIONS.cli] + list(arguments), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
                              env=environment(self.home))

    def test_a_mistyped_command_is_no_host(self):
        for words, text in (
                (['pingg'], b"no command 'pingg'; did you mean PING? "
                            b"(a host: memento-cli -h pingg)"),
                (['GTE', 'a'], b"no command 'GTE'; did you mean GET? (a host: "),
                (['monitor'], b"no command 'monitor'; -p 6737 sends it all the same "
                              b"(a host: memento-cli -h monitor)"),
                (['sort', 'k'], b"no command 'sort'; "), (['--raw', 'monitor'], b"no command 'monitor'; "),
                (['--pipe', 'database1'], b"(a host: memento-cli -h database1)")):
            got = self.without_a_place(*words)
            self.assertEqual((got.returncode, got.stdout), (2, b''), words)
            self.assertIn(text, got.stderr, words)
            self.assertEqual(got.stderr.count(b'\n'), 1, words)
        got = self.without_a_place('somehost', '65536')
        self.assertEqual((got.returncode, got.stdout), (2, b''))
        self.assertIn(b'as it would be a host, 65536 is no port', got.stderr)

    def test_any_word_is_sent_to_a_server_that_is_named(self):
        server = self.fake(lambda words: b'+%s\r\n' % b' '.join(words))
        port = str(server.port)
        for place in (['-p', port], ['-h', '127.0.0.1', '-p', port], ['127.0.0.1', port],
                      ['-p', port, 'localhost'], ['-p', port, '127.0.0.1']):
            for words in (['sort', 'k'], ['lindex', 'k', '0'], ['pingg']):
                got = self.without_a_place(*place, *words)
                self.assertEqual(got.stdout.decode(), ' '.join(words) + '\n', place)
        got = self.without_a_place('-p', port, 'lolwut', '5')      # 5 is no port here
        self.assertEqual(got.stdout, b'lolwut 5\n')

    def test_a_host_has_a_dot_a_colon_or_a_port(self):
        # 2130706433 is 127.0.0.1, a name without a dot that needs no name server.
        port = str(free_port())
        for words, address in ((['localhost', port], b'localhost:'), (['::1', port], b'[::1]:'),
                               (['127.1', port], b'127.1:'),
                               (['2130706433', port], b'2130706433:')):
            got = self.without_a_place(*words, 'PING')
            self.assertEqual((got.returncode, got.stdout), (1, b''), words)
            self.assertIn(b'Could not connect to ' + address + port.encode(), got.stderr, words)

    def test_a_mistyped_option_is_guessed(self):
        self.assertIn(b'did you mean --pipe?', self.run_cli('--piep').stderr)

    def test_no_server_is_status_1(self):
        port = str(free_port())
        got = self.run_cli('GET', 'a', port=port)
        self.assertEqual((got.returncode, got.stdout), (1, b''))
        self.assertIn(b'Could not connect to 127.0.0.1:' + port.encode(), got.stderr)
        self.assertEqual(self.run_cli(stdin=b'GET a\nGET b\n', port=port).returncode, 1)

    def test_host_and_port_may_stand_in_front(self):
        for arguments in (['127.0.0.1', self.port, 'ECHO', 'x'],
                          ['-h', '127.0.0.1', '-p', self.port, 'ECHO', 'x'],
                          ['127.0.0.1', self.port, '-n', '3', 'ECHO', 'x']):
            got = subprocess.run([OPTIONS.cli] + arguments, stdout=subprocess.PIPE,
                                 env=environment(self.home), timeout=60)
            self.assertEqual(got.stdout, b'x\n', arguments)

    def test_the_database_is_chosen(self):
        self.run_cli('-n', '5', 'SET', 'in-five', 'x')
        self.assertEqual(self.run_cli('-n', '5', 'GET', 'in-five').stdout, b'x\n')
        self.assertEqual(self.run_cli('GET', 'in-five').stdout, b'\n')
        self.assertEqual(self.run_cli('-n', '99', 'GET', 'a').returncode, 1)

    def test_lines_from_stdin_get_a_reply_each(self):
        lines = b'SET s "a b"\r\n\nGET s\nSTRLEN s\n'
        got = self.run_cli(stdin=lines)
        self.assertEqual((got.stdout, got.returncode), (b'OK\na b\n3\n', 0))
        got = self.run_cli(stdin=b'GET\nGET s\nquit\nGET s')
        self.assertEqual(got.stdout.splitlines()[1:], [b'a b'])
        self.assertEqual(got.returncode, 1)
        self.assertEqual(self.run_cli(stdin=b'GET "open').returncode, 1)
        self.assertFalse(os.path.exists(self.history))

    def test_help_and_version_need_no_server(self):
        port = str(free_port())
        self.assertIn(b'memento-cli ', self.run_cli('--version', port=port).stdout)
        usage = self.run_cli('--help', port=port)
        self.assertEqual(usage.returncode, 0)
        for option in (b'-h', b'-p', b'-s', b'-a', b'--raw', b'--pipe', b'-n', b'-3'):
            self.assertIn(b'  ' + option + b' ', usage.stdout)
        self.assertIn(b'GETP', self.run_cli('help', port=port).stdout)
        self.assertIn(b'SET key value', self.run_cli('help', 'set', port=port).stdout)
        got = self.run_cli('help', 'gte', port=port)
        self.assertEqual((got.returncode, got.stdout),
                         (1, b'There is no command "gte"; did you mean get? '
                             b'Type help to print the command list.\n'))
        self.assertEqual(self.run_cli('help', 'nothingnear', port=port).stdout,
                         b'There is no command "nothingnear". '
                         b'Type help to print the command list.\n')

    def test_an_unfinished_or_foreign_reply_is_status_1(self):
        for answer in (b'$10\r\nhalf', b'HTTP/1.1 400 Bad Request\r\n\r\n',
                       b'*9223372036854775807\r\n', b'*1152921504606846977\r\n',
                       b'$9223372036854775807\r\n', b'*1\r\n' * 40 + b':1\r\n'):
            server = self.fake(lambda words, answer=answer: answer, once=True)
            got = self.run_cli('GET', 'a', port=str(server.port))
            self.assertEqual((got.returncode, got.stdout), (1, b''), answer)
            self.assertIn(b'Lost the server: ', got.stderr, answer)

    def test_a_reader_that_goes_away_ends_it(self):
        producer = subprocess.Popen(
            [OPTIONS.cli, '-p', self.port], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, env=environment(self.home))
        producer.stdout.close()
        try:
            for _ in range(100000):
                producer.stdin.write(b'ECHO x\n')
                producer.stdin.flush()
        except BrokenPipeError:
            pass
        try:
            producer.stdin.close()
        except BrokenPipeError:
            pass
        self.assertEqual(producer.wait(PATIENCE_S), 1)


class Pipe(Case):
    """--pipe."""

    def test_many_requests_are_counted(self):
        count = 300000
        requests = b''.join(b'*3\r\n$3\r\nSET\r\n$7\r\np%06d\r\n$1\r\nx\r\n' % i
                            for i in range(count))
        got = self.run_cli('--pipe', stdin=requests)
        self.assertEqual(got.stdout.splitlines()[-1], b'errors: 0, replies: %d' % count)
        self.assertEqual((got.returncode, got.stderr), (0, b''))
        self.assertEqual(self.run_cli('GET', 'p%06d' % (count - 1)).stdout, b'x\n')

    def test_text_lines_are_answered_too(self):
        got = self.run_cli('--pipe', stdin=b'SET t 1\r\nINCR t\nGET t')
        self.assertEqual(got.stdout.splitlines()[-1], b'errors: 0, replies: 3')
        self.assertEqual(self.run_cli('GET', 't').stdout, b'2\n')

    def test_errors_are_counted_and_the_first_ten_shown(self):
        self.run_cli('SET', 'word', 'abc')
        got = self.run_cli('--pipe', stdin=b'INCR word\r\n' * 25 + b'GET word\r\n')
        self.assertEqual(got.stdout.splitlines()[-1], b'errors: 25, replies: 26')
        self.assertEqual(got.stderr.count(b'not an integer'), 10)
        self.assertEqual(got.returncode, 1)

    def test_nothing_is_nothing(self):
        got = self.run_cli('--pipe')
        self.assertEqual(got.stdout.splitlines()[-1], b'errors: 0, replies: 0')
        self.assertEqual(got.returncode, 0)


class Editing(Case):
    """What keys do, seen by what reaches the server."""

    KEYS = [
        ('abcd\x1b[D\x1b[DX', 'abXcd'),                   # left
        ('abcd\x1bOD\x1bODX', 'abXcd'),
        ('abcd\x01\x1b[C\x1b[C\x1b[C\x1b[C\x1b[C' '\x06X', 'aXbcd'),  # home, right: "ECHO "
        ('abc\x1b[H\x1b[FX', 'abcX'),                     # Home, End
        ('abc\x1b[1~\x1b[4~X', 'abcX'),
        ('abc\x02\x02\x02\x02\x02\x05X', 'abcX'),          # Ctrl-B, Ctrl-E
        ('abc\x7f\x7fX', 'aX'),                            # Backspace
        ('abc\x08X', 'abX'),
        ('abc\x1b[D\x1b[D\x1b[3~X', 'aXc'),                # Delete
        ('abc\x1b[D\x04X', 'abX'),                         # Ctrl-D
        ('abcd\x1b[D\x1b[D\x0bX', 'abX'),                  # Ctrl-K
        ('abcd\x1b[D\x1b[D\x0b\x19\x19', 'abcdcd'),        # Ctrl-Y
        ('abc def\x17X', 'abc X'),                         # Ctrl-W: see below
        ('a-b\x1b\x7fX', 'a-X'),                           # Alt-Backspace
        ('ab\x14', 'ba'),                                  # Ctrl-T
        ('abc\x1b[D\x14', 'acb'),
        ('a-bc\x1bbX', 'a-Xbc'),                           # Alt-B
        ('a-bc\x1bb\x1bb\x1bfX', 'aX-bc'),                 # Alt-F
        ('a-bc\x1b[1;5DX', 'a-Xbc'),                       # Ctrl-Left
        ('a-bc\x1bb\x1bdX', 'a-X'),                        # Alt-D
        ('nonsense\x15ECHO x', 'x'),                       # Ctrl-U
        ('ab\x1b[15~\x1b[200~\x1b[1;2PX', 'abX'),          # keys nobody knows
        ('h\u00e9\u00e9\x1b[D\x7fX', 'hX\u00e9'),          # whole characters
        ('\u65e5\u672c\u8a9e\x1b[D\x1b[D\x1b[3~X', '\u65e5X\u8a9e'),
        ('ae\u0301b\x1b[D\x7fX', 'aXb'),                   # with what combines
        ('\U0001f600\x7fX', 'X'),
        ('\u00e9a\x14', 'a\u00e9'),
    ]

    def test_keys(self):
        terminal = self.at_prompt()
        for keys, result in self.KEYS:
            quoted = result if ' ' not in result else None
            if quoted is None:      # two words: ECHO would refuse them
                keys, result = keys.replace('abc def', '"abc def'), result
                keys += '"'
            terminal.send('ECHO ' + keys + '\r')
            terminal.expect('\n"%s"\r\n' % result)
            terminal.expect('> ')

    def test_ctrl_c_gives_up_the_line(self):
        terminal = self.at_prompt()
        terminal.send('SET given-up 1\x03')
        terminal.expect('^C')
        terminal.expect('> ')
        terminal.send('EXISTS given-up\r')
        terminal.expect('(integer) 0')

    def test_ctrl_d_and_quit_end_it(self):
        for keys in ('\x04', 'quit\r', 'EXIT\r'):
            terminal = self.at_prompt()
            terminal.send(keys)
            self.assertEqual(terminal.wait(), 0)

    def test_the_terminal_is_left_as_it_was(self):
        for keys in ('\x04', 'ECHO x\rquit\r'):
            terminal = self.at_prompt()
            terminal.send(keys)
            terminal.wait()
            self.assertTrue(terminal.is_usual())

    def test_what_is_typed_ahead_waits(self):
        answer = threading.Event()

        def reply(words):
            if words[0] == b'SLOW':
                answer.wait(PATIENCE_S)
            return b'+%s\r\n' % words[0]
        server = self.fake(reply)
        terminal = self.at_prompt('127.0.0.1', str(server.port))
        terminal.send('SLOW\rNEXTX\x7f\rLAST')
        while not server.seen:
            time.sleep(0.01)
        answer.set()
        terminal.expect('\nSLOW')
        terminal.expect('\nNEXT')
        terminal.send('\r')
        terminal.expect('\nLAST')

    def test_the_banner_and_the_prompt(self):
        terminal = self.terminal()
        terminal.expect('Memento CLI v ')
        terminal.expect('Type h or ? or help to print the command list')
        terminal.expect('127.0.0.1:%s> ' % self.port)

    def test_help_lists_the_commands(self):
        for word in ('h', '?', 'help'):
            terminal = self.at_prompt()
            terminal.send(word + '\r')
            terminal.expect('GETP key')
            terminal.expect('> ')
        terminal.send('help client setname\r')
        terminal.expect('CLIENT SETNAME name')

    def test_tab_completes_command_words(self):
        terminal = self.at_prompt()
        terminal.send('ech\tdone\r')
        terminal.expect('\n"done"')
        terminal.expect('> ')
        terminal.send('EXPIREA\t')
        terminal.wait_screen(lambda screen: 'EXPIREAT ' in screen.lines()[-1])
        terminal.send('\x15client setn\t')
        terminal.wait_screen(lambda screen: 'client setname ' in screen.lines()[-1])
        terminal.send('\x15persi\t\x15rename\t\t')
        terminal.expect('rename')
        terminal.expect('renamenx')

    def test_hints_are_grey_and_go_away(self):
        terminal = self.at_prompt()
        terminal.send('EXPIREAT k ')
        terminal.expect('\x1b[90munix')
        terminal.send('\x15ECHO done\r')
        terminal.expect('\n"done"')
        terminal.wait_screen(lambda screen: not any('[90m' in line or 'message' in line
                                                    for line in screen.lines()))

    def test_the_prompt_tells_the_database_and_the_transaction(self):
        terminal = self.at_prompt()
        terminal.send('SELECT 3\r')
        terminal.expect('[3]> ')
        terminal.send('SELECT 99\r')
        terminal.expect('[3]> ')
        terminal.send('MULTI\r')
        terminal.expect('[3](TX)> ')
        terminal.send('SELECT 4\r')
        terminal.expect('QUEUED')
        terminal.send('EXEC\r')
        terminal.expect('[4]> ')

    def test_a_pasted_script_runs_line_by_line(self):
        terminal = self.at_prompt()
        terminal.send('SET pasted 1\nINCR pasted\nGET pasted\n')
        terminal.expect('\n"2"\r\n')

    def test_a_dumb_terminal_gets_no_sequences(self):
        terminal = self.at_prompt(TERM='dumb')
        terminal.send('ECHO hello\n')
        terminal.expect('"hello"')
        terminal.send('quit\n')
        self.assertEqual(terminal.wait(), 0)
        self.assertNotIn(b'\x1b', terminal.output)


class History(Case):
    def test_up_and_down(self):
        terminal = self.at_prompt()
        for word in ('one', 'two', 'three'):
            terminal.send('ECHO %s\r' % word)
            terminal.expect('\n"%s"' % word)
            terminal.expect('> ')
        terminal.send('ECHO typed\x1b[A\x1b[A\r')
        terminal.expect('\n"two"')
        terminal.expect('> ')
        terminal.send('ECHO typed\x1b[A\x1b[A\x1b[B\x1b[B\r')
        terminal.expect('\n"typed"')

    def test_search(self):
        terminal = self.at_prompt()
        for word in ('alpha-1', 'beta', 'alpha-2', 'gamma'):
            terminal.send('ECHO %s\r' % word)
            terminal.expect('\n"%s"' % word)
            terminal.expect('> ')
        terminal.send('\x12alph\r')
        terminal.expect('\n"alpha-2"')
        terminal.expect('> ')
        terminal.send('\x12alph\x12\x12\r')     # past the same line, just run again
        terminal.expect('\n"alpha-1"')
        terminal.expect('> ')
        terminal.send('ECHO mine\x12beta\x07\r')
        terminal.expect('\n"mine"')
        terminal.expect('> ')
        terminal.send('\x12bet\x05!\r')          # another key ends the search and edits
        terminal.expect('\n"beta!"')

    def test_the_file_is_private_and_read_again(self):
        terminal = self.at_prompt()
        terminal.send('ECHO remember\r')
        terminal.expect('\n"remember"')
        terminal.send('\x04')
        terminal.wait()
        self.assertEqual(stat.S_IMODE(os.stat(self.history).st_mode), 0o600)
        again = self.at_prompt()
        again.send('\x1b[A\r')
        again.expect('\n"remember"')

    def test_passwords_are_not_remembered(self):
        terminal = self.at_prompt()
        for line in ('AUTH hidden-1', 'auth default "hidden-2"', 'HELLO 2 AUTH default hidden-3',
                     'CONFIG SET maxmemory 0 requirepass hidden-4', 'ECHO shown'):
            if line.startswith('CONFIG'):
                line = line.replace('SET', 'SETT')      # never carried out
            terminal.send(line + '\r')
            terminal.expect('\r\n')
            terminal.expect('> ')
        terminal.send('ECHO end\r')
        terminal.expect('\n"end"')
        with open(self.history) as file:
            text = file.read()
        self.assertIn('ECHO shown\n', text)
        self.assertNotIn('hidden', text)

    def test_a_file_that_others_can_read_is_closed_to_them(self):
        with open(self.history, 'w') as file:
            file.write('ECHO old\n')
        os.chmod(self.history, 0o644)
        terminal = self.at_prompt()
        terminal.send('\x1b[A\r')
        terminal.expect('\n"old"')
        self.assertEqual(stat.S_IMODE(os.stat(self.history).st_mode), 0o600)

    def test_a_long_file_is_cut(self):
        with open(self.history, 'w') as file:
            file.writelines('ECHO %d\n' % i for i in range(2500))
        terminal = self.at_prompt()
        terminal.send('\x1b[A\r')
        terminal.expect('\n"2499"')
        self.assertEqual(stat.S_IMODE(os.stat(self.history).st_mode), 0o600)
        with open(self.history) as file:
            self.assertEqual(len(file.readlines()), 1000)
        self.assertEqual(os.listdir(self.home), ['.memento_history'])

    def test_a_link_is_left_alone(self):
        target = os.path.join(self.home, 'target')
        with open(target, 'w') as file:
            file.write('precious\n')
        os.chmod(target, 0o644)
        os.symlink(target, self.history)
        terminal = self.at_prompt()
        terminal.send('ECHO x\r')
        terminal.expect('\n"x"')
        with open(target) as file:
            self.assertEqual(file.read(), 'precious\n')
        self.assertEqual(stat.S_IMODE(os.stat(target).st_mode), 0o644)


class Drawing(Case):
    """What the screen looks like."""

    def prompt_len(self):
        return len('127.0.0.1:%s> ' % self.port)

    def check(self, terminal, text, cursor, columns):
        """The line of the prompt and `text`, wrapped, and the cursor at a cell of the text."""
        whole = '127.0.0.1:%s> %s' % (self.port, text)
        rows = [whole[at:at + columns].rstrip() for at in range(0, len(whole), columns)]
        cell = self.prompt_len() + cursor

        def right(screen):
            lines = screen.lines()
            first = next((i for i, line in enumerate(lines) if line.startswith(rows[0])), -1)
            return (first >= 0 and lines[first:] == rows and screen.row == first + cell // columns
                    and screen.column == cell % columns)
        terminal.wait_screen(right)

    def test_long_lines_wrap(self):
        terminal = self.at_prompt(columns=40)
        text = 'NOHINT ' + ''.join(chr(ord('a') + i % 26) for i in range(100))
        terminal.send(text)
        self.check(terminal, text, len(text), 40)
        terminal.send('\x01')
        self.check(terminal, text, 0, 40)
        terminal.send('X')
        self.check(terminal, 'X' + text, 1, 40)
        terminal.send('\x05\x7f\x7f')
        self.check(terminal, 'X' + text[:-2], len(text) - 1, 40)
        terminal.send('\x15')
        self.check(terminal, '', 0, 40)
        self.assertEqual(terminal.screen.unknown, [])

    def test_a_line_that_ends_with_the_row(self):
        terminal = self.at_prompt(columns=40)
        text = 'x' * (40 - self.prompt_len())
        terminal.send(text)
        self.check(terminal, text, len(text), 40)
        terminal.send('y')
        self.check(terminal, text + 'y', len(text) + 1, 40)
        terminal.send('\x7f\x7f')
        self.check(terminal, text[:-1], len(text) - 1, 40)

    def test_wide_characters_do_not_split(self):
        terminal = self.at_prompt(columns=40)
        fill = 40 - self.prompt_len() - 1
        terminal.send('x' * fill + '\u65e5\u672c')
        terminal.wait_screen(lambda screen: screen.lines()[-1] == '\u65e5\u672c'
                             and screen.column == 4)
        terminal.send('\x1b[D\x1b[D')
        terminal.wait_screen(lambda screen: screen.column == 0)
        terminal.send('\x7f')
        terminal.wait_screen(lambda screen: screen.lines()[-1].endswith('x\u65e5')
                             or screen.lines()[-1] == '\u672c')

    def test_a_line_longer_than_the_screen(self):
        terminal = self.at_prompt(columns=40, rows=10)
        value = ''.join('%04d-' % i for i in range(1000))
        terminal.send('SET longer ' + value)
        terminal.wait_screen(lambda screen: '0999-' in ''.join(screen.lines()))
        terminal.send('\x01')
        terminal.wait_screen(lambda screen: '> SET longer 0000-' in ''.join(screen.lines()))
        terminal.send('\x1b[C' * 500)
        terminal.wait_screen(lambda screen: '0098-' in ''.join(screen.lines()))
        terminal.send('\r')
        terminal.expect('OK\r\n')
        terminal.expect('> ')
        terminal.send('STRLEN longer\r')
        terminal.expect('(integer) 5000')
        self.assertEqual(terminal.screen.unknown, [])

    def test_an_unreadable_line_of_the_history_is_tamed(self):
        with open(self.history, 'wb') as file:
            file.write(b'ECHO "\x1b]0;owned\x07\xe2\x80\xae\xff\x9b"\n')
        terminal = self.at_prompt()
        terminal.send('\x1b[A')
        terminal.expect('ECHO "^[]0;owned^G???"')
        self.assertEqual(terminal.screen.unknown, [])

    def test_ctrl_l_clears(self):
        terminal = self.at_prompt()
        terminal.send('ECHO x\r')
        terminal.expect('\n"x"')
        terminal.send('abc\x0c')
        terminal.wait_screen(lambda screen: screen.lines()
                             == ['127.0.0.1:%s> abc' % self.port])


class Replies(Case):
    """What a server may answer, and what the terminal gets."""

    def shown(self, reply, **env):
        server = self.fake(lambda words: reply)
        terminal = self.at_prompt('127.0.0.1', str(server.port), **env)
        terminal.send('ASK\r')
        terminal.expect('ASK\r')
        while b'\n' not in terminal.output[terminal.at:]:
            terminal.read_more(1)
        terminal.expect('\n')
        text = terminal.expect('\r\x1b[J')
        self.assertEqual(terminal.screen.unknown, [])
        return text.decode().replace('\r\n', '\n')

    def test_types(self):
        for reply, text in (
                (b'+OK\r\n', 'OK'), (b'-ERR no\r\n', '(error) ERR no'),
                (b':-7\r\n', '(integer) -7'),
                (b'$2\r\nab\r\n', '"ab"'), (b'$-1\r\n', '(nil)'), (b'_\r\n', '(nil)'),
                (b'#t\r\n', '(true)'), (b',1.5\r\n', '(double) 1.5'), (b'*0\r\n', '(empty list)'),
                (b'(123\r\n', '(big number) 123'), (b'=6\r\ntxt:ab\r\n', 'ab'),
                (b'|1\r\n+a\r\n+b\r\n:1\r\n', '(integer) 1'),
                (b'*2\r\n:1\r\n*2\r\n$1\r\na\r\n*-1\r\n',
                 '1) (integer) 1\n2) 1) "a"\n   2) (nil)'),
                (b'%2\r\n+a\r\n:1\r\n+b\r\n*2\r\n:1\r\n:2\r\n',
                 '1# a => (integer) 1\n2# b => 1) (integer) 1\n   2) (integer) 2'),
                (b'~1\r\n:1\r\n', '1~ (integer) 1'),
                (b'*10\r\n' + b':1\r\n' * 10,
                 '\n'.join('%2d) (integer) 1' % i for i in range(1, 11)))):
            self.assertEqual(self.shown(reply), text + '\n', reply)

    def test_nothing_takes_over_the_terminal(self):
        # OSC 52 would write the clipboard, OSC 0 the title, CSI 2J wipes; then C1, DEL, text
        # direction, bytes that are no UTF-8, and overlong ESC.
        hostile = (b'\x1b]52;c;aGk=\x07 \x1b]0;t\x1b\\ \x1b[2J \x9b2J \xc2\x9b2J \x7f \xe2\x80\xae'
                   b' \xe2\x81\xa6 \xff \xc1\x9b \xe0\x80\x9b \xc3\xa9')
        safe = ('\\x1b]52;c;aGk=\\a \\x1b]0;t\\x1b%s \\x1b[2J \\x9b2J \\xc2\\x9b2J \\x7f '
                '\\xe2\\x80\\xae \\xe2\\x81\\xa6 \\xff \\xc1\\x9b \\xe0\\x80\\x9b \u00e9')
        bulk = b'$%d\r\n%s\r\n' % (len(hostile), hostile)
        self.assertEqual(self.shown(bulk), '"%s"\n' % (safe % '\\\\'))
        self.assertEqual(self.shown(b'+' + hostile + b'\r\n'), safe % '\\' + '\n')
        self.assertEqual(self.shown(b'-' + hostile + b'\r\n'), '(error) ' + safe % '\\' + '\n')
        self.assertEqual(self.shown(b'=%d\r\ntxt:%s\r\n' % (len(hostile) + 4, hostile)),
                         safe % '\\' + '\n')
        self.assertEqual(self.shown(b'%1\r\n' + bulk + bulk),
                         '1# "%s" => "%s"\n' % (safe % '\\\\', safe % '\\\\'))

    def test_a_terminal_without_utf8_gets_ascii(self):
        self.assertEqual(self.shown(b'$2\r\n\xc3\xa9\r\n', LANG='C'), '"\\xc3\\xa9"\n')

    def test_info_is_printed_as_lines(self):
        text = b'# Server\r\nversion:\x1b[31m1\r\n'
        server = self.fake(lambda words: b'$%d\r\n%s\r\n' % (len(text), text))
        terminal = self.at_prompt('127.0.0.1', str(server.port))
        terminal.send('INFO\r')
        terminal.expect('\n# Server\r\nversion:\\x1b[31m1\r\n')

    def test_errors_of_pipe_are_escaped(self):
        server = self.fake(lambda words: b'+PONG\r\n' if words[0] == b'PING' else
                           b'-ERR \x1b[2J\r\n' if words[0] == b'GET' else
                           b'$20\r\n%s\r\n' % words[1])
        got = self.run_cli('--pipe', stdin=b'*1\r\n$3\r\nGET\r\n', port=str(server.port))
        self.assertEqual(got.stderr, b'ERR \\x1b[2J\n')
        self.assertEqual(got.stdout.splitlines()[-1], b'errors: 1, replies: 1')


class Connections(Case):
    def test_a_lost_connection_is_made_again(self):
        server = self.fake(lambda words: b'$%d\r\n%s\r\n' % (len(words[1]), words[1])
                           if words[0] == b'ECHO' else None)
        terminal = self.at_prompt('127.0.0.1', str(server.port))
        terminal.send('ECHO one\r')
        terminal.expect('\n"one"')
        terminal.send('DIE\r')
        terminal.expect('Lost the server')
        terminal.expect('not connected> ')
        terminal.send('ECHO two\r')
        terminal.expect('\n"two"')
        terminal.expect('127.0.0.1:%d> ' % server.port)
        self.assertEqual(server.connections, 2)
        # What may have been carried out is never sent twice.
        self.assertEqual([words[0] for words in server.seen], [b'ECHO', b'DIE', b'ECHO'])

    def test_one_that_was_closed_meanwhile_is_made_again_before_sending(self):
        close = threading.Event()

        class Closing(FakeServer):
            def serve(self, connection):
                with connection:
                    if self.connections == 1:
                        self.read_request(connection.makefile('rb'))
                        connection.sendall(b'+FIRST\r\n')
                        close.wait(PATIENCE_S)
                        return
                    super().serve(connection)
        server = Closing(lambda words: b'+SECOND\r\n')
        self.addCleanup(server.stop)
        terminal = self.at_prompt('127.0.0.1', str(server.port))
        terminal.send('ASK\r')
        terminal.expect('\nFIRST')
        terminal.expect('> ')
        close.set()
        time.sleep(0.2)     # the end of the connection must have arrived
        terminal.send('ASK\r')
        terminal.expect('The connection was lost; connecting again.')
        terminal.expect('\nSECOND')

    def test_no_server_at_the_start(self):
        port = free_port()
        terminal = self.terminal('127.0.0.1', str(port))
        terminal.expect('Could not connect to 127.0.0.1:%d: Connection refused' % port)
        terminal.expect('not connected> ')
        terminal.send('GET a\r')
        terminal.expect('Could not connect')
        terminal.expect('not connected> ')

    def test_the_database_is_chosen_again(self):
        selected = []

        def reply(words):
            if words[0] == b'SELECT':
                selected.append(words[1])
                return b'+OK\r\n'
            return None if words[0] == b'DIE' else b'+OK\r\n'
        server = self.fake(reply)
        terminal = self.at_prompt('127.0.0.1', str(server.port))
        terminal.send('SELECT 7\r')
        terminal.expect('[7]> ')
        terminal.send('DIE\r')
        terminal.expect('not connected> ')
        terminal.send('ASK\r')
        terminal.expect('[7]> ')
        self.assertEqual(selected, [b'7', b'7'])

    def test_ctrl_c_ends_a_wait(self):
        waiting = threading.Event()

        def reply(words):
            if words[0] == b'WAIT':
                waiting.set()
                return b''
            return b'+OK\r\n'
        server = self.fake(reply)
        terminal = self.at_prompt('127.0.0.1', str(server.port))
        terminal.send('WAIT\r')
        self.assertTrue(waiting.wait(PATIENCE_S))
        time.sleep(0.3)     # the CLI is in its wait, the terminal in its usual state
        terminal.send('\x03')
        terminal.expect('Interrupted')
        terminal.expect('> ')
        terminal.send('ASK\r')
        terminal.expect('\nOK')

    def test_messages_come_until_ctrl_c(self):
        answer = (b'*3\r\n$9\r\nsubscribe\r\n$2\r\nch\r\n:1\r\n'
                  b'*3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$5\r\nhello\r\n')
        server = self.fake(lambda words: answer if words[0] == b'SUBSCRIBE' else b'+OK\r\n')
        terminal = self.at_prompt('127.0.0.1', str(server.port))
        terminal.send('SUBSCRIBE ch\r')
        terminal.expect('3) "hello"\r\n')
        time.sleep(0.3)     # the CLI waits for the next message
        terminal.send('\x03')
        terminal.expect('127.0.0.1:%d> ' % server.port)
        terminal.send('ASK\r')
        terminal.expect('\nOK')


class Passwords(Case):
    def locked(self):
        """A server with a password, and how often each was tried."""
        tried = []
        state = {'open': False}

        def reply(words):
            if words[0].upper() == b'AUTH':
                tried.append(words[-1])
                state['open'] = words[-1] == b'open sesame'
                return b'+OK\r\n' if state['open'] else b'-WRONGPASS invalid password\r\n'
            if not state['open']:
                return b'-NOAUTH Authentication required.\r\n'
            return b'+OPEN\r\n'
        return self.fake(reply), tried

    def test_it_is_asked_for_and_not_shown(self):
        server, tried = self.locked()
        terminal = self.at_prompt('127.0.0.1', str(server.port))
        terminal.send('ASK\r')
        terminal.expect('Password: ')
        terminal.send('wrong\r')
        terminal.expect('WRONGPASS')
        terminal.expect('Password: ')
        terminal.send('open sesamX\x7fe\r')
        terminal.expect('\nOPEN')
        self.assertEqual(tried, [b'wrong', b'open sesame'])
        self.assertNotIn(b'sesam', terminal.output)
        self.assertNotIn(b'wrong', terminal.output)
        terminal.send('\x04')
        terminal.wait()
        with open(self.history, 'rb') as file:
            self.assertEqual(file.read(), b'ASK\n')

    def test_a_dumb_terminal_shows_no_password_either(self):
        server, tried = self.locked()
        terminal = self.at_prompt('127.0.0.1', str(server.port), TERM='dumb')
        terminal.send('ASK\n')
        terminal.expect('Password: ')
        terminal.send('open sesame\n')
        terminal.expect('\nOPEN')
        self.assertEqual(tried, [b'open sesame'])
        self.assertNotIn(b'sesame', terminal.output)
        terminal.expect('> ')
        terminal.send('ASK\n')          # shown again
        terminal.expect('ASK\r\nOPEN')

    def test_one_command_may_ask_too(self):
        server, tried = self.locked()
        terminal = self.terminal('127.0.0.1', str(server.port), 'DBSIZE')
        terminal.expect('Password: ')
        self.assertFalse(terminal.is_usual())
        terminal.send('open sesame\r')
        terminal.expect('OPEN')
        self.assertEqual(terminal.wait(), 0)
        self.assertEqual(tried, [b'open sesame'])
        self.assertTrue(terminal.is_usual())

    def test_it_may_be_withheld(self):
        server, tried = self.locked()
        terminal = self.at_prompt('127.0.0.1', str(server.port))
        terminal.send('ASK\r')
        terminal.expect('Password: ')
        terminal.send('\x03')
        terminal.expect('> ')
        self.assertEqual(tried, [])

    def test_it_comes_from_the_environment(self):
        server, tried = self.locked()
        env = environment(self.home, MEMENTO_AUTH='open sesame')
        got = self.run_cli('DBSIZE', port=str(server.port), env=env)
        self.assertEqual((got.stdout, got.stderr, got.returncode), (b'OPEN\n', b'', 0))
        self.assertEqual(tried, [b'open sesame'])
        got = self.run_cli('DBSIZE', port=str(server.port))
        self.assertEqual(got.returncode, 0)     # the fake stays open
        server, tried = self.locked()
        got = self.run_cli('DBSIZE', port=str(server.port), stdin=b'open sesame\n')
        self.assertEqual((got.stdout, got.returncode),
                         (b'NOAUTH Authentication required.\n', 1))
        env = environment(self.home, MEMENTO_AUTH='wrong')
        got = self.run_cli('DBSIZE', port=str(server.port), env=env)
        self.assertEqual(got.returncode, 1)
        self.assertIn(b'WRONGPASS', got.stderr)

    def test_nobody_sees_it_in_the_process_list(self):
        for arguments, env in ((['-a', 'open sesame'], environment(self.home)),
                               ([], environment(self.home, MEMENTO_AUTH='open sesame'))):
            asked = threading.Event()

            def reply(words):
                if words[0] == b'AUTH':
                    return b'+OK\r\n'
                asked.set()
                return b''
            server = self.fake(reply)
            process = subprocess.Popen(
                [OPTIONS.cli, '-p', str(server.port)] + arguments + ['DBSIZE'], env=env,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            self.assertTrue(asked.wait(PATIENCE_S))
            self.assertIn([b'AUTH', b'open sesame'], server.seen)
            for name in ('cmdline', 'environ'):
                with open('/proc/%d/%s' % (process.pid, name), 'rb') as file:
                    self.assertNotIn(b'sesame', file.read(), name)
            process.kill()
            _, warning = process.communicate()
            self.assertEqual(b'can be seen by others' in warning, bool(arguments))


def main():
    global OPTIONS
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--server', required=True, help='memento-server, or redis-server')
    parser.add_argument('--cli', required=True, help='memento-cli')
    parser.add_argument('--benchmark', help='not used; all tests get the same arguments')
    OPTIONS, rest = parser.parse_known_args()
    OPTIONS.cli = os.path.abspath(OPTIONS.cli)
    unittest.main(argv=[sys.argv[0]] + rest)


if __name__ == '__main__':
    main()
