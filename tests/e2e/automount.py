"""Is to autofs(5) what systemd is: waits at a folder, mounts when somebody looks, unmounts when told to. Usage: automount.py FOLDER SOURCE

The kernel lets the process group of this script through, and holds up everybody else, until the mount is there. Ends with 0 when mounting
and expiring worked, and prints what the programs said."""
import ctypes, fcntl, os, struct, subprocess, sys, threading

folder, source = sys.argv[1:]
READY, FAIL, EXPIRE_DIRECT, MISSING_DIRECT = 0x9360, 0x9361, 6, 5
EXPIRE_MULTI, EXPIRE_IMMEDIATE = 0x40049366, 1
libc = ctypes.CDLL(None, use_errno=True)
os.setpgid(0, 0)
reader, writer = os.pipe()
options = f"fd={writer},pgrp={os.getpgrp()},minproto=5,maxproto=5,direct"
if libc.mount(b"automount", folder.encode(), b"autofs", 0, options.encode()) != 0:
    sys.exit(f"autofs cannot be mounted: {os.strerror(ctypes.get_errno())}")
os.close(writer)
root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)

def answer(kind, program, limit):
    """Waits for a question of the kernel, of this kind, runs the program and tells the kernel that it is done."""
    packet = os.read(reader, 4096)
    version, asked, token = struct.unpack_from("=iiI", packet)
    assert (version, asked) == (5, kind), (version, asked)
    try:
        done = subprocess.run(program, timeout=limit).returncode
    except subprocess.TimeoutExpired:
        done = "no end"
    fcntl.ioctl(root, READY if done == 0 else FAIL, token)
    if done != 0:
        sys.exit(f"{program}: {done}")

# Somebody of another group looks.
looking = subprocess.Popen(["sh", "-c", 'touch "$0"/file && ls "$0"', folder], start_new_session=True, stdout=subprocess.PIPE)
answer(MISSING_DIRECT, ["mount", "-t", "walrusfs", source, folder], 100)
print("looked:", looking.communicate(timeout=60)[0].decode().split())
assert looking.returncode == 0

# Nobody looks any more.
expired = []
def expire():
    expired.append(fcntl.ioctl(root, EXPIRE_MULTI, struct.pack("i", EXPIRE_IMMEDIATE)))
thread = threading.Thread(target=expire, daemon=True)
thread.start()
answer(EXPIRE_DIRECT, ["umount", folder], 100)
thread.join(60)
assert expired, "the kernel still waits"
print("expired")
os.close(root)
assert libc.umount2(folder.encode(), 2) == 0
