"""What is done to a ledger on an NFS mount, as data: for the guest that `nfs_guest.py` boots.

Each source is a program behind the prelude of `fault_scenarios.py` and the one below. Its ledger is on the mount of
machine one; `two` gives the same place on the mount of machine two, which has a network and a host name of its own.
"""

from __future__ import annotations

from typing import Final, NamedTuple

PRELUDE: Final = '''
SERVER = Path("/srv/disk") / ledger.parent.name
slowest = 0.0
call_once = call

def call(times=1):
    global slowest
    for _ in range(times):
        began = time.monotonic()
        call_once()
        slowest = max(slowest, time.monotonic() - began)

def calls_for(seconds, every=0.25):
    until, done = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        call(); done += 1
        time.sleep(every)
    return done

def run(*command, check=True):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if check and done.returncode:
        raise SystemExit(f"{command}: {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout + done.stderr

def two(path):
    return Path("/two") / path.relative_to("/one")

def look():
    time.sleep(1.1); call()

def server(threads):
    run("rpc.nfsd", threads)

def export(options):
    run("exportfs", "-o", options + ",no_subtree_check,insecure,fsid=7", "*:/srv/disk")

def network(state):
    run("ip", "link", "set", "server", state)

def later(seconds, command):
    """A child of ours closes what it has of our files, which waits for the server: started before that is away."""
    subprocess.Popen(["sh", "-c", f"sleep {seconds}; {command}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

def spanledger_of(*command):
    return subprocess.Popen([sys.executable, "-m", "spanledger", *map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

def told_by(process):
    return process.communicate()[0].strip()

def spanledger_run(*command):
    return told_by(spanledger_of(*command))

def killed(times, path=None, **settings):
    """Another process makes calls and is killed by SIGKILL right after the last."""
    pid = os.fork()
    if not pid:
        spanledger.instrument(ledger=path or ledger, **settings)
        call(times); os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)

def fill():
    with suppress(OSError), open("/srv/disk/filler", "wb", buffering=0) as filler:
        while True:
            filler.write(bytes(1 << 12))
    os.sync()

def unfill():
    os.unlink("/srv/disk/filler"); os.sync()

def end(**also):
    tell(slowest=slowest, **also)

sink = start()
'''


class Scenario(NamedTuple):
    """What is done, how many calls it makes, how many of them must be lost (`None`: the server decides).

    `mount` is the options of both mounts, `export` those of the export, `disk` what is exported: `big` (2 GB), `small`
    (64 MiB) or `quota` (a user may have 1 MiB). `of` is the machine whose mount the ledger is on.
    """

    name: str
    source: str
    calls: int
    lost: int | None = 0
    mount: str = "vers=4.2"
    export: str = "rw,no_root_squash"
    disk: str = "big"


SOFT: Final = "vers=4.2,soft,timeo=20,retrans=1"
SDKS: Final = """
import boto3, anthropic
def others():
    server_url = {"base_url": url, "api_key": "any", "max_retries": 0}
    anthropic.Anthropic(**server_url).messages.create(model="claude-haiku-4-5", max_tokens=9, messages=[{"role": "user", "content": "hi"}]); count()
    keys = {"aws_access_key_id": "any", "aws_secret_access_key": "any", "region_name": "us-east-1", "endpoint_url": url}
    boto3.client("bedrock-runtime", **keys).converse(modelId="amazon.nova-lite-v1:0", messages=[{"role": "user", "content": [{"text": "hi"}]}]); count()
"""
SEVERAL: Final = (
    SDKS
    + """
def worker():
    call(10); others(); os._exit(0)
call()
workers = [multiprocessing.get_context("fork").Process(target=worker) for _ in range(4)]
[one.start() for one in workers]
sealed = [spanledger_run("seal", two(ledger)) for _ in range(3)]
[one.join() for one in workers]
sealed.append(spanledger_run("seal", two(ledger)))
call(); end(sealed=sealed[-1].split(",")[0], verify=spanledger_run("verify", two(ledger)).splitlines()[0])
"""
)
KILLED: Final = """
killed(20)
said = spanledger_run("seal", two(ledger))
end(sealed=said.split(",")[0])
"""
AWAY: Final = """
call(5); later({seconds}, "{back}"); {away}
done = calls_for({seconds}); time.sleep({wait}); sink._retry_at = 0; call(5)
for _ in range(2): look()
end(calls_while_away=done)
"""
STOPPED: Final = AWAY.replace("{back}", "rpc.nfsd 8").replace("{away}", "server(0)")
CUT: Final = AWAY.replace("{back}", "ip link set server up").replace("{away}", "network('down')")
RACE: Final = """
import random
def race(*command):
    both = [spanledger_of(command[0], path, *command[1:]) for path in (ledger, two(ledger))]
    return [told_by(one) for one in both]
said = []
for _ in range(3):
    for _ in range(4): killed(5)
    said += race("seal")
bad = [text for text in said if "Traceback" in text or "rror" in text]
end(bad=bad[:1], verify=spanledger_run("verify", two(ledger)).splitlines()[0], left=sorted(path.name for path in SERVER.glob("l/.work*")))
"""
QUOTA: Final = """
os.setuid(1000)
while sum(path.stat().st_size for path in ledger.glob("open/*")) < 900 << 10:
    call(100)
"""
FULL: Final = """
sink = start(min_free_mb=0{how}); call(5); look(); fill(); call(5); look(); call(5)
unfill(); sink._retry_at = 0; look(); call(5); look(); end()
"""
CHANGED: Final = """
look(); export("{to}"); call(5); look(); call(5)
export("rw,no_root_squash"); sink._retry_at = 0; look(); call(5); look(); end()
"""
TRIALS: Final = """
environment = {**os.environ, "TMPDIR": str(ledger.parent)}
command = [sys.executable, "/code/benchmarks/kill_trials.py", "append", "--trials", "20"]
told = json.loads(subprocess.run(command, env=environment, capture_output=True, text=True).stdout)
call(); end(acknowledged=told["acknowledged"], missing=told["lost"], doubled=told["doubled"])
"""

