"""A box in QEMU: an image's disk in a machine that can be cut off, looked at from outside, and given media."""
import base64
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

# Under emulation beside other work a start takes minutes.
PATIENCE_S = 600


class Failed(Exception):
    """What was expected of the box and did not come."""


def run(*command, **options):
    return subprocess.run([str(word) for word in command], check=True, **options)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def await_(what, seconds, look):
    """Looks until it sees something true, and gives that."""
    end = time.monotonic() + seconds
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > end:
            raise Failed(f"waited {seconds} s for this in vain: {what}")
        time.sleep(0.1)


class Disk:
    """The medium of a box: what an image became, in a qcow2 file over it, so that the image itself stays as flashed."""

    def __init__(self, image, path, size_mib):
        self.path = Path(path)
        self.image = Path(image).resolve()
        self.path.unlink(missing_ok=True)
        run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", self.image, self.path, f"{size_mib}M")

    def _partition(self, name):
        """Where it begins and how long it is, in bytes; the last one reaches to the medium's end."""
        # The table as the image has it: growing changes the last partition's end, not its start. What stands behind it does no harm.
        table = json.loads(run("sfdisk", "--json", self.image, capture_output=True).stdout)["partitiontable"]
        sector = table.get("sectorsize", 512)
        found = next(p for p in table["partitions"] if p.get("name") == name)
        start = found["start"] * sector
        if found is not table["partitions"][-1]:
            return start, found["size"] * sector
        length = json.loads(run("qemu-img", "info", "--output=json", self.path, capture_output=True).stdout)["virtual-size"]
        return start, length - start

    def wipe(self, name):
        """A partition of a box that is off: zeros, which no fsck makes a file system of. The last MiB may be the partition table's copy."""
        start, length = self._partition(name)
        end, step = start + length - (1 << 20), 1 << 30
        for at in range(start, end, step):
            run("qemu-io", "-f", "qcow2", "-c", f"write -z {at} {min(step, end - at)}", self.path, stdout=subprocess.DEVNULL)

    def data(self):
        """The data partition of a box that is off: its files in a folder, after the journal's replay as at a start."""
        folder = self.path.with_suffix(".data")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        file = folder / "data.ext4"
        start, length = self._partition("dais-data")
        options = f"driver=raw,offset={start},size={length},file.driver=qcow2,file.file.filename={self.path}"
        run("qemu-img", "convert", "--image-opts", options, "-O", "raw", file)
        checked = subprocess.run(["e2fsck", "-fy", str(file)], capture_output=True, text=True)
        if checked.returncode not in (0, 1):
            raise Failed(f"the data partition is broken: {checked.stdout}")
        run("debugfs", "-R", f"rdump / {folder}", file, capture_output=True)
        file.unlink()
        return folder


