#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The lanes of scripts/test.

  scripts/test [--long] [--only PATTERN] [--list]

PATTERN is `LANE,LANE...`, or `LANE/REGEX`, or a REGEX on the names of tests. Lanes:
  format        clang-format over all C
  build/...     gcc, clang, sanitized (gcc with ASan and UBSan), fuzz (clang)
  layering/...  forbidden and allowed pairs, rules on the sources
  schema/...    sample configurations against config/*.schema.json and postern -t
  operations/...  metrics, alerts, dashboard, man pages, unit, completion
  lint/...      clang-tidy, a result for each file
  unit/... unit-asan/...   Criterion programs of tests/unit
  sim/... sim-asan/...     two stacks on a virtual wire, a line for each seed
  tsan/...      publication and reclaim on plain threads under ThreadSanitizer
  fuzz/...      each fuzzer for ten seconds (--long: five minutes)
  e2e/...       real peers; see tests/e2e
  e2e-asan/...  the same with the sanitized gateway (--long)
  matrix/...    crypto and TLS against newer suites' OpenSSL, unpacked beside (--long)
Build directories are build-test/<name> and are kept; logs are in build-test/logs,
begun anew each time. The last line is `N passed, N failed`.
"""

import argparse
import concurrent.futures
import fcntl
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OUT = f"{ROOT}/build-test"
LOGS = f"{OUT}/logs"
CPUS = os.cpu_count() or 1

# gcc is the build that is shipped; the others are for their warnings or their checks, and
# optimised no more than those need.
BUILDS = {
    "gcc": ({"CC": "gcc"}, []),
    "clang": ({"CC": "clang"}, ["-Doptimization=0", "-Ddebug=false"]),
    "sanitized": ({"CC": "gcc"}, ["-Db_sanitize=address,undefined", "-Doptimization=1"]),
    "fuzz": ({"CC": "clang"}, ["-Dfuzzers=true", "-Dtests=false", "-Db_lundef=false",
                               "-Db_sanitize=address,undefined", "-Doptimization=1"]),
}
SANITIZER_ENV = {"ASAN_OPTIONS": "abort_on_error=0:detect_leaks=1",
                 "LSAN_OPTIONS": f"suppressions={ROOT}/tests/support/lsan.supp:print_suppressions=0",
                 "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"}


class Results:
    def __init__(self, only):
        self.only = re.compile(only)
        self.passed = self.failed = 0
        self.lock = threading.Lock()

    def wants(self, name):
        return bool(self.only.search(name))

    def add(self, name, ok, detail="", always=False):
        if not (always or self.wants(name)):
            return
        with self.lock:
            self.passed += bool(ok)
            self.failed += not ok
            word = "ok" if ok else "FAILED"
            print(f"{word} {name}" + (f": {detail}" if detail else ""), flush=True)


children = set()


def execute(cmd, log, timeout, env=None, cwd=ROOT, line=None):
    """Runs to the end, or kills its session after the timeout; the exit status, or None
    for a timeout. Output goes to the log, and each line to line()."""
    os.makedirs(os.path.dirname(log), exist_ok=True)
    with open(log, "a", encoding="utf-8", errors="replace") as f:
        f.write(f"$ {' '.join(map(str, cmd))}\n")
        f.flush()
        p = subprocess.Popen([str(c) for c in cmd], cwd=cwd, stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             env={**os.environ, "LC_ALL": "C.UTF-8", **(env or {})},
                             start_new_session=True)
        children.add(p)
        late = threading.Event()

        def expire():
            late.set()
            finish(p)
        timer = threading.Timer(timeout, expire)
        timer.start()
        try:
            for raw in p.stdout:
                text = raw.decode("utf-8", "replace")
                f.write(text)
                if line:
                    line(text.rstrip("\n"))
            p.wait()
        finally:
            timer.cancel()
            children.discard(p)
        if late.is_set():
            f.write(f"killed after {timeout} s\n")
            return None
        return p.returncode


def finish(p, grace=20):
    """SIGTERM so that it can clean up, then SIGKILL for its session: all ours."""
    for sig, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, 5)):
        try:
            (p.send_signal if sig == signal.SIGTERM else lambda s: os.killpg(p.pid, s))(sig)
            p.wait(patience)
            return
        except (subprocess.TimeoutExpired, ProcessLookupError):
            continue


# ---- builds ----

class Builds:
    """Each build is made once, when a lane first asks for it."""

    def __init__(self, results):
        self.results, self.done = results, {}

    def get(self, name):
        """The build directory, or None when it does not build (which is then a failure)."""
        if name not in self.done:
            self.done[name] = self._make(name)
        return self.done[name]

    def _make(self, name):
        env, opts = BUILDS[name]
        path, log = f"{OUT}/{name}", f"{LOGS}/build-{name}.log"
        rc = 0
        if not os.path.exists(f"{path}/build.ninja"):
            shutil.rmtree(path, ignore_errors=True)
            rc = execute(["meson", "setup", path, ROOT, *opts], log, 120, env)
        if rc == 0:
            rc = execute(["ninja", "-C", path], log, 900, env)
        self.results.add(f"build/{name}", rc == 0, log if rc else "", always=rc != 0)
        return path if rc == 0 else None


# ---- lanes; each takes (results, builds, args) ----

def c_files(*dirs):
    return sorted(f for d in dirs for f in glob.glob(f"{ROOT}/{d}/**/*.[ch]", recursive=True))


