"""Servers of our own: started on a free loopback port, ended by their pid."""

import os
import shutil
import socket
import subprocess
import tempfile
import time

from redis_resp import BadReply, Connection, Lost

START_SECONDS_MAX = 20
STOP_SECONDS_MAX = 10


class ServerFailed(Exception):
    """A server did not start, or ended while it was needed."""


def free_port():
    """A port that is free, with the one 100 above: a server's cluster bus wants it."""
    for _ in range(100):
        with socket.socket() as first, socket.socket() as second:
            first.bind(('127.0.0.1', 0))
            port = first.getsockname()[1]
            try:
                second.bind(('127.0.0.1', port + 100))
                return port
            except (OSError, OverflowError):
                pass
    raise ServerFailed('no free ports')


class Server:
    """A child process that answers PING on self.address."""
    def __init__(self, name, path, folder):
        self.name = name
        self.path = path
        self.folder = os.path.join(folder, name)
        self.process = None
        self.address = None
        os.mkdir(self.folder)

    def arguments(self, port):
        if is_redis(self.path):
            return [
                '--port',
                str(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no',
                '--dir', self.folder, '--loglevel', 'warning'
            ]
        return ['--port', str(port), '--workers', '2', '--memory-only', 'yes']

    def start(self):
        # Another process may take the port between our look and the server's bind.
        for _ in range(3):
            port = free_port()
            with open(os.path.join(self.folder, 'output'), 'wb') as output:
                self.process = subprocess.Popen([self.path] + self.arguments(port),
                                                cwd=self.folder,
                                                stdin=subprocess.DEVNULL,
                                                stdout=output,
                                                stderr=subprocess.STDOUT)
            self.address = ('127.0.0.1', port)
            if self.is_answering():
                return self
            self.stop()
        raise ServerFailed('%s (%s) does not start:\n%s' %
                           (self.name, self.path, self.output()))

    def is_answering(self):
        limit = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < limit and self.process.poll() is None:
            try:
                connection = Connection(self.address, 2.0)
                try:
                    if connection.ask(b'PING') == ('+', b'PONG'):
                        return True
                finally:
                    connection.close()
            except (OSError, Lost, BadReply):
                pass
            time.sleep(0.05)
        return False

    def ended(self):
        """How the process ended, or None while it runs."""
        code = self.process.poll()
        if code is None:
            return None
        return 'signal %d' % -code if code < 0 else 'exit status %d' % code

    def output(self):
        try:
            with open(os.path.join(self.folder, 'output'), 'rb') as output:
                return output.read()[-4000:].decode('utf-8', 'replace')
        except OSError:
            return ''

    def stop(self):
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Remote:
    """A server that somebody else started, and will stop."""
    def __init__(self, address):
        self.name = 'server'
        self.address = address

    def ended(self):
        return None

    def output(self):
        return ''

    def stop(self):
        pass


def is_redis(path):
    return os.path.basename(path).startswith('redis-server')


class Folder:
    """A temporary folder, gone at the end."""
    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix='compare-with-redis-')
        return self.path

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)
