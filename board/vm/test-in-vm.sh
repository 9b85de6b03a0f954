#!/bin/sh
# Runs in the virtual machine, as root, in a copy of the folder that the host gave. What it captures the host checks.
# First the devices and stock GStreamer by themselves, so that a failure says whose it is; then daisd, by its own unit.
set -eu
. ./box

modprobe vivid n_devs=1 node_types=0x1
modprobe snd-aloop
udevadm settle
v4l2-ctl -d /dev/video0 --set-fmt-video=width=320,height=180,pixelformat=YUYV --set-parm=10 >/dev/null
v4l2-ctl -d /dev/video0 -c osd_text_mode=1   # the frame counter alone: the rest of its text covers the bars
say "devices: Linux $(uname -r), $(v4l2-ctl -d /dev/video0 --get-fmt-video | awk '/Width/ {print $3}')" \
  "at $(v4l2-ctl -d /dev/video0 --get-parm | awk '/Frames per/ {print $4}') fps, $(aplay -l | grep -c '^card') sound devices"

# The tone that is captured at the loop-back's other end, for as long as the machine runs. So low that no limiter has to look between
# the samples: emulated, that alone would take most of a processor.
gst-launch-1.0 -q audiotestsrc is-live=true wave=sine freq=440 volume=0.1 \
  ! audio/x-raw,format=S16LE,rate=48000,channels=2 ! alsasink device=hw:Loopback,1 >tone.log 2>&1 &
tone=$!
trap 'kill $tone' EXIT

say "stock GStreamer captures the camera and the microphone"
timeout 60 gst-launch-1.0 -q -e matroskamux name=mux ! filesink location=devices.mkv \
  v4l2src device=/dev/video0 num-buffers=30 ! video/x-raw,width=320,height=180,framerate=10/1 \
  ! videoconvert ! x264enc tune=zerolatency speed-preset=ultrafast ! h264parse ! queue ! mux. \
  alsasrc device=hw:Loopback,0 num-buffers=300 ! audio/x-raw,rate=48000,channels=2 ! audioconvert ! opusenc ! queue ! mux.
say "captured $(stat -c %s devices.mkv) bytes"

[ -e daisd ] || exit 0

# --- the box, by the unit that ships, hardened as it ships, on these devices, which it has to find by itself ---
sed -i 's|v4l2:/dev/video0|auto|; s|alsa:hw:Loopback,1|auto|' dais.toml
# The loop-back's second place is the host's headphones; its other end says what is heard in them.
printf '\n[monitor]\naudio = "alsa:hw:Loopback,1,1"\n' >>dais.toml
install_box
trap 'told; kill $tone' EXIT
. ./service.sh
data_partition
systemctl start daisd # it is "started" when its programme moves
say "the box runs as $(ps -o user= -C daisd), its programme moves"

pair
# Beside a new box's trials of its encoders an emulated machine has no time for anything else, and they are once in a box's life: what
# they write is no part of a day's.
tried() { [ "$(journalctl -u daisd -o cat --no-pager | grep -c "has a passport")" -ge 4 ]; }
await 240 "the encoders were tried" tried
say "the encoders were tried"
url=$(call invite.create '{}' | jq -r .url)
# Before the guest: beside one, an emulated machine needs eight seconds for a call.
joins_and_changes
./dais guest --join "$url" --video 'test:color=#e07020' --audio 'test:tone=1000' --timeout 300 --json >guest.json 2>guest.log &
guest=$!
saw() { grep -q "\"event\":\"$1\"" guest.json; }
await 120 "the guest asks to go on air" saw requested
# Emulated, the handshake alone can take longer than the 15 s that an accepted guest has; it is made while the guest waits.
await 240 "the guest's session is connected" saw connected
# Its own line alone: the last one may just be being written.
user=$(grep '"event":"joined"' guest.json | jq -r .user_id)
call mic.respond "{\"user_id\":\"$user\",\"accept\":true}" >accepted.json
call layout.set '{"layout":"side-by-side"}' >/dev/null
await 120 "the guest is on air" saw on_air
say "a guest is on air, on seat $(jq .seat accepted.json)"

file=$(call record.start '{}' | jq -r .file)
arecord -q -D plughw:Loopback,0,1 -f S16_LE -r 48000 -c 2 -d 8 headphones.wav # as long as the recording
call record.stop '{}' >/dev/null
await 30 "the recording is closed" closed
fields "$user"
kill -INT $guest
wait $guest || { say "the guest ended with an error"; tail -n 5 guest.log; exit 1; }
flash
retained health | jq -ce 'select(.camera == "ok" and .encoders[0].element == "x264enc") | {camera, encoders}'
stop_box
cp "$file" programme.mkv
say "recorded $(stat -c %s programme.mkv) bytes"