def lane_format(res, _builds, _args):
    log = f"{LOGS}/format.log"
    files = c_files("lib", "drivers", "app", "tests", "bench")
    rc = execute(["clang-format", "--dry-run", "--Werror", *files], log, 120)
    res.add("format", rc == 0, log if rc else "")


def lane_build(res, builds, _args):
    for name in BUILDS:
        if res.wants(f"build/{name}"):
            builds.get(name)


def relay_lines(res, lane=None):
    """Passes on a sub-runner's lines, under the lane's name; notes come with their result."""
    seen, notes = [0], []

    def line(text):
        m = re.match(r"(ok|FAILED) (\S+?):? *(?: (.*))?$", text)
        if m:
            seen[0] += 1
            name = m.group(2) if lane is None else f"{lane}/{m.group(2).split('/', 1)[1]}"
            with res.lock:
                print("".join(f"{n}\n" for n in notes), end="")
                notes.clear()
            res.add(name, m.group(1) == "ok", m.group(3) or "")
        elif text.startswith(("skipped ", "    ")):
            notes.append(text)
            if text.startswith("skipped "):
                with res.lock:
                    print("\n".join(notes), flush=True)
                    notes.clear()
    line.seen = seen
    return line


def lane_layering(res, builds, args):
    path = builds.get("gcc")
    if not path:
        return
    line, log = relay_lines(res), f"{LOGS}/layering.log"
    rc = execute([f"{ROOT}/tests/layering/run", path], log, 300, line=line)
    if rc not in (0, 1) or not line.seen[0]:
        res.add("layering/run", False, log, always=True)


def lane_operations(res, builds, args):
    path = builds.get("gcc")
    if not path:
        return
    line, log = relay_lines(res), f"{LOGS}/operations.log"
    rc = execute([f"{ROOT}/tests/operations/run", path, args.regex], log, 300, line=line)
    if rc not in (0, 1) or (not line.seen[0] and not args.regex):
        res.add("operations/run", False, log, always=True)


def lane_matrix(res, _builds, args):
    if not args.long:
        return
    line, log = relay_lines(res), f"{LOGS}/matrix.log"
    rc = execute([f"{ROOT}/tests/matrix/run", "--build", f"{OUT}/matrix"], log, 3600, line=line)
    if rc not in (0, 1):
        res.add("matrix/run", False, f"exit {rc}: {log}", always=True)