class Machine:
    def __init__(self, board, disk, work, *, network=True, clock=None):
        self.board, self.disk, self.work = board, disk, Path(work)
        self.work.mkdir(parents=True, exist_ok=True)
        self.console_file = self.work / f"console-{int(time.time() * 1000)}"
        self.http, self.https, self.mqtt = free_port(), free_port(), free_port()
        self.media = 0
        arm = board == "qemu-arm64"
        firmware = Path("/usr/share/AAVMF" if arm else "/usr/share/OVMF")
        code, variables = ("AAVMF_CODE.fd", "AAVMF_VARS.fd") if arm else ("OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd")
        shutil.copy(firmware / variables, self.work / "vars.fd")
        for left in ("probe", "qmp"):
            (self.work / left).unlink(missing_ok=True)
        # Software emulation also where there is KVM: a KVM that hangs or is nested would make the test depend on the machine. Without AVX,
        # as in board/vm/boot.
        command = ["qemu-system-aarch64" if arm else "qemu-system-x86_64", "-accel", "tcg,thread=multi"]
        command += ["-machine", "virt", "-cpu", "cortex-a72"] if arm else ["-machine", "q35", "-cpu", "Nehalem"]
        command += ["-smp", "2", "-m", "1536", "-display", "none", "-nodefaults"]
        command += ["-serial", f"file:{self.console_file}", "-device", "virtio-rng-pci", "-device", "qemu-xhci"]
        command += ["-drive", f"if=pflash,format=raw,readonly=on,file={firmware / code}"]
        command += ["-drive", f"if=pflash,format=raw,file={self.work / 'vars.fd'}"]
        command += ["-drive", f"if=virtio,format=qcow2,cache=writeback,file={disk.path}"]
        command += ["-qmp", f"unix:{self.work / 'qmp'},server=on,wait=off"]
        if network:
            forward = ",".join(f"hostfwd={rule}" for rule in self._forwards())
            command += ["-netdev", f"user,id=net,restrict=on,{forward}", "-device", "virtio-net-pci,netdev=net,romfile="]
        if clock:
            command += ["-rtc", f"base={clock}"]
        # A shell for the test, given from outside as a system credential: the image has none.
        command += ["-device", "virtio-serial-pci", "-chardev", f"socket,id=probe,path={self.work / 'probe'},server=on,wait=off"]
        command += ["-device", "virtserialport,chardev=probe,name=dais.probe"]
        device = r"dev-virtio\x2dports-dais.probe.device"
        unit = (
            f"[Unit]\nBindsTo={device}\nAfter={device}\n[Service]\nStandardInput=file:/dev/virtio-ports/dais.probe\n"
            "StandardOutput=file:/dev/virtio-ports/dais.probe\nExecStart=/bin/sh -c 'while read -r line; do"
            ' sh -c \"$$line\" 2>&1 </dev/null; echo \"== $$?\"; done\'\n'
        )
        self._credential(command, "systemd.extra-unit.dais-probe.service", unit)
        self._credential(command, "systemd.unit-dropin.multi-user.target", "[Unit]\nWants=dais-probe.service\n")
        (self.work / "qemu").write_text(" ".join(command))
        self.started = time.monotonic()
        self.log = open(self.work / "qemu.log", "a")
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, start_new_session=True)
        # Connected before the box opens its end: with nobody there it would read the end of the file.
        self.probe = socket.socket(socket.AF_UNIX)
        await_("QEMU", 60, self._connect)

    def _forwards(self):
        """What of this machine leads to which port of the box."""
        ports = ((self.http, 8080), (self.https, 443), (self.mqtt, 1883))
        return [f"tcp:127.0.0.1:{here}-:{there}" for here, there in ports]

    def _connect(self):
        if self.process.poll() is not None:
            raise Failed(f"QEMU did not start; see {self.work / 'qemu.log'}")
        try:
            self.probe.connect(str(self.work / "probe"))
            return True
        except (FileNotFoundError, ConnectionRefusedError):
            return False

    @staticmethod
    def _credential(command, name, text):
        packed = base64.b64encode(text.encode()).decode()
        command += ["-smbios", f"type=11,value=io.systemd.credential.binary:{name}={packed}"]

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None and issubclass(kind, Failed):
            self._explain()
        self.cut()

    def _explain(self):
        """What the box and QEMU have to say when something expected did not come; CI keeps nothing but what is printed."""
        print(f"--- the end of {self.console_file}\n{self.console()[-2000:]}")
        print(f"--- the end of {self.log.name}\n{Path(self.log.name).read_text(errors='replace')[-1000:]}")
        if (ended := self.process.poll()) is not None:
            print(f"--- QEMU ended by itself, with status {ended}", flush=True)
            return
        look = "uptime; systemctl list-jobs; systemctl --failed; ip -brief address; df -h /data; journalctl -b --no-pager -u daisd -n 40; journalctl -b --no-pager -p warning -n 40"
        try:
            print(f"--- the box itself\n{self.ask(look, 120)[0]}", flush=True)
        except (Failed, OSError) as why:
            print(f"--- the box itself does not answer: {why}", flush=True)

    def cut(self):
        """The power is cut."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.probe.close()
        self.log.close()

    # --- what a person at the box sees ---

    def console(self):
        try:
            return self.console_file.read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def _runs(self):
        if self.process.poll() is not None:
            raise Failed(f"the machine ended by itself; see {self.work / 'qemu.log'}")
        return True

    def sees(self, pattern, seconds=PATIENCE_S, after=0):
        """Waits for a line on the console, `after` so many characters, and gives the match."""

        def look():
            self._runs()
            return re.search(pattern, self.console()[after:])

        return await_(f"“{pattern}” on the console {self.console_file}", seconds, look)

    def code(self):
        return self.sees(r"pairs with the code (\d{6})").group(1)

    # --- what phones and monitors see ---

    def ready(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/readyz", timeout=10) as answer:
                return answer.status == 200
        except (OSError, urllib.error.URLError):
            return False

    def await_ready(self, seconds=PATIENCE_S):
        await_("/readyz", seconds, lambda: self._runs() and self.ready())
        return time.monotonic() - self.started

    def pair(self, code):
        """As a phone does it that has taken the box's authority from its page, and trusts that one alone."""
        body = json.dumps({"code": code, "name": "Test"}).encode()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/ca/dais-ca.pem", timeout=60) as answer:
                trust = ssl.create_default_context(cadata=answer.read().decode())
            request = urllib.request.Request(f"https://127.0.0.1:{self.https}/api/pair", body, {"content-type": "application/json"})
            with urllib.request.urlopen(request, timeout=60, context=trust) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as refusal:
            raise Failed(f"not paired: {refusal.read().decode()}") from None
        except urllib.error.URLError as error:
            raise Failed(f"not paired: {error.reason}") from None

    def _login(self, who):
        return ["-V", "mqttv5", "-h", "127.0.0.1", "-p", str(self.mqtt), "-u", who["username"], "-P", who["password"]]

    def call(self, who, method, wait_s=60, **params):
        topic = f"dais/v1/{who['box']}/host/{who['user_id']}"
        request = json.dumps({"jsonrpc": "2.0", "id": base64.b64encode(os.urandom(12)).decode(), "method": method, "params": params})
        command = ["mosquitto_rr", *self._login(who), "-q", "1", "-W", str(wait_s), "-t", f"{topic}/up", "-e", f"{topic}/down/test", "-m", request]
        answer = subprocess.run(command, capture_output=True, text=True)
        try:
            return json.loads(answer.stdout)["result"]
        except (ValueError, KeyError):
            raise Failed(f"{method}: {answer.stdout or answer.stderr}") from None

    def retained(self, who, topic):
        """The box's state, as every console gets it."""
        command = ["mosquitto_sub", *self._login(who), "-t", f"dais/v1/{who['box']}/{topic}", "-C", "1", "-W", "30"]
        answer = subprocess.run(command, capture_output=True, text=True)
        if answer.returncode != 0:
            raise Failed(f"{topic} cannot be read: {answer.stderr}")
        return json.loads(answer.stdout)

    def outputs(self, who):
        return self.retained(who, "outputs")

    def recording(self, who):
        """The file that is being recorded, once it is."""

        def look():
            record = self.outputs(who)["record"]
            return record["file"] if record["state"] == "live" else None

        return await_("a recording that is live", PATIENCE_S, look)

    # --- what only a test sees ---

    def tell(self, command):
        """Has the box run a line of shell; `hear` waits for what that says."""
        self.probe.sendall(command.encode() + b"\n")

    def hear(self, seconds):
        self.probe.settimeout(seconds)
        said = b""
        while not (end := re.search(rb"(?:^|\n)== (\d+)\n", said)):
            try:
                more = self.probe.recv(65536)
            except TimeoutError:
                raise Failed(f"the box did not answer for {seconds} s") from None
            if not more:
                raise Failed("the box answers no more")
            said += more
        return said[: end.start()].decode(errors="replace"), int(end.group(1))

    def ask(self, command, seconds=PATIENCE_S):
        """Runs a line of shell in the box; its output, and its exit status."""
        self.tell(command)
        return self.hear(seconds)

    def qmp(self, *commands):
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.settimeout(60)
            monitor.connect(str(self.work / "qmp"))
            lines = monitor.makefile("rw")
            lines.readline()
            for name, arguments in (("qmp_capabilities", {}), *commands):
                lines.write(json.dumps({"execute": name, "arguments": arguments}) + "\n")
                lines.flush()
                while True:
                    answer = json.loads(lines.readline())
                    if "error" in answer:
                        raise Failed(f"{name}: {answer['error']}")
                    if "return" in answer:
                        break

    def plug(self, medium):
        """Plugs a USB medium in."""
        self.media += 1
        name = f"medium{self.media}"
        node = {"driver": "raw", "node-name": name, "read-only": True, "file": {"driver": "file", "filename": str(medium)}}
        self.qmp(("blockdev-add", node), ("device_add", {"driver": "usb-storage", "id": f"usb-{name}", "drive": name, "removable": True}))
        return name

    def plug_phone(self):
        """A phone shares its network by USB."""
        forward = [{"str": rule} for rule in self._forwards()]
        net = {"type": "user", "id": "phone", "restrict": True, "hostfwd": forward}
        self.qmp(("netdev_add", net), ("device_add", {"driver": "usb-net", "id": "usb-phone", "netdev": "phone"}))

    def unplug(self, name):
        self.qmp(("device_del", {"id": f"usb-{name}"}))


