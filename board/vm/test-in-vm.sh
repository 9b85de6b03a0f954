#!/bin/sh
# Runs in the virtual machine, as root, in the folder shared with the host (/host). What it captures the host checks.
# First the devices and stock GStreamer by themselves, so that a failure says whose it is; then daisd, by its own unit.
set -eu
say() { echo "[$(cut -d' ' -f1 /proc/uptime)] $*"; }

modprobe vivid n_devs=1 node_types=0x1
modprobe snd-aloop
udevadm settle
v4l2-ctl -d /dev/video0 --set-fmt-video=width=320,height=180,pixelformat=YUYV --set-parm=10 >/dev/null
v4l2-ctl -d /dev/video0 -c osd_text_mode=1   # the frame counter alone: the rest of its text covers the bars
say "devices: Linux $(uname -r), $(v4l2-ctl -d /dev/video0 --get-fmt-video | awk '/Width/ {print $3}')" \
  "at $(v4l2-ctl -d /dev/video0 --get-parm | awk '/Frames per/ {print $4}') fps, $(aplay -l | grep -c '^card') sound devices"

# The tone that is captured at the loop-back's other end, for as long as the machine runs.
gst-launch-1.0 -q audiotestsrc is-live=true wave=sine freq=440 volume=0.5 \
  ! audio/x-raw,format=S16LE,rate=48000,channels=2 ! alsasink device=hw:Loopback,0 >tone.log 2>&1 &
tone=$!
trap 'kill $tone' EXIT

say "stock GStreamer captures the camera and the microphone"
timeout 60 gst-launch-1.0 -q -e matroskamux name=mux ! filesink location=devices.mkv \
  v4l2src device=/dev/video0 num-buffers=30 ! video/x-raw,width=320,height=180,framerate=10/1 \
  ! videoconvert ! x264enc tune=zerolatency speed-preset=ultrafast ! h264parse ! queue ! mux. \
  alsasrc device=hw:Loopback,1 num-buffers=300 ! audio/x-raw,rate=48000,channels=2 ! audioconvert ! opusenc ! queue ! mux.
say "captured $(stat -c %s devices.mkv) bytes"

[ -e daisd ] || exit 0

# --- the box, by the unit that ships, hardened as it ships, on these devices ---
ln -s /host/daisd /usr/bin/daisd
mkdir -p /etc/dais /etc/systemd/system/daisd.service.d
cp dais.toml /etc/dais/
systemd-sysusers /host/sysusers.conf
cp daisd.service /etc/systemd/system/
# Emulated, a start takes its time; and the plugins are scanned already.
printf '%s\n' '[Service]' TimeoutStartSec=180 WatchdogSec=120 "Environment=GST_REGISTRY=$GST_REGISTRY GST_REGISTRY_UPDATE=no" \
  >/etc/systemd/system/daisd.service.d/vm.conf
systemctl daemon-reload

told() { journalctl -u daisd -o cat --no-pager >daisd.log || true; }
trap 'told; kill $tone' EXIT
await() { # await SECONDS WHAT COMMAND…
  seconds=$1 what=$2
  shift 2
  until=$(($(date +%s) + seconds))
  until "$@"; do
    [ "$(date +%s)" -lt $until ] || { say "waited $seconds s for this in vain: $what"; return 1; }
    sleep 0.2
  done
}

# The image has no file of hosts, which every installed Debian has.
grep -qs localhost /etc/hosts || echo '127.0.0.1 localhost' >>/etc/hosts

. ./service.sh
data_partition
systemctl start daisd # it is "started" when its programme moves
say "the box runs as $(ps -o user= -C daisd), its programme moves"

# A console, as anybody's program would be one: HTTP to pair, MQTT to talk.
code=$(journalctl -u daisd -o cat --no-pager | sed -n "s/.*pairs with the code \\([0-9]\\{6\\}\\).*/\\1/p" | head -n 1)
curl -sS --fail-with-body -m 60 -H 'content-type: application/json' -d "{\"code\":\"$code\",\"name\":\"VM\"}" \
  http://127.0.0.1:8080/api/pair >console.json
call() { # call METHOD PARAMS: prints the result, or fails with the error
  topic=dais/v1/$(jq -r .box console.json)/host/$(jq -r .user_id console.json)
  reply=$(mosquitto_rr -V mqttv5 -h 127.0.0.1 -q 1 -W 30 -u "$(jq -r .username console.json)" -P "$(jq -r .password console.json)" \
    -t "$topic/up" -e "$topic/down/vm" -m "{\"jsonrpc\":\"2.0\",\"id\":\"$(cat /proc/sys/kernel/random/uuid)\",\"method\":\"$1\",\"params\":$2}")
  echo "$reply" | jq -ec .result || { say "$1: $reply"; return 1; }
}

url=$(call invite.create '{}' | jq -r .url)
./dais guest --join "$url" --video 'test:color=#e07020' --audio 'test:tone=1000' --timeout 300 --json >guest.json 2>guest.log &
guest=$!
saw() { grep -q "\"event\":\"$1\"" guest.json; }
await 120 "the guest asks to go on air" saw requested
# Emulated, the handshake alone can take longer than the 15 s that an accepted guest has; it is made while the guest waits.
await 240 "the guest's session is connected" saw connected
user=$(jq -r 'select(.event == "joined") | .user_id' guest.json)
call mic.respond "{\"user_id\":\"$user\",\"accept\":true}" >accepted.json
call layout.set '{"layout":"side-by-side"}' >/dev/null
await 120 "the guest is on air" saw on_air
say "a guest is on air, on seat $(jq .seat accepted.json)"

file=$(call record.start '{}' | jq -r .file)
sleep 8 # the length of the recording
call record.stop '{}' >/dev/null
outputs() { # the retained state of the outputs, as every console gets it
  mosquitto_sub -V mqttv5 -h 127.0.0.1 -u "$(jq -r .username console.json)" -P "$(jq -r .password console.json)" \
    -t "dais/v1/$(jq -r .box console.json)/outputs" -C 1 -W 10
}
closed() { outputs | jq -e '.record.state == "stopped"' >/dev/null; }
await 30 "the recording is closed" closed
fields "$user"
kill -INT $guest
wait $guest || { say "the guest ended with an error"; tail -n 5 guest.log; exit 1; }
flash
crash
systemctl stop daisd
[ "$(systemctl show -P Result daisd)" = success ] || { say "the box did not stop cleanly: $(systemctl show -P Result daisd)"; exit 1; }
cp "$file" programme.mkv
say "recorded $(stat -c %s programme.mkv) bytes"