def lane_schema(res, builds, _args):
    import jsonschema
    schemas = glob.glob(f"{ROOT}/config/*.schema.json")
    res.add("schema/there_is_one", len(schemas) == 1, "" if len(schemas) == 1 else str(schemas))
    if len(schemas) != 1:
        return
    with open(schemas[0], encoding="utf-8") as f:
        schema = json.load(f)
    cls = jsonschema.validators.validator_for(schema)
    try:
        cls.check_schema(schema)
        res.add("schema/is_a_schema", True)
    except jsonschema.SchemaError as e:
        res.add("schema/is_a_schema", False, e.message)
        return
    # The table of models is no configuration; the parser's own tests read it.
    samples = [f for f in sorted(glob.glob(f"{ROOT}/config/*.json"))
               if f not in schemas and os.path.basename(f) != "models.json"]
    res.add("schema/there_are_samples", bool(samples))
    with open(f"{ROOT}/README.md", encoding="utf-8") as f:
        blocks = re.findall(r"^```json\n(.*?)^```$", f.read(), re.S | re.M)
    res.add("schema/readme_has_an_example", bool(blocks))
    docs = [("README", b) for b in blocks]
    for path in samples:
        with open(path, encoding="utf-8") as f:
            docs.append((os.path.basename(path), f.read()))
    for name, text in docs:
        doc = json.loads(text)
        errors = [f"{'/'.join(map(str, e.path))}: {e.message}"
                  for e in cls(schema).iter_errors(doc)]
        res.add(f"schema/accepts_{name}", not errors, "; ".join(errors[:3]))
        # The schema refuses what the program refuses: an unknown key, a wrong type.
        res.add(f"schema/refuses_unknown_key_in_{name}",
                not cls(schema).is_valid({**doc, "frobnicate": 1}))
        res.add(f"schema/refuses_wrong_type_in_{name}",
                not cls(schema).is_valid({**doc, "listeners": 25}))
    path = builds.get("gcc")
    if not path:
        return
    log = f"{LOGS}/config-doc.log"
    rc = execute([f"{ROOT}/scripts/config-doc", "--check"], log, 60, {"BUILD": path})
    res.add("schema/and_reference_match_the_tables", rc == 0, log if rc else "")
    # Parser and schema, one changed value after the other.
    line, log = relay_lines(res, "schema"), f"{LOGS}/schema.log"
    rc = execute([f"{ROOT}/tests/e2e/schema_test"], log, 120, {"BUILD": path}, line=line)
    if rc not in (0, 1) or not line.seen[0]:
        res.add("schema/run", False, f"exit {rc}: {log}", always=True)


def lane_lint(res, builds, _args):
    path = builds.get("clang")
    if not path:
        return
    with open(f"{path}/compile_commands.json", encoding="utf-8") as f:
        files = sorted({os.path.realpath(os.path.join(path, c["file"])) for c in json.load(f)})
    mine = [f for f in files if f.startswith(tuple(f"{ROOT}/{d}/" for d in ("lib", "drivers", "app")))]

    def tidy(f):
        rel = os.path.relpath(f, ROOT)
        log = f"{LOGS}/lint/{rel.replace('/', '_')}.log"
        rc = execute(["clang-tidy", "--quiet", "-p", path, f], log, 240)
        res.add(f"lint/{rel}", rc == 0, log if rc else "")
    with concurrent.futures.ThreadPoolExecutor(CPUS) as pool:
        list(pool.map(tidy, [f for f in mine if res.wants(f"lint/{os.path.relpath(f, ROOT)}")]))


def criterion(res, program, lane, env, timeout):
    """One Criterion program: a result for each of its tests."""
    name = os.path.basename(program).replace("unit_", "")
    log = f"{LOGS}/{lane}-{name}.log"
    with tempfile.NamedTemporaryFile() as tap:
        rc = execute([program, f"-j{CPUS}", f"--tap={tap.name}"], log, timeout, env)
        text = tap.read().decode("utf-8", "replace")
    # Criterion passes a test whose process leaked.
    with open(log, encoding="utf-8", errors="replace") as f:
        if "ERROR: LeakSanitizer" in f.read():
            res.add(f"{lane}/{name}", False, f"leaks: {log}", always=True)
    tests = re.findall(r"^(ok|not ok) - (\S+)", text, re.M)
    for ok, test in tests:
        good = ok == "ok"
        res.add(f"{lane}/{name}/{test.replace('::', '/')}", good, "" if good else log)
    # A program that crashed, or ran nothing, is a failure even if no test says so.
    if not tests or (rc != 0 and all(ok == "ok" for ok, _ in tests)):
        res.add(f"{lane}/{name}", False, f"exit {rc}: {log}", always=True)


def unit(build, lane, env=None):
    def run(res, builds, args):
        path = builds.get(build)
        if not path:
            return
        programs = sorted(p for p in glob.glob(f"{path}/tests/unit/*/unit_*")
                          if os.access(p, os.X_OK) and os.path.isfile(p))
        if len(programs) < 10:  # a library's tests were not built
            res.add(f"{lane}/programs", False, ", ".join(programs), always=True)
        for p in programs:
            criterion(res, p, lane, {**(env or {}), **({"PST_LONG": "1"} if args.long else {})},
                      7200 if args.long else 600)
    return run


# 100 MB each way over a wire that loses one frame in ten.
BAD_WIRE = ["--bytes", "1e8", "--loss", "10", "--dup", "2", "--reorder", "5"]


def sim_runs(long, lane):
    """The simulator's command lines. Under the sanitizers fewer seeds and bytes."""
    if lane.endswith("asan") and not long:
        small = ["--bytes", "1e7", *BAD_WIRE[2:], "--seeds", "3"]
        return [small, [*small, "--v6"], ["--scene", "all"]]
    n = 250 if long else 25
    return [[*BAD_WIRE, "--seeds", n], [*BAD_WIRE, "--v6", "--first", n + 1, "--seeds", n],
            ["--scene", "all", "--seeds", 20 if long else 3]]


