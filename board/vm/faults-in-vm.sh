#!/bin/sh
# Runs in the virtual machine, as root, in a copy of the folder that the host gave. What can happen to a camera and a microphone in a
# show happens here, each `times` often: the signal goes, the format changes, the device is unplugged and comes back under another
# number; and all the while the sound card's clock is wrong by `ppm`. The host examines what was recorded.
set -eu
. ./box
. ./plan # times, ppm, at_least_s

log=/run/daisd.log
# The vivid input that behaves like an HDMI receiver is the fourth. Without an EDID it gives no signal: the box must set one.
modprobe vivid n_devs=1 node_types=0x1
modprobe snd-aloop
udevadm settle
# 24 frames a second: at 60 a busy emulator falls behind, and vivid then fills the kernel's log.
hd=5 full_hd=10
v4l2-ctl -d /dev/video0 -i 3 --set-dv-bt-timings index=$hd >/dev/null
v4l2-ctl -d /dev/video0 -c osd_text_mode=1
v4l2-ctl -d /dev/video0 --clear-edid=3 >/dev/null
# Both ends, as one card has one clock: with the other end's clock right, the loop-back itself would hold back ever more sound.
for end in 0 1; do
  amixer -q -c Loopback cset "iface=PCM,name='PCM Rate Shift 100000',device=$end,subdevice=0" $((100000 + ppm / 10))
done

# A beep at each whole second of the machine's clock: where it stands in the recording shows how far sound and picture drift apart.
# Ahead of everything else and half a second beforehand, so that it is on time. It starts again by itself when its card is unplugged.
beep() {
  while :; do
    chrt -r 5 gst-launch-1.0 -q audiotestsrc is-live=true wave=ticks freq=1000 sine-periods-per-tick=50 volume=0.5 \
      ! audio/x-raw,rate=48000,channels=2 ! audioconvert \
      ! alsasink device=hw:Loopback,0 provide-clock=false slave-method=skew drift-tolerance=2000 buffer-time=500000 latency-time=10000 || true
    sleep 0.3
  done >beep.log 2>&1
}
beep &
beep=$!
trap 'cp $log daisd.log || true; kill $beep || true' EXIT

sed -i 's|v4l2:/dev/video0|v4l2:by-path:platform-vivid.0-video-index0|; s|alsa:hw:Loopback,1|alsa:id:Loopback,1|' dais.toml
install_box
# A file is quicker to look into than the journal. The pairing code goes to standard output, and stays in the journal.
printf '%s\n' '[Service]' "StandardError=append:$log" >/etc/systemd/system/daisd.service.d/log.conf
systemctl daemon-reload
systemctl start daisd
pair
now() { awk '{ printf "%d", $1 * 1000 }' /proc/uptime; }
count() { grep -c "$1" $log || true; }
more() { [ "$(count "$1")" -gt "$2" ]; }
camera() { readlink -f /dev/v4l/by-path/platform-vivid.0-video-index0; }

# back KIND WHAT BEFORE: waits until it is back, and writes down how long after now that was
back() {
  began=$(now)
  await 60 "after $1 $2 is back" more "$2 is back" "$3"
  took=$(($(now) - began))
  echo "$1 $took" >>returns
  say "$1: back after $took ms"
}
: >returns
picture="the host's picture"
await 60 "the picture is there" more "the camera is open" 0
# Beside a new box's trials of its encoders, two software ones in two sizes, an emulated machine has no time for anything else.
await 240 "the encoders were tried" more "has a passport" 3
file=$(call record.start '{}' | jq -r .file)
start=$(now)
# What the start held up waits in the sound's queue, and goes by a millisecond a second: after that the beeps say where they belong.
sleep 32

n=0
while [ $((n += 1)) -le "$times" ]; do
  # 1 is no cable (no power at the plug), 2 no sync, 3 a format past what the card can do.
  mode=$(((n - 1) % 3 + 1))
  state=$(echo "no cable,no sync,unsupported format" | cut -d, -f$mode)
  before=$(count "$picture is back") alarms=$(count "camera: $state")
  v4l2-ctl -d "$(camera)" -c dv_timings_signal_mode=$mode
  await 60 "the box says: $state" more "camera: $state" "$alarms"
  sleep 1
  v4l2-ctl -d "$(camera)" -c dv_timings_signal_mode=0
  back "signal ($state)" "$picture" "$before"
  sleep 1
done
retained health | jq -c '{fps, alarms}'

# A card that scales goes on with its old size, so that nobody sees more than a picture that stands still for a moment; past 2 s the box
# would say so, and open the camera anew.
set_to() { v4l2-ctl -d "$(camera)" --get-dv-timings | grep -q "Active width: $1"; }
n=0
while [ $((n += 1)) -le "$times" ]; do
  if [ $((n % 2)) = 1 ]; then format=$full_hd width=1920; else format=$hd width=1280; fi
  v4l2-ctl -d "$(camera)" -c dv_timings=$format,dv_timings_signal_mode=4
  await 60 "the card is set to the new format" set_to $width
  say "format: the card is set to a width of $width"
  sleep 3
done

n=0
while [ $((n += 1)) -le "$times" ]; do
  before=$(count "$picture is back") alarms=$(count "camera gives no picture")
  # Whoever holds the node keeps its number: the camera comes back under another one.
  [ $((n % 2)) = 0 ] || exec 9<"$(camera)"
  echo vivid.0 >/sys/bus/platform/drivers/vivid/unbind
  await 60 "the box says that the camera is gone" more "camera gives no picture" "$alarms"
  sleep 1
  echo vivid.0 >/sys/bus/platform/drivers/vivid/bind
  back unplugged "$picture" "$before"
  say "it is $(camera) now"
  v4l2-ctl -d "$(camera)" -c osd_text_mode=1
  exec 9<&-
  sleep 1
done
left=$((at_least_s - ($(now) - start) / 1000))
[ $left -le 0 ] || sleep $left
call record.stop '{}' >/dev/null
await 60 "the recording is closed" closed
cp "$file" picture.mkv

# The sound card: unplugged while it is played to, captured and recorded.
file=$(call record.start '{}' | jq -r .file)
sleep 3
n=0
while [ $((n += 1)) -le "$times" ]; do
  before=$(count "the host's sound is back")
  echo snd_aloop.0 >/sys/bus/platform/drivers/snd_aloop/unbind
  sleep 1
  echo snd_aloop.0 >/sys/bus/platform/drivers/snd_aloop/bind
  back "microphone" "the host's sound" "$before"
  sleep 3
done
retained health | jq -c '{fps, dropped, alarms}'
call record.stop '{}' >/dev/null
await 60 "the recording is closed" closed
stop_box
cp "$file" sound.mkv