SCENARIOS: Final = (
    Scenario("NFSv4.2, 4 processes of three SDKs, sealed meanwhile by a second machine", SEVERAL, 50),
    Scenario("NFSv3, the same", SEVERAL, 50, mount="vers=3"),
    Scenario(
        "NFSv3 with nolock, the same, sealed by the same machine",
        SEVERAL.replace("two(ledger)", "ledger"),
        50,
        mount="vers=3,nolock",
    ),
    Scenario("NFSv4.2, durability=fsync", "sink = start(durability='fsync'); call(20); end()", 20),
    Scenario("NFSv4.2, SIGKILL, then sealed by a second machine", KILLED, 20),
    Scenario("NFSv3, SIGKILL, then sealed by a second machine", KILLED, 20, mount="vers=3"),
    Scenario("NFSv4.2, both machines seal and merge at once, 3 times", RACE, 60),
    Scenario("NFSv4.2, 20 kills of a process that appends as fast as it can", TRIALS, 1),
    Scenario(
        "NFSv4.2 soft (2 s, one retry), the server stopped for 12 s", STOPPED.format(seconds=12, wait=8), -1, None, SOFT
    ),
    Scenario("NFSv4.2 soft (2 s, one retry), the network cut for 12 s", CUT.format(seconds=12, wait=8), -1, None, SOFT),
    Scenario(
        "NFSv3 nolock soft (2 s, one retry), the network cut for 12 s",
        CUT.format(seconds=12, wait=8),
        -1,
        None,
        SOFT.replace("4.2", "3,nolock"),
    ),
    Scenario(
        "NFSv4.2 soft (10 s, one retry), the network cut for 60 s, 4 threads",
        """
call(5); later(60, "ip link set server up"); network("down")
threads = [threading.Thread(target=calls_for, args=(58,)) for _ in range(4)]
[one.start() for one in threads]; [one.join() for one in threads]
time.sleep(10); sink._retry_at = 0; look(); look(); end()
""",
        -1,
        None,
        "vers=4.2,soft,timeo=100,retrans=1",
    ),
    Scenario("NFSv4.2 hard, the server stopped for 8 s", STOPPED.format(seconds=8, wait=1), -1),
    Scenario("NFSv4.2 hard, the network cut for 8 s", CUT.format(seconds=8, wait=1), -1),
    Scenario(
        "the ledger's directory removed by the server and made again",
        "call(); shutil.rmtree(SERVER / 'l'); call(4); look(); call(5); end()",
        11,
        None,
    ),
    Scenario(
        "the segment removed by the same machine (silly rename)",
        "call(); shutil.rmtree(ledger, ignore_errors=True); call(4); left = len(list(SERVER.rglob('.nfs*'))); look(); call(5); end(nfs_files=left)",
        11,
        None,
    ),
    Scenario(
        "a segment held open by a reader while it is sealed, and its day while it is merged",
        """
for _ in range(3): killed(5)
held = [open(path, "rb") for path in ledger.glob("open/*.jsonl")]
spanledger_run("seal", ledger)
held += [open(path, "rb") for path in ledger.glob("charges/*/*.parquet")]
spanledger_run("compact", ledger)
left = len(list(ledger.rglob(".nfs*")))
said = spanledger_run("verify", ledger).splitlines()[0]
shipped = spanledger_run("ship", ledger, folder / "shipped")
rolled = spanledger_run("retain", ledger, "--older-than", "1d")
end(nfs_files=left, verify=said, sent=len(list((folder / "shipped").rglob("*.parquet"))), hidden=len(list((folder / "shipped").rglob(".nfs*"))))
""",
        15,
    ),
    Scenario("64 MiB exported, filled by others, then space again", FULL.format(how=""), 24, None, disk="small"),
    Scenario("the same, durability=fsync", FULL.format(how=", durability='fsync'"), 24, None, disk="small"),
    Scenario(
        "64 MiB exported, less free than is left to the application",
        "call(5); look(); fill(); look(); call(5); unfill(); look(); look(); end()",
        14,
        None,
        disk="small",
    ),
    Scenario(
        "a quota of 1 MiB, reached, never raised",
        QUOTA + "call(400); look(); call(100); look(); end()",
        -1,
        None,
        disk="quota",
    ),
    Scenario(
        "a quota of 1 MiB, reached within the last second of the process",
        QUOTA + "call(400); end()",
        -1,
        None,
        disk="quota",
    ),
    Scenario("root_squash: permission denied", "call(10); end()", 10, 10, export="rw,root_squash"),
    Scenario("a read-only export", "call(10); end()", 10, 10, export="ro,no_root_squash"),
    Scenario("the export made read-only, then writable again", CHANGED.format(to="ro,no_root_squash"), 19, None),
    Scenario("root squashed in the middle, then no more", CHANGED.format(to="rw,root_squash"), 19, None),
)