def sim(build, lane, env=None):
    def run(res, builds, args):
        path = builds.get(build)
        if not path:
            return
        for k, opts in enumerate(sim_runs(args.long, lane)):
            log = f"{LOGS}/{lane}-{k}.log"
            line = sim_lines(res, lane, "--v6" in opts)
            rc = execute([f"{path}/tests/sim/sim", *opts], log, 7200 if args.long else 600, env,
                         line=line)
            if rc != 0 and not line.failed[0]:
                res.add(f"{lane}/exit", False, f"exit {rc}: {log}", always=True)
            elif not line.seen[0]:
                res.add(f"{lane}/seeds", False, f"no seed was run: {log}", always=True)
    return run


def sim_lines(res, lane, v6):
    """Lines like `seed 1: ok ...` and `SCENE seed 1 v4: ok ...`; else a fault after the colon."""
    seen, failed = [0], [0]

    def line(text):
        m = re.match(r"(?:(\S+) )?seed (\d+)(?: (v[46]))?: (.*)", text)
        if m:
            ok = m.group(4).split(" ")[0] == "ok"
            seen[0] += 1
            failed[0] += not ok
            name = f"{m.group(1) or 'bulk'}_{m.group(3) or ('v6' if v6 else 'v4')}_seed_{m.group(2)}"
            res.add(f"{lane}/{name}", ok, "" if ok else m.group(4))
    line.seen, line.failed = seen, failed
    return line


def lane_tsan(res, builds, _args):
    """The real program must pass, and must fail when what it proves is taken away."""
    path = builds.get("gcc")
    if not path:
        return
    for program, name, args, good in (
            ("publish", "publication_on_plain_threads", [], True),
            ("publish", "would_see_a_publication_that_does_not_wait", ["--without-waiting"],
             False),
            ("publish", "would_see_a_reclaim_that_does_not_count", ["--without-counting"], False),
            ("names", "names_on_plain_threads", [], True),
            ("names", "would_see_an_answer_freed_too_early", ["--without-waiting"], False),
            ("names", "would_see_a_completion_without_order", ["--without-releasing"], False),
            ("bell", "lcores_sleep_and_wake_on_plain_threads", [], True),
            ("bell", "would_see_a_sleeper_that_does_not_look_again", ["--without-looking"], False),
            ("bell", "would_see_a_bell_that_rings_too_early", ["--ringing-first"], False)):
        log = f"{LOGS}/tsan-{name}.log"
        # A race that is there shows when threads meet in it: on a busy machine not each time.
        for _ in range(1 if good else 5):
            rc = execute([f"{path}/tests/tsan/tsan_{program}", *args], log, 300,
                         {"TSAN_OPTIONS": "halt_on_error=1"})
            if rc != 0:
                break
        ok = rc == 0 if good else rc not in (0, None)
        res.add(f"tsan/{name}", ok, "" if ok else f"exit {rc}: {log}")


def lane_fuzz(res, builds, args):
    path = builds.get("fuzz")
    if not path:
        return
    programs = sorted(p for p in glob.glob(f"{path}/tests/fuzz/fuzz_*")
                      if os.access(p, os.X_OK) and os.path.isfile(p))
    seconds = 300 if args.long else 10

    def one(p):
        name = os.path.basename(p)[5:]
        log = f"{LOGS}/fuzz-{name}.log"
        seeds = f"{ROOT}/tests/fuzz/corpus/{name}"
        with tempfile.TemporaryDirectory() as corpus:
            cmd = [p, f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=2048",
                   f"-artifact_prefix={LOGS}/fuzz-{name}-", "-print_final_stats=1", corpus]
            if os.path.isdir(seeds):
                cmd.append(seeds)
            rc = execute(cmd, log, seconds + 120, SANITIZER_ENV)
        res.add(f"fuzz/{name}", rc == 0, log if rc else "")
    wanted = [p for p in programs if res.wants(f"fuzz/{os.path.basename(p)[5:]}")]
    with concurrent.futures.ThreadPoolExecutor(CPUS) as pool:
        list(pool.map(one, wanted))
    if len(programs) < 4:
        res.add("fuzz/four_fuzzers", False, f"only {len(programs)} were built")


