#!/bin/sh
# Runs in the virtual machine, as root, in a copy of the folder that the host gave.
set -eu
. ./box

# --- the ladder on a real V4L2 encoder, cameras of each format, and a card's mixer: firmware/studio/tests/drivers.rs ---
modprobe vivid n_devs=1 node_types=0x1
modprobe vicodec
modprobe v4l2loopback video_nr=9 exclusive_caps=1
modprobe snd-dummy
udevadm settle
# Its elements are there when its devices were there as plugins were scanned: only the plugin that asks for devices is scanned anew.
cp "$GST_REGISTRY" /run/registry.bin
DAIS_RECORDING=encoder.mkv GST_REGISTRY=/run/registry.bin GST_REGISTRY_UPDATE=yes \
  ./drivers --ignored --nocapture --test-threads=1 >encoder.log 2>&1 || { tail -n 60 encoder.log; exit 1; }
sed 's/^/  /' encoder.log
say "the V4L2 encoder was tried, used and left; cameras of each format were seen; the microphone was switched on"
modprobe -r vicodec

# --- the programme on a screen ---
modprobe snd-aloop
v4l2-ctl -d /dev/video0 --set-fmt-video=width=320,height=180,pixelformat=YUYV --set-parm=10 >/dev/null
v4l2-ctl -d /dev/video0 -c osd_text_mode=1
modprobe bochs
udevadm settle
printf '\n[monitor]\nvideo = "kms"\n' >>dais.toml
install_box
trap told EXIT
systemctl start daisd
say "the box's programme moves"
shows() { told; grep -q "is shown on a screen" daisd.log; }
await 60 "the box shows its programme" shows
sleep 3
: >/host/look
seen() { [ "$(stat -c %s /host/screen.ppm 2>/dev/null || echo 0)" -ge $((640 * 360 * 3)) ]; }
await 60 "somebody saw the screen" seen
stop_box
