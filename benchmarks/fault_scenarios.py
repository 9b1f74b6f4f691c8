"""The places and kinds of process that applications run in, as data: what is done there with a metered OpenAI client.

Each source is a program of its own, behind `PRELUDE`. `call` makes calls of the real SDK against a loopback provider and
counts the answers that are what the provider sent; `tell` says how it ended.
"""

from __future__ import annotations

from typing import NamedTuple

PRELUDE = """
import json, multiprocessing, os, resource, shutil, signal, socket, subprocess, sys, threading, time
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path
from openai import OpenAI
import spanledger
from spanledger import _faults, _meter
from spanledger.sinks import ledger as sinks
ledger, folder, url = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
WORKER = "import json, os, sys; sys.argv = ['x', *json.loads(os.environ['ARGUMENTS'])]; exec(open('prelude.py').read())"
right = folder / "right"

@cache
def client_of(pid):
    return OpenAI(base_url=url + "/v1", api_key="any", max_retries=0)

def call(times=1):
    for _ in range(times):
        answer = client_of(os.getpid()).responses.create(model="gpt-5-mini", input="hello")
        if answer.output_text == "The loopback provider says hello to you." and answer.usage.input_tokens > 0:
            count()

waiting = []

def count():  # from any process, and here where no file can be opened
    try:
        with right.open("ab", buffering=0) as file:
            file.write(b".")
    except OSError:
        waiting.append(1)

def child(*_):
    if not _meter.describe()["metering"]:
        spanledger.instrument(ledger=ledger)
    call(5)

def start(**settings):
    spanledger.instrument(ledger=ledger, **settings)
    return next(sink for sink in _meter.meter.sinks if isinstance(sink, sinks.LedgerSink))

def seal():
    sealing = [sys.executable, "-m", "spanledger", "seal", str(ledger)]
    return subprocess.run(sealing, check=True, capture_output=True, text=True).stdout.split(",")[0]

def look_now():
    if sink._segment:
        sink._segment.look_at = 0

def mount(place, *options):
    place.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", *options, "none", str(place)], check=True)

def fill_disk():
    with suppress(OSError), open(ledger / "filler", "wb", buffering=0) as filler:
        while True:
            filler.write(bytes(1 << 12))

def get(path):
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(str(path))
        asking.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
        return b"".join(iter(lambda: asking.recv(4096), b"")).rpartition(b"\\r\\n\\r\\n")[2].decode()

def serve(command, path, times):
    environment = {**os.environ, "ARGUMENTS": json.dumps(sys.argv[1:])}
    server = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not listens(path):
        time.sleep(0.05)
    for _ in range(times):
        get(path)
    server.terminate()
    server.wait()

def listens(path):
    with socket.socket(socket.AF_UNIX) as asking:
        return asking.connect_ex(str(path)) == 0

def tell(**also):
    _meter.meter.flush()
    print(json.dumps({"right": right.stat().st_size + len(waiting), "lost": _faults.snapshot()["lost"], **also}), flush=True)

if __name__ == "__main__":
    sink = start()
"""


class Scenario(NamedTuple):
    """What is done, in a process of its own, and how many calls it makes in all of its processes.

    `lost` is how many of them the ledger must not have, `None` where the kernel decides. `needs` is `mount` for a name
    space of mounts, or a library; `file_system` is one of `file_systems.py`. Where the ledger's place is gone
    afterwards, the program leaves a copy in `out`.
    """

    name: str
    source: str
    calls: int
    lost: int | None = 0
    needs: str = ""
    file_system: str = ""


def _main(source: str) -> str:
    body = "\n    ".join(source.strip().splitlines())
    return f"if __name__ == '__main__':\n    {body}\n"


