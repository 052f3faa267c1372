"""Ways out of a sandbox. Each prints ESCAPED when it works, as its control shows without a sandbox."""

import platform
import textwrap
from dataclasses import dataclass
from typing import Literal

Control = Literal["bare", "namespace", "nobody"]
"""How the control runs: as it is; in a PID namespace, where it would do harm else; as an ordinary user."""


@dataclass(frozen=True)
class Probe:
    """One way out.

    `root`: its control works for root only. `confined_by_user`: only a user of its own stops it, which takes
    root. `lines`: shell, or Python.
    """

    name: str
    lines: str
    language: Literal["sh", "py"] = "sh"
    control: Control = "bare"
    root: bool = False
    confined_by_user: bool = False


def sh(name: str, condition: str, **more) -> Probe:
    """A shell command whose success is the escape."""
    return Probe(name, f"if {condition}; then echo ESCAPED; fi", **more)


def py(name: str, body: str, **more) -> Probe:
    """Python that raises `OSError` unless it escapes."""
    lines = (
        "import ctypes, errno, fcntl, mmap, os, signal, socket, stat, sys\n"
        "E = os.environ\n"
        "def call(number, *arguments):\n"
        "    'The error that a call to the kernel ends with; 0 for none.'\n"
        "    libc = ctypes.CDLL(None, use_errno=True)\n"
        "    done = libc.syscall(*map(ctypes.c_long, (number, *arguments)))\n"
        "    return 0 if done != -1 else ctypes.get_errno()\n"
        "def reached(error):\n"
        "    'Whether the call got beyond the filter.'\n"
        "    if error in (errno.EPERM, errno.ENOSYS): raise OSError(error, 'refused')\n"
        "def greeted(address):\n"
        "    with socket.socket(socket.AF_UNIX) as s:\n"
        "        s.connect(address)\n"
        "        s.recv(5)\n"
        "try:\n" + textwrap.indent(textwrap.dedent(body).strip(), "    ") + "\n"
        "except OSError as error:\n    print(error)\nelse:\n    print('ESCAPED')\n"
    )
    return Probe(name, lines, language="py", **more)


_X86 = platform.machine() == "x86_64"
NUMBERS = {
    # name: on x86_64, on aarch64
    "ptrace": (101, 117),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "keyctl": (250, 219),
    "process_vm_readv": (310, 270),
    "userfaultfd": (323, 282),
    "setns": (308, 268),
    "unshare": (272, 97),
    "personality": (135, 92),
    "mount": (165, 40),
    "io_uring_setup": (425, 425),
    "clone3": (435, 435),
    "openat2": (437, 437),
    "pidfd_getfd": (438, 438),
    "open_tree": (428, 428),
}


def number(name: str) -> int:
    return NUMBERS[name][0 if _X86 else 1]


FILES = [
    sh("read a file outside", 'grep -q "$CANARY" "$OUTSIDE/secret"'),
    sh("read a private key", 'grep -q "$CANARY" "$OUTSIDE/home/.ssh/id_ed25519"'),
    sh("write a file outside", 'echo x >>"$OUTSIDE/secret"'),
    sh("make a file outside", 'echo x >"$OUTSIDE/new" && rm "$OUTSIDE/new"'),
    sh("read through a link out of the workspace", 'ln -sfn "$OUTSIDE" out && grep -q "$CANARY" out/secret'),
    sh("write through a link out of the workspace", 'ln -sfn "$OUTSIDE" out && echo x >>out/secret'),
    sh("climb out of the workspace", 'grep -q "$CANARY" "../../../../../..$OUTSIDE/secret"'),
    sh("climb out by the root of this process", 'grep -q "$CANARY" "/proc/self/root$OUTSIDE/secret"'),
    sh(
        "climb out by the root of process 1",
        'grep -q "$CANARY" "/proc/1/root$OUTSIDE/secret"',
        control="namespace",
    ),
    sh("hard-link a file from outside", 'rm -f hard; ln "$OUTSIDE/secret" hard && rm hard'),
    sh("list the folder of the users", 'ls "$OUTSIDE/home/.ssh"'),
    sh("write to the system's programs", "[ -w /usr/bin ]", root=True),
    sh("write to the system's settings", "[ -w /etc ] || [ -w /etc/passwd ]", root=True),
    sh("read the passwords", "[ -r /etc/shadow ]", root=True),
    sh("make a file in the root", "[ -w / ]", root=True),
    sh("see the kernel's objects", "[ -d /sys/kernel ]"),
    py(
        "write to the kernel's settings",
        "os.close(os.open('/proc/sys/kernel/core_pattern', os.O_WRONLY))",
        root=True,
    ),
    sh("make a file among the devices", "[ -w /dev ]", root=True),
    sh("see devices of the machine", "[ -n \"$(find /dev -maxdepth 1 '(' -type b -o -name kmsg ')')\" ]"),
    py(
        "make a device",
        "os.mknod('dev', 0o600 | stat.S_IFBLK, os.makedev(7, 0)); os.unlink('dev')",
        root=True,
    ),
]

