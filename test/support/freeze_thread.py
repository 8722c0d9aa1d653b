# freeze_thread.py TID: stops one thread of a process, until this program ends.
import ctypes
import signal
import sys

PTRACE_SEIZE, PTRACE_INTERRUPT = 0x4206, 0x4207

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long] * 4
for request in (PTRACE_SEIZE, PTRACE_INTERRUPT):
    if libc.ptrace(request, int(sys.argv[1]), 0, 0) != 0:
        sys.exit(f'ptrace fails by errno {ctypes.get_errno()}')
print('frozen', flush=True)
signal.pause()