SCENARIOS = (
    Scenario("plain process", "call(10); tell()", 10),
    Scenario("durability=fsync", "sink = start(durability='fsync'); call(10); tell()", 10),
    Scenario(
        "os.fork, both sides go on",
        "call(5)\npid = os.fork()\nif not pid:\n    call(5); os._exit(0)\nos.waitpid(pid, 0)\ncall(5); tell()",
        15,
    ),
    Scenario(
        "os.fork in a thread while others call",
        """
call()
threads = [threading.Thread(target=call, args=(100,)) for _ in range(3)]
[thread.start() for thread in threads]
def forking():
    pid = os.fork()
    if not pid:
        call(5); os._exit(0)
    os.waitpid(pid, 0)
forker = threading.Thread(target=forking); forker.start(); forker.join()
[thread.join() for thread in threads]
tell()
""",
        306,
    ),
    *(
        Scenario(
            f"multiprocessing, {method}",
            _main(f"""
call(5)
workers = [multiprocessing.get_context('{method}').Process(target=child) for _ in range(3)]
[worker.start() for worker in workers]; [worker.join() for worker in workers]
tell()
"""),
            20,
        )
        for method in ("fork", "spawn", "forkserver")
    ),
    Scenario(
        "process pool",
        _main("with ProcessPoolExecutor(2) as pool:\n    list(pool.map(child, range(4)))\ncall(); tell()"),
        21,
    ),
    Scenario(
        "gunicorn, pre-fork with preload",
        """
(folder / "app.py").write_text(WORKER + '''
call()
def application(environ, start_response):
    call()
    start_response("200 OK", [("Content-Length", "0")])
    return []
''')
command = [sys.executable, "-m", "gunicorn", "--preload", "-w", "2", "-b", f"unix:{folder}/s", "app"]
serve(command, folder / "s", 10)
tell()
""",
        11,
        needs="gunicorn",
    ),
    Scenario(
        "uvicorn, two workers, async client",
        """
(folder / "app.py").write_text(WORKER + '''
from openai import AsyncOpenAI
client = AsyncOpenAI(base_url=url + "/v1", api_key="any", max_retries=0)
async def application(scope, receive, send):
    if scope["type"] != "http":
        return
    answer = await client.responses.create(model="gpt-5-mini", input="hello")
    if answer.output_text == "The loopback provider says hello to you.":
        count()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})
''')
command = [sys.executable, "-m", "uvicorn", "--workers", "2", "--lifespan", "off", "--uds", f"{folder}/s", "app:application"]
serve(command, folder / "s", 10)
tell()
""",
        10,
        needs="uvicorn",
    ),
    Scenario(
        "celery, prefork",
        """
(folder / "tasks.py").write_text(WORKER + '''
from celery import Celery
places = {name: str(folder / name) for name in ("queue", "results", "control")}
for place in places.values():
    os.makedirs(place, exist_ok=True)
transport = {"data_folder_in": places["queue"], "data_folder_out": places["queue"], "control_folder": places["control"]}
app = Celery("tasks", broker="filesystem://", backend="file://" + places["results"])
app.conf.broker_transport_options = transport
@app.task
def ask():
    call()
''')
environment = {**os.environ, "ARGUMENTS": json.dumps(sys.argv[1:])}
command = [sys.executable, "-m", "celery", "-A", "tasks", "worker", "-P", "prefork", "-c", "2"]
worker = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
asking = "import tasks; waiting = [tasks.ask.delay() for _ in range(10)]; [one.get(timeout=60) for one in waiting]"
subprocess.run([sys.executable, "-c", asking], cwd=folder, env=environment, check=True)
worker.terminate(); worker.wait()
tell()
""",
        10,
        needs="celery",
    ),
    Scenario(
        "a sub-interpreter",
        """
try:
    import _interpreters
    made = _interpreters.create("legacy")
except ImportError:
    import _xxsubinterpreters as _interpreters
    made = _interpreters.create(isolated=False)
try:
    refused = str(_interpreters.run_string(made, "import spanledger"))
except Exception as error:
    refused = str(error)
at = refused.index("spanledger runs")
call(10); tell(refused=refused[at:at + 45])
""",
        10,
    ),
    Scenario("no directory above", "call(10); tell()", 10),
    Scenario("a file where the ledger should be", "ledger.write_text(''); call(10); tell()", 10, lost=10),
    Scenario(
        "permission denied",
        "ledger.mkdir(); (ledger / 'open').mkdir(); (ledger / 'open').chmod(0o500); ledger.chmod(0o500)\n"
        "import encodings.idna; os.geteuid() or os.setresuid(65534, 65534, 65534)\ncall(10); tell()",
        10,
        lost=10,
    ),
    Scenario("a read-only file system", "mount(ledger, '-o', 'ro'); call(10); tell()", 10, lost=10, needs="mount"),
    Scenario(
        "less free on the disk than is left to the application",
        """
mount(ledger, "-o", "size=40m")
call(5)
(ledger / "filler").write_bytes(bytes(20 << 20)); look_now(); call(5)
(ledger / "filler").unlink(); look_now(); call(5)
shutil.copytree(ledger, folder / "out"); tell()
""",
        15,
        lost=5,
        needs="mount",
    ),
    Scenario(
        "a disk with no byte free, then space again",
        """
mount(ledger, "-o", "size=1m"); sink = start(min_free_mb=0)
call(5); fill_disk(); call(20)
(ledger / "filler").unlink(); sink._retry_at = 0; call(5)
sink.flush(); shutil.copytree(ledger, folder / "out"); tell()
""",
        30,
        lost=None,
        needs="mount",
    ),
    Scenario(
        "quota: a write takes only a part, then space again",
        """
call(3)
size = sink.segment.stat().st_size
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, hard)); call()
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard)); call(3); tell()
""",
        7,
        lost=1,
    ),
    Scenario(
        "no descriptor free for a segment, then some",
        """
call(); sink.close()
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
lowest = os.dup(0); os.close(lowest)
resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard)); call(5)
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard)); sink._retry_at = 0; call(5); tell()
""",
        11,
        lost=5,
    ),
    Scenario(
        "every descriptor closed, as daemons do",
        "call(5); client_of.cache_clear(); os.closerange(3, 4096); call(5); tell()",
        10,
    ),
    Scenario(
        "the segment's descriptor closed, its number a file of the application's",
        """
call(5); number = sink._segment.fd
os.close(number); own = os.open(folder / "own", os.O_CREAT | os.O_WRONLY); assert own == number
look_now(); call(5); os.write(own, b"mine"); os.close(own); sink.close()
tell(own=(folder / "own").read_text())
""",
        10,
    ),
    Scenario(
        "directory deleted under the process",
        "call(); shutil.rmtree(ledger); call(4); look_now(); call(5); tell()",
        10,
        lost=5,
    ),
    Scenario(
        "clock jumps back a day",
        "call(3); real = time.time_ns; time.time_ns = lambda: real() - 86_400_000_000_000\n"
        "look_now(); call(3); sink.close(); call(4); tell()",
        10,
    ),
    Scenario(
        "nowhere to put a temporary file",
        """
def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd="/proc").stdout
run("mount", "--bind", str(folder), "/mnt")
for place in filter(os.path.isdir, ("/tmp", "/var/tmp", "/usr/tmp")):
    run("mount", "--bind", place, place), run("mount", "-o", "remount,bind,ro", place)
ledger = Path("/mnt/l"); right = Path("/mnt/right"); os.chdir("/proc"); os.environ.pop("TMPDIR", None)
sink = start(); call(10); sink.close()
sealed = run(sys.executable, "-m", "spanledger", "seal", str(ledger))
asked = run(sys.executable, "-m", "spanledger", "report", "--by", "model", str(ledger))
tell(sealed=sealed.split(" of ")[0], reported="gpt-5-mini" in asked)
""",
        10,
        needs="mount",
    ),
    Scenario(
        "frozen and thawed (SIGSTOP, SIGCONT)",
        "call(3)\nif not os.fork():\n    time.sleep(0.3); os.kill(os.getppid(), signal.SIGCONT); os._exit(0)\n"
        "os.kill(os.getpid(), signal.SIGSTOP); call(7); tell()",
        10,
    ),
    Scenario(
        "AWS Lambda: ship on flush, frozen, thawed, then gone with its disk",
        """
sink = start(ship_to=str(folder / "out"))
call(3); spanledger.flush()
if not os.fork():
    time.sleep(0.3); os.kill(os.getppid(), signal.SIGCONT); os._exit(0)
os.kill(os.getpid(), signal.SIGSTOP)
call(7); spanledger.flush(); tell(); shutil.rmtree(ledger)
""",
        10,
        needs="fsspec",
    ),
    Scenario(
        "a file system without locks (ENOLCK), sealed meanwhile",
        """
call(5); sealed = seal(); call(5); tell(sealed=sealed)
""",
        10,
        needs="cc",
        file_system="no locks",
    ),
    Scenario(
        "a file system that takes a row and refuses it later, as NFS does, then no more",
        """
call(5); (folder / "refused").write_text(str(sink.segment.stat().st_size)); call(5); look_now(); call(5)
(folder / "refused").unlink(); sink._retry_at = 0; call(5); sink.flush(); tell()
""",
        20,
        lost=10,
        needs="cc",
        file_system="refuses later",
    ),
    Scenario(
        "locks as NFS has them, killed, then sealed",
        """
pid = os.fork()
if not pid:
    call(5); os.kill(os.getpid(), signal.SIGKILL)
os.waitpid(pid, 0); sealed = seal(); call(5); tell(sealed=sealed)
""",
        10,
        needs="cc",
        file_system="locks as NFS",
    ),
    Scenario(
        "segment rotated by age while threads call",
        """
sinks.ROTATE_SECONDS = 0.0
threads = [threading.Thread(target=call, args=(50,)) for _ in range(4)]
[thread.start() for thread in threads]
while any(thread.is_alive() for thread in threads):
    look_now(); time.sleep(0.002)
[thread.join() for thread in threads]
assert len(list(ledger.glob('open/*'))) > 1; tell()
""",
        200,
    ),
)