def e2e(build, lane, env=None):
    """The end-to-end cases; with the sanitized gateway only when the run is a long one."""
    def run(res, builds, args):
        if lane != "e2e" and not args.long:
            return
        path = builds.get(build)
        if not path:
            return
        cmd = [f"{ROOT}/tests/e2e/run", "--build", path, "--logs", f"{LOGS}/{lane}"]
        only = args.regex.replace(lane, "e2e", 1)
        if lane != "e2e" and not only:
            only = "^e2e/(?!five_thousand)"  # ASan's own memory is what it would measure
        cmd += ["--only", only] if only else []
        cmd += ["--long"] if args.long else []
        with tempfile.TemporaryDirectory() as claims:
            cmd += ["--claims", claims]

            def runner(n):
                line, log = relay_lines(res, lane), f"{LOGS}/{lane}-{n}.log"
                rc = execute([*cmd, "--name", f"pst{n}"], log, 7200 if args.long else 1500, env,
                             line=line)
                if rc not in (0, 1) or (rc == 1 and not line.seen[0]):
                    res.add(f"{lane}/run", False, f"exit {rc}: {log}", always=True)
            # Most of a case is waiting: two at a time, each in namespaces of its own.
            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                list(pool.map(runner, range(1 if only else 2)))
        if lane == "e2e":
            net_alone(res, path)
    return run


def net_alone(res, path):
    """lib/net against a Linux host, without the rest of the gateway."""
    line, log = relay_lines(res), f"{LOGS}/net_smoke.log"
    cmd = [f"{ROOT}/tests/e2e/net_smoke", "--build", path]
    rc = execute([*cmd, "--only", res.only.pattern] if res.only.pattern else cmd, log, 300,
                 line=line)
    if rc not in (0, 1):
        res.add("e2e/net_smoke", False, f"exit {rc}: {log}", always=True)


LANES = [
    ("format", lane_format),
    ("build", lane_build),
    ("layering", lane_layering),
    ("schema", lane_schema),
    ("operations", lane_operations),
    ("unit", unit("gcc", "unit")),
    ("unit-asan", unit("sanitized", "unit-asan", SANITIZER_ENV)),
    ("sim", sim("gcc", "sim")),
    ("sim-asan", sim("sanitized", "sim-asan", SANITIZER_ENV)),
    ("tsan", lane_tsan),
    ("fuzz", lane_fuzz),
    ("e2e", e2e("gcc", "e2e")),
    ("e2e-asan", e2e("sanitized", "e2e-asan", SANITIZER_ENV)),
    ("lint", lane_lint),
    ("matrix", lane_matrix),
]


class Only:
    """--only: `LANE,LANE`, `LANE/REGEX`, or a REGEX on the names of tests."""

    def __init__(self, text):
        names = [n for n, _ in LANES]
        lane, slash, rest = text.partition("/")
        if not text:
            self.lanes, self.regex = names, ""
        elif slash and lane in names:
            self.lanes, self.regex = [lane], f"^{lane}/.*(?:{rest})"
        elif all(n in names for n in text.split(",")):
            self.lanes, self.regex = text.split(","), ""
        else:
            self.lanes = [n for n in names if n not in ("format", "build", "lint")]
            self.regex = text


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--long", action="store_true")
    p.add_argument("--only", default="")
    p.add_argument("--list", action="store_true", help="name the lanes")
    args = p.parse_args()
    if args.list:
        print("\n".join(n for n, _ in LANES))
        return 0
    if os.geteuid() != 0:
        sys.exit("scripts/test: must be root: the end-to-end cases make network namespaces")

    def stop(*_):
        for c in list(children):
            finish(c)
        os._exit(130)
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGHUP, stop)

    os.makedirs(OUT, exist_ok=True)
    lock = os.open(f"{OUT}/lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.exit(f"scripts/test: another run is using {OUT}")
    shutil.rmtree(LOGS, ignore_errors=True)
    os.makedirs(LOGS)
    only = Only(args.only)
    res = Results(only.regex)
    args.regex = only.regex
    builds = Builds(res)
    for name, lane in LANES:
        if name not in only.lanes:
            continue
        began = time.monotonic()
        try:
            lane(res, builds, args)
        except Exception as e:  # the harness itself failed: never a silent pass
            res.add(f"{name}/harness", False, f"{type(e).__name__}: {e}", always=True)
        print(f"  {name}: {time.monotonic() - began:.0f} s", flush=True)
    if res.failed:
        print(f"logs are in {LOGS}")
    print(f"{res.passed} passed, {res.failed} failed")
    return 1 if res.failed or not res.passed else 0


sys.exit(main())