PROCESSES = [
    sh(
        "see a process outside",
        'cat /proc/[0-9]*/cmdline 2>&1 | tr "\\0" " " | grep -q "[s]leep $WORD"',
    ),
    py("signal a process outside", "os.kill(int(E['SLEEPER']), 0)"),
    py(
        "signal the process that leads the sandbox",
        "os.kill(2, 0)",
        control="namespace",
        confined_by_user=True,
    ),
    sh("read what leads the sandbox", "[ -r /proc/1/environ ]", control="namespace", confined_by_user=True),
    py(
        "rewrite what leads the sandbox",
        "os.close(os.open('/proc/1/mem', os.O_RDWR))",
        control="namespace",
    ),
    py("trace a process", f"reached(call({number('ptrace')}, 0, 0, 0, 0))", control="namespace"),
    py("read another's memory", f"reached(call({number('process_vm_readv')}, os.getppid(), 0, 0, 0, 0, 0))"),
    py("take another's descriptor", f"reached(call({number('pidfd_getfd')}, -1, 0, 0))"),
]

NETWORK = [
    py("connect to this machine", "socket.create_connection(('127.0.0.1', int(E['PORT'])), 5).recv(5)"),
    py("connect to a socket file", "greeted(E['OUTSIDE'] + '/socket')"),
    py("connect to an abstract socket", "greeted('\\0' + E['ABSTRACT'])"),
    py("open a raw socket", "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)", root=True),
    py("open a packet socket", "socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)", root=True),
    py("listen to the kernel's events", "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 15)"),
]

PRIVILEGES = [
    sh("become root by a setuid program", '[ "$("$TOOLS/id" -u)" = 0 ]', control="nobody", root=True),
    sh("gain privileges at all", "grep -q '^NoNewPrivs:.*0' /proc/self/status"),
    sh("have capabilities", "! grep -q '^CapEff:.*0000000000000000' /proc/self/status", root=True),
    py("leave a setuid file", "open('a', 'w').close(); os.chmod('a', 0o4755); os.unlink('a')"),
    py("make a setuid file", "os.close(os.open('b', os.O_CREAT | os.O_WRONLY, 0o4755)); os.unlink('b')"),
    py("leave a setgid file", "open('c', 'w').close(); os.chmod('c', 0o2755); os.unlink('c')"),
    py("make a setgid file", "os.close(os.open('d', os.O_CREAT | os.O_WRONLY, 0o2755)); os.unlink('d')"),
    py("make a setgid node", "os.mknod('e', 0o102755); os.unlink('e')"),
    sh("mount as root of a user namespace", "unshare --user --map-root-user --mount mount -t tmpfs x /mnt"),
    py("make a user namespace", f"reached(call({number('unshare')}, 0x10000000))", control="namespace"),
    py("make a network namespace", f"reached(call({number('unshare')}, 0x40000000))", root=True),
    py("enter a namespace", f"reached(call({number('setns')}, -1, 0))"),
    py("mount", f"reached(call({number('mount')}, 0, 0, 0, 0, 0))", control="namespace", root=True),
    py("take a tree of mounts", f"reached(call({number('open_tree')}, -1, 0, -1))"),
]

KERNEL = [
    py("load a program into the kernel", f"reached(call({number('bpf')}, -1, 0, 0))"),
    py("watch the machine's performance", f"reached(call({number('perf_event_open')}, 0, 0, -1, -1, 0))"),
    py("use the keyrings", f"reached(call({number('keyctl')}, 0, -3, 0))"),
    py("handle page faults", f"reached(call({number('userfaultfd')}, -1))"),
    py("use io_uring", f"reached(call({number('io_uring_setup')}, 1, 0))"),
    py("start processes by what no filter can read", f"reached(call({number('clone3')}, 0, 0))"),
    py("open files by what no filter can read", f"reached(call({number('openat2')}, -100, 0, 0, 0))"),
    py("change how programs are loaded", f"reached(call({number('personality')}, 0x0400000))"),
    py(
        "type into a terminal",
        """
        try:
            fcntl.ioctl(os.pipe()[0], 0x5412, b'x')
        except OSError as error:
            reached(error.errno)
    """,
    ),
    py(
        "paste into a console",
        """
        try:
            fcntl.ioctl(os.pipe()[0], 0x541C, b'x')
        except OSError as error:
            reached(error.errno)
    """,
    ),
]

if _X86:
    KERNEL.append(
        py(
            "call the kernel as a 32-bit program does",
            """
            code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
            code.write(bytes.fromhex('b814000000cd80c3'))  # mov eax, 20 (getpid); int 0x80; ret
            address = ctypes.addressof(ctypes.c_char.from_buffer(code))
            ctypes.CFUNCTYPE(ctypes.c_int)(address)()
            """,
        )
    )

PROBES = [*FILES, *PROCESSES, *NETWORK, *PRIVILEGES, *KERNEL]