def update_medium(bundle, file):
    """A stick with a bundle on it."""
    file = Path(file)
    file.unlink(missing_ok=True)
    with open(file, "wb") as f:
        f.truncate((Path(bundle).stat().st_size // (1 << 20) + 64) << 20)
    run("mkfs.vfat", "-F", "32", "-n", "DAIS-UPDATE", file, stdout=subprocess.DEVNULL)
    run("mcopy", "-i", file, bundle, "::")
    return file


def folded(file):
    """What a file of the box says that is a value, a line of JSON, and the patches to it (RFC 6902), a line each, among blank ones. What a
    power cut tore is left out, as the box does."""
    lines = [line for line in Path(file).read_bytes().split(b"\n") if line]
    value = json.loads(lines[0])
    for number, line in enumerate(lines[1:], 2):
        try:
            changes = json.loads(line)
        except ValueError:
            if number != len(lines):
                raise Failed(f"{file}: line {number} of {len(lines)} is torn, and is not the last one") from None
            break
        for change in changes:
            *path, last = [word.replace("~1", "/").replace("~0", "~") for word in change["path"].split("/")[1:]]
            into = value
            for word in path:
                into = into[int(word) if isinstance(into, list) else word]
            if isinstance(into, list):
                raise Failed(f"{file}: line {number} changes a list, which this does not know")
            if change["op"] == "remove":
                del into[last]
            else:
                into[last] = change["value"]
    return value


def played(file):
    """Plays a recording: its first and last picture's time in seconds, the longest step between pictures, and their number."""
    shown = run("ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "packet=pts_time", "-of", "csv=p=0", file, capture_output=True, text=True)
    times = sorted(float(line.rstrip(",")) for line in shown.stdout.split() if line.rstrip(",") not in ("", "N/A"))
    if len(times) < 2:
        raise Failed(f"{file} holds no picture that plays")
    decoded = run("ffmpeg", "-v", "error", "-i", file, "-map", "0:v:0", "-f", "null", "-progress", "-", "-", capture_output=True, text=True)
    frames = int(re.findall(r"frame=(\d+)", decoded.stdout)[-1])
    if frames < len(times) - 1:
        raise Failed(f"{file}: of {len(times)} pictures only {frames} could be decoded")
    steps = [b - a for a, b in zip(times, times[1:])]
    if min(steps) <= 0:
        raise Failed(f"{file}: a timestamp comes twice")
    return times[0], times[-1], max(steps), frames
